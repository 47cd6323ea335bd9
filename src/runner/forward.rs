//! The forward pass: what each step does with engine and sandbox.

use std::sync::Arc;

use serde_json::Value;

use super::context::Recorder;
use crate::{
    domain::{
        failure::{Failure, FailureKind},
        record::{RecoveryPointSummary, SourceFacts},
        recovery_point::RecoveryPoint,
        resource::Resource,
        step::Step,
        timeline::Milestone,
    },
    engine::{Context, Engine, Fault, Instance, VerifyRequest},
    recovery,
    sandbox::{Place, Room, Sandbox},
    spec::drill::{BackupPlace, Drill, RecoveryPointSource},
};

/// What the steps hand to each other.
#[derive(Default)]
pub struct Products {
    pub source: Option<SourceFacts>,
    pub point: Option<RecoveryPoint>,
    pub room: Option<Room>,
    pub instance: Option<Instance>,
    /// By what another process finds it, where it goes on by itself and somebody
    /// would take it up.
    pub handle: Option<Value>,
    /// What the last step made, as it is known now.
    pub identified: Vec<Resource>,
}

/// One run's forward pass.
pub struct Forward<'a> {
    pub drill: &'a Drill,
    pub engine: Arc<dyn Engine>,
    pub sandbox: Arc<dyn Sandbox>,
    pub recorder: Arc<Recorder>,
    pub faults: &'a [Fault],
    pub cx: Context,
    pub products: Products,
    /// Whether another process takes the run up should this one die.
    pub has_heirs: bool,
}

