//! A throw-away PostgreSQL server for the whole test process, and databases
//! of it for single tests.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    time::Duration,
};

use super::disk::skipped;
use lifeboat::{engine::postgresql::endpoint::Endpoint, spec::drill::TlsMode};

pub const PORT: u16 = 5432;

/// Of the machine's own major version.
pub const BINARIES: &str = "/usr/lib/postgresql/15/bin";

/// A running server that ends with the test process.
#[derive(Debug)]
pub struct Server {
    pub directory: PathBuf,
    pub binaries: PathBuf,
}

/// The server of the machine's own major version.
pub static SERVER: LazyLock<Server> = LazyLock::new(|| Server::start(Path::new(BINARIES), &[]));

/// A server of version 17, where `LIFEBOAT_TEST_PG17` names its programs.
pub static NEWER: LazyLock<Option<Server>> = LazyLock::new(|| {
    let binaries = std::env::var_os("LIFEBOAT_TEST_PG17")?;
    Some(Server::start(Path::new(&binaries), &[]))
});

/// The same; says loudly where there is none.
pub fn newer() -> Option<&'static Server> {
    if NEWER.is_none() {
        skipped("LIFEBOAT_TEST_PG17 does not name the programs of PostgreSQL 17 (make test does)");
    }
    NEWER.as_ref()
}

static NEXT: AtomicU32 = AtomicU32::new(0);

