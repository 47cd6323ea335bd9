//! Several processes on one history.

use std::time::Duration;

use super::{begin, conclude, conclude_as, owner, requested, require, text};
use crate::{
    domain::{
        budget::{Demand, Limits, Share},
        ids::RunId,
        resource::Resource,
        verdict::{Cleanup, Leak, Verdict},
    },
    history::{Filter, History, agenda::Settlement},
    runner::{
        cancel::Why,
        store::{Gone, StoreError, Write},
    },
    schedule::{Missed, Reason},
};

pub(super) async fn suite(history: &dyn History) -> Result<(), String> {
    who_does_not_say_that_it_lives_is_silent(history).await?;
    the_owner_hears_that_a_run_is_to_end(history).await?;
    limits_count_the_runs_of_all(history).await?;
    what_is_requested_twice_runs_once(history).await?;
    all_are_called_alike(history).await?;
    what_is_old_is_forgotten(history).await?;
    fire_times_are_forgotten_bite_by_bite(history).await
}

async fn who_does_not_say_that_it_lives_is_silent(history: &dyn History) -> Result<(), String> {
    let (first, second) = (owner(11), owner(12));
    let (short, long) = (Duration::from_millis(1), Duration::from_mins(10));
    let lives = async |owner| {
        let alive = history.alive().await.map_err(text)?;
        Ok::<_, String>(alive.contains(owner))
    };
    history.beat(&first, short).await.map_err(text)?;
    history.beat(&second, long).await.map_err(text)?;
    tokio::time::sleep(Duration::from_millis(20)).await;
    require(!lives(&first).await?, "who is silent is told to live")?;
    require(lives(&second).await?, "who lives is not told to")?;
    history.beat(&first, long).await.map_err(text)?;
    require(lives(&first).await?, "who is back is still silent")?;

    let mut record = requested("orphan", 190)?;
    let claim = begin(history, &record, &second).await.map_err(text)?;
    let orphaned = history.orphaned().await.map_err(text)?;
    require(!orphaned, "a run of somebody who lives is nobody's")?;
    let early = history.take_over(record.id, claim.epoch, &first, Gone::Silent);
    let early = early.await.map_err(text)?;
    require(early.is_none(), "a run of somebody who lives is taken over")?;
    history.leave(&second).await.map_err(text)?;
    require(!lives(&second).await?, "who has left is told to live")?;
    let orphaned = history.orphaned().await.map_err(text)?;
    require(orphaned, "a run of somebody who has left is still theirs")?;
    let taken = history.take_over(record.id, claim.epoch, &first, Gone::Silent);
    let taken = taken.await.map_err(text)?;
    let taken = taken.ok_or("a run of somebody who is silent is not taken over")?;
    let taken = taken.claim;
    let orphaned = history.orphaned().await.map_err(text)?;
    require(!orphaned, "a run that was taken over is nobody's")?;
    conclude(history, &taken, &mut record).await.map_err(text)?;

    // Who never said that it lives is silent, too.
    let mut record = requested("orphan", 191)?;
    let claim = begin(history, &record, &owner(13)).await.map_err(text)?;
    let orphaned = history.orphaned().await.map_err(text)?;
    require(orphaned, "a run of somebody unknown is theirs")?;
    conclude(history, &claim, &mut record).await.map_err(text)
}

async fn the_owner_hears_that_a_run_is_to_end(history: &dyn History) -> Result<(), String> {
    let mut record = requested("to-end", 200)?;
    record.scheduled_for = Some(record.requested_at);
    let claim = begin(history, &record, &owner(1)).await.map_err(text)?;
    let none = history.asked_to_end(&owner(1)).await.map_err(text)?;
    require(none.is_empty(), "a run is to end that nobody asked to")?;
    let asked = history.ask_to_end(record.id, Why::Replaced).await;
    let asked = asked.map_err(text)?;
    require(asked, "a run that goes on cannot be asked to end")?;
    let mine = history.asked_to_end(&owner(1)).await.map_err(text)?;
    let wanted = [(record.id, Why::Replaced)];
    require(mine == wanted, "the owner does not hear it, or not why")?;
    // Whoever asks later changes nothing.
    let again = history.ask_to_end(record.id, Why::Asked).await;
    require(
        again.map_err(text)?,
        "a run that goes on cannot be asked again",
    )?;
    let mine = history.asked_to_end(&owner(1)).await.map_err(text)?;
    require(mine == wanted, "the first reason does not count")?;
    let others = history.asked_to_end(&owner(2)).await.map_err(text)?;
    require(others.is_empty(), "somebody else hears it")?;
    conclude(history, &claim, &mut record).await.map_err(text)?;
    let late = history.ask_to_end(record.id, Why::Asked).await;
    let late = late.map_err(text)?;
    require(!late, "a run that has ended is to end")?;
    what_somebody_asked_for_makes_no_room(history).await
}

