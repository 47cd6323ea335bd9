//! Commands and options.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::engine::Fault;

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
    /// What results are printed as
    #[arg(long, short, global = true, value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// No progress, results only
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

/// What results are printed as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Table,
    /// For machines; see docs/run-json.md.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run drills now, one after the other
    Run(RunArgs),
    /// List past runs, newest first
    Runs(RunsArgs),
    /// Show one run in full
    Show(ShowArgs),
    /// Validate drill files and try out everything a run will need
    Check(CheckArgs),
    /// Look at this machine and at the cluster, if there is one
    Doctor(DoctorArgs),
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
pub struct RunsArgs {
    /// Of this drill only
    #[arg(long, value_name = "NAME")]
    pub drill: Option<String>,
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
