//! Runs that have not begun: they are promised, or wait here for room.

use super::{Api, problem::Problem, runs, scope::Scope};
use crate::{
    domain::{
        ids::{DrillName, RunId},
        record::RunRecord,
    },
    history::requests::Wanted,
    runner::{overrides::Overrides, record::not_begun},
    service::DrillState,
    spec::packed::PackedDrill,
};

/// A run that is known.
pub struct Found {
    pub record: RunRecord,
    /// Whether it is in the history; the record is a promise where it is not.
    pub begun: bool,
}

/// A run that is known, be it that it has begun or that it is to begin.
///
/// The race this is made for: a request goes in the very transaction that begins
/// its run. So whoever finds no run, and then no request, may have looked right
/// before the one and right after the other. The run is there then: it is looked
/// for once more.
pub async fn look(api: &Api, scope: &Scope, id: RunId) -> Result<Found, Problem> {
    let mut record = runs::begun(api, id).await?;
    if record.is_none() {
        if let Some(record) = promised(api, scope, id).await? {
            let begun = false;
            return Ok(Found { record, begun });
        }
        record = runs::begun(api, id).await?;
    }
    let record = record.filter(|record| runs::is_shown(api, scope, record));
    let record = record.ok_or_else(|| runs::nobody(&id.to_string()))?;
    let begun = true;
    Ok(Found { record, begun })
}

async fn promised(api: &Api, scope: &Scope, id: RunId) -> Result<Option<RunRecord>, Problem> {
    if let Some(wanted) = api.history.request_of(id).await? {
        let shown = scope.knows(api, wanted.drill.as_str());
        return Ok(shown.then(|| requested(api, wanted)));
    }
    let waits = here(api, scope, id).await?;
    Ok(waits.map(|waits| RunRecord {
        scheduled_for: waits.scheduled_for,
        ..of(api, id, &waits.drill, &Overrides::default())
    }))
}

/// The drill in the scope of which a run goes on here, or waits: the history may
/// not know of that one yet.
pub async fn here(api: &Api, scope: &Scope, id: RunId) -> Result<Option<DrillState>, Problem> {
    let found = api.service.whose(id).await?;
    Ok(found.filter(|one| scope.holds(&one.drill)))
}

/// What is known of a run that somebody has asked for, here or elsewhere.
fn requested(api: &Api, wanted: Wanted) -> RunRecord {
    let Wanted {
        run,
        drill,
        key,
        overrides,
    } = wanted;
    let known = api.catalog.borrow().drill(drill.as_str()).cloned();
    let record = match known {
        Some(known) => of(api, run, &known, &overrides),
        // Another replica may have a file that is not here, or not yet.
        None => bare(api, run, &drill, ""),
    };
    RunRecord {
        request_key: key,
        negative_control: !overrides.negative_control.is_empty(),
        ..record
    }
}

/// What the drill says of it, as it stands now.
fn of(api: &Api, run: RunId, drill: &PackedDrill, overrides: &Overrides) -> RunRecord {
    let bare = bare(api, run, &drill.name, drill.engine);
    let Ok(mut whole) = drill.unpack() else {
        return bare;
    };
    overrides.apply(&mut whole);
    not_begun(&whole, run, bare.requested_at)
}

/// Whoever promises a run makes its id then: so all tell the same time.
fn bare(api: &Api, run: RunId, drill: &DrillName, engine: &str) -> RunRecord {
    let at = run.made_at().unwrap_or_else(|| api.clock.now());
    RunRecord::requested(run, drill.as_str(), engine, at)
}
