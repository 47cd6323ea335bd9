//! PostgreSQL's own programs on this machine: which there are, and which one
//! fits a server.

use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Mutex,
    time::{Duration, SystemTime},
};

use crate::domain::failure::{Failure, FailureKind};

/// Where Debian's packages of every major version put their programs.
const DEBIAN_ROOT: &str = "/usr/lib/postgresql";

/// The perl script that Debian puts in `PATH` under every program's name. It
/// picks a version by the machine's own clusters, which is not ours to use.
const DEBIAN_WRAPPER: &str = "pg_wrapper";

/// How long a program may take to tell its version.
const VERSION_TIMEOUT: Duration = Duration::from_secs(5);
const VERSION_POLL: Duration = Duration::from_millis(2);

/// What `pg_dump --version` said, by program and its modification time: each
/// is asked once per process, and again after an upgrade.
static VERSIONS: Mutex<BTreeMap<(PathBuf, SystemTime), Option<String>>> =
    Mutex::new(BTreeMap::new());

/// A directory that holds `pg_dump` and whatever else of the same version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolSet {
    pub bin_directory: PathBuf,
    pub major: u16,
    /// As the program tells it, such as `15.18`.
    pub version: String,
}

/// Every set of tools that was found, most wanted first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tools {
    found: Vec<ToolSet>,
}

impl ToolSet {
    /// The path of one of its programs, whether or not it is there.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.bin_directory.join(name)
    }

    /// Whether it can make and run a server.
    #[must_use]
    pub fn has_server(&self) -> bool {
        ["initdb", "postgres", "pg_restore"]
            .iter()
            .all(|name| self.program(name).is_file())
    }
}

impl Tools {
    /// Looks in `extra` first (directories that hold `pg_dump`, or that hold
    /// `bin/pg_dump`), then where Debian puts them, then in `PATH`. Blocks
    /// for some milliseconds per set that was not asked before.
    #[must_use]
    pub fn discover(extra: &[PathBuf]) -> Self {
        let mut found: Vec<ToolSet> = Vec::new();
        for directory in candidates(extra) {
            if found.iter().any(|set| set.bin_directory == directory) {
                continue;
            }
            if let Some(version) = version_of(&directory.join("pg_dump"))
                && let Some(major) = major_of(&version)
            {
                found.push(ToolSet {
                    bin_directory: directory,
                    major,
                    version,
                });
            }
        }
        Self { found }
    }

    /// [`Self::discover`] on a thread that may block.
    pub async fn find(extra: &[PathBuf]) -> Self {
        let extra = extra.to_vec();
        // The only error is a panic of the closure; then nothing is found.
        tokio::task::spawn_blocking(move || Self::discover(&extra))
            .await
            .unwrap_or_default()
    }

    /// All of them, most wanted first.
    #[must_use]
    pub fn all(&self) -> &[ToolSet] {
        &self.found
    }

    /// The tools to dump a server of that version (`150018`) with: its own
    /// major version or else the next newer one. `pg_dump` refuses a server
    /// that is newer than itself.
    ///
    /// # Errors
    /// `NotFound` if there are none.
    pub fn dump_for(&self, server_version_num: u32) -> Result<&ToolSet, Failure> {
        let major = major_of_num(server_version_num);
        self.smallest(|set| set.major >= major).ok_or_else(|| {
            let server = version_text(server_version_num);
            self.nothing_fits(
                format!("no pg_dump for a server of version {server}"),
                format!(
                    "install postgresql-client-{major}, or name its directory under \
                     workload.postgresql.tools"
                ),
            )
        })
    }

    /// The server programs of exactly that major version.
    ///
    /// # Errors
    /// `NotFound` if there are none.
    pub fn server(&self, major: u16) -> Result<&ToolSet, Failure> {
        self.smallest(|set| set.major == major && set.has_server())
            .ok_or_else(|| {
                self.nothing_fits(
                    format!("no server programs (initdb, postgres) of version {major}"),
                    format!(
                        "install postgresql-{major}, or name its directory under \
                         workload.postgresql.tools"
                    ),
                )
            })
    }

    /// The tools to read an archive with that a `pg_dump` of that major version
    /// wrote: its own version or else the next newer one.
    ///
    /// # Errors
    /// `NotFound` if there are none.
    pub fn reader(&self, major: u16) -> Result<&ToolSet, Failure> {
        self.smallest(|set| set.major >= major).ok_or_else(|| {
            self.nothing_fits(
                format!("no pg_restore for an archive of version {major}"),
                format!(
                    "install postgresql-client-{major}, or name its directory under \
                     workload.postgresql.tools"
                ),
            )
        })
    }

    /// The first one of the smallest major version that fits.
    fn smallest(&self, fits: impl Fn(&ToolSet) -> bool) -> Option<&ToolSet> {
        self.found
            .iter()
            .filter(|set| fits(set))
            .min_by_key(|set| set.major)
    }