impl Forward<'_> {
    /// The steps this drill has.
    #[must_use]
    pub fn steps(&self) -> Vec<Step> {
        let spoils = !self.faults.is_empty();
        Step::ALL
            .into_iter()
            .filter(|step| spoils || *step != Step::Spoil)
            .collect()
    }

    /// What `step` is about to make, to be written down first.
    #[must_use]
    pub fn intends(&self, step: Step) -> Vec<Resource> {
        let place = match step {
            Step::Capture if self.captures_in_a_place() => Place::RecoveryPoint,
            Step::OpenSandbox => Place::Sandbox,
            _ => return Vec::new(),
        };
        self.sandbox.plan(self.cx.run, place)
    }

    /// Does a step; gives one line about what came of it.
    ///
    /// # Errors
    /// With the reason why the step could not be done.
    pub async fn perform(&mut self, step: Step) -> Result<String, Failure> {
        match step {
            Step::Inspect => self.inspect().await,
            Step::Capture => self.capture().await,
            Step::OpenSandbox => self.open_sandbox().await,
            Step::Start => self.start().await,
            Step::Restore => self.restore().await,
            Step::Serve => self.serve().await,
            Step::Spoil => self.spoil().await,
            Step::Verify => self.verify().await,
        }
    }

    async fn inspect(&mut self) -> Result<String, Failure> {
        let facts = self.engine.inspect(&self.cx).await?;
        let summary = facts.as_ref().map_or_else(
            || "no live source".to_owned(),
            |facts| format!("{} at {}", facts.version, facts.location),
        );
        self.recorder
            .update(|record| record.source.clone_from(&facts));
        self.products.source = facts;
        Ok(summary)
    }

    async fn capture(&mut self) -> Result<String, Failure> {
        let point = match &self.drill.recovery_point {
            RecoveryPointSource::Fresh(_) | RecoveryPointSource::Snapshot(_) => {
                let into = self.make(Place::RecoveryPoint).await?;
                self.engine.capture(&self.cx, &into).await?
            }
            RecoveryPointSource::Existing(backup) => match &backup.at {
                BackupPlace::Path { path, .. } => {
                    let path = recovery::newest(path)?;
                    self.engine.identify(&self.cx, &path).await?
                }
                BackupPlace::S3(_) => self.find().await?,
            },
            RecoveryPointSource::ExistingSnapshot(_) => self.find().await?,
        };
        let summary = RecoveryPointSummary::of(&point);
        let text = format!(
            "{} bytes at {}",
            point.size_bytes,
            point.artifact.location()
        );
        self.recorder
            .update(|record| record.recovery_point = Some(summary));
        self.products.point = Some(point);
        self.cx.reached(Milestone::RecoveryPointReady);
        Ok(text)
    }

    async fn find(&mut self) -> Result<RecoveryPoint, Failure> {
        let within = if self.captures_in_a_place() {
            Some(self.make(Place::RecoveryPoint).await?)
        } else {
            None
        };
        self.engine.find(&self.cx, within.as_ref()).await
    }

    /// Whether something is made to have the recovery point: itself, or what
    /// looks for one from within a cluster.
    fn captures_in_a_place(&self) -> bool {
        match &self.drill.recovery_point {
            RecoveryPointSource::Fresh(_) | RecoveryPointSource::Snapshot(_) => true,
            RecoveryPointSource::Existing(_) => self.drill.kubernetes.is_some(),
            RecoveryPointSource::ExistingSnapshot(_) => false,
        }
    }

    async fn open_sandbox(&mut self) -> Result<String, Failure> {
        // Here someone would say "restore it": the recovery clock starts.
        self.cx.reached(Milestone::Declared);
        let room = self.make(Place::Sandbox).await?;
        self.cx.reached(Milestone::SandboxReady);
        let text = room.to_string();
        self.products.room = Some(room);
        Ok(text)
    }

    async fn make(&mut self, place: Place) -> Result<Room, Failure> {
        let made = self.sandbox.make(self.cx.run, place).await?;
        self.products.identified = made.resources;
        Ok(made.room)
    }

    async fn start(&mut self) -> Result<String, Failure> {
        let point = missing("recovery point", self.products.point.as_ref())?;
        let room = missing("sandbox", self.products.room.as_ref())?;
        let source = self.products.source.as_ref();
        let instance = self.engine.start(&self.cx, point, source, room).await?;
        self.products.instance = Some(instance);
        if self.has_heirs {
            // Without it the run is as good, as long as this process lives.
            let handle = self.engine.handle(&self.cx).await;
            self.products.handle = handle.unwrap_or_else(|failure| {
                let message = format!("nobody else could take the copy up: {failure}");
                self.cx.note(message);
                None
            });
        }
        Ok("started".to_owned())
    }

    async fn restore(&mut self) -> Result<String, Failure> {
        let point = missing("recovery point", self.products.point.as_ref())?;
        let instance = missing("instance", self.products.instance.as_ref())?;
        let restored = self.engine.restore(&self.cx, point, instance).await?;
        let text = format!("{} bytes", restored.facts.size_bytes);
        self.recorder.update(|record| {
            record.restore = Some(restored.facts);
            record.checks.extend(restored.checks);
        });
        Ok(text)
    }

    async fn serve(&mut self) -> Result<String, Failure> {
        let instance = missing("instance", self.products.instance.as_ref())?;
        self.engine.serve(&self.cx, instance).await?;
        Ok("answers a read and commits a write".to_owned())
    }

    async fn spoil(&mut self) -> Result<String, Failure> {
        let instance = missing("instance", self.products.instance.as_ref())?;
        let planted = self.engine.spoil(&self.cx, self.faults, instance).await?;
        let text = format!("{} faults planted", planted.len());
        self.recorder.update(|record| record.planted = planted);
        Ok(text)
    }

    async fn verify(&mut self) -> Result<String, Failure> {
        let point = missing("recovery point", self.products.point.as_ref())?;
        let instance = missing("instance", self.products.instance.as_ref())?;
        let declared_at = self
            .recorder
            .update(|record| record.timeline.get(Milestone::Declared))
            .map_or_else(|| self.recorder.now(), |reached| reached.at);
        let request = VerifyRequest {
            point,
            source: self.products.source.as_ref(),
            declared_at,
        };
        let verification = self.engine.verify(&self.cx, request, instance).await?;
        let text = format!("{} checks", verification.checks.len());
        let told = self.recorder.update(|record| {
            for check in verification.checks {
                record.check_done(check);
            }
            record.timeline.get(Milestone::Verified).is_some()
        });
        // Who hears from afar has told when that was.
        if !told {
            self.cx.reached(Milestone::Verified);
        }
        self.recorder.update(|record| {
            record.canary = verification.canary;
            record.newest_writes = verification.newest_writes;
        });
        Ok(text)
    }
}

fn missing<T>(what: &str, product: Option<T>) -> Result<T, Failure> {
    product.ok_or_else(|| Failure::new(FailureKind::Internal, format!("no {what} at this step")))
}
