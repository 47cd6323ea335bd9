//! Whether anything outside can be reached from here. It must not be.

use std::{io::ErrorKind, time::Duration};

use tokio::net::{TcpStream, lookup_host};

use super::protocol::{Outside, Target};
use crate::domain::record::{Attempt, Fence};

/// How long a try to be let out may take: what is sent too early is lost.
const TRY: Duration = Duration::from_secs(1);

/// Between two of them.
const PAUSE: Duration = Duration::from_millis(100);

/// How an attempt ended.
enum Ended {
    Reached,
    /// With what kept it.
    Held(String),
    /// With why nothing could be tried.
    Untested(String),
}

/// Tries all targets at once. The fence's network holds if none of them answered.
pub(super) async fn tried(outside: &Outside, patience: Duration) -> Fence {
    let targets = &outside.targets;
    let attempts = targets.iter().map(|target| attempt(target, patience));
    let ends = futures_util::future::join_all(attempts).await;
    let mut fence = Fence {
        // A pod has its own file system.
        files: true,
        untested: outside.untested.clone(),
        ..Fence::default()
    };
    for (Target { what, host, port }, ended) in targets.iter().zip(ends) {
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
            from: outside.from.clone(),
            what: format!("connect to {what} at {host}:{port}"),
            prevented,
            how,
        });
    }
    if let Some(pod) = &outside.from {
        for why in &mut fence.untested {
            *why = format!("from pod {pod}: {why}");
        }
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

/// Waits until the network lets this pod out to where it may go.
pub(super) async fn let_out(way: &Target) {
    while !matches!(attempt(way, TRY).await, Ended::Reached) {
        tokio::time::sleep(PAUSE).await;
    }
}

async fn attempt(target: &Target, patience: Duration) -> Ended {
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
    match tokio::time::timeout(patience, connecting).await {
        Ok(ended) => ended,
        Err(_) => Ended::Held(format!("no answer in {} s", patience.as_secs_f64())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(2);

    fn target(host: &str, port: u16) -> Target {
        Target {
            what: "it".to_owned(),
            host: host.to_owned(),
            port,
        }
    }

    fn outside(targets: Vec<Target>) -> Outside {
        Outside {
            targets,
            ..Outside::default()
        }
    }

    #[tokio::test]
    async fn whoever_answers_is_reached() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut outside = outside(vec![target("127.0.0.1", port)]);
        outside.from = Some("lifeboat-dump".to_owned());
        let fence = tried(&outside, PATIENCE).await;
        let here = format!("connect to it at 127.0.0.1:{port}");
        assert!(!fence.network, "{fence:?}");
        assert_eq!(fence.holes(), [here.as_str()]);
        assert_eq!(fence.attempts[0].from, outside.from);
        drop(listener);
        let refused = tried(&outside, PATIENCE).await;
        assert!(!refused.network, "a refusal is an answer: {refused:?}");
    }

    #[tokio::test]
    async fn what_has_no_address_is_untested_and_not_closed() {
        let mut outside = outside(vec![
            target("no-such-host.invalid", 1),
            target("${NOT_TOLD_HERE}", 1),
        ]);
        outside.untested = vec!["the way to the source: gone".to_owned()];
        let fence = tried(&outside, PATIENCE).await;
        assert_eq!(fence.attempts, []);
        assert_eq!(fence.untested.len(), 3, "{fence:?}");
        assert!(!fence.network, "nothing was tried: {fence:?}");
        outside.from = Some("lifeboat-fetch".to_owned());
        let fence = tried(&outside, PATIENCE).await;
        let first = "from pod lifeboat-fetch: the way to the source: gone";
        assert_eq!(fence.untested[0], first);
    }
}
