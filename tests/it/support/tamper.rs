//! An engine and a sandbox in whose calls a test may have a hand.

use std::{path::Path, pin::Pin, sync::Arc};

use async_trait::async_trait;
use lifeboat::{
    domain::{
        check::Finding,
        failure::{Failure, FailureKind},
        ids::RunId,
        record::SourceFacts,
        recovery_point::RecoveryPoint,
        resource::Resource,
        step::Step,
    },
    engine::{
        Context, Copy, Engine, Fault, Instance, Restored, Source, Verification, VerifyRequest,
    },
    sandbox::{Found, Made, Place, Room, Sandbox},
};

/// What happens around each effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tamper {
    Nothing,
    /// Every effect but a planted fault comes twice, as if the first one had
    /// not been believed.
    Twice,
    /// The step fails, and has done nothing.
    FailBefore(Step),
    /// The step fails after its effect.
    FailAfter(Step),
    /// The step does its effect and never ends.
    HangAfter(Step),
    /// The first release of everything fails, after its effect.
    FailRelease,
}

type Effect<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'a>>;

fn injected() -> Failure {
    Failure::new(FailureKind::Unavailable, "injected by the test")
}

impl Tamper {
    async fn around<'a, T>(
        self,
        step: Step,
        effect: impl Fn() -> Effect<'a, T> + Send + Sync,
    ) -> Result<T, Failure> {
        match self {
            Self::FailBefore(at) if at == step => return Err(injected()),
            Self::FailAfter(at) if at == step => {
                effect().await?;
                return Err(injected());
            }
            Self::HangAfter(at) if at == step => {
                effect().await?;
                std::future::pending::<()>().await;
            }
            // A byte that is changed twice is as it was.
            Self::Twice if step != Step::Spoil => {
                effect().await?;
            }
            _ => {}
        }
        effect().await
    }

    async fn around_release<'a>(
        self,
        effect: impl Fn() -> Effect<'a, ()> + Send + Sync,
    ) -> Result<(), Failure> {
        match self {
            Self::FailRelease => {
                effect().await?;
                return Err(injected());
            }
            Self::Twice => effect().await?,
            _ => {}
        }
        effect().await
    }
}

pub struct Tampered<T: ?Sized> {
    pub tamper: Tamper,
    pub with: Arc<T>,
}

#[async_trait]
impl Source for Tampered<dyn Engine> {
    async fn preflight(&self, cx: &Context, scratch: &Path) -> Vec<Finding> {
        self.with.preflight(cx, scratch).await
    }

    async fn inspect(&self, cx: &Context) -> Result<Option<SourceFacts>, Failure> {
        let effect = || self.with.inspect(cx);
        self.tamper.around(Step::Inspect, effect).await
    }

    async fn capture(&self, cx: &Context, into: &Room) -> Result<RecoveryPoint, Failure> {
        let effect = || self.with.capture(cx, into);
        self.tamper.around(Step::Capture, effect).await
    }

    async fn identify(&self, cx: &Context, path: &Path) -> Result<RecoveryPoint, Failure> {
        let effect = || self.with.identify(cx, path);
        self.tamper.around(Step::Capture, effect).await
    }
}

#[async_trait]
impl Copy for Tampered<dyn Engine> {
    async fn start(
        &self,
        cx: &Context,
        point: &RecoveryPoint,
        source: Option<&SourceFacts>,
        room: &Room,
    ) -> Result<Instance, Failure> {
        let effect = || self.with.start(cx, point, source, room);
        self.tamper.around(Step::Start, effect).await
    }

    async fn restore(
        &self,
        cx: &Context,
        point: &RecoveryPoint,
        instance: &Instance,
    ) -> Result<Restored, Failure> {
        let effect = || self.with.restore(cx, point, instance);
        self.tamper.around(Step::Restore, effect).await
    }

    async fn serve(&self, cx: &Context, instance: &Instance) -> Result<(), Failure> {
        let effect = || self.with.serve(cx, instance);
        self.tamper.around(Step::Serve, effect).await
    }

    async fn verify(
        &self,
        cx: &Context,
        request: VerifyRequest<'_>,
        instance: &Instance,
    ) -> Result<Verification, Failure> {
        let effect = || self.with.verify(cx, request, instance);
        self.tamper.around(Step::Verify, effect).await
    }

    async fn spoil(
        &self,
        cx: &Context,
        faults: &[Fault],
        instance: &Instance,
    ) -> Result<Vec<String>, Failure> {
        let effect = || self.with.spoil(cx, faults, instance);
        self.tamper.around(Step::Spoil, effect).await
    }
}

#[async_trait]
impl Sandbox for Tampered<dyn Sandbox> {
    fn plan(&self, run: RunId, place: Place) -> Vec<Resource> {
        self.with.plan(run, place)
    }

    async fn make(&self, run: RunId, place: Place) -> Result<Made, Failure> {
        // That of the recovery point belongs to the step that captures it.
        let step = match place {
            Place::Sandbox => Step::OpenSandbox,
            Place::RecoveryPoint => Step::Inspect,
        };
        let effect = || self.with.make(run, place);
        self.tamper.around(step, effect).await
    }

    async fn stop(&self, run: RunId, resource: &Resource) -> Result<(), Failure> {
        let effect = || self.with.stop(run, resource);
        self.tamper.around_release(effect).await
    }

    async fn release(&self, run: RunId, resource: &Resource) -> Result<(), Failure> {
        let effect = || self.with.release(run, resource);
        self.tamper.around_release(effect).await
    }

    async fn diagnose(&self, run: RunId, resource: &Resource) -> Vec<String> {
        self.with.diagnose(run, resource).await
    }

    async fn find(&self) -> Result<Vec<Found>, Failure> {
        self.with.find().await
    }
}
