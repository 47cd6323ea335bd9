//! Whether anything outside can be reached from here. It must not be.

use std::{io::ErrorKind, time::Duration};

use tokio::net::{TcpStream, lookup_host};

use super::protocol::Target;
use crate::domain::record::Fence;

/// A packet that is dropped is never answered: longer waiting would say no
/// more, and every target costs as much at most.
const PATIENCE: Duration = Duration::from_secs(2);

/// How an attempt ended.
enum Attempt {
    Reached,
    /// With what kept it.
    Held(String),
}

/// Tries all targets at once. The fence's network holds if none answered.
pub(super) async fn outside(targets: &[Target]) -> Fence {
    let attempts = futures_util::future::join_all(targets.iter().map(attempt)).await;
    let mut fence = Fence {
        network: !targets.is_empty(),
        // A pod has its own file system.
        files: true,
        ..Fence::default()
    };
    for (target, attempt) in targets.iter().zip(attempts) {
        let Target { what, host, port } = target;
        let host = told(host).unwrap_or_default();
        fence.notes.push(match attempt {
            Attempt::Held(how) => format!("tried {what} at {host}:{port}: {how}"),
            Attempt::Reached => {
                fence.network = false;
                format!("tried {what} at {host}:{port}: REACHED")
            }
        });
    }
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

async fn attempt(target: &Target) -> Attempt {
    let connecting = async {
        let Some(host) = told(&target.host) else {
            return Attempt::Held("this pod is not told where it is".to_owned());
        };
        // A name that is not told is out of reach by that name.
        let addresses = lookup_host((host.as_str(), target.port)).await;
        let addresses = match addresses {
            Ok(addresses) => addresses.collect::<Vec<_>>(),
            Err(error) => return Attempt::Held(format!("no such name ({error})")),
        };
        let mut last = "no address".to_owned();
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(_) => return Attempt::Reached,
                // Somebody has answered: a fence that lets packets through to
                // be refused there is none.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                    return Attempt::Reached;
                }
                Err(error) => last = error.to_string(),
            }
        }
        Attempt::Held(last)
    };
    match tokio::time::timeout(PATIENCE, connecting).await {
        Ok(attempt) => attempt,
        Err(_) => Attempt::Held("no answer".to_owned()),
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
        let fence = outside(&[target("127.0.0.1", port)]).await;
        assert!(
            !fence.network && fence.notes[0].ends_with("REACHED"),
            "{fence:?}"
        );
        drop(listener);
        let refused = outside(&[target("127.0.0.1", port)]).await;
        assert!(!refused.network, "a refusal is an answer: {refused:?}");
        let unknown = outside(&[target("no-such-host.invalid", 1)]).await;
        assert!(unknown.network, "{unknown:?}");
    }
}
