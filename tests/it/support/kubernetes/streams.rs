//! Watches, and streams that go wrong.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::mpsc::{self, UnboundedReceiver};

use super::{
    Inner,
    http::{Piece, Reply, Request},
    requests,
    store::{Change, Filter, Refusal},
};

/// A watch from a version on, with bookmarks; or from what is there, which may
/// be marked off.
pub fn watch(inner: &Arc<Inner>, filter: &Filter, request: &Request) -> Result<Reply, Refusal> {
    let since = request.query.get("resourceVersion");
    let since = since
        .and_then(|text| text.parse().ok())
        .filter(|since| *since > 0);
    let (mut changes, version) = {
        let mut state = inner.state();
        let version = state.store.version();
        (state.store.watch(filter, since)?, version)
    };
    let (tell, told) = mpsc::unbounded_channel();
    let whole = request
        .query
        .get("sendInitialEvents")
        .is_some_and(|yes| yes == "true");
    let seconds = request
        .query
        .get("timeoutSeconds")
        .and_then(|text| text.parse().ok());
    let end = std::time::Duration::from_secs(seconds.unwrap_or(3600));
    let (inner, kind) = (inner.clone(), filter.kind);
    let bookmark = move |version: u64, initial: bool| {
        let marked = if initial {
            json!({ "k8s.io/initial-events-end": "true" })
        } else {
            json!({})
        };
        let event = json!({ "type": "BOOKMARK", "object": {
            "kind": kind.name(), "apiVersion": requests::api_version(kind),
            "metadata": { "resourceVersion": version.to_string(), "annotations": marked,
                          "creationTimestamp": null },
        }});
        Piece::Data(format!("{event}\n").into_bytes())
    };
    tokio::spawn(async move {
        let mut beat = tokio::time::interval(inner.pace.beat);
        beat.reset();
        // On a busy machine they must not come all at once, before what matters.
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while let Ok(change) = changes.try_recv() {
            let _ = tell.send(event(&change));
        }
        if whole {
            let _ = tell.send(bookmark(version, true));
        }
        let telling = async {
            loop {
                let piece = tokio::select! {
                    change = changes.recv() => match change {
                        Some(change) => event(&change),
                        None => return,
                    },
                    _ = beat.tick() => {
                        // A bookmark says that all before it was told.
                        let state = inner.state();
                        if !changes.is_empty() {
                            continue;
                        }
                        bookmark(state.store.version(), false)
                    }
                };
                if tell.send(piece).is_err() {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(end, telling).await;
    });
    Ok(Reply::Pieces(told))
}

/// A change, written without being copied first.
#[derive(serde::Serialize)]
struct Event<'a> {
    r#type: &'static str,
    object: &'a Value,
}

fn event(change: &Change) -> Piece {
    let event = Event {
        r#type: change.what,
        object: &change.object,
    };
    let mut line = serde_json::to_vec(&event).unwrap();
    line.push(b'\n');
    Piece::Data(line)
}

/// A stream that never says anything.
pub fn silent() -> Reply {
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move { tell.closed().await });
    Reply::Pieces(told)
}

/// The first piece comes, and then the connection is cut.
pub fn cut_after_first(mut pieces: UnboundedReceiver<Piece>) -> Reply {
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        if let Some(piece) = pieces.recv().await {
            let _ = tell.send(piece);
            let _ = tell.send(Piece::Cut);
        }
    });
    Reply::Pieces(told)
}
