//! Whether anything outside can be reached from here. It must not be.

use std::{io::ErrorKind, time::Duration};

use tokio::net::{TcpStream, lookup_host};

use super::protocol::Target;
use crate::domain::record::{Attempt, Fence};

/// A packet that is dropped is never answered: longer waiting would say no
/// more, and every target costs as much at most.
const PATIENCE: Duration = Duration::from_secs(2);

/// How an attempt ended.
enum Ended {
    Reached,
    /// With what kept it.
    Held(String),
    /// With why nothing could be tried.
    Untested(String),
}

/// Tries all targets at once; `untested` are those that have no address. The
/// fence's network holds if none of them answered.
pub(super) async fn outside(targets: &[Target], untested: &[String]) -> Fence {
    let ends = futures_util::future::join_all(targets.iter().map(attempt)).await;
    let mut fence = Fence {
        // A pod has its own file system.
        files: true,
        untested: untested.to_vec(),
        ..Fence::default()
    };
    for (target, ended) in targets.iter().zip(ends) {
        let Target { what, host, port } = target;
        let host = told(host).unwrap_or_else(|| host.clone());
        let (prevented, how) = match ended {
            Ended::Held(how) => (true, how),
            Ended::Reached => (false, "it answered".to_owned()),
            Ended::Untested(why) => {
                let way = format!("the way to {what} at {host}:{port}: {why}");
                fence.untested.push(way);
                continue;
            }
        };
        fence.attempts.push(Attempt {
            what: format!("connect to {what} at {host}:{port}"),
            prevented,
            how,
        });
    }
    fence.network = !fence.attempts.is_empty() && fence.holes().is_empty();
    fence
}

/// A host as it is, or `${NAME}`: what a variable of this pod says.
fn told(host: &str) -> Option<String> {
    match host
        .strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'))
    {
        Some(variable) => std::env::var(variable).ok(),
        None => Some(host.to_owned()),
    }
}

async fn attempt(target: &Target) -> Ended {
    let connecting = async {
        let Some(host) = told(&target.host) else {
            return Ended::Untested("this pod is not told where it is".to_owned());
        };
        // A name that is not told says nothing about its address.
        let addresses = lookup_host((host.as_str(), target.port)).await;
        let addresses = match addresses {
            Ok(addresses) => addresses.collect::<Vec<_>>(),
            Err(error) => return Ended::Untested(format!("no such name ({error})")),
        };
        let mut last = None;
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(_) => return Ended::Reached,
                // Somebody has answered: a fence that lets packets through to
                // be refused there is none.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                    return Ended::Reached;
                }
                Err(error) => last = Some(error.to_string()),
            }
        }
        last.map_or_else(|| Ended::Untested("no address".to_owned()), Ended::Held)
    };
    match tokio::time::timeout(PATIENCE, connecting).await {
        Ok(ended) => ended,
        Err(_) => Ended::Held("no answer".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_answers_is_reached() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let target = |host: &str, port| Target {
            what: "it".to_owned(),
            host: host.to_owned(),
            port,
        };
        let fence = outside(&[target("127.0.0.1", port)], &[]).await;
        let here = format!("connect to it at 127.0.0.1:{port}");
        assert!(!fence.network, "{fence:?}");
        assert_eq!(fence.holes(), [here.as_str()]);
        drop(listener);
        let refused = outside(&[target("127.0.0.1", port)], &[]).await;
        assert!(!refused.network, "a refusal is an answer: {refused:?}");
    }

    #[tokio::test]
    async fn what_has_no_address_is_untested_and_not_closed() {
        let target = |host: &str| Target {
            what: "it".to_owned(),
            host: host.to_owned(),
            port: 1,
        };
        let targets = [target("no-such-host.invalid"), target("${NOT_TOLD_HERE}")];
        let fence = outside(&targets, &["the way to the source: gone".to_owned()]).await;
        assert_eq!(fence.attempts, []);
        assert_eq!(fence.untested.len(), 3, "{fence:?}");
        assert!(!fence.network, "nothing was tried: {fence:?}");
    }
}
