//! A fresh native dump: made by an agent that may reach the source, written to
//! a volume that the copy's agent reads it from.

use serde_json::{Value, json};

use super::{
    RemoteEngine,
    interlock::Consumer,
    objects::{AT_SOURCE, DUMP_CLAIM, DUMP_DIRECTORY},
    out_of_step,
    worker::WorkerPod,
};
use crate::{
    agent::protocol::{Capture, Done, Work},
    domain::{failure::Failure, recovery_point::RecoveryPoint},
    engine::Context,
    k8s::{Kind, Maker},
    workload::{Part, rewrite::SHARED},
};

/// The pod that makes the dump, and its task.
const NAME: &str = "lifeboat-dump";

/// Stands for the pod that writes a dump to its volume.
const ANCHOR: &str = "lifeboat-dump-anchor";

impl RemoteEngine {
    pub(super) async fn dump(
        &self,
        cx: &Context,
        namespace: &str,
    ) -> Result<RecoveryPoint, Failure> {
        let maker = self.maker(cx).await?;
        self.open_way(&maker, namespace).await?;
        let on_volume = [(DUMP_CLAIM, DUMP_DIRECTORY)];
        let open = self.open_way_to_bucket(&maker, namespace).await?;
        let (into, pod): (_, WorkerPod) = if self.drill.bucket().is_some() {
            // Files only pass through there on their way.
            (SHARED, (NAME, AT_SOURCE, &[]))
        } else {
            let pod = (NAME, AT_SOURCE, on_volume.as_slice());
            self.make_dump_claim(cx, &maker, namespace, pod).await?;
            (DUMP_DIRECTORY, pod)
        };
        let work = Work::Capture(Capture {
            into: into.into(),
            outside: self.outside_at_source(NAME, open),
        });
        let done = self.done_by(cx, &maker, namespace, pod, work).await?;
        let Done::Capture {
            source,
            point,
            fence,
        } = done
        else {
            return Err(out_of_step(&done));
        };
        let mut state = self.state.lock().await;
        state.source = source;
        state.fences.push(fence);
        Ok(*point)
    }

    /// Makes the volume that a dump lies on, for the pod that writes it.
    pub(super) async fn make_dump_claim(
        &self,
        cx: &Context,
        maker: &Maker,
        namespace: &str,
        (name, role, claims): WorkerPod<'_>,
    ) -> Result<(), Failure> {
        let claim = Part {
            kind: Kind::PersistentVolumeClaim,
            name: DUMP_CLAIM.to_owned(),
            body: self.dump_claim().await?,
        };
        let consumer = Consumer {
            pod: &self.worker(name, role, claims).await?,
            anchor: ANCHOR,
        };
        let claims = [claim];
        let made = self.make_volumes(cx, maker, namespace, &claims, consumer);
        made.await.map(drop)
    }

    /// As large as the data volume, if the drill does not say otherwise.
    pub(super) async fn dump_claim(&self) -> Result<Value, Failure> {
        let scene = self.scene().await?;
        let data = scene
            .volumes
            .first()
            .map(String::as_str)
            .unwrap_or_default();
        let templates = scene.workload.claim_templates().iter();
        let mut of_data = templates.filter(|template| template["metadata"]["name"] == data);
        let claim = scene
            .workload
            .claim(data, self.workload.replica)
            .unwrap_or_default();
        let parts = scene.workload.parts.iter();
        let mut live = parts.filter(|p| p.kind == Kind::PersistentVolumeClaim && p.name == claim);
        let spec = live.next().map(|part| &part.body["spec"]);
        let spec = spec.or_else(|| of_data.next().map(|template| &template["spec"]));
        let spec = spec.cloned().unwrap_or_default();
        let given = self.drill.kubernetes.clone().unwrap_or_default();
        let size = given.dump_size.map(Value::from);
        let size = size.unwrap_or_else(|| spec["resources"]["requests"]["storage"].clone());
        let mut body = json!({ "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": { "requests": { "storage": size } },
        }});
        if let Some(class) = spec["storageClassName"].as_str() {
            let mapped = given
                .storage_classes
                .get(class)
                .map_or(class, String::as_str);
            body["spec"]["storageClassName"] = mapped.into();
        }
        Ok(body)
    }
}
