//! `lifeboat show`.

use anyhow::bail;

use super::Style;
use crate::{
    app::{App, reports},
    cli::{
        args::{Output, ShowArgs},
        exit::Exit,
        output,
    },
    domain::record::RunRecord,
    history::Filter,
    report::{self, text::Look},
};

/// Shows one run.
///
/// # Errors
/// If it is not there, or the name fits several.
pub async fn run(app: &App, args: &ShowArgs, style: Style) -> anyhow::Result<Exit> {
    let record = find(app, &args.run).await?;
    if let Some(path) = &args.html {
        reports::write(&record, path)?;
        output::note(&format!("wrote {}", path.display()));
        return Ok(Exit::Ok);
    }
    output::result(&match style.output {
        Output::Json => report::json::run(&record)?,
        Output::Table => report::text::run(&record, None, Look::stdout()),
    });
    Ok(Exit::Ok)
}

async fn find(app: &App, name: &str) -> anyhow::Result<RunRecord> {
    let mut found = if name == "latest" {
        app.history
            .list(&Filter {
                limit: Some(1),
                ..Filter::default()
            })
            .await?
    } else {
        app.history.find(name).await?
    };
    match (found.pop(), found.is_empty()) {
        (Some(record), true) => Ok(record),
        (None, _) => bail!("no run is called {name}; `lifeboat runs` lists them"),
        (Some(_), false) => bail!("several runs fit {name}; give more of the id"),
    }
}
