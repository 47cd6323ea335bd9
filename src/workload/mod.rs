//! The workload's own objects in Kubernetes: found in the live namespace or in
//! manifests, followed to everything they need, and rewritten so that a copy
//! of them can live in a sandbox and act for nobody.
//!
//! Gathering talks to a cluster; everything else here is pure.

mod gather;
mod manifests;
mod references;
pub mod rewrite;

use serde_json::Value;

pub use self::{
    gather::{from_cluster, from_manifests},
    references::{DEFAULT_ACCOUNT, Reference, account, references, through_account},
};
use crate::k8s::Kind;

/// An object as its owner wrote it.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    pub kind: Kind,
    pub name: String,
    /// The whole object, `metadata` and all.
    pub body: Value,
}

/// A stateful workload with everything it refers to.
#[derive(Debug, Clone, PartialEq)]
pub struct Workload {
    /// Where it lives, or lived.
    pub namespace: String,
    pub stateful_set: Part,
    /// Services, ConfigMaps, Secrets, ServiceAccounts and claims it needs.
    pub parts: Vec<Part>,
}

impl Workload {
    /// The template of its pods.
    #[must_use]
    pub fn template(&self) -> &Value {
        &self.stateful_set.body["spec"]["template"]
    }

    /// The templates of the claims that each of its pods gets.
    #[must_use]
    pub fn claim_templates(&self) -> &[Value] {
        list(&self.stateful_set.body["spec"]["volumeClaimTemplates"])
    }

    /// The claim that replica `ordinal` has for the volume `volume`: made from
    /// a claim template, or named in the pod's template.
    #[must_use]
    pub fn claim(&self, volume: &str, ordinal: u32) -> Option<String> {
        let name = &self.stateful_set.name;
        let templates = self.claim_templates();
        if templates
            .iter()
            .any(|template| template["metadata"]["name"] == volume)
        {
            return Some(format!("{volume}-{name}-{ordinal}"));
        }
        let volumes = list(&self.template()["spec"]["volumes"]);
        let found = volumes.iter().find(|found| found["name"] == volume)?;
        let claim = found.pointer("/persistentVolumeClaim/claimName")?;
        claim.as_str().map(str::to_owned)
    }

    /// The `spec` of the claim `claim` of a volume: of the live one where it is
    /// known, as it may have been expanded since the template was written; else
    /// of the template.
    #[must_use]
    pub fn claim_spec(&self, volume: &str, claim: &str) -> Option<&Value> {
        let is_claim =
            |part: &&Part| part.kind == Kind::PersistentVolumeClaim && part.name == claim;
        let live = self.parts.iter().find(is_claim);
        let mut templates = self.claim_templates().iter();
        live.map(|part| &part.body["spec"]).or_else(|| {
            let template = templates.find(|template| template["metadata"]["name"] == volume);
            template.map(|template| &template["spec"])
        })
    }

    /// The Secrets with which images of its pods are pulled: those that the
    /// template names, or else those of the pods' account.
    #[must_use]
    pub fn pull_secrets(&self) -> Vec<String> {
        let spec = &self.template()["spec"];
        let of = |holder: &Value| -> Vec<String> {
            let names = list(&holder["imagePullSecrets"]).iter();
            let names = names.filter_map(|secret| secret["name"].as_str());
            names.map(str::to_owned).collect()
        };
        let own = of(spec);
        if !own.is_empty() {
            return own;
        }
        let name = account(spec);
        let is_account = |part: &&Part| part.kind == Kind::ServiceAccount && part.name == name;
        let account = self.parts.iter().find(is_account);
        account.map_or_else(Vec::new, |account| of(&account.body))
    }

    /// The volumes that have a claim, in the order of the template.
    #[must_use]
    pub fn claimed_volumes(&self) -> Vec<String> {
        let templates = self.claim_templates().iter();
        let templates = templates.filter_map(|template| template["metadata"]["name"].as_str());
        let volumes = list(&self.template()["spec"]["volumes"]).iter();
        let volumes = volumes.filter(|volume| volume.get("persistentVolumeClaim").is_some());
        templates
            .chain(volumes.filter_map(|volume| volume["name"].as_str()))
            .map(str::to_owned)
            .collect()
    }

    /// A container of the template.
    #[must_use]
    pub fn container(&self, name: &str) -> Option<&Value> {
        let containers = list(&self.template()["spec"]["containers"]);
        containers
            .iter()
            .find(|container| container["name"] == name)
    }
}

/// The elements of a list; none where it is no list.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
