//! Bearer tokens that somebody else knows: the API server of Kubernetes.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use axum::http::StatusCode;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::problem::Problem;
use crate::{clock::Clock, domain::failure::Failure};

/// How long an answer holds.
const FRESH: Duration = Duration::from_mins(1);

/// So many answers are kept of who may.
const MOST: usize = 10_000;

/// So many of who may not, or is not known: anybody can ask for these.
const MOST_REFUSALS: usize = 1_000;

/// The authority is asked so many things at once.
///
/// Whoever sends tokens that nobody knows has no share of their own, and while the
/// authority is slow each of their requests holds a place of `crowd::MOST` until it
/// is given up. So there are far fewer places for questions than for requests, and
/// who finds none is turned away at once: whose token is in the file, or whose answer
/// is kept, asks nothing, and finds the other places free.
const MOST_QUESTIONS: usize = super::crowd::MOST / 4;

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

/// What is asked, whatever its length: SHA-256 of token, verb and path.
type Question = [u8; 32];

fn question(token: &str, verb: &str, path: &str) -> Question {
    // What has a fixed length, or holds no blank, cannot be taken for what follows it.
    Sha256::new()
        .chain_update(Sha256::digest(token))
        .chain_update(verb)
        .chain_update(" ")
        .chain_update(path)
        .finalize()
        .into()
}

/// The newest answers, each with when it was given.
struct Kept {
    most: usize,
    answers: HashMap<Question, (Review, Duration)>,
    /// The oldest first. What was asked twice at the same time is here twice.
    order: VecDeque<(Question, Duration)>,
}

impl Kept {
    fn new(most: usize) -> Mutex<Self> {
        Mutex::new(Self {
            most,
            answers: HashMap::new(),
            order: VecDeque::new(),
        })
    }

    fn get(&self, question: &Question, now: Duration) -> Option<Review> {
        let (review, at) = self.answers.get(question)?;
        is_fresh(*at, now).then(|| review.clone())
    }

    fn keep(&mut self, question: Question, review: Review, now: Duration) {
        while let Some((oldest, at)) = self.order.front()
            && (self.order.len() >= self.most || !is_fresh(*at, now))
        {
            // It may have been answered anew since.
            if self.answers.get(oldest).is_some_and(|kept| kept.1 == *at) {
                self.answers.remove(oldest);
            }
            self.order.pop_front();
        }
        self.order.push_back((question, now));
        self.answers.insert(question, (review, now));
    }
}

fn is_fresh(at: Duration, now: Duration) -> bool {
    now.saturating_sub(at) < FRESH
}

/// An authority whose answers are kept for a while: a page that asks often does
/// not ask it as often.
pub struct Reviews {
    authority: Arc<dyn Authority>,
    clock: Arc<dyn Clock>,
    granted: Mutex<Kept>,
    /// Apart: whoever may nothing pushes out nothing of who may.
    refused: Mutex<Kept>,
    questions: Semaphore,
}

impl Reviews {
    #[must_use]
    pub fn new(authority: Arc<dyn Authority>, clock: Arc<dyn Clock>) -> Self {
        Self {
            authority,
            clock,
            granted: Kept::new(MOST),
            refused: Kept::new(MOST_REFUSALS),
            questions: Semaphore::new(MOST_QUESTIONS),
        }
    }

    /// As [`Authority::review`], perhaps as it was up to a minute ago.
    ///
    /// # Errors
    /// As there, and if it is asked too much already.
    pub async fn review(&self, token: &str, verb: &str, path: &str) -> Result<Review, Problem> {
        let question = question(token, verb, path);
        let now = self.clock.monotonic();
        for kept in [&self.granted, &self.refused] {
            if let Some(review) = locked(kept).get(&question, now) {
                return Ok(review);
            }
        }
        let Ok(_place) = self.questions.try_acquire() else {
            let detail = "more tokens are being looked up than there is room for";
            let problem = Problem::no_room(StatusCode::SERVICE_UNAVAILABLE, detail);
            return Err(problem.hint("ask again in a moment"));
        };
        let review = self.authority.review(token, verb, path).await?;
        let kept = match review {
            Review::Known { may: true, .. } => &self.granted,
            _ => &self.refused,
        };
        locked(kept).keep(question, review.clone(), now);
        Ok(review)
    }
}

