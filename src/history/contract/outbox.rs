//! Notices: each is told by one process at a time, and not for ever.

use std::time::Duration;

use super::{begin, conclude, owner, requested, require, text};
use crate::history::{History, outbox::Notice};

pub(super) async fn suite(history: &dyn History) -> Result<(), String> {
    let mut record = requested("noticed", 300)?;
    let claim = begin(history, &record, &owner(1)).await.map_err(text)?;
    conclude(history, &claim, &mut record).await.map_err(text)?;
    let at = record.requested_at;
    let minute = |minutes: u64| at + Duration::from_mins(minutes);
    for _ in 0..2 {
        history.post(record.id, "ops", at).await.map_err(text)?;
    }
    history
        .post(record.id, "chat", minute(9))
        .await
        .map_err(text)?;
    let mut wanted = Notice {
        run: record.id,
        target: "ops".to_owned(),
        tries: 1,
    };
    let taken = history.take(at, minute(1), 9).await.map_err(text)?;
    require(taken == [wanted.clone()], "what is due is not taken, once")?;
    let taken = history.take(at, minute(1), 9).await.map_err(text)?;
    require(taken.is_empty(), "two told the same")?;
    // Whoever took it died.
    let taken = history.take(minute(1), minute(2), 9).await.map_err(text)?;
    wanted.tries = 2;
    require(taken == [wanted.clone()], "a notice is lost")?;
    let later = Some(minute(5));
    history.put_off(&wanted, later).await.map_err(text)?;
    let taken = history.take(minute(4), minute(6), 9).await.map_err(text)?;
    require(taken.is_empty(), "what is put off is told")?;
    let taken = history.take(minute(5), minute(6), 9).await.map_err(text)?;
    require(taken.len() == 1, "what was put off is forgotten")?;
    history.put_off(&wanted, None).await.map_err(text)?;
    // Noted once more, it stays done.
    history.post(record.id, "ops", at).await.map_err(text)?;
    let taken = history.take(minute(9), minute(99), 9).await.map_err(text)?;
    let targets: Vec<_> = taken.iter().map(|notice| notice.target.as_str()).collect();
    require(targets == ["chat"], "what was told is told again")
}
