//! `lifeboat run`.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{Style, read_drills};
use crate::{
    app::{App, reports},
    cli::{
        args::{Output, RunArgs},
        exit::Exit,
        output, screen,
    },
    domain::record::RunRecord,
    engine::Fault,
    report::{self, text::Look},
    runner::store::StoreError,
    spec::drill::Drill,
};

/// The exit status of a process that ended on a second Ctrl-C, as shells
/// count: 128 and the signal's number.
const STOPPED_AT_ONCE: i32 = 130;

/// What is said when runs are cancelled.
pub const GIVING_BACK: &str = "giving everything back; once more to stop at once";

/// Runs the drills one after the other.
///
/// # Errors
/// If the machinery around the drills fails.
pub async fn run(app: &App, args: &RunArgs, style: Style) -> anyhow::Result<Exit> {
    let drills = match read_drills(&args.files) {
        Ok(drills) => drills,
        Err(exit) => return Ok(exit),
    };
    if args.report.is_some() && drills.len() > 1 {
        output::note("--report takes the report of one drill; there are several");
        return Ok(Exit::Usage);
    }
    super::sweep::before(app, &drills, style).await?;
    let cancel = cancel_on_signal(GIVING_BACK);
    let mut worst = Exit::Ok;
    let mut records = Vec::new();
    let mut unwritten = None;
    for drill in &drills {
        if cancel.is_cancelled() {
            break;
        }
        let record = match one(app, drill, &args.negative_control, style, &cancel).await {
            Ok(record) => record,
            Err(error) if is_busy(&error) => {
                output::note(&output::explain(&error));
                worst = worst.max(Exit::Inconclusive);
                continue;
            }
            Err(error) => return Err(error),
        };
        if let Some(path) = &args.report {
            unwritten = unwritten.or(reports::write(&record, path).err());
        }
        if style.output == Output::Table {
            let report = app.state.report(record.id);
            output::result(&report::text::run(&record, Some(&report), Look::stdout()));
        }
        worst = worst.max(Exit::of(&record));
        records.push(record);
    }
    if style.output == Output::Json {
        output::result(&report::json::runs(&records)?);
    }
    unwritten.map_or(Ok(worst), Err)
}

/// Whether only this drill can't be run now.
fn is_busy(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(StoreError::Busy { .. }))
}

/// Runs one drill and keeps its report. Without a report, which `show` can draw
/// anew, the result is as good.
///
/// # Errors
/// If the history cannot be written.
pub async fn one(
    app: &App,
    drill: &Drill,
    faults: &[Fault],
    style: Style,
    cancel: &CancellationToken,
) -> anyhow::Result<RunRecord> {
    let watcher = if style.quiet {
        None
    } else {
        Some(screen::watcher()?)
    };
    let listeners = watcher.iter().map(screen::Watcher::listener).collect();
    let record = app.run(drill, faults, listeners, cancel.clone()).await;
    if let Some(watcher) = &watcher {
        watcher.finish();
    }
    let record = record?;
    if let Err(error) = reports::write(&record, &app.state.report(record.id)) {
        output::note(&output::explain(&error));
    }
    Ok(record)
}

/// The first Ctrl-C or SIGTERM cancels, and says so; the second one ends the
/// process.
pub fn cancel_on_signal(said: &'static str) -> CancellationToken {
    let cancel = CancellationToken::new();
    let token = cancel.clone();
    // Listened to from here on, or one that comes close after another is lost.
    let Ok(mut signals) = Signals::listen() else {
        return cancel;
    };
    tokio::spawn(async move {
        signals.next().await;
        output::note(said);
        token.cancel();
        signals.next().await;
        output::note("stopped at once: the next start or `lifeboat sweep` cleans up");
        std::process::exit(STOPPED_AT_ONCE);
    });
    cancel
}

/// Those that ask a process to end.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
