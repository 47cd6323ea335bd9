//! Starting a program and waiting for it.

use std::{
    ffi::OsString,
    fs::{File, OpenOptions},
    mem::ManuallyDrop,
    os::unix::{fs::OpenOptionsExt, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, ChildStdout, Command},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::{fence::FenceSpec, tail::Tail};
use crate::domain::{
    failure::{Failure, FailureKind},
    ids::RunId,
};

/// The environment variable that marks every process of a run.
pub const LABEL_VARIABLE: &str = "LIFEBOAT_RUN";

/// How many lines of a child's standard error are kept.
const STDERR_LINES: usize = 200;

/// The user that a process runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub uid: u32,
    pub gid: u32,
}

/// What a process may reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Confinement {
    /// As much as Lifeboat itself: for clients that talk to the source.
    Open,
    /// No network but its own loopback, no writing outside `writable`, and
    /// nothing executed but what lies in `executable`.
    Fenced {
        writable: Vec<PathBuf>,
        executable: Vec<PathBuf>,
    },
}

/// Starts the processes of one run.
#[derive(Debug, Clone)]
pub struct Launcher {
    pub run: RunId,
    /// The `lifeboat` binary, which puts the fence around a process from
    /// inside it. Without one nothing can be fenced.
    pub helper: Option<PathBuf>,
    /// Whom to become; `None` where Lifeboat has no rights to drop.
    pub account: Option<Account>,
    /// Goes on where the fence cannot be put up.
    pub allow_unfenced: bool,
}

/// One program to start.
#[derive(Debug, Clone)]
pub struct Launch {
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(String, OsString)>,
    directory: Option<PathBuf>,
    confinement: Confinement,
    stdin: bool,
    readable: Vec<PathBuf>,
    hidden: Vec<PathBuf>,
    output: Option<PathBuf>,
    fence_report: Option<PathBuf>,
    probe: Option<String>,
}

/// A program that ended.
#[derive(Debug)]
pub struct Finished {
    pub status: ExitStatus,
    pub stdout: Vec<String>,
    /// The last lines only.
    pub stderr: Vec<String>,
}

impl Launch {
    /// `program` with nothing else. Never a shell, never a search in `PATH`.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            directory: None,
            confinement: Confinement::Open,
            stdin: false,
            readable: Vec::new(),
            hidden: Vec::new(),
            output: None,
            fence_report: None,
            probe: None,
        }
    }

    /// Adds an argument. Everyone on the machine can read arguments: no
    /// secrets.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<I: IntoIterator<Item = T>, T: Into<OsString>>(mut self, args: I) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    /// Sets the working directory.
    #[must_use]
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Sets what it may reach.
    #[must_use]
    pub fn confinement(mut self, confinement: Confinement) -> Self {
        self.confinement = confinement;
        self
    }

    /// Opens a pipe to its standard input, instead of an empty one.
    #[must_use]
    pub fn with_stdin(mut self) -> Self {
        self.stdin = true;
        self
    }

    /// Lets a fenced program read these too.
    #[must_use]
    pub fn readable<I: IntoIterator<Item = PathBuf>>(mut self, paths: I) -> Self {
        self.readable.extend(paths);
        self
    }

    /// Hides directories from a fenced program in which other programs have
    /// sockets, beside those where sockets usually are.
    #[must_use]
    pub fn hidden<I: IntoIterator<Item = PathBuf>>(mut self, directories: I) -> Self {
        self.hidden.extend(directories);
        self
    }

    /// Appends standard output and error to a file, made with mode 0600, and
    /// lets the program outlive Lifeboat: for what will be detached.
    #[must_use]
    pub fn output_to(mut self, path: impl Into<PathBuf>) -> Self {
        self.output = Some(path.into());
        self
    }

    /// Where a fenced program's fence is written down, as the JSON of a
    /// [`crate::domain::record::Fence`]; must be writable from inside.
    #[must_use]
    pub fn fence_report(mut self, path: impl Into<PathBuf>) -> Self {
        self.fence_report = Some(path.into());
        self
    }

    /// Tries to get out of the fence, instead of running the program.
    pub(super) fn probing(mut self, question: String) -> Self {
        self.probe = Some(question);
        self
    }

    /// The name to call it in messages.
    fn name(&self) -> String {
        self.program
            .file_name()
            .unwrap_or(self.program.as_os_str())
            .to_string_lossy()
            .into_owned()
    }
}

/// A program that runs. Killed when dropped.
#[derive(Debug)]
pub struct Running {
    pub child: Child,
    pub name: String,
    stderr: JoinHandle<Vec<String>>,
}

