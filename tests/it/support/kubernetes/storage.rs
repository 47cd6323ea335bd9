//! Namespaces, volumes and snapshots: what becomes of them by itself.

use std::sync::Arc;

use lifeboat::k8s::Kind;
use serde_json::{Value, json};

use super::{
    Inner, Key, api,
    store::{Filter, now, refusal},
};

pub const DRIVER: &str = "fake.csi.test";

/// How the storage deals with volumes that are made from now on.
#[derive(Debug, Clone, Default)]
pub struct Habits {
    /// Volumes stay when their claims go.
    pub retains: bool,
    /// A volume that is there already, given out as if it were a new one.
    pub gives: Option<String>,
    /// The driver's sidecar has overlooked that a content was to go, until it
    /// is written to.
    pub overlooks: bool,
    /// Snapshots stay where they got to.
    pub stops: Option<Stop>,
}

/// How far a snapshot gets, and no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// No controller looks at it.
    Untouched,
    /// It is bound; the driver's error is at its content alone.
    Bound(&'static str),
    /// It is cut and never usable.
    Cut,
}

/// Gives a claim its volume, once its snapshot can be used.
pub async fn bind(inner: Arc<Inner>, key: Key) {
    let Some(claim) = inner.state().store.get(&key) else {
        return;
    };
    let source = &claim["spec"]["dataSource"];
    if source["kind"] == "VolumeSnapshot" {
        let name = source["name"].as_str().unwrap();
        let snapshot = Key::new(Kind::VolumeSnapshot, key.namespace.as_deref(), name);
        inner.until(&snapshot, |object| ready(object?)).await;
    }
    if waits(&inner, &claim) {
        let node = |claim: &Value| {
            let annotations = &claim["metadata"]["annotations"];
            annotations.get("volume.kubernetes.io/selected-node")?;
            Some(())
        };
        inner.until(&key, |claim| node(claim?)).await;
    }
    inner.pause().await;
    let uid = claim["metadata"]["uid"].as_str().unwrap();
    let mut state = inner.state();
    let volume = format!("pvc-{uid}");
    let given = state.habits.gives.clone();
    let handle = given.unwrap_or_else(|| format!("volume-{uid}"));
    let policy = if state.habits.retains {
        "Retain"
    } else {
        "Delete"
    };
    let body = json!({
        "metadata": { "name": volume },
        "spec": {
            "csi": { "driver": DRIVER, "volumeHandle": handle },
            "claimRef": { "namespace": key.namespace, "name": key.name, "uid": uid },
            "persistentVolumeReclaimPolicy": policy,
        },
        "status": { "phase": "Bound", "lastPhaseTransitionTime": now() },
    });
    let of_claim = Key::new(Kind::PersistentVolume, None, &volume);
    if !alive(state.store.get(&key).as_deref()) || state.store.create(&of_claim, body).is_err() {
        return;
    }
    state.handles.insert(handle);
    state.store.change(&key, |claim| {
        claim["spec"]["volumeName"] = volume.into();
        claim["status"] = json!({ "phase": "Bound" });
    });
    let namespace = key.namespace.clone().unwrap_or_default();
    state.ready.mark("claim bound", &namespace);
}

/// Whether a claim's volume is made where its first consumer is put.
fn waits(inner: &Inner, claim: &Value) -> bool {
    let name = claim["spec"]["storageClassName"].as_str().unwrap();
    let class = Key::new(Kind::StorageClass, None, name);
    let class = inner.state().store.get(&class);
    class.is_some_and(|class| class["volumeBindingMode"] == "WaitForFirstConsumer")
}

fn ready(snapshot: &Value) -> Option<()> {
    (snapshot["status"]["readyToUse"] == true).then_some(())
}

fn alive(object: Option<&Value>) -> bool {
    object.is_some_and(|object| object["metadata"].get("deletionTimestamp").is_none())
}

/// What holds a snapshot from when its controller has bound it.
const BOUND: &str = "snapshot.storage.kubernetes.io/volumesnapshot-bound-protection";
/// By which a client asks a controller to look again.
const NUDGE: &str = "lifeboat.dev/still-there";
/// What a content waits for that is bound, before it goes.
const BEING_DELETED: &str = "snapshot.storage.kubernetes.io/volumesnapshot-being-deleted";

