//! A fake of a cluster: its API server on this machine, with just as much
//! behind it as a drill meets. It can be made to do what a real one cannot be
//! made to do on demand.
//!
//! Namespaces end, claims get volumes, snapshots get contents and handles, pods
//! are scheduled and run, and what Lifeboat's agent says in them is played from
//! a script. Delays are settable. What a drill does not ask for is not there:
//! an unknown request is answered with 404.

mod agent;
mod api;
mod faults;
mod group;
mod http;
pub mod pods;
mod ready;
mod requests;
mod rights;
mod storage;
mod store;
mod streams;
pub mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use lifeboat::k8s::{Kind, RUN};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

pub use self::{
    faults::{Effect, Rule},
    pods::PRIVATE,
    ready::Ready,
    requests::{Asked, Verb, by_kind},
    storage::{DRIVER, Habits, Stop},
    store::{Filter, Key},
};
use self::{http::Handler, pods::Log, store::Store};

/// How long things take.
#[derive(Debug, Clone)]
pub struct Pace {
    /// Of whatever a controller does.
    pub controller: Duration,
    /// Between two lines of the agent that matter.
    pub agent: Duration,
    /// The checks of the copy, beats all along.
    pub verify: Duration,
    /// Between two beats of the agent, and two bookmarks of a watch.
    pub beat: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            controller: Duration::from_millis(2),
            agent: Duration::from_millis(2),
            verify: Duration::from_millis(5),
            beat: Duration::from_millis(50),
        }
    }
}

/// All that the fake knows.
pub struct State {
    pub store: Store,
    /// What the storage itself keeps: volumes and snapshots by handle.
    pub handles: BTreeSet<String>,
    pub habits: Habits,
    pub logs: BTreeMap<(String, String, String), Log>,
    pub rules: Vec<Rule>,
    pub asked: Vec<Asked>,
    /// What a client was told or could not be, for a look after a failure.
    pub unknown: Vec<String>,
    pub ready: Ready,
    /// The name of what nobody may ask for.
    pub denies: Option<&'static str>,
    /// Only what the manifests give is allowed.
    pub restricted: bool,
    /// The last words of an init container that prepares a copy, if it fails.
    pub fails: Option<&'static str>,
    /// A pod of Lifeboat's own from which something outside is reached.
    pub unfenced: Option<&'static str>,
}

/// What everything in it shares.
pub struct Inner {
    pub pace: Pace,
    state: Mutex<State>,
}

impl Inner {
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Waits until `test` gives a value for an object as it stands.
    pub async fn until<T>(
        &self,
        key: &Key,
        mut test: impl FnMut(Option<&Value>) -> Option<T>,
    ) -> T {
        let mut changes = self.state().store.watch(&Filter::one(key), None).unwrap();
        loop {
            let now = self.state().store.get(key);
            if let Some(value) = test(now.as_deref()) {
                return value;
            }
            if changes.recv().await.is_none() {
                changes = self.state().store.watch(&Filter::one(key), None).unwrap();
            }
        }
    }

    pub async fn pause(&self) {
        tokio::time::sleep(self.pace.controller).await;
    }
}

/// A cluster that is none. Gone when it is dropped.
pub struct Fake {
    pub inner: Arc<Inner>,
    server: JoinHandle<()>,
    address: String,
}

impl Fake {
    pub async fn start(pace: Pace) -> Self {
        let state = State {
            store: Store::default(),
            handles: BTreeSet::new(),
            habits: Habits::default(),
            logs: BTreeMap::new(),
            rules: Vec::new(),
            asked: Vec::new(),
            unknown: Vec::new(),
            ready: Ready::default(),
            denies: None,
            restricted: false,
            fails: None,
            unfenced: None,
        };
        let inner = Arc::new(Inner {
            pace,
            state: Mutex::new(state),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let handler: Arc<dyn Handler> = Arc::new(api::Api(inner.clone()));
        let server = tokio::spawn(http::serve(listener, handler));
        Self {
            inner,
            server,
            address,
        }
    }

    /// Writes a kubeconfig that leads here.
    pub fn kubeconfig(&self, directory: &Path) -> PathBuf {
        let path = directory.join("kubeconfig.json");
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "fake",
            "clusters": [{ "name": "fake", "cluster": { "server": format!("http://{}", self.address) } }],
            "users": [{ "name": "fake", "user": {} }],
            "contexts": [{ "name": "fake", "context": { "cluster": "fake", "user": "fake" } }],
        });
        std::fs::write(&path, config.to_string()).unwrap();
        path
    }

    /// Lets something go wrong from now on.
    pub fn break_by(&self, rule: Rule) {
        self.inner.state().rules.push(rule);
    }

    /// Takes what was asked so far.
    pub fn take_asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.inner.state().asked)
    }

    /// Waits until the copy's agent has said so many lines, and has it killed;
    /// the kubelet tells of it a little later.
    pub async fn restart_agent(&self, after: u64, later: Duration) {
        let key = loop {
            let of_copy = |(_, pod, container): &&(String, String, String)| {
                pod == "db-0" && container == pods::AGENT
            };
            let found = {
                let state = self.inner.state();
                let mut logs = state
                    .logs
                    .iter()
                    .filter(|(of, log)| of_copy(of) && log.said >= after);
                logs.next().map(|(of, _)| of.0.clone())
            };
            if let Some(namespace) = found {
                break Key::new(Kind::Pod, Some(&namespace), "db-0");
            }
            self.inner.pause().await;
        };
        pods::restart(&self.inner, &key, later).await;
    }

    /// Everything that wears a run's label.
    pub fn of_runs(&self) -> Vec<Key> {
        let state = self.inner.state();
        let labelled = |object: &Value| object["metadata"]["labels"].get(RUN).is_some();
        state.store.keys(|_, object| labelled(object))
    }

    /// Everything else, whole, and the storage's own handles: what no run may
    /// change.
    pub fn of_others(&self) -> (Vec<Arc<Value>>, BTreeSet<String>) {
        let state = self.inner.state();
        let labelled = |object: &Value| object["metadata"]["labels"].get(RUN).is_some();
        let keys = state.store.keys(|_, object| !labelled(object));
        let objects = keys.iter().filter_map(|key| state.store.get(key));
        (objects.collect(), state.handles.clone())
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.server.abort();
    }
}
