//! `lifeboat demo`: a whole drill against a throw-away database that is being
//! written to, and the same drill on a spoilt copy, which must fail.

mod source;

use anyhow::{Context as _, bail};
use tokio_util::sync::CancellationToken;

use crate::{
    app::App,
    cli::{
        args::DemoArgs,
        commands::{Style, run},
        exit::Exit,
        output,
    },
    domain::{record::RunRecord, verdict::Verdict},
    engine::Fault,
    report::{self, text::Look},
    spec,
};

/// What the negative control spoils, and the checks that must notice.
const CONTROL: [(Fault, &str); 3] = [
    (Fault::RowByte, "fingerprints"),
    (Fault::CanaryWrite, "canary"),
    (Fault::Index, "integrity"),
];

/// Runs the demo.
///
/// # Errors
/// If PostgreSQL is missing, or a drill does not end as it must.
pub async fn demo(app: &App, args: &DemoArgs, style: Style) -> anyhow::Result<Exit> {
    let cancel = run::cancel_on_signal();
    output::note(&format!(
        "making a throw-away database of about {} MiB",
        args.size
    ));
    let source = source::Source::start(app, args.size).await?;
    let result = drills(app, &source, style, &cancel).await;
    source.remove(app).await?;
    let records = result?;
    output::result("");
    for record in &records {
        output::result(&format!(
            "{} {}: {}",
            record.verdict.map_or("unfinished", Verdict::name),
            if record.negative_control {
                "negative control"
            } else {
                "drill"
            },
            app.state.report(record.id).display()
        ));
    }
    output::result("the throw-away database and all copies are removed");
    Ok(Exit::Ok)
}

async fn drills(
    app: &App,
    source: &source::Source,
    style: Style,
    cancel: &CancellationToken,
) -> anyhow::Result<Vec<RunRecord>> {
    let drill = spec::parse(&source.drill(), std::path::Path::new("demo.yaml"))
        .context("the demo's own drill file")?;
    let record = run::one(app, &drill, &[], style, cancel).await?;
    show(app, &record);
    if record.verdict != Some(Verdict::Passed) {
        bail!("the drill was to pass");
    }
    output::note("\nnow the negative control: the same drill on a copy that is spoilt");
    let faults = CONTROL.map(|(fault, _)| fault);
    let control = run::one(app, &drill, &faults, style, cancel).await?;
    show(app, &control);
    let noticed: Vec<&str> = failed_checks(&control);
    let mut expected: Vec<&str> = CONTROL.iter().map(|(_, check)| *check).collect();
    expected.sort_unstable();
    if noticed != expected {
        bail!("the negative control was to fail {expected:?} and failed {noticed:?}");
    }
    Ok(vec![record, control])
}

fn failed_checks(record: &RunRecord) -> Vec<&str> {
    use crate::domain::check::Outcome;
    let failed = record
        .checks
        .iter()
        .filter(|check| check.outcome == Outcome::Fail);
    let mut names: Vec<&str> = failed.map(|check| check.name.as_str()).collect();
    names.sort_unstable();
    names
}

fn show(app: &App, record: &RunRecord) {
    let report = app.state.report(record.id);
    output::result(&report::text::run(record, Some(&report), Look::stdout()));
}
