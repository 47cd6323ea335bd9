//! Looks at what there is in a whole cluster, shared by all who want one at the
//! same time.
//!
//! Whoever looks for what is left has to see how things stand after it asked,
//! and not before. So a list serves those who have asked before it began; who
//! asks while it is under way waits for the next. Where many drills end
//! together, these follow one another slowly, so that many ask in between.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use kube::ResourceExt;
use tokio::{
    sync::{Mutex as Gate, OnceCell},
    time::Sleep,
};

use super::{Cluster, Kind, Object, RUN, run_of};
use crate::domain::{failure::Failure, ids::RunId};

/// The least time from the begin of one list to that of the next.
const REST: Duration = Duration::from_millis(500);

type Seen = Arc<OnceCell<Result<Arc<Vec<Object>>, Failure>>>;

/// The looks of one kind with one selector.
#[derive(Debug, Default)]
struct Turns {
    /// Held while a list is under way; for how long there is to be no other.
    gate: Gate<Option<Pin<Box<Sleep>>>>,
    /// What the list that begins next will have seen.
    next: Mutex<Seen>,
}

/// Which kind, and by which selector.
type Which = (Kind, String);

/// The looks at one cluster.
#[derive(Debug, Clone, Default)]
pub(super) struct Looks(Arc<Mutex<BTreeMap<Which, Arc<Turns>>>>);

impl Turns {
    fn next(&self) -> Seen {
        let next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        next.clone()
    }

    /// Whoever asks from now on is served by another.
    fn begins(&self, seen: &Seen) {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&next, seen) {
            *next = Seen::default();
        }
    }

    async fn take(
        &self,
        list: impl Future<Output = Result<Vec<Object>, Failure>>,
    ) -> Result<Arc<Vec<Object>>, Failure> {
        let seen = self.next();
        let mut rest = self.gate.lock().await;
        let begin = async {
            if let Some(rest) = &mut *rest {
                rest.await;
            }
            *rest = Some(Box::pin(tokio::time::sleep(REST)));
            self.begins(&seen);
            list.await.map(Arc::new)
        };
        seen.get_or_init(|| begin).await.clone()
    }
}

impl Cluster {
    /// All objects of a kind in the whole cluster that fit a label selector, as
    /// they stand after this was asked.
    ///
    /// # Errors
    /// As [`list`](Cluster::list).
    pub async fn look(&self, kind: Kind, selector: &str) -> Result<Arc<Vec<Object>>, Failure> {
        let turns = {
            let mut all = self.looks.0.lock().unwrap_or_else(PoisonError::into_inner);
            let turns = all.entry((kind, selector.to_owned())).or_default();
            turns.clone()
        };
        turns.take(self.list(kind, None, selector)).await
    }

    /// All objects of a kind that wear a run's label, in a namespace or of the
    /// whole cluster, as they stand after this was asked.
    ///
    /// # Errors
    /// As [`list`](Cluster::list).
    pub async fn of_run(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        run: RunId,
    ) -> Result<Vec<Object>, Failure> {
        if namespace.is_some() && !self.is_everywhere() {
            return self.list(kind, namespace, &format!("{RUN}={run}")).await;
        }
        let all = self.look(kind, RUN).await?;
        let ours = all.iter().filter(|one| {
            run_of(one) == Some(run)
                && (namespace.is_none() || one.namespace().as_deref() == namespace)
        });
        Ok(ours.cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn lists_follow_one_another_slowly() {
        let turns = Turns::default();
        let three = async {
            for _ in 0..3 {
                turns.take(async { Ok(Vec::new()) }).await.unwrap();
            }
        };
        let longer_than_one = REST + REST / 2;
        assert!(tokio::time::timeout(longer_than_one, three).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_serves_those_who_asked_before_it_began_and_nobody_else() {
        let turns = Arc::new(Turns::default());
        let begun = Arc::new(AtomicU64::new(0));
        let look = || {
            let (turns, begun) = (turns.clone(), begun.clone());
            tokio::spawn(async move {
                let asked = begun.load(Ordering::SeqCst);
                let which = AtomicU64::new(0);
                turns
                    .take(async {
                        which.store(begun.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        for _ in 0..10 {
                            tokio::task::yield_now().await;
                        }
                        Ok(Vec::new())
                    })
                    .await
                    .unwrap();
                (asked, which.into_inner())
            })
        };
        let mut all = vec![look()];
        tokio::task::yield_now().await;
        all.extend((0..20).map(|_| look()));
        for one in all {
            let (asked, which) = one.await.unwrap();
            assert!(
                which == 0 || which > asked,
                "its own list begins after it asked"
            );
        }
        assert_eq!(begun.load(Ordering::SeqCst), 2);
    }
}