impl Server {
    /// Makes and starts a cluster with the given binaries and settings.
    pub fn start(binaries: &Path, settings: &[(&str, &str)]) -> Self {
        remove_stale();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let directory =
            std::env::temp_dir().join(format!("lbtest-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        run(Command::new("chown").arg("postgres").arg(&directory));
        let data = directory.join("data");
        run(as_postgres(&binaries.join("initdb"))
            .args([
                "--auth=trust",
                "--username=postgres",
                "--no-sync",
                "--encoding=UTF8",
            ])
            .args(["--locale=C.UTF-8", "--data-checksums", "-D"])
            .arg(&data));
        let mut server = as_postgres(&binaries.join("postgres"));
        server.arg("-D").arg(&data).arg("-k").arg(&directory);
        let fixed = [
            ("listen_addresses", ""),
            ("fsync", "off"),
            ("max_connections", "200"),
            ("track_commit_timestamp", "on"),
        ];
        for (name, value) in fixed.iter().chain(settings) {
            server.arg("-c").arg(format!("{name}={value}"));
        }
        spawn_for_good(server, directory.join("log"));
        let server = Self {
            directory,
            binaries: binaries.to_owned(),
        };
        server.await_ready();
        server
    }

    /// A server that asks the user `boat` for a password.
    pub fn with_password(password: &str) -> Self {
        let server = Self::start(Path::new(BINARIES), &[]);
        server.psql(
            "postgres",
            &format!("create role boat superuser login password '{password}'"),
        );
        let hba = server.directory.join("data/pg_hba.conf");
        std::fs::write(&hba, "local all boat scram-sha-256\nlocal all all trust\n").unwrap();
        server.psql("postgres", "select pg_reload_conf()");
        server
    }

    /// A server that is reached at 127.0.0.77 with TLS only; its certificate has
    /// to lie where the server's user can read it.
    pub fn with_tls((certificate, key): (&Path, &Path)) -> Self {
        run(Command::new("chown").arg("postgres").arg(key));
        let (certificate, key) = (certificate.display(), key.display());
        let server = Self::start(
            Path::new(BINARIES),
            &[
                ("listen_addresses", "127.0.0.77"),
                ("ssl", "on"),
                ("ssl_cert_file", &certificate.to_string()),
                ("ssl_key_file", &key.to_string()),
            ],
        );
        let hba = server.directory.join("data/pg_hba.conf");
        let lines = "local all all trust\nhostssl all all 127.0.0.0/8 trust\n";
        std::fs::write(&hba, lines).unwrap();
        server.psql("postgres", "select pg_reload_conf()");
        server
    }

    /// Starts a standby that follows this server.
    pub fn standby(&self) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let directory =
            std::env::temp_dir().join(format!("lbtest-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        run(Command::new("chown").arg("postgres").arg(&directory));
        let data = directory.join("data");
        run(as_postgres(&self.binaries.join("pg_basebackup"))
            .args(["--write-recovery-conf", "--wal-method=stream", "--no-sync"])
            .args(["--checkpoint=fast", "-h"])
            .arg(&self.directory)
            .arg("-D")
            .arg(&data));
        let mut server = as_postgres(&self.binaries.join("postgres"));
        server.arg("-D").arg(&data).arg("-k").arg(&directory);
        for setting in [
            "listen_addresses=",
            "fsync=off",
            "max_connections=200",
            "track_commit_timestamp=on",
        ] {
            server.arg("-c").arg(setting);
        }
        spawn_for_good(server, directory.join("log"));
        let standby = Self {
            directory,
            binaries: self.binaries.clone(),
        };
        standby.await_ready();
        standby
    }

    /// Stops the server at once, as a crash would.
    pub fn stop(&self) {
        run(as_postgres(&self.binaries.join("pg_ctl"))
            .args(["stop", "--mode=immediate", "-D"])
            .arg(self.directory.join("data")));
    }

    /// An endpoint of a database, as superuser.
    pub fn endpoint(&self, database: &str) -> Endpoint {
        Endpoint {
            host: self.directory.display().to_string(),
            port: PORT,
            database: database.to_owned(),
            user: "postgres".to_owned(),
            password: None,
            tls: TlsMode::Disable,
            root_certificates: None,
            read_only: false,
        }
    }

    /// The address of a database, as superuser.
    pub fn url(&self, database: &str) -> String {
        let directory = self.directory.display();
        format!("postgresql:///{database}?host={directory}&port={PORT}&user=postgres")
    }

    /// Stops it as a crash would, and starts it again.
    pub fn restart(&self) {
        self.stop();
        self.start_again();
    }

    /// Starts it again after [`stop`](Self::stop).
    pub fn start_again(&self) {
        let mut server = as_postgres(&self.binaries.join("postgres"));
        server.arg("-D").arg(self.directory.join("data"));
        server.arg("-k").arg(&self.directory);
        server.args(["-c", "listen_addresses=", "-c", "fsync=off"]);
        server.args(["-c", "max_connections=200"]);
        spawn_for_good(server, self.directory.join("log-again"));
        self.await_ready();
    }

    /// A new, empty database with a name of its own.
    pub fn database(&self) -> String {
        let name = format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.psql(
            "postgres",
            &format!("create database {name} template template0"),
        );
        name
    }

    /// Runs SQL by psql and gives what it prints, unaligned.
    pub fn psql(&self, database: &str, sql: &str) -> String {
        let output = Command::new(self.binaries.join("psql"))
            .args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-h"])
            .arg(&self.directory)
            .args(["-p", &PORT.to_string(), "-d", database, "-c", sql])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout)
            .unwrap()
            .trim_end()
            .to_owned()
    }

    fn await_ready(&self) {
        for _ in 0..600 {
            let ready = Command::new(self.binaries.join("pg_isready"))
                .arg("-q")
                .arg("-h")
                .arg(&self.directory)
                .status()
                .unwrap();
            if ready.success() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let log = std::fs::read_to_string(self.directory.join("log")).unwrap_or_default();
        panic!("server did not start: {log}");
    }
}

/// As `postgres`, ended by the kernel when the thread that starts it ends.
fn as_postgres(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
    command
        .args(["--pdeathsig=QUIT"])
        .arg(program)
        .current_dir("/");
    command
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The parent-death signal follows the *thread*, and test threads end early:
/// so the server is started by a thread that lives as long as the process.
fn spawn_for_good(mut command: Command, log: PathBuf) {
    let (started, wait) = mpsc::channel();
    std::thread::spawn(move || {
        let log = std::fs::File::create(log).unwrap();
        let child = command
            .stdout(Stdio::null())
            .stderr(log)
            .stdin(Stdio::null())
            .spawn();
        started.send(child.is_ok()).unwrap();
        loop {
            std::thread::park();
        }
    });
    assert!(wait.recv().unwrap(), "cannot start the server");
}

/// Removes the directories of test processes that are gone.
fn remove_stale() {
    for entry in std::fs::read_dir(std::env::temp_dir()).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(rest) = name.strip_prefix("lbtest-") else {
            continue;
        };
        let pid = rest.split('-').next().unwrap_or_default();
        if !Path::new("/proc").join(pid).exists() {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
