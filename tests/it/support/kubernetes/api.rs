//! What is answered to a request.

use std::sync::Arc;

use async_trait::async_trait;
use lifeboat::k8s::Kind;
use serde_json::{Value, json};

use super::{
    Inner,
    faults::Effect,
    group,
    http::{Handler, Piece, Reply, Request},
    pods,
    requests::{self, Asked, Verb},
    rights, storage,
    store::{Filter, Key, Refusal, refusal},
    streams::{self, silent},
};

pub struct Api(pub Arc<Inner>);

/// A list, written without being copied first.
#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct List<'a> {
    kind: String,
    api_version: String,
    metadata: Value,
    items: Vec<&'a Value>,
}

#[async_trait]
impl Handler for Api {
    async fn handle(&self, request: Request) -> Reply {
        let asked = Asked::of(&request);
        let effect = {
            let mut state = self.0.state();
            state.ready.asked(&asked);
            let mut rules = std::mem::take(&mut state.rules);
            // Every rule counts, the first that applies holds.
            let applying: Vec<Effect> = rules
                .iter_mut()
                .filter_map(|rule| rule.applies(&asked).then_some(rule.effect))
                .collect();
            state.rules = rules;
            state.asked.push(asked.clone());
            applying.first().copied()
        };
        match effect {
            None => self.answer(&asked, &request),
            Some(effect) => self.go_wrong(effect, &asked, &request),
        }
    }
}

impl Api {
    fn go_wrong(&self, effect: Effect, asked: &Asked, request: &Request) -> Reply {
        match effect {
            Effect::Answer(code) => refused(&broken(code)),
            Effect::Hang => Reply::Hang,
            Effect::CutBefore => Reply::Cut,
            Effect::CutAfter => match self.answer(asked, request) {
                Reply::Pieces(pieces) => streams::cut_after_first(pieces),
                // Of a watch that is refused, the refusal is the first piece.
                refusal if asked.verb == Verb::Watch => refusal,
                _ => Reply::Cut,
            },
            Effect::NoAnswer => {
                self.answer(asked, request);
                Reply::Hang
            }
            Effect::Silent => silent(),
            Effect::Stale => {
                let (tell, told) = tokio::sync::mpsc::unbounded_channel();
                let event = json!({ "type": "ERROR", "object": status(&broken(410)) });
                let _ = tell.send(Piece::Data(format!("{event}\n").into_bytes()));
                Reply::Pieces(told)
            }
        }
    }

    fn answer(&self, asked: &Asked, request: &Request) -> Reply {
        if let Some(against) = rights::against(&self.0.state(), asked) {
            return refused(&against);
        }
        let answered = match asked.verb {
            Verb::Review => Ok(rights::review(&self.0.state(), request)),
            Verb::Rules => Ok(rights::rules(&self.0.state(), request)),
            Verb::Who => Ok(rights::who(request)),
            Verb::Groups => Ok(Reply::json(200, &requests::groups())),
            Verb::Get => self.get(asked),
            Verb::List => Ok(self.list(asked, request)),
            Verb::Watch => streams::watch(&self.0, &filter(asked, request), request),
            Verb::Create => self.create(asked, request),
            Verb::Patch => self.patch(asked, request),
            Verb::Delete => self.delete(asked, request),
            Verb::Log => pods::log(&self.0, asked, request),
            Verb::DeleteAll | Verb::Unknown => {
                let what = format!("{} {}", request.method, request.path);
                self.0.state().unknown.push(what.clone());
                refusal(404, "NotFound", format!("the fake does not know {what}"))
            }
        };
        answered.unwrap_or_else(|refused_by| refused(&refused_by))
    }

    fn get(&self, asked: &Asked) -> Result<Reply, Refusal> {
        let key = key(asked);
        match self.0.state().store.get(&key) {
            Some(object) => Ok(Reply::json(200, &object)),
            None => not_found(&key),
        }
    }

    fn list(&self, asked: &Asked, request: &Request) -> Reply {
        let filter = filter(asked, request);
        let state = self.0.state();
        let items = state.store.list(&filter);
        let list = List {
            kind: format!("{}List", filter.kind.name()),
            api_version: requests::api_version(filter.kind),
            metadata: json!({ "resourceVersion": state.store.version().to_string() }),
            items: items.iter().map(AsRef::as_ref).collect(),
        };
        drop(state);
        Reply::Whole(200, serde_json::to_vec(&list).unwrap())
    }

    fn create(&self, asked: &Asked, request: &Request) -> Result<Reply, Refusal> {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let name = body["metadata"]["name"].as_str().unwrap();
        let key = Key {
            name: name.to_owned(),
            ..key(asked)
        };
        let made = self.0.state().store.create(&key, body)?;
        made_one(&self.0, &key);
        Ok(Reply::json(201, &made))
    }

    /// Annotations are merged, and nothing else.
    fn patch(&self, asked: &Asked, request: &Request) -> Result<Reply, Refusal> {
        let key = key(asked);
        let patch: Value = serde_json::from_slice(&request.body).unwrap();
        let mut state = self.0.state();
        let Some(object) = state.store.get(&key) else {
            return not_found(&key);
        };
        let wanted = &patch["metadata"]["uid"];
        if !wanted.is_null() && *wanted != object["metadata"]["uid"] {
            return refusal(409, "Conflict", "the UID does not match");
        }
        let annotations = patch["metadata"]["annotations"].as_object();
        state.store.change(&key, |object| {
            for (name, value) in annotations.into_iter().flatten() {
                object["metadata"]["annotations"][name] = value.clone();
            }
        });
        Ok(Reply::json(200, &state.store.get(&key).unwrap()))
    }

