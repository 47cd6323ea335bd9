//! Commands and options.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};

use jiff::Timestamp;

use super::logging::Levels;
use crate::{
    api::Role,
    app::Shared,
    engine::Fault,
    history::{Conclusion, agenda::Why},
};

/// Proves that backups can be restored: restores them, checks the data, and
/// measures how long it takes and what would be lost.
#[derive(Debug, Parser)]
#[command(name = "lifeboat", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  lifeboat demo                        a whole drill against a throw-away database
  lifeboat serve drills/               run drills by their schedules
  lifeboat check drills/shop.yaml      is everything there that the drill needs?
  lifeboat run drills/shop.yaml        run the drill, with live progress
  lifeboat runs --drill shop           what happened so far
  lifeboat show latest --html run.html the whole story of one run

Exit status: 0 passed, 1 failed, 2 usage or drill file, 3 inconclusive, 4 something left behind.";

/// Options of every command.
#[derive(Debug, Args)]
pub struct Global {
    /// Where history, reports and scratch directories are kept
    /// [default: ~/.local/state/lifeboat, for root /var/lib/lifeboat]
    #[arg(long, global = true, env = "LIFEBOAT_STATE_DIR", value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// A PostgreSQL database that keeps the history for several processes, instead of a file in
    /// the state directory; its password may come from PGPASSWORD or PGPASSFILE
    #[arg(
        long,
        global = true,
        env = "LIFEBOAT_HISTORY",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub history: Option<String>,
    /// With --history: who says nothing for so long is held for dead, and its runs are ended
    #[arg(
        long,
        global = true,
        env = "LIFEBOAT_CLAIM",
        default_value = "30s",
        value_parser = duration,
        hide_short_help = true,
        value_name = "TIME"
    )]
    pub claim: Duration,
    /// What results are printed as
    #[arg(long, short, global = true, value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// No progress, results only
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// A file with settings, in YAML: options without their dashes, such as `maxRuns: 4`
    #[arg(long, global = true, env = "LIFEBOAT_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to tell of what goes on: error, warn, info, debug or trace. Who asked a service to change
    /// something is told in any case, but with `,audit=off` behind it
    #[arg(
        long,
        global = true,
        env = "LIFEBOAT_LOG",
        hide_short_help = true,
        value_name = "LEVEL"
    )]
    pub log: Option<Levels>,
    /// How that is written
    #[arg(
        long,
        global = true,
        env = "LIFEBOAT_LOG_FORMAT",
        value_enum,
        default_value_t = LogFormat::Text,
        hide_short_help = true
    )]
    pub log_format: LogFormat,
}

impl Global {
    /// The history that others share, if there is one.
    #[must_use]
    pub fn shared(&self) -> Option<Shared> {
        let claim = self.claim;
        self.history.clone().map(|url| Shared { url, claim })
    }
}

/// What results are printed as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Table,
    /// For machines; see docs/run-json.md.
    Json,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object for each line.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run drills now, one after the other
    Run(RunArgs),
    /// List past runs, newest first
    Runs(RunsArgs),
    /// List the times at which drills were due, newest first: which run each has, or why none
    Fires(FiresArgs),
    /// Show one run in full
    Show(ShowArgs),
    /// Validate drill files and try out everything a run will need
    Check(CheckArgs),
    /// Look at this machine and at the cluster, if there is one
    Doctor(DoctorArgs),
    /// Show what the schedules of drills will run when
    Schedule(ScheduleArgs),
    /// Run drills by their schedules, with an HTTP API and metrics
    Serve(ServeArgs),
    /// Show or check the settings of a service
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Make a token for the service's API
    Token(TokenArgs),
    /// Finish or release the runs of dead processes and remove what they left
    Sweep,
    /// Print the JSON schema of drill files
    Schema,
    /// Print a completion script for a shell
    Completions { shell: clap_complete::Shell },
    /// Run a whole drill and its negative control against a throw-away database
    Demo(DemoArgs),
    /// Work done inside the sandbox
    #[command(hide = true)]
    Agent(AgentArgs),
}

