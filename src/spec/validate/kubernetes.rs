//! What runs in Kubernetes, and what can be restored there.

use super::{Context, default_jobs};
use crate::spec::{
    drill::{
        BackupPlace, ExistingBackup, FreshDump, KubernetesSandbox, KubernetesWorkload,
        LocalSandbox, RecoveryPointSource, SecretSource, Workload,
    },
    raw,
};

/// Fields that mean nothing for a workload in Kubernetes: its own image and
/// objects decide.
const LOCAL_ONLY: [&str; 2] = ["spec.workload.postgresql.tools", "spec.sandbox.local"];

impl Context<'_> {
    pub(super) fn workload_in_kubernetes(
        &mut self,
        workload: raw::KubernetesWorkload,
    ) -> KubernetesWorkload {
        let at = |name: &str| format!("spec.workload.postgresql.kubernetes.{name}");
        self.text(&at("namespace"), &workload.namespace);
        self.text(&at("statefulSet"), &workload.stateful_set);
        let manifests = workload.manifests.iter().enumerate();
        KubernetesWorkload {
            manifests: manifests
                .map(|(index, path)| self.filled_path(&at(&format!("manifests[{index}]")), path))
                .collect(),
            namespace: workload.namespace,
            stateful_set: workload.stateful_set,
            container: workload.container,
            replica: workload.replica,
            data_volume: workload.data_volume,
            wal_volume: workload.wal_volume,
            data_directory: workload.data_directory,
            superuser: workload.superuser.unwrap_or_else(|| "postgres".to_owned()),
            database: workload.database,
        }
    }

    /// The scratch namespace, and what a restore there has in common with one
    /// on this machine.
    pub(super) fn kubernetes(
        &mut self,
        given: raw::Kubernetes,
    ) -> (LocalSandbox, Option<KubernetesSandbox>) {
        let field = "spec.sandbox.kubernetes.kubeconfig";
        let common = LocalSandbox {
            directory: None,
            restore_jobs: given.restore_jobs.unwrap_or_else(default_jobs),
            verify_jobs: given.verify_jobs.unwrap_or_else(default_jobs),
            settings: std::collections::BTreeMap::new(),
            version: None,
            allow_unfenced: given.allow_unfenced,
        };
        let sandbox = KubernetesSandbox {
            kubeconfig: given.kubeconfig.map(|path| self.filled_path(field, &path)),
            context: given.context,
            storage_classes: given.storage_classes,
            keep_containers: given.keep_containers,
            leave_out_containers: given.leave_out_containers,
            run_as: given.run_as.map(|run_as| (run_as.user, run_as.group)),
            dump_size: given.dump_size,
        };
        (common, Some(sandbox))
    }

    /// Refuses combinations that cannot work, with the reason.
    pub(super) fn in_kubernetes(
        &mut self,
        workload: &Workload,
        point: &RecoveryPointSource,
        sandbox: &raw::Sandbox,
    ) {
        if sandbox.local.is_some() && sandbox.kubernetes.is_some() {
            let message = "names two places";
            self.error("spec.sandbox", message, "`local` or `kubernetes`", "");
        }
        let snapshot = match point {
            RecoveryPointSource::Snapshot(_) => Some("spec.recoveryPoint.snapshot"),
            RecoveryPointSource::ExistingSnapshot(_) => Some("spec.recoveryPoint.existingSnapshot"),
            _ => None,
        };
        if workload.kubernetes().is_some() {
            self.only_in_kubernetes(workload, point);
            return;
        }
        if let Some(field) = snapshot {
            let message = "snapshots of volumes are for workloads in Kubernetes";
            let hint = "say where the workload runs: spec.workload.postgresql.kubernetes";
            self.error(field, message, "", hint);
        }
        if sandbox.kubernetes.is_some() {
            let message = "a scratch namespace is made of the workload's own objects there";
            let hint = "say where the workload runs: spec.workload.postgresql.kubernetes";
            self.error("spec.sandbox.kubernetes", message, "", hint);
        }
        if let Workload::Postgresql(postgresql) = workload
            && let Some(connection) = &postgresql.connection
            && matches!(connection.password, Some(SecretSource::Kubernetes { .. }))
        {
            self.only_there("spec.workload.postgresql.connection.password");
        }
        match point {
            RecoveryPointSource::Fresh(FreshDump { to: Some(to), .. }) => {
                self.secrets_of_this_machine(&to.place, "spec.recoveryPoint.fresh.to.s3");
            }
            RecoveryPointSource::Existing(ExistingBackup {
                at: BackupPlace::S3(stored),
                ..
            }) => self.secrets_of_this_machine(&stored.place, "spec.recoveryPoint.existing.s3"),
            _ => {}
        }
    }

    pub(super) fn only_there(&mut self, field: &str) {
        let message = "a Secret of Kubernetes can only be read for a workload there";
        self.error(field, message, "`env` or `file`", "");
    }

    fn only_in_kubernetes(&mut self, workload: &Workload, point: &RecoveryPointSource) {
        for field in LOCAL_ONLY {
            if self.places.contains_key(field) {
                let message = "is for restores on this machine";
                let hint = "take it out: the workload's own image and objects decide";
                self.error(field, message, "", hint);
            }
        }
        if let RecoveryPointSource::Existing(ExistingBackup {
            at: BackupPlace::Path { .. },
            ..
        }) = point
        {
            let message = "a file on this machine cannot be restored in Kubernetes";
            let hint = "put it into a bucket and name it under `s3`, or leave out kubernetes";
            self.error("spec.recoveryPoint.existing.path", message, "", hint);
        }
        let Workload::Postgresql(postgresql) = workload else {
            return;
        };
        let holds = matches!(point, RecoveryPointSource::Snapshot(s) if s.hold);
        let needs = holds || self.places.contains_key("spec.canary");
        if needs && postgresql.connection.is_none() {
            let message = "the engine is asked around the cut, so this needs `connection`";
            self.error("spec.workload.postgresql", message, "", "");
        }
        let database = postgresql
            .kubernetes
            .as_ref()
            .and_then(|k| k.database.as_ref());
        if postgresql.connection.is_none() && database.is_none() {
            let message = "does not say which database matters";
            let field = "spec.workload.postgresql.kubernetes";
            self.error(field, message, "`database`", "");
        }
    }
}
