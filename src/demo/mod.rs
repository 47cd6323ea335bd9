//! `lifeboat demo`: a whole drill against a throw-away database that is being
//! written to, and the same drill on a spoilt copy, which must fail.

mod control;
mod source;
mod writer;

use anyhow::{Context as _, bail};
use tokio_util::sync::CancellationToken;

use crate::{
    app::App,
    cli::{
        args::{DemoArgs, Output},
        commands::{Style, run},
        exit::Exit,
        output,
    },
    domain::{record::RunRecord, verdict::Verdict},
    report::{self, text::Look},
    spec,
};

/// Runs the demo.
///
/// # Errors
/// If PostgreSQL is missing, or a drill does not end as it must.
pub async fn demo(app: &App, args: &DemoArgs, style: Style) -> anyhow::Result<Exit> {
    let cancel = run::cancel_on_signal(run::GIVING_BACK);
    output::note(&format!(
        "making a throw-away database of about {} MiB",
        args.size
    ));
    let mut source = source::Source::start(app, args.size).await?;
    let result = drills(app, &source, style, &cancel).await;
    let written = source.written().await;
    source.remove(app).await?;
    let records = result?;
    let written = written?;
    if style.output == Output::Json {
        output::result(&report::json::runs(&records)?);
    }
    told(style, "");
    for record in &records {
        told(
            style,
            &format!(
                "{} {}: {}",
                record.verdict.map_or("unfinished", Verdict::name),
                if record.negative_control {
                    "negative control"
                } else {
                    "drill"
                },
                app.state.report(record.id).display()
            ),
        );
    }
    told(
        style,
        &format!(
            "{written} transactions were committed meanwhile; the throw-away database and all copies \
         are removed"
        ),
    );
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
    show(app, &record, style);
    if record.verdict != Some(Verdict::Passed) {
        bail!("the drill was to pass");
    }
    output::note("\nnow the negative control: the same drill on a copy that is spoilt");
    let control = run::one(app, &drill, &control::faults(), style, cancel).await?;
    show(app, &control, style);
    control::is_found_out(&control)?;
    Ok(vec![record, control])
}

fn show(app: &App, record: &RunRecord, style: Style) {
    if style.output == Output::Table {
        let report = app.state.report(record.id);
        output::result(&report::text::run(record, Some(&report), Look::stdout()));
    }
}

/// Says something to people: machines get the records on standard output.
fn told(style: Style, text: &str) {
    match style.output {
        Output::Table => output::result(text),
        Output::Json => output::note(text),
    }
}
