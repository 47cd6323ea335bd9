//! Whole drills on a fake of a cluster.

use std::{path::PathBuf, sync::Arc, time::Duration};

use lifeboat::{
    app::{App, StateDir},
    domain::{
        check::Finding,
        record::RunRecord,
        verdict::{Cleanup, Verdict},
    },
    spec::{self, drill::Drill},
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::support::{
    context,
    kubernetes::{
        Fake, Pace,
        world::{self, From},
    },
};

/// A run that takes so long does not end.
const DEADLINE: Duration = Duration::from_mins(1);

/// A fake with one workload, and a drill of it.
pub struct Scene {
    pub fake: Fake,
    pub app: App,
    pub drill: Drill,
    /// The drill as it is written.
    pub file: PathBuf,
    before: (Vec<Arc<Value>>, std::collections::BTreeSet<String>),
    pub directory: tempfile::TempDir,
}

impl Scene {
    pub async fn new(from: From, pace: Pace) -> Self {
        Self::prepared(from, pace, |_| ()).await
    }

    /// One in whose cluster something is different.
    pub async fn prepared(from: From, pace: Pace, prepare: impl FnOnce(&Fake)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let fake = Fake::start(pace).await;
        world::cluster(&fake);
        world::workload(&fake, "shop").await;
        if from == From::Group {
            world::second_volume(&fake, "shop");
        }
        prepare(&fake);
        let file = world::drill(&fake, directory.path(), "shop", from);
        let state = StateDir::choose(Some(directory.path().join("state"))).unwrap();
        Self {
            app: App::open(state, None).await.unwrap(),
            drill: spec::read(&file).unwrap(),
            before: fake.of_others(),
            fake,
            file,
            directory,
        }
    }

    pub async fn run(&self) -> RunRecord {
        let cancel = CancellationToken::new();
        let run = self.app.run(&self.drill, &[], Vec::new(), cancel);
        let ended = tokio::time::timeout(DEADLINE, run).await;
        let Ok(record) = ended else {
            let asked = self.fake.take_asked();
            let last: Vec<String> = asked
                .iter()
                .rev()
                .take(9)
                .map(ToString::to_string)
                .collect();
            panic!("a run does not end after {last:#?}");
        };
        record.unwrap()
    }

    /// What is found before anything is made.
    pub async fn preflight(&self) -> Vec<Finding> {
        let (cx, _) = context();
        let engine = self.app.engine(&self.drill, cx.run, &[]);
        engine.preflight(&cx, self.directory.path()).await
    }

    /// Nothing of any run is there, and all else is as it was.
    pub fn is_clean(&self, what: &str) {
        let left = self.fake.of_runs();
        assert!(left.is_empty(), "{what}: left: {left:#?}");
        assert_eq!(self.fake.of_others(), self.before, "{what}");
        let unknown = self.fake.inner.state().unknown.clone();
        assert!(unknown.is_empty(), "the fake does not know {unknown:?}");
    }
}

async fn passes(from: From) {
    let scene = Scene::new(from, Pace::default()).await;
    let record = scene.run().await;
    assert_eq!(record.verdict, Some(Verdict::Passed), "{record:#?}");
    assert_eq!(record.cleanup, Cleanup::Clean);
    scene.is_clean("a good run");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_drill_passes() {
    passes(From::Snapshot).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_that_holds_the_engine_passes() {
    passes(From::Held).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_drill_passes() {
    passes(From::Dump).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_of_an_existing_snapshot_passes() {
    passes(From::Existing).await;
}
