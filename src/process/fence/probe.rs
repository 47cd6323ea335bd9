//! Shows that the fence holds, by trying to get out.

use std::{
    ffi::{OsStr, OsString},
    io::{self, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::{
    domain::{
        failure::{Failure, FailureKind},
        record::Fence,
    },
    process::{Launch, Launcher},
};

/// An empty network answers at once; this is for one that is not.
const PATIENCE: Duration = Duration::from_millis(200);

/// What must not be reached from inside.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Outside {
    /// Addresses, first of all the source's.
    pub addresses: Vec<SocketAddr>,
    /// Unix sockets, first of all the source's.
    pub sockets: Vec<PathBuf>,
    /// A directory outside the sandbox in which a file is tried to be made.
    pub directory: PathBuf,
}

/// Tries from inside a fence like that of `launch` to get at `outside`, at a
/// listener on this machine's loopback, at a file and at a shell. Gives what
/// held, with a note on each attempt.
///
/// # Errors
/// If the fence cannot be put up or the attempts not be made.
pub async fn probe(
    launcher: &Launcher,
    launch: Launch,
    mut outside: Outside,
    cancel: &CancellationToken,
) -> Result<Fence, Failure> {
    let invalid = |error: &dyn std::fmt::Display| {
        Failure::new(
            FailureKind::Internal,
            format!("cannot probe the fence: {error}"),
        )
    };
    // Lives until the answer is there, so that "refused" can only be the fence.
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(|error| invalid(&error))?;
    let address = listener.local_addr().map_err(|error| invalid(&error))?;
    outside.addresses.push(address);
    let question = serde_json::to_string(&outside).map_err(|error| invalid(&error))?;
    let finished = launcher.run(launch.probing(question), cancel).await?;
    let finished = finished.success(Path::new("the fence's probe"))?;
    serde_json::from_str(finished.stdout.last().map_or("", String::as_str))
        .map_err(|error| invalid(&error))
}

/// The inside: makes the attempts and prints the [`Fence`] as they show it.
pub(super) fn answer(question: &OsStr, fence: Fence) -> Result<(), String> {
    let outside: Outside = serde_json::from_slice(question.as_encoded_bytes())
        .map_err(|error| format!("cannot read what to probe: {error}"))?;
    let shown = attempt_all(&outside, fence);
    let text = serde_json::to_string(&shown).map_err(|error| error.to_string())?;
    writeln!(io::stdout(), "{text}").map_err(|error| error.to_string())
}

fn attempt_all(outside: &Outside, mut fence: Fence) -> Fence {
    for address in &outside.addresses {
        let result = TcpStream::connect_timeout(address, PATIENCE).map(drop);
        fence.network &= note(&mut fence.notes, &format!("connect to {address}"), result);
    }
    for socket in &outside.sockets {
        let result = UnixStream::connect(socket).map(drop);
        let what = format!("connect to {}", socket.display());
        fence.network &= note(&mut fence.notes, &what, result);
    }
    let what = format!("write into {}", outside.directory.display());
    let result = write_into(&outside.directory);
    fence.files &= note(&mut fence.notes, &what, result);
    fence.files &= note(&mut fence.notes, "run a shell", run_shell());
    fence
}

/// Writes down what came of an attempt; true if it failed as it should.
fn note(notes: &mut Vec<String>, what: &str, result: io::Result<()>) -> bool {
    notes.push(match &result {
        Ok(()) => format!("{what}: POSSIBLE"),
        Err(error) => format!("{what}: prevented ({error})"),
    });
    result.is_err()
}

fn write_into(directory: &Path) -> io::Result<()> {
    let path = directory.join(format!(".lifeboat-probe-{}", std::process::id()));
    std::fs::File::create_new(&path)?;
    std::fs::remove_file(path)
}

#[expect(clippy::disallowed_methods, reason = "this must fail")]
fn run_shell() -> io::Result<()> {
    Command::new(OsString::from("/bin/sh"))
        .args(["-c", ":"])
        .stdin(Stdio::null())
        .status()
        .map(drop)
}
