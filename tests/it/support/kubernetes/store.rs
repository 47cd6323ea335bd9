//! The objects, and who is told of their changes.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use lifeboat::k8s::Kind;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::requests;

/// Changes that are remembered; a watch from before them is stale.
const MEMORY: usize = 20_000;

/// Which object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub kind: Kind,
    pub namespace: Option<String>,
    pub name: String,
}

impl Key {
    pub fn new(kind: Kind, namespace: Option<&str>, name: &str) -> Self {
        Self {
            kind,
            namespace: namespace.map(str::to_owned),
            name: name.to_owned(),
        }
    }
}

/// Which objects: of a kind, and narrowed.
#[derive(Debug, Clone)]
pub struct Filter {
    pub kind: Kind,
    pub namespace: Option<String>,
    pub name: Option<String>,
    /// Labels, with a value or with any.
    pub labels: Vec<(String, Option<String>)>,
}

impl Filter {
    fn fits(&self, key: &Key, object: &Value) -> bool {
        let label = |name: &String| object["metadata"]["labels"].get(name)?.as_str();
        key.kind == self.kind
            && (self.namespace.is_none() || self.namespace == key.namespace)
            && self.name.as_ref().is_none_or(|name| *name == key.name)
            && self.labels.iter().all(|(name, value)| {
                label(name).is_some_and(|is| value.as_ref().is_none_or(|value| value == is))
            })
    }

    pub fn one(key: &Key) -> Self {
        Self {
            kind: key.kind,
            namespace: key.namespace.clone(),
            name: Some(key.name.clone()),
            labels: Vec::new(),
        }
    }
}

/// A change, as a watch tells it.
#[derive(Debug, Clone)]
pub struct Change {
    pub what: &'static str,
    pub version: u64,
    pub key: Key,
    pub object: Arc<Value>,
}

/// Why something cannot be done: as the API server says it.
#[derive(Debug, Clone)]
pub struct Refusal {
    pub code: u16,
    pub reason: &'static str,
    pub message: String,
}

pub fn refusal<T>(
    code: u16,
    reason: &'static str,
    message: impl Into<String>,
) -> Result<T, Refusal> {
    let message = message.into();
    Err(Refusal {
        code,
        reason,
        message,
    })
}

#[derive(Default)]
pub struct Store {
    objects: BTreeMap<Key, Arc<Value>>,
    changes: VecDeque<Change>,
    version: u64,
    uids: u64,
    watchers: BTreeMap<Kind, Vec<(Filter, mpsc::UnboundedSender<Change>)>>,
    /// What an object owns, by its UID.
    owned: BTreeMap<String, Vec<Key>>,
}

impl Store {
    pub fn version(&self) -> u64 {
        self.version
    }

    pub fn get(&self, key: &Key) -> Option<Arc<Value>> {
        self.objects.get(key).cloned()
    }

    pub fn list(&self, filter: &Filter) -> Vec<Arc<Value>> {
        let fit = self.fitting(filter);
        fit.map(|(_, object)| object.clone()).collect()
    }

