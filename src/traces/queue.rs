//! What waits to be sent, and the one task that sends it.

use std::{sync::Arc, time::Duration};

use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use tokio::{
    sync::{
        mpsc::{self, Receiver, Sender},
        oneshot,
    },
    time::timeout,
};

use super::{exporter, spans::spans, trouble::Trouble};
use crate::domain::record::RunRecord;

/// How many runs wait at most.
const ROOM: usize = 256;

/// How long a collector may take for one run, tries included.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the process stays for what is queued when it is to end.
const FAREWELL: Duration = Duration::from_secs(3);

enum Work {
    Export(Vec<SpanData>),
    /// Says when all before it is done.
    Flush(oneshot::Sender<()>),
}

pub(super) struct Queue {
    work: Sender<Work>,
    trouble: Arc<Trouble>,
}

impl Queue {
    /// Begins to send to `endpoint`. Without an exporter the runs go on as well:
    /// that there is none is said.
    pub fn start(endpoint: &str) -> Option<Self> {
        let trouble = Arc::<Trouble>::default();
        match exporter::new(endpoint, trouble.clone()) {
            Ok(exporter) => {
                let (work, queued) = mpsc::channel(ROOM);
                tokio::spawn(send(exporter, queued, trouble.clone()));
                Some(Self { work, trouble })
            }
            Err(error) => {
                trouble.met(&error.to_string());
                None
            }
        }
    }

    pub fn add(&self, record: &RunRecord) {
        if self.work.try_send(Work::Export(spans(record))).is_err() {
            self.trouble.met("too many runs wait to be exported");
        }
    }

    pub async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        let flushing = async {
            if self.work.send(Work::Flush(done)).await.is_ok() {
                // It fails where the task is gone, and so is what was queued.
                let _ = flushed.await;
            }
        };
        if timeout(FAREWELL, flushing).await.is_err() {
            self.trouble.met("the process ends before they are taken");
        }
    }
}

async fn send(exporter: SpanExporter, mut queued: Receiver<Work>, trouble: Arc<Trouble>) {
    while let Some(work) = queued.recv().await {
        match work {
            Work::Export(spans) => match timeout(PATIENCE, exporter.export(spans)).await {
                Ok(Ok(())) => trouble.over(),
                Ok(Err(error)) => trouble.met(&error.to_string()),
                Err(_) => trouble.met("the collector does not answer in time"),
            },
            Work::Flush(done) => {
                // Who waited may have lost patience.
                let _ = done.send(());
            }
        }
    }
}