/// Cuts a snapshot, or binds it to the content that it names. As in a real
/// cluster its content knows of it a moment before it is protected: if it goes
/// in between, the content is never told, and stays for ever.
pub async fn snapshot(inner: Arc<Inner>, key: Key) {
    let Some(snapshot) = inner.state().store.get(&key) else {
        return;
    };
    let stops = inner.state().habits.stops;
    if stops == Some(Stop::Untouched) {
        return;
    }
    inner.pause().await;
    let given = snapshot["spec"]["source"]["volumeSnapshotContentName"].as_str();
    let content = match given {
        Some(name) => name.to_owned(),
        None => cut(&inner, &key, &snapshot),
    };
    let of_content = Key::new(Kind::VolumeSnapshotContent, None, &content);
    let uid = &snapshot["metadata"]["uid"];
    inner.state().store.change(&of_content, |content| {
        content["spec"]["volumeSnapshotRef"]["uid"] = uid.clone();
    });
    inner.pause().await;
    let bind = |snapshot: &mut Value| {
        snapshot["metadata"]["finalizers"] = json!([BOUND]);
        snapshot["status"]["boundVolumeSnapshotContentName"] = content.clone().into();
        if !matches!(stops, Some(Stop::Bound(_))) {
            snapshot["status"]["creationTime"] = now().into();
        }
        snapshot["status"]["readyToUse"] = false.into();
    };
    inner.state().store.change(&key, bind);
    if let Some(Stop::Bound(error)) = stops {
        let fail = |content: &mut Value| content["status"]["error"]["message"] = error.into();
        inner.state().store.change(&of_content, fail);
    }
    if stops.is_some() {
        return;
    }
    inner.pause().await;
    let mut state = inner.state();
    let what = if given.is_some() {
        "import ready"
    } else {
        "snapshot ready"
    };
    let ours = if given.is_some() {
        key.namespace.clone().unwrap_or_default()
    } else {
        content.clone()
    };
    if alive(state.store.get(&key).as_deref()) {
        state.ready.mark(what, &ours);
    }
    state.store.change(&key, |snapshot| {
        snapshot["status"]["readyToUse"] = true.into();
    });
}

/// The driver's part: a content with a handle.
fn cut(inner: &Inner, key: &Key, snapshot: &Value) -> String {
    let uid = snapshot["metadata"]["uid"].as_str().unwrap();
    let (name, handle) = (format!("snapcontent-{uid}"), format!("snapshot-{uid}"));
    let body = json!({
        "metadata": { "name": name },
        "spec": {
            "deletionPolicy": "Delete", "driver": DRIVER, "volumeSnapshotClassName": "fake",
            "volumeSnapshotRef": { "namespace": key.namespace, "name": key.name, "uid": uid },
            "source": { "volumeHandle": "volume" },
        },
        "status": {
            "snapshotHandle": handle, "restoreSize": 1 << 30, "readyToUse": true,
            "creationTime": i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap(),
        },
    });
    let mut state = inner.state();
    state.handles.insert(handle);
    let content = Key::new(Kind::VolumeSnapshotContent, None, &name);
    state.store.create(&content, body).unwrap();
    name
}

/// Lets a claim, a snapshot or a content go, with what stands behind it.
pub async fn free(inner: Arc<Inner>, key: Key) {
    inner.pause().await;
    let Some(object) = inner.state().store.get(&key) else {
        return;
    };
    match key.kind {
        Kind::PersistentVolumeClaim => free_claim(&inner, &key, &object).await,
        Kind::VolumeSnapshot => {
            if inner.state().habits.overlooks {
                until_nudged(&inner, &object).await;
            }
            free_snapshot(&inner, &key, &object);
        }
        _ => {
            // A content that is bound stays as long as its snapshot.
            let of = &object["spec"]["volumeSnapshotRef"];
            let name = of["name"].as_str().unwrap();
            inner.until(&key, told).await;
            let snapshot = Key::new(Kind::VolumeSnapshot, of["namespace"].as_str(), name);
            inner
                .until(&snapshot, |object| object.is_none().then_some(()))
                .await;
            inner.state().store.remove(&key);
        }
    }
}

fn told(content: Option<&Value>) -> Option<()> {
    let Some(content) = content else {
        return Some(());
    };
    let bound = content["spec"]["volumeSnapshotRef"].get("uid").is_some();
    let told = content["metadata"]["annotations"]
        .get(BEING_DELETED)
        .is_some();
    (told || !bound).then_some(())
}

