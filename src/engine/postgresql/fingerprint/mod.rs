//! The fingerprint of a database, computed by the server itself.

use super::endpoint::Endpoint;
use crate::{
    domain::{
        failure::{Failure, FailureKind},
        fingerprint::Fingerprint,
    },
    engine::Context,
};

/// What is taken and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// Hash every value's text instead of the value.
    pub exact_text: bool,
    /// Qualified names of tables to leave out; the canary table is one.
    pub exclude: Vec<String>,
    /// Parallel connections.
    pub jobs: usize,
}

/// Takes the fingerprint of all tables, large objects and sequences; on the
/// source within the exported `snapshot`.
pub async fn take(
    _cx: &Context,
    _endpoint: &Endpoint,
    _snapshot: Option<&str>,
    _options: &Options,
) -> Result<Fingerprint, Failure> {
    Err(Failure::new(FailureKind::Internal, "to be written"))
}
