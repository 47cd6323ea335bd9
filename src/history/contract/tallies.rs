//! What is counted, and trends.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{begin, conclude_as, owner, requested, require, text};
use crate::{
    domain::{
        check::Proof,
        record::{Profile, RunRecord},
        resource::{ClusterRef, WorkloadRef},
        tally::Tally,
        verdict::{Cleanup, Verdict},
    },
    history::{
        Filter, History,
        tallies::{Followed, Point, Trend},
    },
    runner::store::{Gone, Write},
};

const DRILLS: [&str; 2] = ["counted-a", "counted-b"];

pub(super) async fn suite(history: &dyn History) -> Result<(), String> {
    let followed = Followed::default();
    followed.now(history).await.map_err(text)?;
    each_run_counts_once(history, &followed).await?;
    what_does_not_change_is_not_told_again(history).await?;
    a_trend_is_told_page_by_page(history).await?;
    some_namespaces_alone_are_told(history).await?;
    what_is_forgotten_stays_counted(history, &followed).await
}

/// Makes runs of all kinds, as far as they are counted.
fn vary(record: &mut RunRecord, number: u64) {
    record.rto.measured_ms = (!number.is_multiple_of(4)).then_some(number * 1_234);
    record.rpo.objective.measured_ms = (!number.is_multiple_of(3)).then_some(number * 56);
    record.proof = Proof::ALL[(number % 5) as usize];
    record.negative_control = number % 6 == 5;
    record.interrupted = number % 7 == 6;
    if number % 8 == 7 {
        record.profile = Profile::FastValidate;
    }
}

async fn each_run_counts_once(history: &dyn History, followed: &Followed) -> Result<(), String> {
    for number in 0..24_u64 {
        let drill = DRILLS[(number % 2) as usize];
        let mut record = requested(drill, 300 + i64::try_from(number).unwrap_or(0))?;
        vary(&mut record, number);
        let mut claim = begin(history, &record, &owner(1)).await.map_err(text)?;
        let at = record.requested_at;
        record.verdict = Some(Verdict::ALL[(number % 3) as usize]);
        let concluded = [Write::Record(&record)];
        history.write(&claim, at, &concluded).await.map_err(text)?;
        if number % 2 == 0 {
            let other = owner(2);
            let new = history.take_over(record.id, claim.epoch, &other, Gone::Seen);
            let new = new.await.map_err(text)?.ok_or("a takeover was refused")?;
            let late = history.write(&claim, at, &concluded).await;
            require(late.is_err(), "a lost claim could write")?;
            claim = new.claim;
        }
        record.cleanup = Cleanup::Clean;
        let verdict = record.verdict.unwrap_or(Verdict::Passed);
        let ended = conclude_as(history, &claim, &mut record, verdict).await;
        ended.map_err(text)?;
        // Whoever follows them sees each.
        is_the_sum(history, followed).await?;
    }
    is_the_sum(history, &Followed::default()).await
}

/// What is counted is what all runs add up to.
async fn is_the_sum(history: &dyn History, followed: &Followed) -> Result<(), String> {
    let mut sums = BTreeMap::<String, Tally>::new();
    let all = Filter {
        drills: Some(DRILLS.map(str::to_owned).to_vec()),
        ..Filter::default()
    };
    for record in history.list(&all).await.map_err(text)? {
        let tally = sums.entry(record.drill.clone()).or_default();
        tally.add(&record, record.requested_at);
    }
    let now = followed.now(history).await.map_err(text)?;
    for (drill, sum) in sums {
        let counted = now.tallies.get(&drill).cloned().flatten();
        if counted.as_deref() != Some(&sum) {
            return Err(format!(
                "of {drill} {counted:?} is counted, and not {sum:?}"
            ));
        }
    }
    Ok(())
}

async fn what_does_not_change_is_not_told_again(history: &dyn History) -> Result<(), String> {
    let followed = Followed::default();
    let first = followed.now(history).await.map_err(text)?;
    let again = followed.now(history).await.map_err(text)?;
    require(
        first.version == again.version,
        "nothing looks like a change",
    )?;
    let caught_up = history.catch_up(None, 10).await.map_err(text)?;
    require(
        (caught_up.runs, caught_up.next) == (0, None),
        "a run was not counted when it was concluded",
    )
}

async fn a_trend_is_told_page_by_page(history: &dyn History) -> Result<(), String> {
    let all = trend(history, None, None, 100).await?;
    require(all.len() == 12, "a trend is without some of the runs")?;
    let sorted = all.is_sorted_by(|a, b| (a.concluded_at, a.run) > (b.concluded_at, b.run));
    require(sorted, "a trend does not begin with the newest run")?;
    let (mut paged, mut after) = (Vec::new(), None);
    loop {
        let page = trend(history, None, after, 5).await?;
        let Some(last) = page.last() else { break };
        after = Some((last.concluded_at, last.run));
        paged.extend(page);
    }
    require(paged == all, "a trend does not go on where it was left")?;
    for point in all {
        let found = history.find(&point.run.to_string()).await.map_err(text)?;
        let told = found.first().map(|record| Point {
            run: record.id,
            concluded_at: record.requested_at,
            verdict: record.verdict.unwrap_or(Verdict::Inconclusive),
            rto_ms: record
                .rto
                .measured_ms
                .filter(|_| record.profile == Profile::Production && !record.interrupted),
            rpo_ms: record.rpo.objective.measured_ms,
            proof: Some(record.proof),
            negative_control: record.negative_control,
        });
        require(
            told.as_ref() == Some(&point),
            "a trend tells what is not so",
        )?;
    }
    Ok(())
}

async fn trend(
    history: &dyn History,
    namespaces: Option<Vec<String>>,
    after: Option<(Timestamp, crate::domain::ids::RunId)>,
    limit: u32,
) -> Result<Vec<Point>, String> {
    let drill = DRILLS[0].to_owned();
    let wanted = Trend {
        drill,
        namespaces,
        after,
        limit,
    };
    history.trend(&wanted).await.map_err(text)
}

async fn some_namespaces_alone_are_told(history: &dyn History) -> Result<(), String> {
    let mut record = requested(DRILLS[0], 340)?;
    record.workload = Some(WorkloadRef {
        cluster: ClusterRef::default(),
        namespace: "shop".to_owned(),
        stateful_set: "db".to_owned(),
    });
    let claim = begin(history, &record, &owner(1)).await.map_err(text)?;
    let concluded = conclude_as(history, &claim, &mut record, Verdict::Passed).await;
    concluded.map_err(text)?;
    for (namespaces, told) in [(vec!["pay"], 12), (vec!["pay", "shop"], 13)] {
        let namespaces = namespaces.into_iter().map(str::to_owned).collect();
        let found = trend(history, Some(namespaces), None, 100).await?;
        require(found.len() == told, "a run of another namespace is told")?;
    }
    Ok(())
}

async fn what_is_forgotten_stays_counted(
    history: &dyn History,
    followed: &Followed,
) -> Result<(), String> {
    let before = followed.now(history).await.map_err(text)?;
    let after = requested("nobody", 1_000)?.requested_at;
    let gone = history.forget(after, 1_000).await.map_err(text)?;
    require(gone.runs > 20, "nothing is forgotten")?;
    let mut after = Followed::default().now(history).await.map_err(text)?;
    after.version = before.version;
    require(
        after.tallies == before.tallies,
        "what is forgotten counts no more",
    )
}
