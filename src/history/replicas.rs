//! Processes that share a history.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{
    domain::ids::RunId,
    runner::{
        cancel::Why,
        store::{Owner, StoreError},
    },
};

/// Who of those that work on runs is alive. One that cannot be looked at from
/// here, on another machine, is gone when it has not said for long enough that
/// it lives. All of this is by the history's own clock.
#[async_trait]
pub trait Replicas: Send + Sync {
    /// Says that `owner` lives, and may be held for dead after `lasts`; gives what
    /// the clock reads by which that is judged.
    async fn beat(&self, owner: &Owner, lasts: Duration) -> Result<Timestamp, StoreError>;

    /// Says that `owner` ends: whatever it left may be taken over at once.
    async fn leave(&self, owner: &Owner) -> Result<(), StoreError>;

    /// Whether one who has not said for too long that it lives, or never has,
    /// owns a run that is not finished.
    async fn orphaned(&self) -> Result<bool, StoreError>;

    /// Those who live.
    async fn alive(&self) -> Result<Vec<Owner>, StoreError>;

    /// Asks whoever works on a run to end it early; gives whether it goes on. The
    /// first reason counts.
    async fn ask_to_end(&self, run: RunId, why: Why) -> Result<bool, StoreError>;

    /// The runs of `owner` that somebody wants to end early, and why.
    async fn asked_to_end(&self, owner: &Owner) -> Result<Vec<(RunId, Why)>, StoreError>;
}
