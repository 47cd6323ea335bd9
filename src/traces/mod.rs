//! Each run as a trace, for OpenTelemetry.
//!
//! A trace is made of the record of a run that has ended, and is sent beside
//! the runs: no run waits for a collector, and none fails with one. Who sends
//! them is known only to a build with the feature `otel`.

#[cfg(feature = "otel")]
mod client;
#[cfg(feature = "otel")]
mod exporter;
#[cfg(feature = "otel")]
mod queue;
#[cfg(feature = "otel")]
mod spans;
#[cfg(feature = "otel")]
mod trouble;
#[cfg(not(feature = "otel"))]
mod without;

use std::sync::Arc;

#[cfg(feature = "otel")]
use self::queue::Queue;
#[cfg(feature = "otel")]
pub use self::spans::spans;
#[cfg(not(feature = "otel"))]
use self::without::Queue;
use crate::domain::record::RunRecord;

/// Where traces of runs go, if they go anywhere.
#[derive(Clone)]
pub struct Traces(Option<Arc<Queue>>);

impl Traces {
    /// To the collector that the environment names; nowhere where it names none.
    /// Needs tokio's runtime.
    #[must_use]
    pub fn of_environment() -> Self {
        let queue = setting("ENDPOINT").and_then(|endpoint| Queue::start(&endpoint));
        Self(queue.map(Arc::new))
    }

    /// Exports a run. Does not wait.
    pub fn export(&self, record: &RunRecord) {
        if let Some(queue) = &self.0 {
            queue.add(record);
        }
    }

    /// Waits until what is queued is sent, for a few seconds at most.
    pub async fn flush(&self) {
        if let Some(queue) = &self.0 {
            queue.flush().await;
        }
    }
}

/// What OpenTelemetry's variables say, that for traces first. An empty one
/// counts as none.
fn setting(name: &str) -> Option<String> {
    ["OTEL_EXPORTER_OTLP_TRACES", "OTEL_EXPORTER_OTLP"]
        .iter()
        .filter_map(|prefix| std::env::var(format!("{prefix}_{name}")).ok())
        .find(|value| !value.trim().is_empty())
}
