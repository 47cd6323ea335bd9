//! Runs in the order in which they were concluded.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::BATCH;
use crate::{
    domain::{ids::RunId, record::RunRecord},
    history::History,
    runner::store::StoreError,
};

/// Reads runs in the order in which they were concluded, page by page, each run
/// once: a page begins with the instant at which the one before ended.
pub(super) struct Concluded {
    since: Timestamp,
    /// Those that were concluded at `since` and are read.
    read: BTreeSet<RunId>,
    page: u32,
    ended: bool,
}

impl Concluded {
    /// Those that were concluded at `since` or later.
    pub(super) fn since(since: Timestamp) -> Self {
        Self {
            since,
            read: BTreeSet::new(),
            page: BATCH,
            ended: false,
        }
    }

    /// The next ones, each with the instant at which it was concluded; `None`
    /// after the last ones. There may be none on a page.
    pub(super) async fn next(
        &mut self,
        history: &dyn History,
    ) -> Result<Option<Vec<(Timestamp, RunRecord)>>, StoreError> {
        if self.ended {
            return Ok(None);
        }
        let mut runs = history.concluded(self.since, self.page).await?;
        let full = runs.len() == self.page as usize;
        let last = runs.last().map(|(last, _)| *last);
        runs.retain(|(_, record)| !self.read.contains(&record.id));
        match last {
            // A page that is not full may be one of which not all can be read.
            Some(last) if last > self.since => {
                (self.since, self.page) = (last, BATCH);
                self.read.clear();
            }
            // One that is full of one instant has to be larger.
            Some(_) if full => self.page = self.page.saturating_mul(2),
            _ => self.ended = true,
        }
        let at_last = runs.iter().filter(|(at, _)| *at == self.since);
        self.read.extend(at_last.map(|(_, record)| record.id));
        Ok(Some(runs))
    }
}
