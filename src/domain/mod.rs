//! What happens in a run, as plain data: no I/O, no clock, no async.

pub mod budget;
pub mod canary;
pub mod check;
pub mod conclude;
pub mod event;
pub mod facets;
pub mod failure;
pub mod fingerprint;
pub mod ids;
pub mod inventory;
pub mod journal;
pub mod objective;
pub mod record;
pub mod recovery_point;
pub mod resource;
pub mod retold;
pub mod step;
pub mod store;
pub mod summary;
pub mod tally;
pub mod timeline;
pub mod verdict;
