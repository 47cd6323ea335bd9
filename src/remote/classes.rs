//! The storage classes that a run takes volumes of.

use std::collections::BTreeSet;

use kube::ResourceExt;

use super::{RemoteEngine, storage::default_class};
use crate::domain::failure::Failure;

impl RemoteEngine {
    /// The names of the classes of the volumes that the copy would have.
    ///
    /// # Errors
    /// If the workload cannot be looked at.
    pub async fn storage_classes(&self) -> Result<BTreeSet<String>, Failure> {
        let scene = self.scene().await?;
        let workload = &scene.workload;
        let mut classes = BTreeSet::new();
        for volume in workload.claimed_volumes() {
            let claim = workload.claim(&volume, self.workload.replica);
            let spec = claim.and_then(|claim| workload.claim_spec(&volume, &claim).cloned());
            let named = spec.as_ref().map(|spec| &spec["storageClassName"]);
            if let Some(class) = named.and_then(|name| name.as_str()) {
                classes.insert(self.mapped(class));
            } else {
                let class = default_class(&self.cluster().await?).await?;
                classes.extend(class.map(|class| class.name_any()));
            }
        }
        Ok(classes)
    }

    /// The class that the drill names in place of one.
    fn mapped(&self, class: &str) -> String {
        let given = self.drill.kubernetes.as_ref();
        let other = given.and_then(|given| given.storage_classes.get(class));
        other.map_or(class, String::as_str).to_owned()
    }
}
