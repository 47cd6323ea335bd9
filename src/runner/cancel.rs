//! Ending a run early, and saying why.

use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

use crate::domain::failure::{Failure, FailureKind};

/// Why a run is ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Somebody wants it to end.
    Asked,
    /// The next run of its drill is to begin in its place.
    Replaced,
    /// Its process is to stop, and cannot wait for it any longer.
    Stopping,
}

impl Why {
    /// What a run is told that does not end by itself, where that is not all there is
    /// to it.
    fn told(self) -> Option<&'static str> {
        match self {
            Self::Asked => None,
            Self::Replaced => Some("stopped, as the next run of the drill took its place"),
            Self::Stopping => Some("stopped, as the service that made it was stopped"),
        }
    }
}

/// Ends a run early; everything is given back all the same. The first reason
/// counts.
#[derive(Debug, Clone, Default)]
pub struct Cancel {
    token: CancellationToken,
    why: Arc<OnceLock<Why>>,
}

impl Cancel {
    /// Asks the run to end.
    pub fn cancel(&self, why: Why) {
        if !self.token.is_cancelled() {
            // Whoever was a moment faster has said why.
            let _ = self.why.set(why);
        }
        self.token.cancel();
    }

    /// Why the run is to end, if it is.
    #[must_use]
    pub fn why(&self) -> Option<Why> {
        let said = || self.why.get().copied().unwrap_or(Why::Asked);
        self.token.is_cancelled().then(said)
    }

    /// Waits until the run is to end.
    pub async fn cancelled(&self) {
        self.token.cancelled().await;
    }

    /// What steps hear it by.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// What became of a step that was stopped, with the reason. What went wrong
    /// otherwise stays as it is.
    #[must_use]
    pub fn explain(&self, failure: Failure) -> Failure {
        let stopped = failure.kind == FailureKind::Cancelled;
        match self.why().and_then(Why::told).filter(|_| stopped) {
            Some(told) => Failure {
                message: told.to_owned(),
                ..failure
            },
            None => failure,
        }
    }
}

/// One that somebody ends who says no reason, such as a signal.
impl From<CancellationToken> for Cancel {
    fn from(token: CancellationToken) -> Self {
        let why = Arc::default();
        Self { token, why }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_counts() {
        let cancel = Cancel::default();
        assert_eq!(cancel.why(), None);
        cancel.cancel(Why::Replaced);
        cancel.cancel(Why::Asked);
        assert_eq!(cancel.why(), Some(Why::Replaced));
        let token = CancellationToken::new();
        let cancel = Cancel::from(token.clone());
        token.cancel();
        cancel.cancel(Why::Replaced);
        assert_eq!(cancel.why(), Some(Why::Asked));
    }

    #[test]
    fn only_what_was_stopped_is_explained() {
        let stopped = Failure::new(FailureKind::Cancelled, "stopped on request");
        let broken = Failure::new(FailureKind::BadBackup, "is torn");
        for (why, what) in [
            (Why::Replaced, "took its place"),
            (Why::Stopping, "the service that made it was stopped"),
        ] {
            let cancel = Cancel::default();
            cancel.cancel(why);
            let told = cancel.explain(stopped.clone()).message;
            assert!(told.contains(what), "{told}");
            assert_eq!(cancel.explain(broken.clone()), broken);
        }
        let asked = Cancel::default();
        asked.cancel(Why::Asked);
        assert_eq!(asked.explain(stopped.clone()), stopped);
    }
}
