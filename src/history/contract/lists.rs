//! Lists of runs.

use super::{begin, conclude, conclude_as, owner, requested, require, text};
use crate::{
    domain::{record::RunRecord, summary::RunSummary, verdict::Verdict},
    history::{Conclusion, Filter, History},
};

pub(super) async fn suite(history: &dyn History) -> Result<(), String> {
    runs_are_listed_newest_first(history).await?;
    the_newest_of_many_drills_are_listed(history).await?;
    runs_are_found_by_what_came_of_them(history).await
}

async fn runs_are_listed_newest_first(history: &dyn History) -> Result<(), String> {
    let mut newest = None;
    for second in 40..45 {
        let mut record = requested("listed", second)?;
        let claim = begin(history, &record, &owner(1)).await.map_err(text)?;
        conclude(history, &claim, &mut record).await.map_err(text)?;
        newest = Some(record);
    }
    let newest = newest.ok_or("no run")?;
    let filter = Filter {
        drills: Some(vec!["listed".to_owned()]),
        limit: Some(3),
        ..Filter::default()
    };
    let listed = history.list(&filter).await.map_err(text)?;
    let told = history.summaries(&filter).await.map_err(text)?;
    let parts: Vec<_> = listed.iter().map(RunSummary::from).collect();
    require(told == parts, "a list of summaries tells what is not so")?;
    for (drills, count) in [
        (vec![], 0),
        (vec!["nobody"], 0),
        (vec!["nobody", "listed"], 3),
        (vec!["listed", "nobody", "listed"], 3),
    ] {
        let of_these = Filter {
            drills: Some(drills.into_iter().map(str::to_owned).collect()),
            ..filter.clone()
        };
        let found = history.list(&of_these).await.map_err(text)?;
        require(
            found == listed[..count],
            "drills that are asked for are not told",
        )?;
    }
    let rest = Filter {
        after: listed.last().map(Into::into),
        ..filter.clone()
    };
    let rest = history.list(&rest).await.map_err(text)?;
    require(
        rest.len() == 2 && rest.iter().all(|record| !listed.contains(record)),
        "a list does not go on where it was left",
    )?;
    let of_two = Filter {
        drills: Some(vec!["nobody".to_owned(), "listed".to_owned()]),
        after: listed.last().map(Into::into),
        limit: Some(3),
        ..Filter::default()
    };
    let of_two = history.list(&of_two).await.map_err(text)?;
    require(of_two == rest, "a list of two drills does not go on")?;
    let since = newest.requested_at;
    let concluded = history.concluded(since, 1).await.map_err(text)?;
    require(
        concluded
            .iter()
            .map(|(at, record)| (*at, record))
            .collect::<Vec<_>>()
            == [(since, &newest)],
        "the run that was concluded last is not told as such",
    )?;
    require(listed.len() == 3, "the limit is not kept")?;
    require(
        listed.first() == Some(&newest),
        "the newest run is not first",
    )?;
    let all = history.list(&Filter::default()).await.map_err(text)?;
    require(all.len() > 5, "a list without filter is not whole")?;
    let id = newest.id.to_string();
    let (head, tail) = (&id[..20], &id[id.len() - 12..]);
    for part in [id.as_str(), head, tail] {
        let found = history.find(part).await.map_err(text)?;
        require(found.contains(&newest), "a run is not found by its id")?;
    }
    let none = history.find("zzz").await.map_err(text)?;
    require(none.is_empty(), "a run is found by a wrong id")
}

/// Some drills have many runs, some few, and two of the same instant.
async fn the_newest_of_many_drills_are_listed(history: &dyn History) -> Result<(), String> {
    const OFTEN: [i64; 6] = [1, 2, 2, 5, 13, 40];
    for (number, every) in OFTEN.into_iter().enumerate() {
        for second in (0..40).step_by(usize::try_from(every).unwrap_or(1)) {
            let mut record = requested(&format!("many-{number}"), 2_000 + second)?;
            let claim = begin(history, &record, &owner(1)).await.map_err(text)?;
            conclude(history, &claim, &mut record).await.map_err(text)?;
        }
    }
    let name = |number: &usize| format!("many-{number}");
    for drills in [&[0, 5][..], &[3, 4, 5], &[1, 2], &[0, 1, 2, 3, 4, 5, 6]] {
        let mut filter = Filter {
            drills: Some(drills.iter().map(name).collect()),
            ..Filter::default()
        };
        // Without a limit it is asked in another way.
        let all = history.list(&filter).await.map_err(text)?;
        for limit in [1, 2, 3, 7, 20, 100_u32] {
            filter.limit = Some(limit);
            filter.after = None;
            let mut listed: Vec<RunRecord> = Vec::new();
            loop {
                let page = history.list(&filter).await.map_err(text)?;
                let Some(last) = page.last() else { break };
                filter.after = Some(last.into());
                listed.extend(page);
            }
            if listed != all {
                return Err(format!("pages of {limit} runs of {drills:?} are not all"));
            }
        }
    }
    Ok(())
}

/// Each filter gives what a look at all runs gives.
async fn runs_are_found_by_what_came_of_them(history: &dyn History) -> Result<(), String> {
    for number in 0..12_u8 {
        let drill = format!("varied-{}", number % 3);
        let mut record = requested(&drill, 3_000 + i64::from(number))?;
        record.negative_control = number % 4 == 1;
        let claim = begin(history, &record, &owner(1)).await.map_err(text)?;
        // Of each drill, the last one goes on.
        if number < 9 {
            let verdict = Verdict::ALL[usize::from(number % 4) % 3];
            let concluded = conclude_as(history, &claim, &mut record, verdict).await;
            concluded.map_err(text)?;
        }
    }
    let all = history.list(&Filter::default()).await.map_err(text)?;
    let at = |second: i64| Ok::<_, String>(Some(requested("varied", 3_000 + second)?.requested_at));
    let passed = Conclusion::As(Verdict::Passed);
    let failed = Conclusion::As(Verdict::Failed);
    let drills = [
        None,
        Some(vec!["varied-0".to_owned()]),
        Some(vec!["varied-1".to_owned(), "varied-2".to_owned()]),
    ];
    for drills in drills {
        for (conclusions, since, until, negative_control) in [
            (Some(vec![passed]), None, None, None),
            (Some(vec![failed]), None, at(9)?, None),
            (Some(vec![failed, Conclusion::None]), at(3)?, None, None),
            (Some(vec![]), None, None, None),
            (None, at(2)?, at(7)?, Some(false)),
            (None, None, None, Some(true)),
        ] {
            let filter = Filter {
                drills: drills.clone(),
                conclusions: conclusions.map(|all| all.into_iter().collect()),
                since,
                until,
                negative_control,
                after: None,
                limit: Some(4),
            };
            let fitting = all.iter().filter(|record| filter.fits(record));
            let fitting: Vec<RunRecord> = fitting.take(4).cloned().collect();
            let found = history.list(&filter).await.map_err(text)?;
            if found != fitting {
                return Err(format!("{filter:?} gives what does not fit"));
            }
        }
    }
    for record in all.iter().filter(|run| run.verdict.is_none()) {
        let mut record = record.clone();
        if record.drill.starts_with("varied-") {
            let claim = crate::runner::store::Claim {
                run: record.id,
                epoch: 1,
            };
            conclude(history, &claim, &mut record).await.map_err(text)?;
        }
    }
    Ok(())
}
