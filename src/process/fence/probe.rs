//! Shows that the fence holds, by trying to get out.

use std::{
    ffi::OsStr,
    io::{self, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::{
        linux::net::SocketAddrExt,
        unix::net::{self as unix, UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::{
    domain::{
        failure::{Failure, FailureKind},
        record::{Attempt, Fence},
    },
    process::{Launch, Launcher},
};

/// An empty network answers at once; this is for one that is not.
const PATIENCE: Duration = Duration::from_millis(200);

/// The program that every way out by a program leads to.
const SHELL: &str = "/bin/sh";

/// What must not be possible from inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// Connecting to an address.
    Address(SocketAddr),
    /// Connecting to a unix socket in a file.
    Socket(PathBuf),
    /// Connecting to a unix socket with a name, but no file.
    Abstract(String),
    /// Making a file in a directory.
    Directory(PathBuf),
    /// Running a program.
    Program(PathBuf),
}

/// A way out that is to be tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Try {
    /// What the way leads to, such as `the source`.
    pub to: String,
    pub way: Way,
}

/// Tries from inside a fence like that of `launch` all of `tries`, and to get
/// at listeners on this machine and at a shell. Gives what held.
///
/// # Errors
/// If the fence cannot be put up or the attempts not be made.
pub async fn probe(
    launcher: &Launcher,
    launch: Launch,
    mut tries: Vec<Try>,
    cancel: &CancellationToken,
) -> Result<Fence, Failure> {
    let listeners = Listeners::open(launcher).map_err(|error| unusable(&error))?;
    tries.extend(listeners.tries().map_err(|error| unusable(&error))?);
    tries.push(Try {
        to: "a shell".to_owned(),
        way: Way::Program(SHELL.into()),
    });
    let question = serde_json::to_string(&tries).map_err(|error| unusable(&error))?;
    let finished = launcher.run(launch.probing(question), cancel).await?;
    // Until here, so that "refused" can only be the fence.
    drop(listeners);
    if finished.status.code() == Some(i32::from(super::NO_FENCE)) {
        let said = finished.stderr.last().map_or("no message", String::as_str);
        let said = said.strip_prefix("lifeboat: ").unwrap_or(said);
        return Err(Failure::new(FailureKind::Unavailable, said));
    }
    let finished = finished.success(Path::new("the fence's probe"))?;
    let answer = finished.stdout.last().map_or("", String::as_str);
    serde_json::from_str(answer).map_err(|error| unusable(&error))
}

fn unusable(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(
        FailureKind::Internal,
        format!("cannot probe the fence: {error}"),
    )
}

/// What listens on this machine while the fence is tried.
struct Listeners {
    tcp: TcpListener,
    named: UnixListener,
    name: String,
}

impl Listeners {
    fn open(launcher: &Launcher) -> io::Result<Self> {
        let name = format!("lifeboat-probe-{}", launcher.run);
        Ok(Self {
            tcp: TcpListener::bind(("127.0.0.1", 0))?,
            named: UnixListener::bind_addr(&unix::SocketAddr::from_abstract_name(&name)?)?,
            name,
        })
    }

    fn tries(&self) -> io::Result<[Try; 2]> {
        self.named.set_nonblocking(true)?;
        let to = "a listener on this machine".to_owned();
        Ok([
            Way::Address(self.tcp.local_addr()?),
            Way::Abstract(self.name.clone()),
        ]
        .map(|way| Try {
            to: to.clone(),
            way,
        }))
    }
}

/// The inside: makes the attempts and prints the [`Fence`] as they show it.
pub(super) fn answer(question: &OsStr, mut fence: Fence) -> Result<(), String> {
    let tries: Vec<Try> = serde_json::from_slice(question.as_encoded_bytes())
        .map_err(|error| format!("cannot read what to probe: {error}"))?;
    for one in tries {
        let attempt = one.attempt();
        match one.way {
            Way::Address(_) | Way::Socket(_) | Way::Abstract(_) => {
                fence.network &= attempt.prevented;
            }
            Way::Directory(_) | Way::Program(_) => fence.files &= attempt.prevented,
        }
        fence.attempts.push(attempt);
    }
    let text = serde_json::to_string(&fence).map_err(|error| error.to_string())?;
    writeln!(io::stdout(), "{text}").map_err(|error| error.to_string())
}

impl Try {
    fn attempt(&self) -> Attempt {
        let (verb, place, result) = match &self.way {
            Way::Address(address) => (
                "connect to",
                address.to_string(),
                TcpStream::connect_timeout(address, PATIENCE).map(drop),
            ),
            Way::Socket(path) => (
                "connect to",
                path.display().to_string(),
                UnixStream::connect(path).map(drop),
            ),
            Way::Abstract(name) => ("connect to", format!("@{name}"), connect_to_name(name)),
            Way::Directory(path) => ("write into", path.display().to_string(), write_into(path)),
            Way::Program(path) => ("run", path.display().to_string(), run(path)),
        };
        Attempt {
            from: None,
            what: format!("{verb} {} at {place}", self.to),
            prevented: result.is_err(),
            how: result.map_or_else(|error| error.to_string(), |()| "it was possible".to_owned()),
        }
    }
}

fn connect_to_name(name: &str) -> io::Result<()> {
    let address = unix::SocketAddr::from_abstract_name(name)?;
    UnixStream::connect_addr(&address).map(drop)
}

fn write_into(directory: &Path) -> io::Result<()> {
    let path = directory.join(format!(".lifeboat-probe-{}", std::process::id()));
    std::fs::File::create_new(&path)?;
    std::fs::remove_file(path)
}

#[expect(clippy::disallowed_methods, reason = "this must fail")]
fn run(program: &Path) -> io::Result<()> {
    Command::new(program)
        .args(["-c", ":"])
        .stdin(Stdio::null())
        .status()
        .map(drop)
}
