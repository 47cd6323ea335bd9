//! The `lifeboat` binary: reads the command line and dispatches.

use std::{ffi::OsString, path::Path, process::ExitCode};

use clap::CommandFactory;
use lifeboat::{
    app::{self, App, StateDir},
    cli::{
        args::{Cli, Command},
        commands::{self, Style},
        config::{self, Parsed},
        exit::Exit,
        logging, output,
    },
    clock::SystemClock,
    demo,
    process::fence,
    spec::schema,
};

fn main() -> ExitCode {
    // What runs inside a fence starts often and must start fast: no runtime,
    // no command line parser.
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    if let Some((first, rest)) = args.split_first()
        && first == "agent"
    {
        return agent(rest);
    }
    let parsed = config::parse(std::env::args_os().collect());
    match parsed.map_err(Into::into).and_then(run) {
        Ok(exit) => exit.into(),
        Err(error) => {
            output::note(&output::explain(&error));
            Exit::Inconclusive.into()
        }
    }
}

/// What runs next to the data.
fn agent(args: &[OsString]) -> ExitCode {
    let words: Vec<_> = args.iter().map(|arg| arg.to_str()).collect();
    let path = |at: usize| Path::new(&args[at]);
    let done = match words.as_slice() {
        [Some("install"), _] => app::agent::install(path(1)),
        [Some("before"), _] => app::agent::before(path(1)),
        [Some("work"), _] => {
            runtime().and_then(|runtime| runtime.block_on(app::agent::work(path(1))))
        }
        _ => return fence::main(args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::note(&output::explain(&error));
            ExitCode::FAILURE
        }
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers())
        .enable_all()
        .build()?)
}

fn run(parsed: Parsed) -> anyhow::Result<Exit> {
    let cli = &parsed.cli;
    // What nobody sits in front of tells what it does.
    let serves = matches!(cli.command, Command::Serve(_));
    let usual = serves.then(|| tracing::Level::INFO.into());
    if let Some(levels) = cli.global.log.or(usual) {
        logging::begin(levels, cli.global.log_format);
    }
    match &cli.command {
        Command::Config(command) => commands::config::run(command, &parsed),
        Command::Schema => {
            output::result(&serde_json::to_string_pretty(&schema::json_schema())?);
            Ok(Exit::Ok)
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "lifeboat", &mut script);
            output::result(&String::from_utf8(script)?);
            Ok(Exit::Ok)
        }
        Command::Token(args) => commands::serve::token(args),
        Command::Schedule(args) => {
            commands::schedule::run(args, &SystemClock::new(), cli.global.output)
        }
        _ => runtime()?.block_on(with_app(parsed.cli)),
    }
}

/// The heavy work is done by servers and their programs: a thread for each
/// processor of a large machine would only take memory.
fn workers() -> usize {
    const MOST: usize = 4;
    std::thread::available_parallelism().map_or(1, |all| all.get().min(MOST))
}

async fn with_app(cli: Cli) -> anyhow::Result<Exit> {
    let style = Style {
        output: cli.global.output,
        quiet: cli.global.quiet,
    };
    let shared = cli.global.shared();
    let app = App::open(StateDir::choose(cli.global.state_dir)?, shared).await?;
    let traces = app.traces.clone();
    let done = carry_out(&cli.command, app, style).await;
    traces.flush().await;
    done
}

async fn carry_out(command: &Command, app: App, style: Style) -> anyhow::Result<Exit> {
    match command {
        Command::Serve(args) => commands::serve::run(app, args).await,
        Command::Run(args) => commands::run::run(&app, args, style).await,
        Command::Runs(args) => commands::runs::run(&app, args, style).await,
        Command::Fires(args) => commands::fires::run(&app, args, style).await,
        Command::Show(args) => commands::show::run(&app, args, style).await,
        Command::Check(args) => commands::check::run(&app, args, style).await,
        Command::Doctor(args) => commands::doctor::run(&app, args, style).await,
        Command::Demo(args) => demo::demo(&app, args, style).await,
        Command::Sweep => commands::sweep::run(&app, style).await,
        Command::Schema
        | Command::Schedule(_)
        | Command::Token(_)
        | Command::Config(_)
        | Command::Completions { .. }
        | Command::Agent(_) => Ok(Exit::Usage),
    }
}
