//! `lifeboat fires`.

use super::Style;
use crate::{
    app::App,
    cli::{
        args::{FiresArgs, Output},
        exit::Exit,
        output,
    },
    history::agenda::{Fire, FireFilter, Outcome},
    report::{agenda, text::Look},
};

/// Lists what became of fire times.
///
/// # Errors
/// If the history cannot be read.
pub async fn run(app: &App, args: &FiresArgs, style: Style) -> anyhow::Result<Exit> {
    let filter = FireFilter {
        drills: args.drill.clone().map(|drill| vec![drill]),
        passed: args.passed,
        after: None,
        limit: args.limit,
    };
    let fires = app.history.fires(&filter).await?;
    output::result(&match style.output {
        Output::Json => serde_json::to_string_pretty(&fires)?,
        Output::Table if fires.is_empty() => "no such times".to_owned(),
        Output::Table => {
            let lines: Vec<_> = fires.iter().map(line).collect();
            agenda::past(&lines, Look::stdout())
        }
    });
    Ok(Exit::Ok)
}

fn line(fire: &Fire) -> agenda::Past<'_> {
    agenda::Past {
        drill: &fire.drill,
        scheduled_for: fire.scheduled_for,
        passed: match fire.outcome {
            Outcome::Started { .. } => None,
            Outcome::Passed { reason } => Some(reason),
        },
        run: fire.outcome.run(),
        older: fire.older,
    }
}