async fn what_somebody_asked_for_makes_no_room(history: &dyn History) -> Result<(), String> {
    let mut record = requested("to-stay", 205)?;
    let claim = begin(history, &record, &owner(1)).await.map_err(text)?;
    let replaced = history.ask_to_end(record.id, Why::Replaced).await;
    require(
        !replaced.map_err(text)?,
        "a run that somebody asked for is to end for a fire time",
    )?;
    let asked = history.ask_to_end(record.id, Why::Asked).await;
    require(asked.map_err(text)?, "a run cannot be asked to end")?;
    let again = history.ask_to_end(record.id, Why::Replaced).await;
    again.map_err(text)?;
    let mine = history.asked_to_end(&owner(1)).await.map_err(text)?;
    require(
        mine == [(record.id, Why::Asked)],
        "the first reason does not count",
    )?;
    let nobody = RunId::new(record.requested_at);
    for (cleanup, holds) in [(Cleanup::Pending, true), (leaked(), false)] {
        record.verdict = Some(Verdict::Inconclusive);
        record.cleanup = cleanup;
        let written = [Write::Record(&record)];
        let at = record.requested_at;
        history.write(&claim, at, &written).await.map_err(text)?;
        let holding = history.holding(&[nobody, record.id]).await;
        let wanted = holds.then_some(record.id).into_iter().collect();
        require(
            holding.map_err(text)? == wanted,
            "a run holds what it cannot give back, or not what it can",
        )?;
    }
    record.cleanup = Cleanup::Clean;
    conclude_as(history, &claim, &mut record, Verdict::Inconclusive)
        .await
        .map_err(text)
}

fn leaked() -> Cleanup {
    let path = "/var/tmp/left".into();
    let left = Leak {
        resource: Resource::Directory { path },
        reason: "busy".to_owned(),
    };
    Cleanup::Leaked {
        resources: vec![left],
    }
}

async fn limits_count_the_runs_of_all(history: &dyn History) -> Result<(), String> {
    let limits = Limits {
        runs: 0,
        per_source: 1,
        per_namespace: 2,
        ..Limits::OPEN
    };
    let room = |source: &str| Demand {
        limits,
        shares: vec![
            Share::Source(source.to_owned()),
            Share::Namespace("shop".to_owned()),
        ],
        promised: false,
    };
    let mut first = requested("limited-a", 210)?;
    let claim = history.begin(&first, &owner(1), &room("one")).await;
    let claim = claim.map_err(text)?;
    let mut second = requested("limited-b", 211)?;
    second.scheduled_for = Some(second.requested_at);
    // It takes room until all is given back, or is known not to be.
    let leaked = Cleanup::Leaked {
        resources: Vec::new(),
    };
    for (verdict, cleanup, takes) in [
        (None, Cleanup::Pending, true),
        (Some(Verdict::Passed), Cleanup::Pending, true),
        (Some(Verdict::Passed), leaked, false),
    ] {
        (first.verdict, first.cleanup) = (verdict, cleanup);
        let write = [Write::Record(&first)];
        let written = history.write(&claim, first.requested_at, &write).await;
        written.map_err(text)?;
        let begun = history.begin(&second, &owner(2), &room("one")).await;
        let limit = "per source";
        match begun {
            Err(StoreError::NoRoom { limit: by }) if takes && by == limit => {}
            Ok(claim) if !takes => {
                conclude(history, &claim, &mut second).await.map_err(text)?;
                second = requested("limited-b", 212)?;
                second.scheduled_for = Some(second.requested_at);
            }
            other => return Err(format!("{verdict:?} {:?}: {other:?}", first.cleanup)),
        }
    }
    first.cleanup = Cleanup::Clean;
    conclude(history, &claim, &mut first).await.map_err(text)?;
    // That there was no room is no reason to give its fire time up.
    let claim = history.begin(&second, &owner(2), &room("one")).await;
    let claim = claim.map_err(text)?;
    conclude(history, &claim, &mut second).await.map_err(text)
}

