//! What a shared watch knows, and who waits for what.
//!
//! A watch begins at some version of the cluster's objects: with all that were
//! there then, or with none of them. Whoever begins to wait has seen an object
//! at some version, too, and by the two it is told apart whether news of it
//! are still to come, have come, or never will.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use kube::ResourceExt;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::super::Object;
use crate::domain::failure::Failure;

/// Namespace and name.
pub(super) type Key = (Option<String>, String);

/// Removed objects that are remembered, for those who begin to wait for one
/// when it is gone already.
const GONE: usize = 4096;

/// What a waiter is told.
#[derive(Debug)]
pub(in crate::k8s) enum News {
    /// How the object stands; `None` where it is gone.
    State(Option<Arc<Object>>),
    /// The watch cannot know: look.
    Look,
    /// Nothing more will come.
    Ended(Failure),
}

/// Somebody who waits.
struct Waiter {
    id: u64,
    /// What it has seen; `None` where it waits for what it has not seen yet.
    seen: Option<Seen>,
    tell: UnboundedSender<News>,
}

/// An object, as it was seen.
struct Seen {
    uid: Option<String>,
    version: Option<u64>,
}

/// All that one watch knows.
#[derive(Default)]
pub(super) struct View {
    objects: BTreeMap<Key, Arc<Object>>,
    gone: VecDeque<String>,
    waiting: BTreeMap<Key, Vec<Waiter>>,
    next: u64,
    /// Where it begins; `None` until that is known.
    begin: Option<u64>,
    /// Whether it knows what was there when it began.
    whole: bool,
    /// What went wrong last.
    pub trouble: Option<String>,
    /// Nobody has needed it since it was looked at last.
    pub idle: bool,
}

/// A version as a number: of one kind, they are in order.
fn version(text: Option<String>) -> Option<u64> {
    text?.parse().ok()
}

/// Where a watch begins: where its version says nothing, later than anything
/// that anybody has seen.
fn begin(at: Option<&str>) -> u64 {
    version(at.map(str::to_owned)).unwrap_or(u64::MAX)
}

impl View {
    /// Begins after an object that was seen, or with a list that is to come.
    pub fn new(since: Option<&str>) -> Self {
        Self {
            begin: since.map(|since| begin(Some(since))),
            ..Self::default()
        }
    }

    /// Somebody begins to wait.
    pub fn join(&mut self, key: &Key, seen: Option<&Object>) -> (u64, UnboundedReceiver<News>) {
        let (tell, told) = unbounded_channel();
        let seen = seen.map(|seen| Seen {
            uid: seen.uid(),
            version: version(seen.resource_version()),
        });
        if let Some(news) = self.first(key, seen.as_ref()) {
            let _ = tell.send(news);
        }
        self.next += 1;
        let waiter = Waiter {
            id: self.next,
            seen,
            tell,
        };
        self.waiting.entry(key.clone()).or_default().push(waiter);
        self.idle = false;
        (self.next, told)
    }

    /// What there is to say at once, if anything.
    fn first(&self, key: &Key, seen: Option<&Seen>) -> Option<News> {
        let known = self.objects.get(key);
        let Some(seen) = seen else {
            return known.map(|known| News::State(Some(known.clone())));
        };
        if seen.uid.as_ref().is_some_and(|uid| self.gone.contains(uid)) {
            return Some(News::State(known.cloned()));
        }
        if let Some(known) = known {
            // What is older than what was seen says nothing new.
            let is_newer = version(known.resource_version()) >= seen.version;
            return is_newer.then(|| News::State(Some(known.clone())));
        }
        // Before it has begun, whatever comes will tell.
        let begin = self.begin?;
        match seen.version {
            Some(version) if version > begin => None,
            Some(_) if self.whole => Some(News::State(None)),
            _ if self.is_own_begin(seen) => None,
            _ => Some(News::Look),
        }
    }

    /// Whether the watch begins right after what was seen.
    fn is_own_begin(&self, seen: &Seen) -> bool {
        seen.version.is_some() && seen.version == self.begin
    }

    pub fn leave(&mut self, key: &Key, id: u64) {
        if let Some(waiters) = self.waiting.get_mut(key) {
            waiters.retain(|waiter| waiter.id != id);
            if waiters.is_empty() {
                self.waiting.remove(key);
            }
        }
        self.idle = false;
    }

