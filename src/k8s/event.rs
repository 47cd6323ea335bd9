//! Events that Lifeboat writes about objects of others.

use jiff::Timestamp;
use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::Event},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, ResourceExt, api::PostParams};

use super::{Cluster, Kind, error::failure, name};
use crate::domain::failure::Failure;

/// Who writes them.
const CONTROLLER: &str = "lifeboat.dev/lifeboat";

/// The API server takes no longer name of an instance.
const LONGEST_INSTANCE: usize = 128;

/// An Event to be written.
#[derive(Debug, Clone)]
pub struct Report {
    pub name: String,
    /// `Normal` or `Warning`.
    pub kind: &'static str,
    pub action: &'static str,
    pub reason: &'static str,
    pub note: String,
    pub at: Timestamp,
    /// Which process writes it.
    pub instance: String,
}

impl Cluster {
    /// Writes an Event about an object beside it, unless there is one of that
    /// name: it was written before, and the answer was lost.
    ///
    /// # Errors
    /// `NotFound` if there is no such object, and if the API server does not
    /// take it.
    pub async fn report(
        &self,
        (kind, namespace, name): (Kind, &str, &str),
        report: Report,
    ) -> Result<(), Failure> {
        // Whoever looks at the object finds its Events by its uid.
        let about = self.need(kind, Some(namespace), name).await?;
        let regarding = ObjectReference {
            api_version: Some(kind.resource("v1").api_version),
            kind: Some(kind.name().to_owned()),
            namespace: Some(namespace.to_owned()),
            name: Some(name.to_owned()),
            uid: about.uid(),
            resource_version: about.resource_version(),
            ..ObjectReference::default()
        };
        let client = self.client().clone();
        let api: Api<Event> = Api::namespaced(client, name::checked(namespace)?);
        let event = event(report, namespace, regarding);
        match api.create(&PostParams::default(), &event).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => Ok(()),
            Err(error) => {
                let doing = format!("write an Event about {}", kind.named(Some(namespace), name));
                Err(failure(&doing, &error))
            }
        }
    }
}

fn event(report: Report, namespace: &str, regarding: ObjectReference) -> Event {
    let instance = report.instance.chars().take(LONGEST_INSTANCE).collect();
    Event {
        metadata: ObjectMeta {
            name: Some(report.name),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        type_: Some(report.kind.to_owned()),
        action: Some(report.action.to_owned()),
        reason: Some(report.reason.to_owned()),
        note: Some(report.note),
        event_time: Some(MicroTime(report.at)),
        regarding: Some(regarding),
        reporting_controller: Some(CONTROLLER.to_owned()),
        reporting_instance: Some(instance),
        ..Event::default()
    }
}
