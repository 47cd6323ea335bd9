//! Bearer tokens that somebody else knows: the API server of Kubernetes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;

use super::auth::hash;
use crate::{clock::Clock, domain::failure::Failure};

/// How long an answer holds.
const FRESH: Duration = Duration::from_mins(1);

/// More answers than this are not kept.
const MOST: usize = 10_000;

/// What an authority says of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Review {
    /// It does not know the token.
    Unknown,
    /// It knows whose it is, and whether they may.
    Known { name: String, may: bool },
}

/// Says whose a token is, and what they may do.
#[async_trait]
pub trait Authority: Send + Sync {
    /// `verb` and `path` as in a rule of a ClusterRole: `get` or `post`, and the
    /// path of the request.
    ///
    /// # Errors
    /// If it cannot be asked.
    async fn review(&self, token: &str, verb: &str, path: &str) -> Result<Review, Failure>;
}

/// By the token's hash, the verb and the path; with when it was given.
type Kept = HashMap<(String, String, String), (Review, Duration)>;

/// An authority whose answers are kept for a while: a page that asks often does
/// not ask it as often.
pub struct Reviews {
    authority: Arc<dyn Authority>,
    clock: Arc<dyn Clock>,
    kept: Mutex<Kept>,
}

impl Reviews {
    #[must_use]
    pub fn new(authority: Arc<dyn Authority>, clock: Arc<dyn Clock>) -> Self {
        Self {
            authority,
            clock,
            kept: Mutex::default(),
        }
    }

    /// As [`Authority::review`], perhaps as it was up to a minute ago.
    ///
    /// # Errors
    /// As there.
    pub async fn review(&self, token: &str, verb: &str, path: &str) -> Result<Review, Failure> {
        let key = (hash(token), verb.to_owned(), path.to_owned());
        let now = self.clock.monotonic();
        let known = self.kept().get(&key).cloned();
        if let Some((review, _)) = known.filter(|(_, at)| now.saturating_sub(*at) < FRESH) {
            return Ok(review);
        }
        let review = self.authority.review(token, verb, path).await?;
        let mut kept = self.kept();
        if kept.len() >= MOST {
            kept.retain(|_, (_, at)| now.saturating_sub(*at) < FRESH);
        }
        if kept.len() < MOST {
            kept.insert(key, (review.clone(), now));
        }
        Ok(review)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use jiff::Timestamp;

    use super::*;
    use crate::clock::ManualClock;

    #[derive(Default)]
    struct Asked(AtomicU32);

    #[async_trait]
    impl Authority for Asked {
        async fn review(&self, token: &str, verb: &str, _: &str) -> Result<Review, Failure> {
            self.0.fetch_add(1, Ordering::SeqCst);
            Ok(Review::Known {
                name: token.to_owned(),
                may: verb == "get",
            })
        }
    }

    #[tokio::test]
    async fn an_answer_holds_for_a_minute_and_for_its_request_only() {
        let asked = Arc::new(Asked::default());
        let clock = Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH));
        let reviews = Reviews::new(asked.clone(), clock.clone());
        let may = async |verb| match reviews.review("a", verb, "/x").await {
            Ok(Review::Known { may, .. }) => may,
            other => panic!("{other:?}"),
        };
        assert!(may("get").await && may("get").await);
        assert_eq!(asked.0.load(Ordering::SeqCst), 1);
        assert!(!may("post").await);
        clock.advance(FRESH);
        assert!(may("get").await);
        assert_eq!(asked.0.load(Ordering::SeqCst), 3);
    }
}
