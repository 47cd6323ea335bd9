//! What all workloads share: rounds, meters, servers, data, and an end that
//! leaves nothing behind.

pub mod abort;
mod compare;
mod data;
mod engine;
mod machine;
mod meter;
mod options;
mod print;
mod report;
mod server;
mod shell;
mod stats;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};

use anyhow::Context as _;

pub use compare::{Comparison, Contender};
pub use data::DataSet;
pub use engine::{Copied, context, engine};
pub use meter::{anonymous_memory, cpu_of, peak_memory, resident_memory, sleeps_of};
pub use options::Options;
pub use report::Limit;
pub use server::{BINARIES, Server};
pub use shell::{Lifeboat, as_postgres, output, run};

use report::Report;

/// One run of the harness.
pub struct Bench {
    pub options: Options,
    /// For what the async parts of Lifeboat are called with.
    pub runtime: Rc<tokio::runtime::Runtime>,
    report: Report,
    place: PathBuf,
    server: Option<Rc<Server>>,
    /// Postmasters whose processor time counts.
    postmasters: Vec<i32>,
    patience: Duration,
}

impl Bench {
    /// Makes the place for everything.
    pub fn new(options: Options) -> anyhow::Result<Self> {
        let place = abort::place();
        fs::create_dir_all(&place)?;
        fs::set_permissions(&place, fs::Permissions::from_mode(0o755))?;
        let report = Report::new(&options);
        print::head(&report);
        Ok(Self {
            runtime: Rc::new(tokio::runtime::Runtime::new()?),
            patience: Duration::from_secs(options.patience),
            options,
            report,
            place,
            server: None,
            postmasters: Vec::new(),
        })
    }

    /// Begins a workload.
    pub fn begin(&mut self, name: &'static str, about: &str) {
        println!("\n{name}: {about}");
        name.clone_into(&mut self.report.workload);
    }

    /// A new, empty directory, of user `postgres` where that is asked for.
    pub fn directory(&self, name: &str, owner: Owner) -> anyhow::Result<PathBuf> {
        let path = self.place.join(name);
        abort::remove(&path);
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        if owner == Owner::Postgres {
            shell::hand_over(&path)?;
        }
        Ok(path)
    }

    /// The server that holds the data sets, with one of them.
    pub fn data(&mut self, data: DataSet) -> anyhow::Result<Rc<Server>> {
        let server = self.server();
        data.make(&server, &self.options)?;
        Ok(server)
    }

    /// Made when it is first needed.
    fn server(&mut self) -> Rc<Server> {
        if let Some(server) = &self.server {
            return server.clone();
        }
        let server = Rc::new(Server::start());
        self.postmasters.push(server.postmaster());
        self.server = Some(server.clone());
        server
    }

    /// The `lifeboat` binary with a state directory of its own.
    pub fn lifeboat(&self) -> anyhow::Result<Lifeboat> {
        Ok(Lifeboat::new(self.directory("s", Owner::Harness)?))
    }

    /// Counts another server's processor time while `work` is done.
    pub fn with_postmaster<T>(
        &mut self,
        pid: i32,
        work: impl FnOnce(&mut Self) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        self.postmasters.push(pid);
        let done = work(self);
        self.postmasters.retain(|known| *known != pid);
        done
    }

    /// Compares contenders, prints and keeps the figures.
    pub fn compare(
        &mut self,
        case: &str,
        contenders: Vec<Contender<'_>>,
    ) -> anyhow::Result<Comparison> {
        let rounds = compare::Rounds {
            options: &self.options,
            postmasters: &self.postmasters,
            patience: &mut self.patience,
        };
        let comparison = rounds.run(&self.report.workload, case, contenders)?;
        print::comparison(&comparison);
        self.report.comparisons.push(comparison.clone());
        Ok(comparison)
    }

    /// Holds a figure against its goal, where the sizes are those that it is
    /// about.
    pub fn goal(&mut self, what: &str, measured: f64, limit: Limit) {
        if self.options.smoke {
            self.figure(what, measured, "(too small for its goal)");
        } else {
            print::goal(self.report.goal(what, measured, limit));
        }
    }

    /// Tells a figure that nothing is compared with.
    pub fn figure(&mut self, what: &str, value: f64, unit: &'static str) {
        print::figure(self.report.figure(what, value, unit));
    }

    /// Says what could not be measured.
    pub fn left_out(&mut self, what: &str, why: &str) {
        println!("  left out: {what}: {why}");
        self.report.left_out.push(format!("{what}: {why}"));
    }

    /// Writes the figures down.
    pub fn finish(mut self) -> anyhow::Result<()> {
        self.report.finish();
        let path: &Path = &self.options.json;
        self.report.write(path)?;
        println!("\nfigures in {}", path.display());
        Ok(())
    }
}

/// Whose a directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    Harness,
    Postgres,
}