    pub fn is_needed(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// An object is there, or has changed.
    pub fn stands(&mut self, object: Object) {
        let (key, object) = (key_of(&object), Arc::new(object));
        self.objects.insert(key.clone(), object.clone());
        self.tell(&key, Some(&object));
    }

    /// An object was removed.
    pub fn went(&mut self, object: &Object) {
        let key = key_of(object);
        self.objects.remove(&key);
        self.gone.extend(object.uid());
        while self.gone.len() > GONE {
            self.gone.pop_front();
        }
        self.tell(&key, None);
    }

    fn tell(&self, key: &Key, state: Option<&Arc<Object>>) {
        for waiter in self.waiting.get(key).into_iter().flatten() {
            let _ = waiter.tell.send(News::State(state.cloned()));
        }
    }

    /// Everything that is there, at a version. What was known and is not among
    /// it is gone; so is what somebody has seen at that version or before.
    pub fn begins_with(&mut self, objects: Vec<Object>, at: Option<&str>) {
        let objects = objects.into_iter();
        self.objects = objects.map(|one| (key_of(&one), Arc::new(one))).collect();
        let begin = begin(at);
        self.begin = Some(begin);
        self.whole = begin != u64::MAX;
        for (key, waiters) in &self.waiting {
            for waiter in waiters {
                if let Some(news) = self.first(key, waiter.seen.as_ref()) {
                    let _ = waiter.tell.send(news);
                }
            }
        }
    }

    /// Nobody will be told anything more.
    pub fn end(&mut self, failure: &Failure) {
        for waiter in std::mem::take(&mut self.waiting).into_values().flatten() {
            let _ = waiter.tell.send(News::Ended(failure.clone()));
        }
    }

    pub fn get(&self, key: &Key) -> Option<Arc<Object>> {
        self.objects.get(key).cloned()
    }

    pub fn all(&self) -> Vec<Arc<Object>> {
        self.objects.values().cloned().collect()
    }
}

pub(super) fn key_of(object: &Object) -> Key {
    (object.namespace(), object.name_any())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(name: &str, version: u64) -> Object {
        let body = json!({ "metadata": {
            "name": name, "namespace": "n", "uid": format!("uid of {name}"),
            "resourceVersion": version.to_string(),
        }});
        serde_json::from_value(body).unwrap()
    }

    /// What somebody is told first who has seen an object: the version that it
    /// has, `gone`, `look`, or nothing.
    fn first(view: &mut View, seen: Option<&Object>, name: &str) -> String {
        let key = (Some("n".to_owned()), name.to_owned());
        let (id, mut told) = view.join(&key, seen);
        view.leave(&key, id);
        match told.try_recv() {
            Ok(News::State(Some(object))) => object.resource_version().unwrap(),
            Ok(News::State(None)) => "gone".to_owned(),
            Ok(News::Look) => "look".to_owned(),
            Ok(News::Ended(failure)) => failure.message,
            Err(_) => "nothing".to_owned(),
        }
    }

    #[test]
    fn what_is_not_known_is_to_come_or_gone_or_looked_at() {
        let mut since = View::new(Some("10"));
        let mut whole = View::new(None);
        assert_eq!(first(&mut whole, Some(&object("a", 5)), "a"), "nothing");
        whole.begins_with(vec![object("b", 4)], Some("10"));
        for (seen, by_since, by_whole) in [
            // It began with this very object: what comes after it will tell.
            (object("a", 10), "nothing", "gone"),
            (object("a", 11), "nothing", "nothing"),
            (object("a", 9), "look", "gone"),
        ] {
            assert_eq!(first(&mut since, Some(&seen), "a"), by_since, "{seen:?}");
            assert_eq!(first(&mut whole, Some(&seen), "a"), by_whole, "{seen:?}");
        }
        assert_eq!(first(&mut whole, None, "b"), "4");
        assert_eq!(first(&mut whole, None, "c"), "nothing");
    }

    #[test]
    fn what_went_before_anybody_waited_is_gone() {
        let mut view = View::new(Some("10"));
        view.stands(object("a", 11));
        view.went(&object("a", 12));
        assert_eq!(first(&mut view, Some(&object("a", 11)), "a"), "gone");
    }

    #[test]
    fn what_is_older_than_what_was_seen_is_no_news() {
        let mut view = View::new(Some("10"));
        view.stands(object("a", 11));
        assert_eq!(first(&mut view, Some(&object("a", 12)), "a"), "nothing");
        assert_eq!(first(&mut view, Some(&object("a", 11)), "a"), "11");
        assert_eq!(first(&mut view, Some(&object("a", 10)), "a"), "11");
    }

    #[test]
    fn a_list_tells_those_who_wait_what_is_gone() {
        let mut view = View::new(Some("10"));
        let key = |name: &str| (Some("n".to_owned()), name.to_owned());
        let mut join = |name, version| view.join(&key(name), Some(&object(name, version))).1;
        let [mut old, mut new, mut there] = [join("old", 11), join("new", 31), join("there", 12)];
        view.begins_with(vec![object("there", 13)], Some("30"));
        assert!(matches!(old.try_recv(), Ok(News::State(None))));
        assert!(new.try_recv().is_err(), "made after the list");
        assert!(matches!(there.try_recv(), Ok(News::State(Some(_)))));
    }

    #[test]
    fn versions_that_are_no_numbers_are_looked_at() {
        let mut view = View::new(Some("x"));
        assert_eq!(first(&mut view, Some(&object("a", 5)), "a"), "look");
        view.begins_with(Vec::new(), Some("y"));
        assert_eq!(first(&mut view, Some(&object("a", 5)), "a"), "look");
    }
}
