//! `lifeboat sweep`, and the sweep before a run.

use super::Style;
use crate::{
    app::App,
    cli::{args::Output, exit::Exit, output},
    domain::verdict::Cleanup,
    sweeper::Swept,
};

/// Sweeps and tells what was done.
///
/// # Errors
/// If history or scratch directories cannot be read.
pub async fn run(app: &App, style: Style) -> anyhow::Result<Exit> {
    let swept = app.sweep(&[]).await?;
    if style.output == Output::Json {
        output::result(&serde_json::to_string_pretty(&json(&swept))?);
    } else {
        output::result(&text(&swept));
    }
    Ok(if swept.leaks.is_empty() {
        Exit::Ok
    } else {
        Exit::Leaked
    })
}

/// Sweeps before a run; says so only if there was something.
///
/// # Errors
/// If history or scratch directories cannot be read.
pub async fn before(app: &App, style: Style) -> anyhow::Result<()> {
    let swept = app.sweep(&[]).await?;
    let idle = swept.runs.is_empty() && swept.removed.is_empty() && swept.leaks.is_empty();
    if !idle && !style.quiet {
        output::note(&text(&swept));
    }
    Ok(())
}

fn text(swept: &Swept) -> String {
    let mut lines = Vec::new();
    for run in &swept.runs {
        let state = if run.cleanup == Cleanup::Clean {
            "released"
        } else {
            "still holds something"
        };
        lines.push(format!(
            "run {} of {}, whose process died: {state}",
            run.id, run.drill
        ));
    }
    for resource in &swept.removed {
        lines.push(format!(
            "removed {}, which belonged to no run",
            resource.key()
        ));
    }
    for leak in &swept.leaks {
        lines.push(format!(
            "cannot remove {}: {}",
            leak.resource.key(),
            leak.reason
        ));
    }
    if lines.is_empty() {
        lines.push("nothing to sweep".to_owned());
    }
    lines.join("\n")
}

fn json(swept: &Swept) -> serde_json::Value {
    serde_json::json!({
        "runs": swept.runs.iter().map(|run| run.id).collect::<Vec<_>>(),
        "removed": swept.removed,
        "leaks": swept.leaks,
    })
}
