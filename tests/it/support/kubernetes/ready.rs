//! How long it takes from something's being ready to the next request that
//! depends on it.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::Asked;

/// What became ready and was not followed up yet.
#[derive(Default)]
pub struct Ready {
    waiting: BTreeMap<String, (&'static str, Instant)>,
    /// What was followed up, and after how long.
    pub followed: Vec<(&'static str, Duration)>,
}

impl Ready {
    /// Something is ready; `next` is the namespace or the name that the next
    /// request will be about.
    pub fn mark(&mut self, what: &'static str, next: &str) {
        self.waiting.insert(next.to_owned(), (what, Instant::now()));
    }

    /// Something is asked.
    pub fn asked(&mut self, asked: &Asked) {
        let about = [&asked.namespace, &asked.name];
        for about in about.into_iter().flatten() {
            if let Some((what, since)) = self.waiting.remove(about) {
                self.followed.push((what, since.elapsed()));
            }
        }
    }
}