    fn delete(&self, asked: &Asked, request: &Request) -> Result<Reply, Refusal> {
        let key = key(asked);
        let options: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let mut state = self.0.state();
        let Some(object) = state.store.get(&key) else {
            return not_found(&key);
        };
        let wanted = &options["preconditions"]["uid"];
        if !wanted.is_null() && *wanted != object["metadata"]["uid"] {
            return refusal(
                409,
                "Conflict",
                "the UID in the precondition does not match",
            );
        }
        let slow = matches!(
            key.kind,
            Kind::Namespace
                | Kind::Pod
                | Kind::PersistentVolumeClaim
                | Kind::VolumeSnapshot
                | Kind::VolumeSnapshotContent
                | Kind::VolumeGroupSnapshot
        );
        let unprotected =
            key.kind == Kind::VolumeSnapshot && object["metadata"].get("finalizers").is_none();
        if !slow || unprotected {
            state.store.remove(&key);
            return Ok(Reply::json(
                200,
                &json!({
                    "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                }),
            ));
        }
        let again = object["metadata"].get("deletionTimestamp").is_some();
        let grace = options["gracePeriodSeconds"].as_u64();
        let marked = state.store.mark(&key, grace);
        drop(state);
        if !again {
            going_one(&self.0, &key);
        }
        Ok(Reply::json(200, &marked.unwrap()))
    }
}

/// Sets the controllers on something new.
pub fn made_one(inner: &Arc<Inner>, key: &Key) {
    let (inner, key) = (inner.clone(), key.clone());
    match key.kind {
        Kind::Namespace => account(&inner, &key.name),
        Kind::Pod => drop(tokio::spawn(pods::run(inner, key))),
        Kind::PersistentVolumeClaim => drop(tokio::spawn(storage::bind(inner, key))),
        Kind::VolumeSnapshot => drop(tokio::spawn(storage::snapshot(inner, key))),
        Kind::VolumeGroupSnapshot => drop(tokio::spawn(group::cut(inner, key))),
        _ => {}
    }
}

/// Every namespace has an account of its own.
fn account(inner: &Inner, namespace: &str) {
    let account = Key::new(Kind::ServiceAccount, Some(namespace), "default");
    let body = json!({ "metadata": { "name": "default", "namespace": namespace } });
    let _ = inner.state().store.create(&account, body);
}

/// Sets the controllers on something that is to go.
pub fn going_one(inner: &Arc<Inner>, key: &Key) {
    let (inner, key) = (inner.clone(), key.clone());
    match key.kind {
        Kind::Pod => drop(tokio::spawn(pods::end(inner, key))),
        Kind::Namespace => drop(tokio::spawn(storage::empty(inner, key))),
        Kind::PersistentVolumeClaim | Kind::VolumeSnapshot | Kind::VolumeSnapshotContent => {
            drop(tokio::spawn(storage::free(inner, key)));
        }
        Kind::VolumeGroupSnapshot => drop(tokio::spawn(group::free(inner, key))),
        _ => {}
    }
}

fn key(asked: &Asked) -> Key {
    Key {
        kind: asked.kind.unwrap(),
        namespace: asked.namespace.clone(),
        name: asked.name.clone().unwrap_or_default(),
    }
}

fn filter(asked: &Asked, request: &Request) -> Filter {
    let fields = request.query.get("fieldSelector").map(String::as_str);
    let name = fields.map(|text| text.strip_prefix("metadata.name=").unwrap().to_owned());
    let labels = request.query.get("labelSelector").map(String::as_str);
    let labels = labels
        .unwrap_or_default()
        .split(',')
        .filter(|one| !one.is_empty());
    let pair = |one: &str| match one.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (one.to_owned(), None),
    };
    Filter {
        kind: asked.kind.unwrap(),
        namespace: asked.namespace.clone(),
        name,
        labels: labels.map(pair).collect(),
    }
}

pub fn not_found<T>(key: &Key) -> Result<T, Refusal> {
    let message = format!("{} \"{}\" not found", key.kind.plural(), key.name);
    refusal(404, "NotFound", message)
}

fn broken(code: u16) -> Refusal {
    let (reason, message) = match code {
        403 => ("Forbidden", "forbidden, on purpose"),
        409 => ("Conflict", "the object has been modified"),
        410 => ("Expired", "too old resource version"),
        429 => ("TooManyRequests", "too many requests"),
        503 => (
            "ServiceUnavailable",
            "the server is unable to handle the request",
        ),
        _ => ("InternalError", "an error on the server, made on purpose"),
    };
    Refusal {
        code,
        reason,
        message: message.to_owned(),
    }
}

fn status(refusal: &Refusal) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": refusal.message, "reason": refusal.reason, "code": refusal.code,
    })
}

fn refused(refusal: &Refusal) -> Reply {
    Reply::json(refusal.code, &status(refusal))
}
