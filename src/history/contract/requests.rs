//! Runs that are wanted: each begins once, whoever begins it.

use std::time::Duration;

use super::{begin, conclude, owner, requested, require, text};
use crate::{
    domain::{
        budget::Demand,
        record::{Profile, RunRecord},
    },
    history::{History, requests::Wanted},
    runner::{overrides::Overrides, store::StoreError},
};

pub(super) async fn suite(history: &dyn History) -> Result<(), String> {
    a_key_stands_for_one_run(history).await?;
    a_run_that_is_wanted_begins_once(history).await
}

fn wanted(record: &RunRecord, key: Option<&str>) -> Result<Wanted, String> {
    Ok(Wanted {
        run: record.id,
        drill: record.drill.parse().map_err(|_| "no name".to_owned())?,
        key: key.map(str::to_owned),
        overrides: Overrides {
            profile: Some(Profile::FastValidate),
            ..Overrides::default()
        },
    })
}

async fn a_key_stands_for_one_run(history: &dyn History) -> Result<(), String> {
    let (mut first, second) = (requested("asked", 900)?, requested("other", 901)?);
    let own = (first.id, "asked".to_owned());
    let key = Some("a key of theirs");
    for record in [&first, &first, &second] {
        let stands = history.ask(&wanted(record, key)?).await.map_err(text)?;
        require(stands == own, "a key stands for two runs")?;
    }
    first.request_key = key.map(str::to_owned);
    let claim = begin(history, &first, &owner(1)).await.map_err(text)?;
    let stands = history.ask(&wanted(&second, key)?).await.map_err(text)?;
    require(
        stands == own,
        "a key stands for a run no more that has begun",
    )?;
    let left = history.request_of(second.id).await.map_err(text)?;
    require(left.is_none(), "a request is left that stands for nothing")?;
    conclude(history, &claim, &mut first).await.map_err(text)
}

async fn a_run_that_is_wanted_begins_once(history: &dyn History) -> Result<(), String> {
    let (mut first, second) = (requested("wanted", 910)?, requested("wanted", 911)?);
    for record in [&first, &second, &second] {
        let stands = history.ask(&wanted(record, None)?).await.map_err(text)?;
        require(stands.0 == record.id, "another run stands for a request")?;
    }
    let asked = history
        .asked(Duration::ZERO, None, 10)
        .await
        .map_err(text)?;
    let all = [wanted(&first, None)?, wanted(&second, None)?];
    require(asked == all, "requests are not told as they were made")?;
    let asked = history.asked(Duration::ZERO, None, 1).await;
    require(
        asked.map_err(text)? == all[..1],
        "more requests are told than are asked for",
    )?;
    let rest = history.asked(Duration::ZERO, Some(first.id), 10).await;
    require(rest.map_err(text)? == all[1..], "the rest is not told")?;
    let old = history.asked(Duration::from_mins(1), None, 10).await;
    require(old.map_err(text)?.is_empty(), "a new request is an old one")?;

    let claim = begin(history, &first, &owner(1)).await.map_err(text)?;
    let twice = begin(history, &first, &owner(2)).await;
    require(
        matches!(twice, Err(StoreError::Requested { run }) if run == first.id),
        "two processes begin the same run",
    )?;
    let left = history
        .asked(Duration::ZERO, None, 10)
        .await
        .map_err(text)?;
    require(left == all[1..], "a run that has begun is still wanted")?;
    let mut told = vec![history.is_over(first.id).await.map_err(text)?];
    conclude(history, &claim, &mut first).await.map_err(text)?;
    for run in [first.id, second.id] {
        told.push(history.is_over(run).await.map_err(text)?);
        told.push(history.request_of(run).await.map_err(text)?.is_some());
        told.push(history.withdraw(run).await.map_err(text)?);
        told.push(history.withdraw(run).await.map_err(text)?);
    }
    let right = [false, true, false, false, false, false, true, true, false];
    require(told == right, "a request is not taken back once")?;
    let promised = Demand {
        promised: true,
        ..Demand::unlimited(Vec::new())
    };
    let begun = history.begin(&second, &owner(1), &promised).await;
    require(
        matches!(begun, Err(StoreError::Cancelled)),
        "a run begins that nobody wants any more",
    )?;
    let mut third = requested("wanted", 912)?;
    history.ask(&wanted(&third, None)?).await.map_err(text)?;
    let claim = history.begin(&third, &owner(1), &promised).await;
    conclude(history, &claim.map_err(text)?, &mut third)
        .await
        .map_err(text)
}
