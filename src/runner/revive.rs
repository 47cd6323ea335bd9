//! Taking up a run whose copy went on by itself.
//!
//! Nothing is done twice, and nothing that the dead process had not done: the
//! copy was started, and from there on the run only hears what comes of it. So
//! whatever this process does not know of the steps before is not needed, and
//! the recovery clock is the copy's own.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{
    execute::Passage,
    forward::{Forward, Products},
    store::{StoreError, Write},
};
use crate::{
    domain::{
        event::EventKind,
        failure::{Failure, FailureKind},
        record::RecoveryPointSummary,
        step::Step,
    },
    engine::{Context, Engine, EventSink, Instance},
    spec::drill::Drill,
};

/// What it takes to hear a copy.
pub struct Revival<'a> {
    /// As it is written now; its copy was made by what was written then.
    pub drill: &'a Drill,
    pub engine: Arc<dyn Engine>,
    /// Ends the run early; everything is given back all the same.
    pub cancel: CancellationToken,
}

impl<'a> Passage<'a> {
    /// Takes the copy up, if there is one that goes on. Where it cannot be, a note
    /// says why, and there is no forward pass.
    pub(super) async fn revive(&mut self, revival: Revival<'a>) -> Result<(), StoreError> {
        match self.hear_again(revival).await {
            Ok(forward) => self.forward = forward,
            Err(failure) => {
                let message = format!("its copy could not be taken up: {}", failure.message);
                self.recorder.emit(EventKind::Note { message });
                return Ok(());
            }
        }
        if self.forward.is_none() {
            return Ok(());
        }
        let message = format!(
            "its process was gone and another one took it up {:.1} s after it was requested; \
             the copy went on by itself meanwhile, and its times are by its own clock",
            self.recorder.elapsed().as_secs_f64()
        );
        self.recorder.emit(EventKind::Note { message });
        self.runner.hook.reached("taken up");
        let record = self.recorder.snapshot();
        self.write(&[Write::Record(&record)]).await
    }

    async fn hear_again(&self, revival: Revival<'a>) -> Result<Option<Forward<'a>>, Failure> {
        let Some(copy) = self.state.goes_on() else {
            return Ok(None);
        };
        let Revival {
            drill,
            engine,
            cancel,
        } = revival;
        let record = self.recorder.snapshot();
        if record.negative_control || drill.in_cluster() != record.workload {
            let message = "it was a negative control, or the drill is of another workload now";
            return Err(Failure::new(FailureKind::Invalid, message));
        }
        let odd = |error: serde_json::Error| Failure::new(FailureKind::Internal, error.to_string());
        let instance: Instance = serde_json::from_value(copy.clone()).map_err(odd)?;
        let cx = Context {
            run: self.claim.run,
            clock: self.runner.clock.clone(),
            events: self.recorder.clone(),
            cancel,
        };
        let done = self.state.done.last().copied().unwrap_or(Step::Start);
        engine.resume(&cx, &instance, done).await?;
        let products = Products {
            source: record.source,
            point: record.recovery_point.map(RecoveryPointSummary::point),
            instance: Some(instance),
            ..Products::default()
        };
        Ok(Some(Forward {
            drill,
            engine,
            sandbox: self.runner.sandbox.clone(),
            recorder: self.recorder.clone(),
            faults: &[],
            cx,
            products,
        }))
    }
}
