//! That this process lives, said to others who share the history; and that
//! they want a run of it to end.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::App;
use crate::{
    domain::ids::RunId,
    history::History,
    runner::store::{Owner, StoreError},
};

/// How often to look whether somebody wants a run to end, where nobody has to
/// be told that this process lives.
const LOOK: Duration = Duration::from_secs(5);

/// A history that processes on several machines share.
#[derive(Debug, Clone)]
pub struct Shared {
    /// `postgresql://...`
    pub url: String,
    /// How long a process counts as alive that says nothing.
    pub claim: Duration,
}

impl Shared {
    /// The address without what is secret in it.
    #[must_use]
    pub fn shown(&self) -> String {
        let (scheme, rest) = self.url.split_once("://").unwrap_or(("", &self.url));
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let host = authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host);
        format!("{scheme}://{host}/{database}")
    }
}

/// The runs that this process works on.
#[derive(Debug, Default)]
pub struct Live(Mutex<HashMap<RunId, CancellationToken>>);

impl Live {
    /// Has the run until what it gives is dropped.
    pub fn add(self: &Arc<Self>, run: RunId, cancel: CancellationToken) -> impl Drop + use<> {
        self.runs().insert(run, cancel);
        Forget {
            live: self.clone(),
            run,
        }
    }

    pub fn has(&self, run: RunId) -> bool {
        self.runs().contains_key(&run)
    }

    fn is_empty(&self) -> bool {
        self.runs().is_empty()
    }

    fn end(&self, run: RunId) {
        if let Some(cancel) = self.runs().get(&run) {
            cancel.cancel();
        }
    }

    fn runs(&self) -> MutexGuard<'_, HashMap<RunId, CancellationToken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Forget {
    live: Arc<Live>,
    run: RunId,
}

impl Drop for Forget {
    fn drop(&mut self) {
        self.live.runs().remove(&self.run);
    }
}

impl App {
    /// Says that this process lives, for as long as what it gives is kept; a
    /// service says so all the time.
    ///
    /// # Errors
    /// If it cannot be said once.
    pub(super) async fn stays_alive(&self) -> Result<Option<impl Drop + use<>>, StoreError> {
        if self.serving {
            return Ok(None);
        }
        let beating = self.beating();
        beating.beat().await?;
        let task = tokio::spawn(async move { beating.keep().await });
        Ok(Some(Abort(task)))
    }

    /// What says that this process lives.
    pub(super) fn beating(&self) -> Beating {
        Beating {
            history: self.history.clone(),
            owner: self.owner(),
            claim: self.claim,
            live: self.live.clone(),
            to_sweep: self.to_sweep.clone(),
        }
    }
}

struct Abort(tokio::task::JoinHandle<()>);

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Says again and again that a process lives.
pub struct Beating {
    history: Arc<dyn History>,
    owner: Owner,
    claim: Option<Duration>,
    live: Arc<Live>,
    to_sweep: Arc<Notify>,
}

impl Beating {
    /// Goes on for ever.
    pub async fn keep(self) {
        let pause = self.claim.map_or(LOOK, |claim| claim / 3);
        loop {
            tokio::time::sleep(pause).await;
            if let Err(error) = self.once().await {
                let error = crate::domain::failure::Failure::from(&error).message;
                tracing::warn!(error, "cannot tell the history that this process lives");
            }
        }
    }

    async fn once(&self) -> Result<(), StoreError> {
        self.beat().await?;
        if self.claim.is_some() && self.history.orphaned().await? {
            self.to_sweep.notify_one();
        }
        if !self.live.is_empty() {
            for run in self.history.asked_to_end(&self.owner).await? {
                tracing::info!(%run, "somebody wants the run to end early");
                self.live.end(run);
            }
        }
        Ok(())
    }

    /// Says it once.
    ///
    /// # Errors
    /// If the history cannot be written.
    pub async fn beat(&self) -> Result<(), StoreError> {
        match self.claim {
            Some(claim) => self.history.beat(&self.owner, claim).await,
            None => Ok(()),
        }
    }

    /// Says that it ends. What it may have left is taken over at once.
    pub async fn leave(&self) {
        if self.claim.is_some()
            && let Err(error) = self.history.leave(&self.owner).await
        {
            tracing::debug!(%error, "cannot tell the history that this process ends");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_password() {
        for (url, shown) in [
            (
                "postgresql://a:p%40s@db.prod:5433/boat?sslmode=require",
                "postgresql://db.prod:5433/boat",
            ),
            ("postgres://db/boat?password=x", "postgres://db/boat"),
            ("postgresql://a@p:x@[::1]/b", "postgresql://[::1]/b"),
            ("nothing", "://nothing/"),
        ] {
            let shared = Shared {
                url: url.to_owned(),
                claim: LOOK,
            };
            assert_eq!(shared.shown(), shown);
        }
    }
}
