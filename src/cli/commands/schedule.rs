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
    let drills = drills.iter();
    let drills = drills.map(|drill| (&drill.name, drill.schedule.as_ref()));
    let lines = agenda::Line::ahead(drills, from, most);
    output::result(&match kind {
        Output::Json => serde_json::to_string_pretty(&lines)?,
        Output::Table if lines.is_empty() => "none of these drills has a schedule".to_owned(),
        Output::Table => agenda::table(&lines, Look::stdout()),
    });
    Ok(Exit::Ok)
}
