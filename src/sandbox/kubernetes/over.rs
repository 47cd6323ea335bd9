//! Namespaces whose time is over.
//!
//! The runs of another installation are not in our history: all that is known of
//! its namespaces is until when they say that they are somebody's. One that is
//! removed too early takes a copy away in the middle of its restore. So one wrong
//! clock must not be enough, be it ours or that of who made it: the time has to be
//! over by our clock and by the API server's, and by the latter the namespace has to
//! be old enough, whatever it says.

use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt as _;
use tokio::sync::OnceCell;

use crate::k8s::{Cluster, EXPIRES_AT, Object};

/// What tells of one after the other whether it is over.
pub(super) struct Over<'a> {
    cluster: &'a Cluster,
    /// No namespace is over before.
    least: Duration,
    /// The time by the API server, once that was wanted.
    servers: OnceCell<Option<Timestamp>>,
}

impl<'a> Over<'a> {
    pub(super) fn new(cluster: &'a Cluster, least: Duration) -> Self {
        let servers = OnceCell::new();
        Self {
            cluster,
            least,
            servers,
        }
    }

    pub(super) async fn is_over(&self, namespace: &Object, now: Timestamp) -> bool {
        let until = namespace.annotations().get(EXPIRES_AT);
        let until = until.and_then(|until| until.parse::<Timestamp>().ok());
        let Some(until) = until.filter(|until| *until < now) else {
            return false;
        };
        let made = namespace.creation_timestamp().map(|made| made.0);
        let (Some(servers), Some(made)) = (self.servers_time().await, made) else {
            return false;
        };
        until.max(made.saturating_add(self.least).unwrap_or(until)) < servers
    }

    async fn servers_time(&self) -> Option<Timestamp> {
        let ask = async {
            let time = self.cluster.time().await;
            time.unwrap_or_else(|failure| {
                tracing::warn!(%failure, "cannot see what is over in a cluster");
                None
            })
        };
        *self.servers.get_or_init(|| ask).await
    }
}