async fn free_claim(inner: &Arc<Inner>, key: &Key, claim: &Value) {
    // Pods that mount it hold it.
    let pods = inner.state().store.list(&Filter {
        kind: Kind::Pod,
        namespace: key.namespace.clone(),
        name: None,
        labels: Vec::new(),
    });
    for pod in pods.iter().filter(|pod| mounts(pod, key)) {
        let name = pod["metadata"]["name"].as_str().unwrap();
        let pod = Key::new(Kind::Pod, key.namespace.as_deref(), name);
        inner.until(&pod, |pod| pod.is_none().then_some(())).await;
    }
    inner.state().store.remove(key);
    inner.pause().await;
    let mut state = inner.state();
    let Some(volume) = claim["spec"]["volumeName"].as_str() else {
        return;
    };
    let volume = Key::new(Kind::PersistentVolume, None, volume);
    let Some(body) = state.store.get(&volume) else {
        return;
    };
    if body["spec"]["persistentVolumeReclaimPolicy"] == "Retain" {
        state.store.change(&volume, |volume| {
            volume["status"]["phase"] = "Released".into();
        });
        return;
    }
    let handle = body["spec"]["csi"]["volumeHandle"].as_str().unwrap();
    state.handles.remove(handle);
    state.store.remove(&volume);
}

fn mounts(pod: &Value, claim: &Key) -> bool {
    let volumes = pod["spec"]["volumes"].as_array();
    volumes.is_some_and(|volumes| {
        let names = |v: &Value| v["persistentVolumeClaim"]["claimName"] == claim.name.as_str();
        volumes.iter().any(names)
    })
}

/// Until somebody writes to the content that is to go with a snapshot.
async fn until_nudged(inner: &Inner, snapshot: &Value) {
    let name = snapshot["status"]["boundVolumeSnapshotContentName"].as_str();
    let content = Key::new(Kind::VolumeSnapshotContent, None, name.unwrap_or_default());
    let kept = |content: &Value| content["spec"]["deletionPolicy"] != "Delete";
    if inner
        .state()
        .store
        .get(&content)
        .is_none_or(|one| kept(&one))
    {
        return;
    }
    inner.state().store.mark(&content, None);
    let nudged = |content: Option<&Value>| match content {
        Some(content) => content["metadata"]["annotations"].get(NUDGE).map(|_| ()),
        None => Some(()),
    };
    inner.until(&content, nudged).await;
}

fn free_snapshot(inner: &Inner, key: &Key, snapshot: &Value) {
    let mut state = inner.state();
    if let Some(name) = snapshot["status"]["boundVolumeSnapshotContentName"].as_str() {
        let content = Key::new(Kind::VolumeSnapshotContent, None, name);
        let body = state.store.get(&content).unwrap_or_default();
        if body["spec"]["deletionPolicy"] == "Delete" {
            let handle = body["status"]["snapshotHandle"]
                .as_str()
                .unwrap_or_default();
            state.handles.remove(handle);
            state.store.remove(&content);
        }
        state.store.change(&content, |content| {
            content["metadata"]["annotations"][BEING_DELETED] = "yes".into();
        });
    }
    state.store.remove(key);
}

/// Ends a namespace: everything in it goes first.
pub async fn empty(inner: Arc<Inner>, key: Key) {
    inner.pause().await;
    loop {
        let there = inner.state().store.within(&key.name);
        if there.is_empty() {
            break;
        }
        for object in there {
            let slow = matches!(
                object.kind,
                Kind::Pod | Kind::PersistentVolumeClaim | Kind::VolumeSnapshot
            );
            let mut state = inner.state();
            if !slow {
                state.store.remove(&object);
            } else if alive(state.store.get(&object).as_deref()) {
                state.store.mark(&object, None);
                drop(state);
                api::going_one(&inner, &object);
            }
        }
        inner.pause().await;
    }
    inner.state().store.remove(&key);
}

/// Something of the cluster's owners, such as a source's volume.
pub fn given(inner: &Arc<Inner>, kind: Kind, namespace: Option<&str>, name: &str, mut body: Value) {
    body["metadata"]["name"] = name.into();
    body["metadata"]["namespace"] = namespace.into();
    let key = Key::new(kind, namespace, name);
    let made = inner.state().store.create(&key, body);
    let made: Result<(), _> = made
        .map(drop)
        .or_else(|why| refusal(why.code, why.reason, why.message));
    made.unwrap();
    if kind != Kind::Pod {
        api::made_one(inner, &key);
    }
}
