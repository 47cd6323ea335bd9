//! Who writes into the demo's database while it is drilled.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{anyhow, ensure};
use tokio::task::JoinHandle;

use crate::{domain::failure::Failure, engine::postgresql::session::Session};

/// A client that writes until it is dropped, or until its first error.
pub(super) struct Writer {
    committed: Arc<AtomicU64>,
    task: JoinHandle<Failure>,
}

impl Writer {
    pub(super) fn start(session: Session, number: u32) -> Self {
        let committed = Arc::new(AtomicU64::new(0));
        let task = tokio::spawn(write(session, number, committed.clone()));
        Self { committed, task }
    }

    /// How many transactions it has committed so far.
    ///
    /// # Errors
    /// If it has ended, or has written nothing.
    pub(super) async fn written(&mut self) -> anyhow::Result<u64> {
        if self.task.is_finished() {
            let failure = (&mut self.task).await?;
            return Err(anyhow!(failure).context("a writer of the demo ended"));
        }
        let committed = self.committed.load(Ordering::Relaxed);
        ensure!(committed > 0, "a writer of the demo has written nothing");
        Ok(committed)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn write(session: Session, number: u32, committed: Arc<AtomicU64>) -> Failure {
    let sql = format!(
        "INSERT INTO shop.orders (customer, placed, net, note) \
         VALUES (1 + (random() * 19999)::int, now(), (random() * 1000)::numeric(12,2), 'writer {number}'); \
         UPDATE shop.events SET value = random() WHERE id = (SELECT 1 + (random() * 10000)::int); \
         DELETE FROM shop.carts WHERE id = (SELECT (random() * 2000)::int); \
         SELECT nextval('shop.invoice_numbers')"
    );
    loop {
        if let Err(failure) = session.batch("write", &sql).await {
            return failure;
        }
        committed.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
