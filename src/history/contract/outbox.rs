//! Notices: each is told by one process at a time, and not for ever.

use std::time::Duration;

use jiff::Timestamp;

use super::{begin, conclude, owner, requested, require, text};
use crate::history::{
    History, Period,
    outbox::{Notice, Subject},
};

const SHORT: Duration = Duration::from_millis(30);
const LONG: Duration = Duration::from_mins(10);

pub(super) async fn suite(history: &dyn History) -> Result<(), String> {
    let mut record = requested("noticed", 300)?;
    let claim = begin(history, &record, &owner(1)).await.map_err(text)?;
    conclude(history, &claim, &mut record).await.map_err(text)?;
    let period = Period {
        since: record.requested_at,
        until: record.requested_at + Duration::from_hours(24),
    };
    for subject in [Subject::Run(record.id), Subject::Period(period)] {
        a_notice_is_told_once(history, subject).await?;
    }
    what_waits_is_not_due(history, period).await?;
    a_period_that_was_told_is_not_forgotten(history, period).await
}

async fn a_notice_is_told_once(history: &dyn History, subject: Subject) -> Result<(), String> {
    let post = |target| history.post(subject, target, Duration::ZERO);
    for _ in 0..2 {
        post("ops").await.map_err(text)?;
    }
    let first = Notice {
        subject,
        target: "ops".to_owned(),
        tries: 1,
    };
    let second = Notice {
        tries: 2,
        ..first.clone()
    };
    let taken = history.take(SHORT, 9).await.map_err(text)?;
    require(taken == [first.clone()], "what is due is not taken, once")?;
    // Whoever took it died, or is late.
    tokio::time::sleep(SHORT * 2).await;
    let taken = history.take(LONG, 9).await.map_err(text)?;
    require(taken == [second.clone()], "a notice is lost")?;
    let taken = history.take(LONG, 9).await.map_err(text)?;
    require(taken.is_empty(), "two told the same")?;
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
    post("ops").await.map_err(text)?;
    post("chat").await.map_err(text)?;
    let taken = history.take(LONG, 9).await.map_err(text)?;
    let targets: Vec<_> = taken.iter().map(|notice| notice.target.as_str()).collect();
    require(targets == ["chat"], "what was told is told again")
}

async fn what_waits_is_not_due(history: &dyn History, period: Period) -> Result<(), String> {
    let next = Subject::Period(Period {
        since: period.until,
        until: period.until + Duration::from_hours(24),
    });
    history.post(next, "ops", LONG).await.map_err(text)?;
    let taken = history.take(LONG, 9).await.map_err(text)?;
    require(taken.is_empty(), "a notice is told before its time")
}

/// Else it would be noted, and told, once more.
async fn a_period_that_was_told_is_not_forgotten(
    history: &dyn History,
    period: Period,
) -> Result<(), String> {
    let hour = Duration::from_hours(1);
    let newer = Subject::Period(period);
    let older = Subject::Period(Period {
        since: Timestamp::UNIX_EPOCH,
        until: Timestamp::UNIX_EPOCH + hour,
    });
    let all = [(older, "daily"), (newer, "daily"), (older, "yearly")];
    let told = async || {
        for (subject, target) in all {
            let noted = history.post(subject, target, Duration::ZERO).await;
            noted.map_err(text)?;
        }
        let taken = history.take(LONG, 9).await.map_err(text)?;
        for notice in &taken {
            history.put_off(notice, None).await.map_err(text)?;
        }
        let taken = taken.into_iter();
        Ok::<_, String>(
            taken
                .map(|notice| (notice.subject, notice.target))
                .collect::<Vec<_>>(),
        )
    };
    require(told().await?.len() == 3, "a digest is not told")?;
    // Nothing else in this history is as old as that.
    let before = Timestamp::UNIX_EPOCH + hour * 2;
    history.forget(before, 9).await.map_err(text)?;
    require(
        told().await? == [(older, "daily".to_owned())],
        "what is told again is not the one that was forgotten",
    )
}