fn locked(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use axum::response::IntoResponse as _;
    use jiff::Timestamp;

    use super::*;
    use crate::clock::ManualClock;

    /// Knows every token but those of strangers; is silent about those of the slow.
    #[derive(Default)]
    struct Asked(AtomicU32);

    #[async_trait]
    impl Authority for Asked {
        async fn review(&self, token: &str, verb: &str, _: &str) -> Result<Review, Failure> {
            self.0.fetch_add(1, Ordering::SeqCst);
            if token.starts_with("slow") {
                std::future::pending::<()>().await;
            }
            if token.starts_with("stranger") {
                return Ok(Review::Unknown);
            }
            Ok(Review::Known {
                name: token.to_owned(),
                may: verb == "get",
            })
        }
    }

    impl Asked {
        fn times(&self) -> u32 {
            self.0.load(Ordering::SeqCst)
        }
    }

    fn reviews() -> (Arc<Asked>, Arc<ManualClock>, Arc<Reviews>) {
        let asked = Arc::new(Asked::default());
        let clock = Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH));
        let reviews = Reviews::new(asked.clone(), clock.clone());
        (asked, clock, Arc::new(reviews))
    }

    async fn may(reviews: &Reviews, token: &str, verb: &str) -> bool {
        match reviews.review(token, verb, "/x").await {
            Ok(Review::Known { may, .. }) => may,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn an_answer_holds_for_a_minute_and_for_its_request_only() {
        let (asked, clock, reviews) = reviews();
        assert!(may(&reviews, "a", "get").await && may(&reviews, "a", "get").await);
        assert_eq!(asked.times(), 1);
        assert!(!may(&reviews, "a", "post").await && !may(&reviews, "a", "post").await);
        assert_eq!(asked.times(), 2);
        clock.advance(FRESH);
        assert!(may(&reviews, "a", "get").await);
        assert_eq!(asked.times(), 3);
        let named = reviews.review("b", "get", "/x").await.unwrap();
        let (name, may) = ("b".to_owned(), true);
        assert_eq!(named, Review::Known { name, may });
    }

    #[tokio::test]
    async fn who_may_nothing_pushes_out_no_answer_of_who_may() {
        let (asked, _clock, reviews) = reviews();
        assert!(may(&reviews, "early", "get").await);
        for number in 0..MOST {
            let stranger = format!("stranger {number}");
            let known = reviews.review(&stranger, "get", "/x").await.unwrap();
            assert_eq!(known, Review::Unknown);
            assert!(!may(&reviews, &number.to_string(), "post").await);
        }
        assert!(may(&reviews, "late", "get").await);
        let before = asked.times();
        assert!(may(&reviews, "early", "get").await && may(&reviews, "late", "get").await);
        assert_eq!(asked.times(), before);
        assert!(locked(&reviews.refused).answers.len() <= MOST_REFUSALS);
    }

    #[tokio::test]
    async fn where_there_are_too_many_the_oldest_goes() {
        let (asked, clock, reviews) = reviews();
        for number in 0..=MOST {
            assert!(may(&reviews, &number.to_string(), "get").await);
        }
        let before = asked.times();
        assert!(may(&reviews, &MOST.to_string(), "get").await);
        assert!(may(&reviews, "1", "get").await);
        assert_eq!(asked.times(), before);
        assert!(may(&reviews, "0", "get").await);
        assert_eq!(asked.times(), before + 1);
        clock.advance(FRESH);
        assert!(may(&reviews, "0", "get").await);
        let kept = locked(&reviews.granted);
        assert_eq!((kept.answers.len(), kept.order.len()), (1, 1));
    }

    #[test]
    fn what_is_asked_is_kept_by_all_of_it() {
        let asked = [
            ("a", "get", "/x"),
            ("a", "get", "/y"),
            ("a", "post", "/x"),
            ("b", "get", "/x"),
        ];
        let keys: std::collections::HashSet<_> =
            asked.iter().map(|(t, v, p)| question(t, v, p)).collect();
        assert_eq!(keys.len(), asked.len());
    }

    /// While the authority is slow.
    #[tokio::test]
    async fn who_asks_too_much_keeps_no_kept_answer_from_others() {
        let (_, _, reviews) = reviews();
        assert!(may(&reviews, "early", "get").await);
        let waiting: Vec<_> = (0..MOST_QUESTIONS)
            .map(|number| {
                let (reviews, slow) = (reviews.clone(), format!("slow {number}"));
                tokio::spawn(async move { reviews.review(&slow, "get", "/x").await })
            })
            .collect();
        while reviews.questions.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let refused = reviews.review("late", "get", "/x").await.unwrap_err();
        let refused = refused.into_response();
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(may(&reviews, "early", "get").await);
        // Whoever goes away asks no more.
        waiting[0].abort();
        while reviews.questions.available_permits() == 0 {
            tokio::task::yield_now().await;
        }
        assert!(may(&reviews, "late", "get").await);
    }
}
