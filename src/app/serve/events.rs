//! Events in the clusters of workloads.

use async_trait::async_trait;

use crate::{
    app::App,
    domain::{failure::Failure, resource::WorkloadRef},
    k8s::{Kind, Report},
    notify::{Event, Events},
};

#[async_trait]
impl Events for App {
    async fn write(&self, about: &WorkloadRef, event: &Event) -> Result<(), Failure> {
        let cluster = self.clusters.get(&about.cluster).await?;
        let report = Report {
            name: event.name.clone(),
            kind: if event.normal { "Normal" } else { "Warning" },
            action: "Drill",
            reason: event.reason,
            note: event.note.clone(),
            at: event.at,
            instance: self.identity.host.clone(),
        };
        let of = (Kind::StatefulSet, &*about.namespace, &*about.stateful_set);
        cluster.report(of, report).await
    }
}