impl Launcher {
    /// Starts a program.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(&self, launch: Launch) -> Result<Running, Failure> {
        let mut child = self.spawn(&launch)?;
        let stderr = tokio::spawn(keep_tail(child.stderr.take()));
        Ok(Running {
            child,
            name: launch.name(),
            stderr,
        })
    }

    fn spawn(&self, launch: &Launch) -> Result<Child, Failure> {
        self.command(launch)?.spawn().map_err(|error| {
            Failure::new(
                FailureKind::NotFound,
                format!("cannot start {}: {error}", launch.program.display()),
            )
        })
    }

    /// Runs a program to its end, and hears each line of its standard error
    /// at once; or kills it on cancellation. Standard output is thrown away.
    ///
    /// # Errors
    /// If it cannot be started or was cancelled.
    pub async fn run_hearing(
        &self,
        launch: Launch,
        cancel: &CancellationToken,
        mut hear: impl FnMut(&str) + Send,
    ) -> Result<ExitStatus, Failure> {
        let mut child = self.spawn(&launch)?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        tokio::spawn(keep_tail(stdout));
        let running = Running {
            child,
            name: launch.name(),
            stderr: tokio::spawn(async { Vec::new() }),
        };
        let listening = async {
            if let Some(stderr) = stderr {
                let mut lines = BufReader::new(stderr).split(b'\n');
                while let Ok(Some(line)) = lines.next_segment().await {
                    hear(&String::from_utf8_lossy(&line));
                }
            }
        };
        let (ended, ()) = tokio::join!(running.wait(cancel), listening);
        Ok(ended?.0)
    }

    /// Runs a program to its end, or kills it on cancellation.
    ///
    /// # Errors
    /// If it cannot be started or was cancelled. A bad exit status is not an
    /// error here: see [`Finished::success`].
    pub async fn run(
        &self,
        launch: Launch,
        cancel: &CancellationToken,
    ) -> Result<Finished, Failure> {
        let mut running = self.start(launch)?;
        let stdout = running.child.stdout.take();
        let stdout = tokio::spawn(keep_tail::<ChildStdout>(stdout));
        let (status, stderr) = running.wait(cancel).await?;
        Ok(Finished {
            status,
            stdout: stdout.await.unwrap_or_default(),
            stderr,
        })
    }

    fn command(&self, launch: &Launch) -> Result<Command, Failure> {
        let mut command = self.invocation(launch)?;
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LC_ALL", "C.UTF-8")
            .env(LABEL_VARIABLE, self.run.to_string())
            .envs(launch.env.iter().map(|(k, v)| (k, v)))
            .stdin(if launch.stdin {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .process_group(0)
            .kill_on_drop(true);
        if let Some(path) = &launch.output {
            let file = append_to(path)?;
            let again = file.try_clone().map_err(|error| cannot_log(path, &error))?;
            command.stdout(file).stderr(again);
        } else {
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
        }
        if let Some(directory) = &launch.directory {
            command.current_dir(directory);
        }
        Ok(command)
    }

    /// The program, by way of the helper where there is one: it gives up
    /// rights from inside and then becomes the program, with the same pid.
    fn invocation(&self, launch: &Launch) -> Result<Command, Failure> {
        let fenced = launch.confinement != Confinement::Open;
        let Some(helper) = &self.helper else {
            if launch.probe.is_some() || (fenced && !self.allow_unfenced) {
                return Err(Failure::new(
                    FailureKind::Unavailable,
                    format!("cannot put a fence around {}", launch.name()),
                )
                .hint("lifeboat does not know its own binary, which puts it up"));
            }
            let mut command = Command::new(&launch.program);
            command.args(&launch.args);
            if let Some(account) = self.account {
                command.uid(account.uid).gid(account.gid);
            }
            return Ok(command);
        };
        if !launch.program.is_file() {
            return Err(Failure::new(
                FailureKind::NotFound,
                format!("cannot start {}: no such file", launch.program.display()),
            ));
        }
        let spec = serde_json::to_string(&self.spec(launch)).map_err(|error| {
            Failure::new(
                FailureKind::Invalid,
                format!("cannot describe the fence: {error}"),
            )
        })?;
        let mut command = Command::new(helper);
        let what = if launch.probe.is_some() {
            "probe"
        } else {
            "exec"
        };
        command.args(["agent", what, "--fence", &spec, "--"]);
        if let Some(question) = &launch.probe {
            command.arg(question);
        } else {
            command.arg(&launch.program).args(&launch.args);
        }
        Ok(command)
    }

    fn spec(&self, launch: &Launch) -> FenceSpec {
        let (writable, mut executable) = match &launch.confinement {
            Confinement::Open => (Vec::new(), Vec::new()),
            Confinement::Fenced {
                writable,
                executable,
            } => (writable.clone(), executable.clone()),
        };
        executable.push(launch.program.clone());
        let mut readable = launch.readable.clone();
        // `PREFIX/bin/program` finds its libraries and data beneath PREFIX.
        let bin = launch.program.parent();
        let is_bin = bin.is_some_and(|bin| bin.ends_with("bin"));
        let prefix = bin.filter(|_| is_bin).and_then(Path::parent);
        readable.extend(
            prefix
                .filter(|prefix| prefix.parent().is_some())
                .map(Path::to_owned),
        );
        FenceSpec {
            confine: launch.confinement != Confinement::Open,
            writable,
            readable,
            executable,
            hidden: launch.hidden.clone(),
            account: self.account,
            allow_unfenced: self.allow_unfenced,
            report: launch.fence_report.clone(),
            // The kernel watches the *thread* that started the child, not the
            // process. Tokio's workers live as long as the runtime; never
            // start a program from `spawn_blocking`, whose threads end early.
            end_with: launch.output.is_none().then(|| Pid::this().as_raw()),
        }
    }
}

fn append_to(path: &Path) -> Result<File, Failure> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| cannot_log(path, &error))
}