    /// Objects of one kind lie together, and among these those of a namespace.
    fn fitting<'a>(
        &'a self,
        filter: &'a Filter,
    ) -> impl Iterator<Item = (&'a Key, &'a Arc<Value>)> {
        let first = Key::new(filter.kind, filter.namespace.as_deref(), "");
        let among = move |key: &Key| {
            let of_all = filter.namespace.is_none();
            key.kind == filter.kind && (of_all || key.namespace == filter.namespace)
        };
        let all = self.objects.range(first..);
        all.take_while(move |(key, _)| among(key))
            .filter(|(key, object)| filter.fits(key, object))
    }

    /// Everything that lies in a namespace.
    pub fn within(&self, namespace: &str) -> Vec<Key> {
        let of_kind = |kind| Filter {
            kind,
            namespace: Some(namespace.to_owned()),
            name: None,
            labels: Vec::new(),
        };
        let found = Kind::ALL.into_iter().flat_map(|kind| {
            let filter = of_kind(kind);
            let keys: Vec<Key> = self.fitting(&filter).map(|(key, _)| key.clone()).collect();
            keys
        });
        found.collect()
    }

    pub fn keys(&self, fits: impl Fn(&Key, &Value) -> bool) -> Vec<Key> {
        let fit = self.objects.iter().filter(|(k, o)| fits(k, o));
        fit.map(|(key, _)| key.clone()).collect()
    }

    /// Puts a new object there.
    pub fn create(&mut self, key: &Key, mut object: Value) -> Result<Arc<Value>, Refusal> {
        if self.objects.contains_key(key) {
            let message = format!("{} {} already exists", key.kind.plural(), key.name);
            return refusal(409, "AlreadyExists", message);
        }
        if let Some(namespace) = &key.namespace {
            let home = self.get(&Key::new(Kind::Namespace, None, namespace));
            let Some(home) = home else {
                return refusal(404, "NotFound", format!("namespaces {namespace} not found"));
            };
            if home["metadata"].get("deletionTimestamp").is_some() {
                let message = format!("namespace {namespace} is being terminated");
                return refusal(403, "Forbidden", message);
            }
        }
        self.uids += 1;
        let meta = &mut object["metadata"];
        meta["uid"] = format!("00000000-0000-4000-8000-{:012}", self.uids).into();
        meta["generation"] = 1.into();
        meta["creationTimestamp"] = now().into();
        object["apiVersion"] = requests::api_version(key.kind).into();
        object["kind"] = key.kind.name().into();
        for owner in object["metadata"]["ownerReferences"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let uid = owner["uid"].as_str().unwrap_or_default().to_owned();
            self.owned.entry(uid).or_default().push(key.clone());
        }
        Ok(self.put("ADDED", key, object))
    }

    /// Changes an object; nothing happens where there is none.
    pub fn change(&mut self, key: &Key, change: impl FnOnce(&mut Value)) {
        if let Some(object) = self.get(key) {
            let mut object = (*object).clone();
            change(&mut object);
            self.put("MODIFIED", key, object);
        }
    }

    /// Marks an object as one that goes.
    pub fn mark(&mut self, key: &Key, grace: Option<u64>) -> Option<Arc<Value>> {
        self.change(key, |object| {
            object["metadata"]["deletionTimestamp"] = now().into();
            object["metadata"]["deletionGracePeriodSeconds"] = json!(grace.unwrap_or(30));
        });
        self.get(key)
    }

    /// Takes an object away, and what it alone owned.
    pub fn remove(&mut self, key: &Key) {
        let Some(object) = self.objects.remove(key) else {
            return;
        };
        let uid = object["metadata"]["uid"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let mut last = (*object).clone();
        self.version += 1;
        last["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.tell("DELETED", key, Arc::new(last));
        for key in self.owned.remove(&uid).unwrap_or_default() {
            let is_its = self.get(&key).is_some_and(|object| {
                let owners = object["metadata"]["ownerReferences"].as_array();
                owners.is_some_and(|owners| owners.iter().all(|owner| owner["uid"] == *uid))
            });
            if is_its {
                self.remove(&key);
            }
        }
    }

    fn put(&mut self, what: &'static str, key: &Key, mut object: Value) -> Arc<Value> {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        let object = Arc::new(object);
        self.objects.insert(key.clone(), object.clone());
        self.tell(what, key, object.clone());
        object
    }

    fn tell(&mut self, what: &'static str, key: &Key, object: Arc<Value>) {
        let change = Change {
            what,
            version: self.version,
            key: key.clone(),
            object,
        };
        let watchers = self.watchers.entry(key.kind).or_default();
        watchers.retain(|(filter, to)| {
            if filter.fits(&change.key, &change.object) {
                to.send(change.clone()).is_ok()
            } else {
                !to.is_closed()
            }
        });
        self.changes.push_back(change);
        if self.changes.len() > MEMORY {
            self.changes.pop_front();
        }
    }

    /// Forgets what was before: every older watch is stale.
    pub fn forget(&mut self) {
        self.changes.clear();
        self.version += 1;
    }

    /// Ends all watches, as a server does whose time is over.
    pub fn hang_up(&mut self) {
        self.watchers.clear();
    }

    /// How many watch.
    pub fn watching(&mut self, kind: Kind) -> usize {
        let watchers = self.watchers.entry(kind).or_default();
        watchers.retain(|(_, to)| !to.is_closed());
        watchers.len()
    }

    /// What changed after `since`, and then whatever changes. Without `since`
    /// all that is there comes first.
    pub fn watch(
        &mut self,
        filter: &Filter,
        since: Option<u64>,
    ) -> Result<mpsc::UnboundedReceiver<Change>, Refusal> {
        let (tell, told) = mpsc::unbounded_channel();
        match since {
            Some(since) => {
                let oldest = self.changes.front().map_or(self.version + 1, |c| c.version);
                if since + 1 < oldest && since < self.version {
                    return refusal(410, "Expired", format!("too old resource version: {since}"));
                }
                let missed = self.changes.iter().filter(|change| change.version > since);
                for change in missed.filter(|c| filter.fits(&c.key, &c.object)) {
                    let _ = tell.send(change.clone());
                }
            }
            None => {
                for (key, object) in self.fitting(filter) {
                    let _ = tell.send(Change {
                        what: "ADDED",
                        version: self.version,
                        key: key.clone(),
                        object: object.clone(),
                    });
                }
            }
        }
        let watchers = self.watchers.entry(filter.kind).or_default();
        watchers.push((filter.clone(), tell));
        Ok(told)
    }
}

/// As the API server writes times: whole seconds.
pub fn now() -> String {
    jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}
