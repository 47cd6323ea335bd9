//! The fence: what a process of the copy may reach.
//!
//! It is put up from inside, by the `lifeboat` binary itself: the launcher
//! starts `lifeboat agent exec --fence SPEC -- PROGRAM ARGS…`, which gives up
//! everything that is not needed and then becomes the program. A process
//! cannot take its fence down again, and its children inherit it.
//!
//! Order matters: namespaces and mounts need privileges, the change of user
//! gives them up, and Landlock comes last because it forbids mounting.

mod files;
mod interpreter;
mod namespaces;
mod probe;

use std::{
    ffi::OsString,
    fs::{self, OpenOptions},
    io::Write,
    os::unix::{fs::OpenOptionsExt, process::CommandExt},
    path::PathBuf,
    process::{Command, ExitCode},
};

use nix::{
    sys::{
        prctl,
        signal::Signal,
        stat::{Mode, umask},
    },
    unistd::{Gid, Uid, getppid, setgid, setgroups, setuid},
};
use serde::{Deserialize, Serialize};

pub use probe::{Try, Way, probe};

use super::Account;
use crate::domain::record::Fence;

/// The helper's status when the fence could not be put up.
pub const NO_FENCE: u8 = 125;

/// The helper's status when the program could not be executed.
const NOT_EXECUTED: u8 = 127;

/// What the helper does before it becomes the program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FenceSpec {
    /// Puts up the fence; otherwise only the user and the end change.
    pub confine: bool,
    /// Files and directories that may be written, and read.
    pub writable: Vec<PathBuf>,
    /// What may be read beside the system's own directories.
    pub readable: Vec<PathBuf>,
    /// Programs, or directories of programs, that may be executed.
    pub executable: Vec<PathBuf>,
    /// Directories with sockets of other programs, beside the usual ones.
    #[serde(default)]
    pub hidden: Vec<PathBuf>,
    pub account: Option<Account>,
    /// Goes on when a part of the fence cannot be put up.
    pub allow_unfenced: bool,
    /// Where to write what is in force, as a JSON [`Fence`]; must be writable.
    pub report: Option<PathBuf>,
    /// The process whose end ends this one too.
    pub end_with: Option<i32>,
}

/// Puts up the fence around this very process, for good. The process must
/// have one thread.
///
/// # Errors
/// With what could not be done, where `spec` does not allow to go without.
pub fn enter(spec: &FenceSpec) -> Result<Fence, String> {
    let mut fence = Fence::default();
    if spec.confine {
        umask(Mode::from_bits_truncate(0o022));
        confine(spec, &mut fence)?;
    } else {
        become_account(spec)?;
    }
    umask(Mode::from_bits_truncate(0o077));
    report(spec, &fence)?;
    follow(spec.end_with)?;
    Ok(fence)
}

/// The hidden commands `lifeboat agent exec` and `lifeboat agent probe`:
/// `args` is what follows `agent`. Call it before any thread is started.
#[must_use]
pub fn main(args: &[OsString]) -> ExitCode {
    match act(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err((status, message)) => {
            // Nobody is left to tell if standard error is gone.
            let _ = writeln!(std::io::stderr(), "lifeboat: {message}");
            ExitCode::from(status)
        }
    }
}

fn act(args: &[OsString]) -> Result<(), (u8, String)> {
    let refuse = |message: String| (NO_FENCE, message);
    let [command, flag, spec, dashes, rest @ ..] = args else {
        return Err(refuse("too few arguments for the helper".to_owned()));
    };
    if flag != "--fence" || dashes != "--" || rest.is_empty() {
        return Err(refuse("unknown arguments for the helper".to_owned()));
    }
    let spec: FenceSpec = serde_json::from_slice(spec.as_encoded_bytes())
        .map_err(|error| refuse(format!("cannot read the fence's description: {error}")))?;
    let fence = enter(&spec).map_err(refuse)?;
    match command.to_str() {
        Some("exec") => Err((NOT_EXECUTED, become_program(rest))),
        Some("probe") => probe::answer(&rest[0], fence).map_err(refuse),
        _ => Err(refuse("unknown command for the helper".to_owned())),
    }
}

/// Becomes the program; gives what prevented it.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the launcher's other half"
)]
fn become_program(argv: &[OsString]) -> String {
    let error = Command::new(&argv[0]).args(&argv[1..]).exec();
    format!("cannot execute {}: {error}", argv[0].display())
}

fn confine(spec: &FenceSpec, fence: &mut Fence) -> Result<(), String> {
    // Where root lacks the rights (in a container), the account may still make
    // a user namespace, once it is the account.
    let privileged = namespaces::enter_privileged().is_ok();
    let mut network = Ok(());
    if privileged {
        network = namespaces::hide_sockets(spec);
    }
    become_account(spec)?;
    if !privileged {
        network = namespaces::enter_as_user().and_then(|()| namespaces::hide_sockets(spec));
    }
    match network {
        Ok(()) => fence.network = true,
        Err(error) => missing(spec, fence, format!("no network fence: {error}"))?,
    }
    match files::restrict(spec) {
        Ok(notes) => {
            fence.files = true;
            fence.notes.extend(notes);
        }
        Err(error) => missing(spec, fence, format!("no file fence: {error}"))?,
    }
    Ok(())
}

fn missing(spec: &FenceSpec, fence: &mut Fence, why: String) -> Result<(), String> {
    if !spec.allow_unfenced {
        return Err(format!("cannot put up the fence: {why}"));
    }
    fence.notes.push(why);
    Ok(())
}

fn become_account(spec: &FenceSpec) -> Result<(), String> {
    let Some(account) = spec.account else {
        return Ok(());
    };
    let gid = Gid::from_raw(account.gid);
    setgroups(&[gid])
        .and_then(|()| setgid(gid))
        .and_then(|()| setuid(Uid::from_raw(account.uid)))
        .map_err(|error| format!("cannot become user {}: {error}", account.uid))
}

/// Written as the account and from inside, so that a link laid by an earlier
/// process of the copy leads nowhere.
fn report(spec: &FenceSpec, fence: &Fence) -> Result<(), String> {
    let Some(path) = &spec.report else {
        return Ok(());
    };
    let text = serde_json::to_vec(fence).map_err(|error| error.to_string())?;
    // What an earlier start has left; creating anew says what goes wrong.
    let _ = fs::remove_file(path);
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(path)
        .and_then(|mut file| file.write_all(&text))
        .map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// Asks the kernel to end this process with its parent. The kernel watches
/// the *thread* that started it. Comes last, as changing the user undoes it.
fn follow(parent: Option<i32>) -> Result<(), String> {
    let Some(parent) = parent else { return Ok(()) };
    prctl::set_pdeathsig(Signal::SIGKILL)
        .map_err(|error| format!("cannot follow the parent: {error}"))?;
    // It may have ended before the kernel was asked.
    if getppid().as_raw() == parent {
        Ok(())
    } else {
        Err("the parent is gone".to_owned())
    }
}
