//! `lifeboat check`.

use tokio_util::sync::CancellationToken;

use super::{Style, read_drills};
use crate::{
    app::App,
    cli::{
        args::{CheckArgs, Output},
        exit::Exit,
        output,
    },
    domain::{
        check::{Finding, Severity},
        event::EventKind,
        ids::RunId,
    },
    engine::{Context, EventSink},
    spec::drill::Drill,
};

/// A preflight tells by its findings alone.
struct Silent;

impl EventSink for Silent {
    fn emit(&self, _event: EventKind) {}
}

/// Validates drill files and tries out what a run will need.
///
/// # Errors
/// If the result cannot be written.
pub async fn run(app: &App, args: &CheckArgs, style: Style) -> anyhow::Result<Exit> {
    let drills = match read_drills(&args.files) {
        Ok(drills) => drills,
        Err(exit) => return Ok(exit),
    };
    let mut all = Vec::new();
    for drill in &drills {
        let findings = if args.offline {
            Vec::new()
        } else {
            preflight(app, drill).await
        };
        if style.output == Output::Table {
            output::result(&text(drill, &findings, args.offline));
        }
        all.push((drill.name.to_string(), findings));
    }
    if style.output == Output::Json {
        let json: Vec<_> = all
            .iter()
            .map(|(drill, findings)| serde_json::json!({ "drill": drill, "findings": findings }))
            .collect();
        output::result(&serde_json::to_string_pretty(&json)?);
    }
    let failed = all
        .iter()
        .flat_map(|(_, findings)| findings)
        .any(|finding| finding.severity == Severity::Error);
    Ok(if failed { Exit::Failed } else { Exit::Ok })
}

async fn preflight(app: &App, drill: &Drill) -> Vec<Finding> {
    let run = RunId::new(app.clock.now());
    let cx = Context {
        run,
        clock: app.clock.clone(),
        events: std::sync::Arc::new(Silent),
        cancel: CancellationToken::new(),
    };
    let scratch = app.scratch(drill.sandbox.directory.as_deref());
    app.engine(drill, run, &[]).preflight(&cx, &scratch).await
}

fn text(drill: &Drill, findings: &[Finding], offline: bool) -> String {
    let mut lines = vec![format!("{}: the file is valid", drill.name)];
    if offline {
        lines.push("  preflight: untested (--offline)".to_owned());
    }
    for finding in findings {
        lines.extend(lines_of(finding));
    }
    lines.join("\n")
}

/// A finding as people read it: severity, subject, message, and the hint below.
pub(super) fn lines_of(finding: &Finding) -> Vec<String> {
    let severity = match finding.severity {
        Severity::Error => "ERROR",
        Severity::Warning => "warning",
        Severity::Ok => "ok",
    };
    let mut lines = vec![format!(
        "  {severity:<8}{}: {}",
        finding.subject, finding.message
    )];
    lines.extend(
        finding
            .hint
            .iter()
            .map(|hint| format!("          hint: {hint}")),
    );
    lines
}