/// Options of `run`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lifeboat run drills/shop.yaml
  lifeboat run drills/*.yaml --output json
  lifeboat run drills/shop.yaml --negative-control row-byte,index

The first Ctrl-C gives everything back and ends the run as inconclusive; the second one ends at
once, and the next start or `lifeboat sweep` cleans up.")]
pub struct RunArgs {
    /// Drill files
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Spoil the copy on purpose: the drill must fail
    #[arg(long, value_enum, value_delimiter = ',', value_name = "FAULTS")]
    pub negative_control: Vec<Fault>,
    /// Write the HTML report there, too
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

/// Options of `runs`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lifeboat runs --drill shop --limit 5
  lifeboat runs --verdict failed,inconclusive --since 2026-01-01T00:00:00Z
  lifeboat runs --verdict none")]
pub struct RunsArgs {
    /// Of this drill only
    #[arg(long, value_name = "NAME")]
    pub drill: Option<String>,
    /// With one of these verdicts: passed, failed, inconclusive, or none for runs that go on
    #[arg(long, value_delimiter = ',', value_name = "VERDICTS")]
    pub verdict: Vec<Conclusion>,
    /// Requested then or later, as 2026-01-01T00:00:00Z
    #[arg(long, value_name = "TIME")]
    pub since: Option<Timestamp>,
    /// Requested before
    #[arg(long, value_name = "TIME")]
    pub until: Option<Timestamp>,
    /// Only runs whose copy was spoilt on purpose, or none of them
    #[arg(long, value_name = "YES")]
    pub negative_control: Option<bool>,
    /// At most so many
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub limit: u32,
}

/// Options of `fires`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lifeboat fires --drill shop
  lifeboat fires --passed any
  lifeboat fires --passed budget --limit 100")]
pub struct FiresArgs {
    /// Of this drill only
    #[arg(long, value_name = "NAME")]
    pub drill: Option<String>,
    /// That passed without a run: missed, blackout, suspended, overlap, budget, cancelled, or any
    #[arg(long, value_name = "REASON")]
    pub passed: Option<Why>,
    /// At most so many
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub limit: u32,
}

/// Options of `show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The run's id, the beginning or end of it, or `latest`
    pub run: String,
    /// Write the HTML report there instead
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// Options of `serve`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lifeboat serve drills/
  lifeboat serve /etc/lifeboat/drills --listen 0.0.0.0:8650 --tokens /etc/lifeboat/tokens.yaml
  lifeboat serve --config /etc/lifeboat/config.yaml
  lifeboat serve drills/ --history postgresql://lifeboat@db.example/lifeboat

Drill files are read again when they change. The first SIGTERM or Ctrl-C starts nothing more and
waits for the runs that go on; the second one ends at once, and the next start cleans up.")]
pub struct ServeArgs {
    /// Drill files, and folders with drill files
    #[arg(value_name = "PLACE", env = "LIFEBOAT_DRILLS", value_delimiter = ':')]
    pub drills: Vec<PathBuf>,
    /// Address of the HTTP API
    #[arg(
        long,
        env = "LIFEBOAT_LISTEN",
        default_value = "127.0.0.1:8650",
        value_name = "ADDRESS"
    )]
    pub listen: std::net::SocketAddr,
    /// A file with the tokens that are taken; needed for other addresses than this machine's own
    #[arg(long, env = "LIFEBOAT_TOKENS", value_name = "FILE")]
    pub tokens: Option<PathBuf>,
    /// Ask the API server of Kubernetes about tokens that are none of these, and whether who has
    /// one may `get` or `post` what is asked for
    #[arg(long, env = "LIFEBOAT_KUBERNETES_AUTH")]
    pub kubernetes_auth: bool,
    /// A file with those who are told how runs ended
    #[arg(long, env = "LIFEBOAT_NOTIFY", value_name = "FILE")]
    pub notify: Option<PathBuf>,
    /// Serve HTTPS with the certificates in this file, PEM, the service's own first
    #[arg(long, env = "LIFEBOAT_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// The key of the certificate, PEM
    #[arg(long, env = "LIFEBOAT_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// At most so many runs at once; 0 for no limit
    #[arg(long, env = "LIFEBOAT_MAX_RUNS", default_value_t = 4, value_name = "N")]
    pub max_runs: usize,
    /// The same, against one source
    #[arg(
        long,
        env = "LIFEBOAT_MAX_RUNS_PER_SOURCE",
        default_value_t = 1,
        value_name = "N"
    )]
    pub max_runs_per_source: usize,
    /// The same, of workloads in one namespace
    #[arg(
        long,
        env = "LIFEBOAT_MAX_RUNS_PER_NAMESPACE",
        default_value_t = 0,
        value_name = "N"
    )]
    pub max_runs_per_namespace: usize,
    /// The same, with volumes of one storage class
    #[arg(
        long,
        env = "LIFEBOAT_MAX_RUNS_PER_STORAGE_CLASS",
        default_value_t = 0,
        value_name = "N"
    )]
    pub max_runs_per_storage_class: usize,
    /// How long runs may go on when the service is to stop
    #[arg(long, env = "LIFEBOAT_GRACE", default_value = "20s", value_parser = duration)]
    pub grace: Duration,
    /// Leave runs whose copies go on in a cluster to the service that starts next, instead of ending
    /// them after the grace
    #[arg(long, env = "LIFEBOAT_PARK")]
    pub park: bool,
    /// How often to look for what nobody owns
    #[arg(long, env = "LIFEBOAT_SWEEP_EVERY", default_value = "10m", value_parser = duration)]
    pub sweep_every: Duration,
    /// How long runs are kept in the history; 0s for ever. The newest run of a drill and the newest
    /// that passed always are
    #[arg(long, env = "LIFEBOAT_KEEP", default_value = "400d", value_parser = duration, value_name = "TIME")]
    pub keep: Duration,
}

/// What to do with settings.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Show what `serve` would be set to, and what says so
    Show(ServeArgs),
    /// Read everything that the settings name, and say what `serve` would refuse
    Check(ServeArgs),
}

/// Options of `token`.
#[derive(Debug, Args)]
pub struct TokenArgs {
    /// Whose it is
    pub name: String,
    /// What may be done with it
    #[arg(long, value_enum, default_value_t = Role::Viewer)]
    pub role: Role,
    /// Show only drills of workloads in this namespace; may be given several times
    #[arg(long, value_name = "NAMESPACE")]
    pub namespace: Vec<String>,
    /// Show only drills with this label; of several all are needed
    #[arg(long, value_name = "NAME=VALUE", value_parser = label)]
    pub label: Vec<(String, String)>,
}

fn label(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("use NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn duration(text: &str) -> Result<Duration, String> {
    crate::spec::duration::parse(text).ok_or("use a number with a unit, such as 30s".to_owned())
}

/// Options of `schedule`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lifeboat schedule drills/*.yaml --next 20
  lifeboat schedule drills/shop.yaml --from 2027-03-27T00:00:00Z")]
pub struct ScheduleArgs {
    /// Drill files
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// So many fire times
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub next: u32,
    /// Those after this time [default: now]
    #[arg(long, value_name = "TIME")]
    pub from: Option<Timestamp>,
}

/// Options of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Drill files
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Only read the files; talk to nobody
    #[arg(long)]
    pub offline: bool,
}

/// Options of `doctor`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lifeboat doctor
  lifeboat doctor --context staging --namespace shop --namespace billing

The cluster is looked at where a kubeconfig or a pod's own account is found, or named here.")]
pub struct DoctorArgs {
    /// A kubeconfig file [default: as kubectl finds it]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// A context in it [default: the current one]
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// A namespace with workloads: the rights there are tried, too
    #[arg(long, value_name = "NAME")]
    pub namespace: Vec<String>,
}

/// Options of `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Size of the throw-away database, in MiB
    #[arg(long, default_value_t = 300, value_name = "MIB")]
    pub size: u32,
}

/// What follows `agent`, which is read by the agent itself.
#[derive(Debug, Args)]
pub struct AgentArgs {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub rest: Vec<std::ffi::OsString>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
