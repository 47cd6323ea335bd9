//! Bringing up the copy: the workload's own objects, rewritten, with its
//! volumes restored and the agent beside the engine.

use std::{collections::BTreeMap, path::Path};

use super::{
    RemoteEngine,
    hearing::Hearing,
    objects::{DUMP_CLAIM, DUMP_DIRECTORY, TASK_FILE},
    size,
};
use crate::{
    agent::protocol::{self, Point, Work},
    domain::{
        failure::Failure,
        recovery_point::{Artifact, RecoveryPoint},
    },
    engine::Context,
    k8s::{Kind, Maker},
    workload::{
        Part,
        rewrite::{self, Agent, Restored, Rewritten, Rules, RunAs, SHARED, TASK},
    },
};

/// The copy's task.
const TASK_NAME: &str = "lifeboat-copy";

impl RemoteEngine {
    /// Makes everything in a namespace, given by its name and UID, and begins
    /// to listen; the agent tells when the copy answers.
    pub(super) async fn start_copy(
        &self,
        cx: &Context,
        point: &RecoveryPoint,
        home: (&str, Option<&str>),
    ) -> Result<(), Failure> {
        let (namespace, _) = home;
        let fetched = match &point.artifact {
            Artifact::StoredDump { .. } => {
                Some(Box::pin(self.fetch_stored(cx, point, namespace)).await?)
            }
            _ => None,
        };
        let point = fetched.as_ref().unwrap_or(point);
        let maker = self.maker(cx).await?;
        let scene = self.scene().await?;
        let restored = self.import(&maker, point, home).await?;
        let dumped = matches!(point.artifact, Artifact::LogicalDump { .. });
        let rewritten = rewrite::rewrite(&scene.workload, &self.rules(dumped, restored).await?)?;
        for note in &rewritten.notes {
            cx.note(note.clone());
        }
        let dump = if dumped {
            Some(self.dump_claim().await?)
        } else {
            None
        };
        size::limit(&maker, namespace, &rewritten, dump.as_ref()).await?;
        let (claims, rest) = tokio::join!(
            self.make_claims(cx, &maker, namespace, &rewritten),
            self.make_rest(cx, &maker, point, namespace, &rewritten),
        );
        claims.and(rest)?;
        let Part { kind, name, body } = rewritten.pod;
        let pod = maker.make(kind, Some(namespace), &name, body).await?;
        let mut state = self.state.lock().await;
        state.container.clone_from(&scene.container);
        state.hearing = Some(Hearing::begin(cx, &maker.cluster, pod));
        Ok(())
    }

    /// What the pod needs beside its volumes.
    async fn make_rest(
        &self,
        cx: &Context,
        maker: &Maker,
        point: &RecoveryPoint,
        namespace: &str,
        rewritten: &Rewritten,
    ) -> Result<(), Failure> {
        self.make_pull_secrets(maker, namespace).await?;
        let pulls = self.scene().await?.workload.pull_secrets();
        let is_made = |part: &&Part| part.kind == Kind::Secret && pulls.contains(&part.name);
        for part in rewritten.parts.iter().filter(|part| !is_made(part)) {
            maker
                .make(part.kind, Some(namespace), &part.name, part.body.clone())
                .await?;
        }
        let work = Work::Copy(Box::new(self.work(cx, point).await?));
        self.make_task(cx, maker, namespace, TASK_NAME, work).await
    }

    async fn work(&self, cx: &Context, point: &RecoveryPoint) -> Result<protocol::Copy, Failure> {
        let point = match &point.artifact {
            Artifact::LogicalDump { .. } => Point::Beside(DUMP_DIRECTORY.into()),
            _ => Point::Here(Box::new(point.clone())),
        };
        Ok(protocol::Copy {
            point,
            source: self.state.lock().await.source.clone(),
            faults: self.faults.clone(),
            declared_at: cx.clock.now(),
            directory: SHARED.into(),
            outside: self.outside().await?,
        })
    }

    /// How the workload's objects are rewritten; `dumped` where the copy is
    /// loaded, and not made of restored volumes.
    pub(super) async fn rules(
        &self,
        dumped: bool,
        restored: BTreeMap<String, Restored>,
    ) -> Result<Rules, Failure> {
        let scene = self.scene().await?;
        let given = self.drill.kubernetes.clone().unwrap_or_default();
        let agent = |verb: &str, more: &[&str]| {
            let all = ["agent", verb].into_iter().chain(more.iter().copied());
            all.map(str::to_owned).collect::<Vec<_>>()
        };
        let claims = [(DUMP_DIRECTORY.to_owned(), DUMP_CLAIM.to_owned())];
        let task = format!("{TASK}/{TASK_FILE}");
        Ok(Rules {
            engine: scene.container.clone(),
            ordinal: self.workload.replica,
            keep: given.keep_containers,
            leave_out: given.leave_out_containers,
            storage_classes: given.storage_classes,
            run_as: given.run_as.map(|(user, group)| RunAs { user, group }),
            restored,
            arguments: self.arguments.clone(),
            agent: Agent {
                image: self.image.clone(),
                task: TASK_NAME.to_owned(),
                before: Some(agent("before", &[&task])),
                beside: agent("work", &[&task]),
                claims: claims.into_iter().filter(|_| dumped).collect(),
            },
        })
    }
}

/// The directory that the engine and the agent share, for whoever makes the
/// engine's arguments.
#[must_use]
pub fn shared() -> &'static Path {
    Path::new(SHARED)
}
