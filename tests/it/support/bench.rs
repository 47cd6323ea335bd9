//! Drills in this very process, with a hand in them.

use std::{path::PathBuf, sync::Arc};

use lifeboat::{
    app,
    clock::{Clock, SystemClock},
    domain::{budget::Demand, ids::RunId, record::RunRecord, verdict::Cleanup},
    engine::{Engine, Fault},
    history::sql::SqlHistory,
    process::{Launcher, account, owner::Identity},
    runner::{
        cancel::Cancel,
        execute::{Request, Runner},
        hook::NoHook,
        store::{Owner, RunStore},
    },
    sandbox::{Sandbox, local::LocalSandbox},
    spec::{self, drill::Drill},
};
use tokio_util::sync::CancellationToken;

use super::{
    tamper::{Tamper, Tampered},
    world::{Source, World, labelled},
};

/// Runs drills of a world in this very process, with a hand in them.
pub struct Bench<S> {
    pub world: World<S>,
    /// Puts up the fence.
    pub helper: PathBuf,
    before: String,
    history: Arc<SqlHistory>,
    drill: Drill,
}

impl<S: Source> Bench<S> {
    pub async fn new(world: World<S>, more: &str) -> Self {
        let file = world.drill("app", more);
        std::fs::create_dir(world.path("state")).unwrap();
        Self {
            before: world.source.content(),
            history: Arc::new(
                SqlHistory::in_file(&world.path("state/history.db"))
                    .await
                    .unwrap(),
            ),
            drill: spec::read(&file).unwrap(),
            helper: PathBuf::from(env!("CARGO_BIN_EXE_lifeboat")),
            world,
        }
    }

    pub fn runner(&self, tamper: Tamper) -> Runner {
        let account = account::unprivileged(None).unwrap();
        let scratch = self.world.path("state/scratch");
        let with: Arc<dyn Sandbox> = Arc::new(LocalSandbox::new(scratch, account));
        let here = Identity::current().unwrap();
        Runner {
            store: self.history.clone(),
            sandbox: Arc::new(Tampered { tamper, with }),
            clock: Arc::new(SystemClock::new()),
            hook: Arc::new(NoHook),
            shared: false,
            owner: Owner {
                host: here.host,
                boot: here.boot,
                pid: here.pid,
                start_ticks: here.start_ticks,
                service: false,
            },
        }
    }

    pub async fn run(&self, tamper: Tamper, faults: &[Fault]) -> RunRecord {
        let id = RunId::new(SystemClock::new().now());
        let launcher = Launcher {
            run: id,
            helper: Some(self.helper.clone()),
            account: account::unprivileged(None).unwrap(),
            allow_unfenced: self.drill.sandbox.allow_unfenced,
        };
        let with: Arc<dyn Engine> = app::engine(&self.drill, launcher, None);
        let request = Request {
            id,
            scheduled_for: None,
            request_key: None,
            demand: Demand::unlimited(Vec::new()),
            drill: &self.drill,
            engine: Arc::new(Tampered { tamper, with }),
            faults,
            listeners: Vec::new(),
            cancel: Cancel::default(),
            park: CancellationToken::new(),
        };
        self.runner(tamper).run(request).await.unwrap()
    }

    /// Nothing is left of the run, and the source is as it was.
    pub async fn is_clean_after(&self, record: &RunRecord) {
        assert_eq!(record.cleanup, Cleanup::Clean, "{record:#?}");
        self.world.is_empty();
        assert_eq!(labelled(&record.id.to_string()), [""; 0]);
        assert_eq!(self.history.unfinished().await.unwrap(), []);
        assert_eq!(self.world.source.content(), self.before);
    }
}
