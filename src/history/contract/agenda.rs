//! Fire times: each is settled once.

use std::time::Duration;

use jiff::Timestamp;

use super::{begin, conclude, owner, requested, require, text};
use crate::{
    history::{
        History, Period,
        agenda::{Fire, FireFilter, Outcome, Settlement, Why},
    },
    runner::store::StoreError,
    schedule::{Missed, Reason},
};

pub(super) async fn suite(history: &dyn History) -> Result<(), String> {
    a_schedule_begins_when_it_is_first_seen(history).await?;
    a_fire_time_runs_once(history).await?;
    a_fire_time_that_passed_never_runs(history).await?;
    what_passed_is_counted_where_it_was_noted(history).await?;
    a_run_that_could_not_begin_leaves_its_fire_time(history).await?;
    what_a_wrong_clock_settled_is_settled_no_more(history).await?;
    very_many_are_settled_at_once(history).await
}

async fn what_a_wrong_clock_settled_is_settled_no_more(
    history: &dyn History,
) -> Result<(), String> {
    let mut ran = requested("ahead", 6_000)?;
    // By the history's own clock, too.
    let now = history.now().await.map_err(text)?;
    settled(history, "ahead", now).await?;
    let hours = |hours| now + Duration::from_hours(hours);
    let passed = |hour, reason| Missed {
        scheduled_for: hours(hour),
        reason,
    };
    ran.scheduled_for = Some(hours(2));
    let claim = begin(history, &ran, &owner(1)).await.map_err(text)?;
    let ahead = [
        passed(1, Reason::Missed),
        passed(3, Reason::Missed),
        passed(4, Reason::Cancelled),
    ];
    let ahead = settlement("ahead", &ahead, 0, hours(4))?;
    history.settle(&[ahead], now).await.map_err(text)?;
    // What another machine is ahead by is no reason.
    let until = settled(history, "ahead", hours(4) - Duration::from_mins(4)).await?;
    require(until == hours(4), "a small difference is taken for a step")?;
    let until = settled(history, "ahead", now).await?;
    require(until == now, "a drill waits for a time far ahead")?;
    let name = "ahead".parse().map_err(|_| "no name".to_owned())?;
    let forgotten = history.is_still_to_come(&[name], now).await;
    forgotten.map_err(text)?;
    let left = fires(history, "ahead").await?;
    let left: Vec<_> = left.iter().map(|fire| fire.outcome.name()).collect();
    require(
        left == ["cancelled", "started"],
        "what is still to come has been missed",
    )?;
    conclude(history, &claim, &mut ran).await.map_err(text)
}

async fn very_many_are_settled_at_once(history: &dyn History) -> Result<(), String> {
    let at = requested("many", 5_000)?.requested_at;
    let missed = |second: i64| Missed {
        scheduled_for: at + jiff::SignedDuration::from_secs(second),
        reason: Reason::Budget,
    };
    let mut all = Vec::new();
    for number in (0..700).rev() {
        let first = missed(number);
        let of_drill = settlement(&format!("many-{number}"), &[first], 3, first.scheduled_for)?;
        all.push(of_drill);
    }
    // Of one drill twice, and the newer part first.
    for second in [9_000, 8_000] {
        let both = [missed(second), missed(second + 1)];
        let until = both[1].scheduled_for;
        all.push(settlement("many-0", &both, 2, until)?);
    }
    history.settle(&all, at).await.map_err(text)?;
    let filter = FireFilter {
        drills: Some((0..700).map(|number| format!("many-{number}")).collect()),
        limit: 2_000,
        ..FireFilter::default()
    };
    let told = history.fires(&filter).await.map_err(text)?;
    let older: u64 = told.iter().map(|fire| fire.older).sum();
    require(
        (told.len(), older) == (704, 3 * 700 + 4),
        "fire times that are settled together are forgotten",
    )?;
    let reached = history.reached("many-0").await.map_err(text)?;
    require(
        reached == Some(missed(9_001).scheduled_for),
        "a schedule goes back",
    )
}

async fn settled(history: &dyn History, drill: &str, now: Timestamp) -> Result<Timestamp, String> {
    settled_by(history, drill, "daily", now).await
}

