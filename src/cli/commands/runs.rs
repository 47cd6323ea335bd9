//! `lifeboat runs`.

use super::Style;
use crate::{
    app::App,
    cli::{
        args::{Output, RunsArgs},
        exit::Exit,
        output,
    },
    history::Filter,
    report::{self, text::Look},
};

/// Lists past runs.
///
/// # Errors
/// If the history cannot be read.
pub async fn run(app: &App, args: &RunsArgs, style: Style) -> anyhow::Result<Exit> {
    let filter = Filter {
        drills: args.drill.clone().map(|drill| vec![drill]),
        conclusions: (!args.verdict.is_empty()).then(|| args.verdict.iter().copied().collect()),
        since: args.since,
        until: args.until,
        negative_control: args.negative_control,
        after: None,
        limit: Some(args.limit),
    };
    let records = app.history.list(&filter).await?;
    output::result(&match style.output {
        Output::Json => report::json::runs(&records)?,
        Output::Table if records.is_empty() => "no such runs".to_owned(),
        Output::Table => report::list::runs(&records, Look::stdout()),
    });
    Ok(Exit::Ok)
}