async fn what_is_requested_twice_runs_once(history: &dyn History) -> Result<(), String> {
    let mut first = requested("asked", 220)?;
    first.request_key = Some("deploy-7".to_owned());
    let claim = begin(history, &first, &owner(1)).await.map_err(text)?;
    conclude(history, &claim, &mut first).await.map_err(text)?;
    let mut again = requested("asked", 221)?;
    again.request_key.clone_from(&first.request_key);
    let refused = begin(history, &again, &owner(2)).await;
    require(
        matches!(refused, Err(StoreError::Requested { run }) if run == first.id),
        "a request ran twice",
    )?;
    let found = history.requested("deploy-7").await.map_err(text)?;
    require(found == Some(first), "a run is not found by its request")?;
    let none = history.requested("deploy-8").await.map_err(text)?;
    require(none.is_none(), "a run is found by a wrong request")
}

async fn all_are_called_alike(history: &dyn History) -> Result<(), String> {
    let first = history.installation("a").await.map_err(text)?;
    let second = history.installation("b").await.map_err(text)?;
    require(
        first == second,
        "two processes have different names for all",
    )
}

async fn what_is_old_is_forgotten(history: &dyn History) -> Result<(), String> {
    let mut runs = Vec::new();
    let verdicts = [
        Verdict::Passed,
        Verdict::Failed,
        Verdict::Passed,
        Verdict::Failed,
        Verdict::Failed,
    ];
    for (verdict, second) in verdicts.into_iter().zip(230..) {
        let mut record = requested("old", second)?;
        record.scheduled_for = Some(record.requested_at);
        let claim = begin(history, &record, &owner(1)).await.map_err(text)?;
        let concluded = conclude_as(history, &claim, &mut record, verdict).await;
        concluded.map_err(text)?;
        runs.push(record);
    }
    let of_drill = Filter {
        drills: Some(vec!["old".to_owned()]),
        ..Filter::default()
    };
    let left = |found: Vec<crate::domain::record::RunRecord>| -> Vec<usize> {
        let known = |record| found.contains(record);
        let all = runs.iter().enumerate();
        all.filter(|(_, record)| known(record))
            .map(|(at, _)| at)
            .collect()
    };
    let [_, second, .., last] = runs.as_slice() else {
        return Err("no runs".to_owned());
    };
    let mut live = requested("old-live", 229)?;
    let claim = begin(history, &live, &owner(1)).await.map_err(text)?;
    let before = second.requested_at;
    history.forget(before, 1000).await.map_err(text)?;
    let found = history.list(&of_drill).await.map_err(text)?;
    require(
        left(found) == [1, 2, 3, 4],
        "what is forgotten is not what is old",
    )?;
    // However old: the newest of all, and the newest that passed.
    let after = last.requested_at + Duration::from_hours(1);
    let one = history.forget(after, 1).await.map_err(text)?;
    require(one.runs == 1, "more is forgotten at once than asked for")?;
    history.forget(after, 1000).await.map_err(text)?;
    let found = history.list(&of_drill).await.map_err(text)?;
    require(left(found) == [2, 4], "the last proof is forgotten")?;
    let unfinished = history.unfinished().await.map_err(text)?;
    require(
        unfinished.iter().any(|run| run.record.id == live.id),
        "a run that goes on is forgotten",
    )?;
    conclude(history, &claim, &mut live).await.map_err(text)
}

async fn fire_times_are_forgotten_bite_by_bite(history: &dyn History) -> Result<(), String> {
    let at = requested("idle", 0)?.requested_at;
    let passed = |hour| Missed {
        scheduled_for: at - Duration::from_hours(hour),
        reason: Reason::Suspended,
    };
    let settlement = Settlement {
        drill: "idle".parse().map_err(|_| "no name".to_owned())?,
        passed: (1..=5).map(passed).collect(),
        older: 0,
        until: at,
    };
    let settled = history.settle(&[settlement], at).await;
    settled.map_err(text)?;
    let mut bites = Vec::new();
    while bites.last() != Some(&0) {
        bites.push(history.forget(at, 2).await.map_err(text)?.fires);
    }
    require(
        bites == [2, 2, 1, 0],
        "a bite is not as large as it is told",
    )?;
    let now = history.now().await.map_err(text)?;
    let year = now.to_zoned(jiff::tz::TimeZone::UTC).year();
    require((2_024..2_200).contains(&year), "the history has no clock")
}