fn cannot_log(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(
        FailureKind::Unavailable,
        format!("cannot write {}: {error}", path.display()),
    )
}

impl Running {
    /// Lets the program outlive this handle. It must have been started with
    /// [`Launch::output_to`].
    pub fn detach(self) {
        // Dropping a child kills it, and the runtime drops its tasks when it
        // ends: so this one is never dropped, only waited for, so that it
        // does not stay behind as a zombie.
        let mut child = ManuallyDrop::new(self.child);
        tokio::spawn(async move { child.wait().await });
    }

    /// Waits for the end, or kills the program on cancellation. Gives the
    /// status and the last lines of standard error.
    ///
    /// # Errors
    /// If cancelled.
    pub async fn wait(
        mut self,
        cancel: &CancellationToken,
    ) -> Result<(ExitStatus, Vec<String>), Failure> {
        let group = self.child.id();
        let status = tokio::select! {
            status = self.child.wait() => status,
            () = cancel.cancelled() => {
                // Errors mean that it is gone already.
                let _ = self.child.kill().await;
                signal_group(group, Signal::SIGKILL);
                return Err(Failure::new(
                    FailureKind::Cancelled,
                    format!("{} was stopped on request", self.name),
                ));
            }
        };
        let status = status.map_err(|error| {
            Failure::new(
                FailureKind::Internal,
                format!("cannot wait for {}: {error}", self.name),
            )
        })?;
        if status.signal().is_some() {
            signal_group(group, Signal::SIGKILL);
        }
        Ok((status, self.stderr.await.unwrap_or_default()))
    }
}

impl Finished {
    /// Itself if the status is 0.
    ///
    /// # Errors
    /// With the status and the end of standard error otherwise.
    pub fn success(self, program: &Path) -> Result<Self, Failure> {
        if self.status.success() {
            return Ok(self);
        }
        let name = program
            .file_name()
            .unwrap_or(program.as_os_str())
            .to_string_lossy();
        if let Some(failure) = killed(&name, self.status) {
            return Err(failure.diagnosis(self.stderr));
        }
        let last = self
            .stderr
            .last()
            .cloned()
            .unwrap_or_else(|| "no message".to_owned());
        Err(Failure::new(
            FailureKind::Internal,
            format!("{name} ended with {}: {last}", self.status),
        )
        .diagnosis(self.stderr))
    }
}

/// Signals a program and what it has started, which would go on with its work
/// where only the program were ended, and keep the pipes open that are read to
/// their end. The number of the group is not given away again while one of it
/// lives; where none does, the program was reaped an instant ago, so that no
/// other can have it yet unless the numbers went all the way round in between.
pub fn signal_group(leader: Option<u32>, signal: Signal) {
    if let Some(leader) = leader.and_then(|id| i32::try_from(id).ok()) {
        // The only error is that nobody is left.
        let _ = killpg(Pid::from_raw(leader), signal);
    }
}

/// The failure of a program that somebody else killed.
#[must_use]
pub fn killed(name: &str, status: ExitStatus) -> Option<Failure> {
    let signal = status.signal()?;
    Some(
        Failure::new(
            FailureKind::Unavailable,
            format!("{name} was killed by signal {signal}"),
        )
        .hint(KILLED),
    )
}

/// What to do where a program was killed by nobody knows whom.
pub const KILLED: &str = "something outside of Lifeboat ended it: see whether the kernel's log says \
                          that memory ran out, and run the drill again";

async fn keep_tail<R: AsyncRead + Unpin>(stream: Option<R>) -> Vec<String> {
    let mut tail = Tail::new(STDERR_LINES);
    if let Some(stream) = stream {
        let mut lines = BufReader::new(stream).split(b'\n');
        while let Ok(Some(line)) = lines.next_segment().await {
            tail.push(String::from_utf8_lossy(&line).into_owned());
        }
    }
    tail.into_lines()
}