    fn nothing_fits(&self, what: String, hint: String) -> Failure {
        let found = if self.found.is_empty() {
            "no PostgreSQL tools at all".to_owned()
        } else {
            let each = self
                .found
                .iter()
                .map(|set| format!("{} in {}", set.version, set.bin_directory.display()));
            each.collect::<Vec<_>>().join(", ")
        };
        Failure::new(FailureKind::NotFound, format!("{what}; found {found}")).hint(hint)
    }
}

/// The major version of a version number such as `150018`.
#[must_use]
pub fn major_of_num(version_num: u32) -> u16 {
    u16::try_from(version_num / 10_000).unwrap_or(u16::MAX)
}

/// `150018` as `15.18`.
#[must_use]
pub fn version_text(version_num: u32) -> String {
    format!("{}.{}", version_num / 10_000, version_num % 10_000)
}

fn candidates(extra: &[PathBuf]) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for directory in extra {
        all.extend([directory.clone(), directory.join("bin")]);
    }
    let mut packaged: Vec<PathBuf> = fs::read_dir(DEBIAN_ROOT)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .collect();
    packaged.sort();
    all.extend(packaged);
    let path = std::env::var_os("PATH").unwrap_or_default();
    all.extend(std::env::split_paths(&path).filter_map(|directory| real_directory(&directory)));
    all.retain(|directory| directory.is_absolute() && directory.join("pg_dump").is_file());
    all
}

/// A directory of `PATH` often holds links; what lies beside the program that
/// a link leads to is of the same version.
fn real_directory(directory: &Path) -> Option<PathBuf> {
    let program = directory.join("pg_dump").canonicalize().ok()?;
    match program.file_name()?.to_str()? {
        DEBIAN_WRAPPER => None,
        "pg_dump" => program.parent().map(Path::to_owned),
        _ => Some(directory.to_owned()),
    }
}

fn version_of(program: &Path) -> Option<String> {
    let changed = fs::metadata(program).and_then(|m| m.modified()).ok()?;
    let key = (program.to_owned(), changed);
    let lock = || {
        VERSIONS
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    };
    if let Some(known) = lock().get(&key) {
        return known.clone();
    }
    // Not under the lock: two threads may ask at once, and get the same answer.
    let version = ask_version(program);
    lock().insert(key, version.clone());
    version
}

#[expect(
    clippy::disallowed_methods,
    reason = "asks for a version only, before there is any run to belong to"
)]
fn ask_version(program: &Path) -> Option<String> {
    let mut child = Command::new(program)
        .arg("--version")
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut waited = Duration::ZERO;
    while child.try_wait().ok()?.is_none() {
        if waited >= VERSION_TIMEOUT {
            // Errors mean that it has just ended.
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(VERSION_POLL);
        waited += VERSION_POLL;
    }
    let mut text = String::new();
    child.stdout.take()?.read_to_string(&mut text).ok()?;
    parse_version(&text)
}

/// `pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)` gives `15.18`.
fn parse_version(text: &str) -> Option<String> {
    let rest = text.split_once("(PostgreSQL)")?.1;
    let version = rest.split_whitespace().next()?;
    major_of(version)?;
    Some(version.to_owned())
}

/// Of `15.18`, `18beta1` or `19devel`.
pub(super) fn major_of(version: &str) -> Option<u16> {
    let end = version
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(version.len());
    version[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(directory: &str, major: u16) -> ToolSet {
        ToolSet {
            bin_directory: directory.into(),
            major,
            version: format!("{major}.1"),
        }
    }

    #[test]
    fn reads_versions() {
        let debian = "pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n";
        assert_eq!(parse_version(debian).as_deref(), Some("15.18"));
        let devel = parse_version("pg_dump (PostgreSQL) 19devel\n").unwrap();
        assert_eq!(major_of(&devel), Some(19));
        assert_eq!(parse_version("pg_dump: command not found"), None);
        assert_eq!(
            (major_of_num(150_018), version_text(150_018)),
            (15, "15.18".to_owned())
        );
    }

    #[test]
    fn takes_the_servers_own_version_or_the_next_newer_one() {
        let tools = Tools {
            found: vec![
                set("/mine", 17),
                set("/a", 14),
                set("/b", 16),
                set("/c", 17),
            ],
        };
        assert_eq!(tools.dump_for(140_002).unwrap().major, 14);
        assert_eq!(tools.dump_for(150_018).unwrap().major, 16);
        assert_eq!(tools.reader(13).unwrap().major, 14);
        assert_eq!(tools.reader(15).unwrap().major, 16);
        assert_eq!(
            tools.dump_for(170_001).unwrap().bin_directory,
            Path::new("/mine")
        );
    }

    #[test]
    fn says_what_is_there_and_what_to_install() {
        let tools = Tools {
            found: vec![set("/a/bin", 14), set("/b/bin", 15)],
        };
        let failure = tools.dump_for(170_004).unwrap_err();
        assert_eq!(failure.kind, FailureKind::NotFound);
        for part in ["17.4", "14.1 in /a/bin", "15.1 in /b/bin"] {
            assert!(failure.message.contains(part), "{}", failure.message);
        }
        assert!(failure.hint.unwrap().contains("postgresql-client-17"));
        assert!(tools.server(16).is_err());
        assert!(Tools::default().reader(13).is_err());
    }
}