async fn settled_by(
    history: &dyn History,
    drill: &str,
    calendar: &str,
    now: Timestamp,
) -> Result<Timestamp, String> {
    let drills = [(drill.to_owned(), calendar.to_owned())];
    let settled = history.settled(&drills, now).await.map_err(text)?;
    settled
        .get(drill)
        .copied()
        .ok_or("a drill is not told".to_owned())
}

fn settlement(
    drill: &str,
    passed: &[Missed],
    older: u64,
    until: Timestamp,
) -> Result<Settlement, String> {
    Ok(Settlement {
        drill: drill.parse().map_err(|_| "no name".to_owned())?,
        passed: passed.to_vec(),
        older,
        until,
    })
}

async fn fires(history: &dyn History, drill: &str) -> Result<Vec<Fire>, String> {
    let filter = FireFilter {
        drills: Some(vec![drill.to_owned()]),
        limit: 10,
        ..FireFilter::default()
    };
    history.fires(&filter).await.map_err(text)
}

async fn a_schedule_begins_when_it_is_first_seen(history: &dyn History) -> Result<(), String> {
    let first = requested("seen", 100)?.requested_at;
    let later = first + Duration::from_mins(1);
    for now in [first, later] {
        let begin = settled(history, "seen", now).await?;
        require(begin == first, "a schedule begins anew")?;
    }
    let missed = Missed {
        scheduled_for: later,
        reason: Reason::Missed,
    };
    history
        .settle(&[settlement("seen", &[missed], 7, later)?], later)
        .await
        .map_err(text)?;
    // What is behind does not come again.
    history
        .settle(&[settlement("seen", &[], 0, first)?], later)
        .await
        .map_err(text)?;
    let until = settled(history, "seen", first).await?;
    require(until == later, "a schedule goes back")?;
    let reached = history.reached("seen").await.map_err(text)?;
    require(reached == Some(later), "it is not told how far a drill is")?;
    let unseen = history.reached("never-seen").await.map_err(text)?;
    require(
        unseen.is_none(),
        "a drill that was never seen is dealt with",
    )?;
    let changed = later + Duration::from_mins(1);
    for now in [changed, changed + Duration::from_mins(1)] {
        let until = settled_by(history, "seen", "hourly", now).await?;
        require(
            until == changed,
            "another calendar does not begin anew, once",
        )?;
    }
    let wanted = Fire {
        drill: "seen".to_owned(),
        scheduled_for: later,
        outcome: Outcome::Passed {
            reason: Reason::Missed,
        },
        older: 7,
    };
    let found = fires(history, "seen").await?;
    require(
        found == [wanted],
        "a fire time that passed is told otherwise",
    )
}

async fn a_fire_time_runs_once(history: &dyn History) -> Result<(), String> {
    let mut first = requested("fired", 110)?;
    first.scheduled_for = Some(first.requested_at);
    let claim = begin(history, &first, &owner(1)).await.map_err(text)?;
    conclude(history, &claim, &mut first).await.map_err(text)?;
    let mut again = requested("fired", 111)?;
    again.scheduled_for = first.scheduled_for;
    let refused = begin(history, &again, &owner(2)).await;
    require(
        matches!(refused, Err(StoreError::Fired { .. })),
        "a fire time ran twice",
    )?;
    let unfinished = history.unfinished().await.map_err(text)?;
    require(unfinished.is_empty(), "a refused run left something behind")?;
    // What passed later is noted without changing what it was.
    let missed = Missed {
        scheduled_for: first.requested_at,
        reason: Reason::Missed,
    };
    let at = again.requested_at;
    history
        .settle(&[settlement("fired", &[missed], 0, at)?], at)
        .await
        .map_err(text)?;
    let found = fires(history, "fired").await?;
    let outcome = Outcome::Started {
        run: Some(first.id),
    };
    require(
        found.len() == 1 && found.iter().all(|fire| fire.outcome == outcome),
        "a fire time has lost its run",
    )?;
    let all = [
        Reason::Missed,
        Reason::Blackout,
        Reason::Suspended,
        Reason::Overlap,
        Reason::Budget,
        Reason::Cancelled,
    ];
    let passed: Vec<_> = all
        .into_iter()
        .zip(1_i64..)
        .map(|(reason, second)| Missed {
            scheduled_for: at + jiff::SignedDuration::from_secs(second),
            reason,
        })
        .collect();
    let last = passed.last().map_or(at, |last| last.scheduled_for);
    let noted = history
        .settle(&[settlement("every-reason", &passed, 0, last)?], last)
        .await;
    noted.map_err(text)?;
    let told = fires(history, "every-reason").await?;
    let told = told.iter().rev().map(|fire| fire.outcome);
    let right = passed.iter().map(|missed| Outcome::Passed {
        reason: missed.reason,
    });
    require(told.eq(right), "a reason is told as another one")?;
    fire_times_are_found_by_their_reasons(history).await?;
    let until = settled(history, "fired", first.requested_at).await?;
    require(until == at, "a schedule stands still")
}

