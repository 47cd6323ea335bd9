//! Notices: each is told by one process at a time, and not for ever.

use std::time::Duration;

use super::{begin, conclude, owner, requested, require, text};
use crate::history::{History, outbox::Notice};

const SHORT: Duration = Duration::from_millis(30);
const LONG: Duration = Duration::from_mins(10);

pub(super) async fn suite(history: &dyn History) -> Result<(), String> {
    let mut record = requested("noticed", 300)?;
    let claim = begin(history, &record, &owner(1)).await.map_err(text)?;
    conclude(history, &claim, &mut record).await.map_err(text)?;
    for _ in 0..2 {
        history.post(record.id, "ops").await.map_err(text)?;
    }
    let first = Notice {
        run: record.id,
        target: "ops".to_owned(),
        tries: 1,
    };
    let second = Notice {
        tries: 2,
        ..first.clone()
    };
    let taken = history.take(SHORT, 9).await.map_err(text)?;
    require(taken == [first.clone()], "what is due is not taken, once")?;
    let taken = history.take(SHORT, 9).await.map_err(text)?;
    require(taken.is_empty(), "two told the same")?;
    // Whoever took it died, or is late.
    tokio::time::sleep(SHORT * 2).await;
    let taken = history.take(LONG, 9).await.map_err(text)?;
    require(taken == [second.clone()], "a notice is lost")?;
    let late = history.put_off(&first, Some(Duration::ZERO)).await;
    late.map_err(text)?;
    let taken = history.take(LONG, 9).await.map_err(text)?;
    require(taken.is_empty(), "who lost a notice has a say in it")?;
    history.put_off(&second, Some(SHORT)).await.map_err(text)?;
    tokio::time::sleep(SHORT * 2).await;
    let taken = history.take(LONG, 9).await.map_err(text)?;
    let [third] = taken.as_slice() else {
        return Err("what was put off is forgotten".to_owned());
    };
    history.put_off(third, None).await.map_err(text)?;
    // Noted once more, it stays done.
    history.post(record.id, "ops").await.map_err(text)?;
    history.post(record.id, "chat").await.map_err(text)?;
    let taken = history.take(LONG, 9).await.map_err(text)?;
    let targets: Vec<_> = taken.iter().map(|notice| notice.target.as_str()).collect();
    require(targets == ["chat"], "what was told is told again")
}
