//! `lifeboat schedule`.

use super::read_drills;
use crate::{
    cli::{
        args::{Output, ScheduleArgs},
        exit::Exit,
        output,
    },
    clock::Clock,
    report::{agenda, text::Look},
    spec::drill::Drill,
};

/// Shows what will run when.
///
/// # Errors
/// If the result cannot be written.
pub fn run(args: &ScheduleArgs, clock: &dyn Clock, kind: Output) -> anyhow::Result<Exit> {
    let drills = match read_drills(&args.files) {
        Ok(drills) => drills,
        Err(exit) => return Ok(exit),
    };
    let from = args.from.unwrap_or_else(|| clock.now());
    let most = usize::try_from(args.next)?;
    let timed = drills.iter();
    let timed = timed.map(|drill| (&drill.name, drill.schedule.as_ref(), from));
    let lines = agenda::Line::ahead(timed, most);
    output::result(&match kind {
        Output::Json => serde_json::to_string_pretty(&lines)?,
        Output::Table => table(&lines, &drills),
    });
    Ok(Exit::Ok)
}

fn table(lines: &[agenda::Line], drills: &[Drill]) -> String {
    let mut said = Vec::new();
    if !lines.is_empty() {
        said.push(agenda::table(lines, Look::stdout()));
    }
    let waits = |drill: &&Drill| {
        let schedule = drill.schedule.as_ref();
        schedule.is_some_and(|schedule| schedule.trigger.looks().is_some())
    };
    let waiting = drills.iter().filter(waits);
    said.extend(waiting.map(|drill| format!("{} runs after each new backup", drill.name)));
    if said.is_empty() {
        return "none of these drills has a schedule".to_owned();
    }
    said.join("\n")
}