/// Each filter gives page by page what a look at all of them gives.
async fn fire_times_are_found_by_their_reasons(history: &dyn History) -> Result<(), String> {
    let of = |limit, passed| FireFilter {
        drills: None,
        passed,
        after: None,
        limit,
    };
    let all = history.fires(&of(100_000, None)).await.map_err(text)?;
    for passed in [None, Some(Why::Any), Some(Why::This(Reason::Overlap))] {
        let mut filter = of(7, passed);
        let fitting = all.iter().filter(|fire| filter.fits(fire)).take(60);
        let fitting: Vec<Fire> = fitting.cloned().collect();
        let mut found = Vec::new();
        while found.len() < fitting.len() {
            let page = history.fires(&filter).await.map_err(text)?;
            let last = page.last().ok_or("a page is missing")?;
            filter.after = Some((last.scheduled_for, last.drill.clone()));
            found.extend(page);
        }
        found.truncate(fitting.len());
        require(found == fitting, "fire times are found that do not fit")?;
    }
    Ok(())
}

async fn a_fire_time_that_passed_never_runs(history: &dyn History) -> Result<(), String> {
    let mut late = requested("passed", 120)?;
    let at = late.requested_at;
    late.scheduled_for = Some(at);
    let missed = Missed {
        scheduled_for: at,
        reason: Reason::Blackout,
    };
    history
        .settle(&[settlement("passed", &[missed], 0, at)?], at)
        .await
        .map_err(text)?;
    let refused = begin(history, &late, &owner(1)).await;
    require(
        matches!(refused, Err(StoreError::Fired { .. })),
        "a fire time that passed ran",
    )
}

async fn what_passed_is_counted_where_it_was_noted(history: &dyn History) -> Result<(), String> {
    let noted = requested("counted", 150)?.requested_at;
    let hour = Duration::from_hours(1);
    let missed = |minutes, reason| Missed {
        scheduled_for: noted - Duration::from_mins(minutes),
        reason,
    };
    let passed = [
        missed(9, Reason::Missed),
        missed(8, Reason::Overlap),
        missed(7, Reason::Missed),
    ];
    let until = noted + hour;
    let later = [missed(0, Reason::Missed)];
    for (passed, older, now) in [(&passed[..], 5, noted), (&later[..], 0, until)] {
        let settlement = settlement("counted", passed, older, noted)?;
        history.settle(&[settlement], now).await.map_err(text)?;
    }
    let period = Period {
        since: noted,
        until,
    };
    let counted = history.passed(period).await.map_err(text)?.into_iter();
    let counted = counted.filter(|passed| passed.drill == "counted");
    let counted: Vec<_> = counted.map(|one| (one.reason, one.fire_times)).collect();
    require(
        counted == [(Reason::Missed, 7), (Reason::Overlap, 1)],
        "fire times that passed are not counted in the period in which that was noted",
    )
}

async fn a_run_that_could_not_begin_leaves_its_fire_time(
    history: &dyn History,
) -> Result<(), String> {
    let mut first = requested("overlap", 130)?;
    let claim = begin(history, &first, &owner(1)).await.map_err(text)?;
    let mut second = requested("overlap", 131)?;
    second.scheduled_for = Some(second.requested_at);
    let busy = begin(history, &second, &owner(1)).await;
    require(
        matches!(busy, Err(StoreError::Busy { .. })),
        "two runs at once",
    )?;
    require(
        fires(history, "overlap").await?.is_empty(),
        "a fire time without a run is noted as started",
    )?;
    conclude(history, &claim, &mut first).await.map_err(text)?;
    let claim = begin(history, &second, &owner(1)).await.map_err(text)?;
    conclude(history, &claim, &mut second).await.map_err(text)
}
