//! What was learnt of a cluster, kept for a short while: so that drills that
//! run together do not all ask the same.
//!
//! Only what people set up and seldom change is kept so, and nothing that is
//! safe only as long as it is true: what does not hold any more is told by
//! the next request that builds on it.

use std::{pin::Pin, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::{sync::Mutex, time::Sleep};

/// How long.
const WHILE: Duration = Duration::from_mins(1);

/// One thing that was learnt.
#[derive(Debug)]
pub(super) struct Recall<T>(Arc<Mutex<Option<Kept<T>>>>);

#[derive(Debug)]
struct Kept<T> {
    what: T,
    over: Pin<Box<Sleep>>,
}

impl<T> Clone for Recall<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for Recall<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Kept<T> {
    fn is_over(&mut self) -> bool {
        (&mut self.over).now_or_never().is_some()
    }
}

impl<T: Clone> Recall<T> {
    /// What is known, or what `ask` tells. Those who want to know it while it
    /// is asked wait for that answer. Where it is none, each asks for itself,
    /// all at once: one who waits for a server in trouble keeps nobody else.
    ///
    /// # Errors
    /// As `ask`; nothing is kept then.
    pub async fn or_ask<E>(&self, ask: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let Ok(mut kept) = self.0.try_lock() else {
            if let Some(known) = known(&mut *self.0.lock().await) {
                return Ok(known);
            }
            return ask.await;
        };
        if let Some(known) = known(&mut kept) {
            return Ok(known);
        }
        let what = ask.await?;
        *kept = Some(Kept {
            what: what.clone(),
            over: Box::pin(tokio::time::sleep(WHILE)),
        });
        Ok(what)
    }

    /// Forgets it.
    pub async fn forget(&self) {
        *self.0.lock().await = None;
    }
}

fn known<T: Clone>(kept: &mut Option<Kept<T>>) -> Option<T> {
    kept.take_if(Kept::is_over);
    kept.as_ref().map(|known| known.what.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_asked_anew_after_a_while_and_after_an_error() {
        let recall = Recall::default();
        let other = recall.clone();
        let failed = async { Err("away") };
        assert!(recall.or_ask(failed).await.is_err());
        assert_eq!(recall.or_ask(async { Ok::<_, &str>(1) }).await.unwrap(), 1);
        assert_eq!(other.or_ask(async { Ok::<_, &str>(2) }).await.unwrap(), 1);
        tokio::time::sleep(WHILE).await;
        assert_eq!(recall.or_ask(async { Ok::<_, &str>(3) }).await.unwrap(), 3);
        recall.forget().await;
        assert_eq!(recall.or_ask(async { Ok::<_, &str>(4) }).await.unwrap(), 4);
    }

    #[tokio::test]
    async fn those_who_ask_at_once_get_one_answer() {
        let recall = Recall::default();
        let slow = async {
            tokio::task::yield_now().await;
            Ok::<_, &str>(1)
        };
        let (one, other) = tokio::join!(
            recall.or_ask(slow),
            recall.or_ask(async { Ok::<_, &str>(2) })
        );
        assert_eq!((one.unwrap(), other.unwrap()), (1, 1));
    }

    /// So what holds for one of them alone is never told to another.
    #[tokio::test]
    async fn what_is_not_to_be_kept_is_asked_by_each() {
        let recall = Recall::<()>::default();
        let slow = async {
            tokio::task::yield_now().await;
            Err("not in this one")
        };
        let (one, other) = tokio::join!(
            recall.or_ask(slow),
            recall.or_ask(async { Ok::<_, &str>(()) })
        );
        assert_eq!((one, other), (Err("not in this one"), Ok(())));
    }

    #[tokio::test(start_paused = true)]
    async fn errors_do_not_come_one_after_the_other() {
        const SLOW: Duration = Duration::from_secs(30);
        let recall = Recall::<()>::default();
        let asked = (0..100).map(|_| {
            recall.or_ask(async {
                tokio::time::sleep(SLOW).await;
                Err("away")
            })
        });
        let all = futures_util::future::join_all(asked);
        let all = tokio::time::timeout(3 * SLOW, all).await.unwrap();
        assert!(all.iter().all(Result::is_err));
    }
}
