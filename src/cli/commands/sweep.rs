//! `lifeboat sweep`, and the sweep before a run.

use super::Style;
use crate::{
    app::App,
    cli::{args::Output, exit::Exit, output},
    domain::{resource::ClusterRef, verdict::Cleanup},
    spec::drill::Drill,
    sweeper::Swept,
};

/// Sweeps and tells what was done.
///
/// # Errors
/// If the history cannot be read or written.
pub async fn run(app: &App, style: Style) -> anyhow::Result<Exit> {
    app.until_silence_counts().await?;
    let swept = app.sweep(None, &[]).await?;
    if style.output == Output::Json {
        output::result(&serde_json::to_string_pretty(&swept.json())?);
    } else {
        output::result(&text(&swept));
    }
    Ok(if !swept.leaks.is_empty() {
        Exit::Leaked
    } else if !swept.unseen.is_empty() {
        Exit::Inconclusive
    } else {
        Exit::Ok
    })
}

/// Sweeps before a run; says so only if there was something.
///
/// # Errors
/// If the history cannot be read or written.
pub async fn before(app: &App, drills: &[Drill], style: Style) -> anyhow::Result<()> {
    let in_clusters = drills
        .iter()
        .filter(|drill| drill.workload.kubernetes().is_some());
    let mut clusters: Vec<ClusterRef> = in_clusters.map(Drill::cluster).collect();
    clusters.dedup();
    let swept = app.sweep(Some(&clusters), &[]).await?;
    let lines = lines(&swept);
    if !lines.is_empty() && !style.quiet {
        output::note(&lines.join("\n"));
    }
    Ok(())
}

fn text(swept: &Swept) -> String {
    match lines(swept) {
        lines if lines.is_empty() => "nothing to sweep".to_owned(),
        lines => lines.join("\n"),
    }
}

fn lines(swept: &Swept) -> Vec<String> {
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
    let unseen = swept.unseen.iter();
    lines.extend(unseen.map(|failure| format!("not looked at: {failure}")));
    lines
}
