//! Since when drills are known.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::Row;

use super::{AT_ONCE, SqlHistory, asked::Asked, backend, tallies::instant};
use crate::{
    history::known::{Known, Since},
    runner::store::StoreError,
};

#[async_trait]
impl Known for SqlHistory {
    async fn known(&self, drills: &[String], now: Timestamp) -> Result<Since, StoreError> {
        let mut all = Since::new();
        for some in drills.chunks(AT_ONCE) {
            all.extend(self.noted(some).await?);
            let new = some.iter().filter(|drill| !all.contains_key(*drill));
            let mut new: Vec<&String> = new.collect();
            if new.is_empty() {
                continue;
            }
            // Two that note the same in another order would wait for each other.
            new.sort();
            self.note(&new, now).await?;
            // Another process may have been faster.
            all.extend(self.noted(some).await?);
        }
        Ok(all)
    }
}

impl SqlHistory {
    async fn noted(&self, drills: &[String]) -> Result<Since, StoreError> {
        let asked = Asked::new("SELECT drill, since FROM known_drills WHERE ");
        let rows = self.all(asked.of_drills(drills)).await?;
        let each = rows.iter().map(|row| {
            let drill = row.try_get("drill").map_err(backend("read"))?;
            Ok((drill, instant(row, "since")?))
        });
        each.collect()
    }

    async fn note(&self, drills: &[&String], now: Timestamp) -> Result<(), StoreError> {
        let asked = Asked::new("INSERT INTO known_drills (drill, since) VALUES ");
        let asked = asked.rows(drills, |asked, drill| {
            let asked = asked.bind((*drill).clone()).push(", ");
            asked.bind(now.as_microsecond())
        });
        self.put(asked.push(" ON CONFLICT DO NOTHING")).await
    }
}
