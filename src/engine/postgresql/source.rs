//! Looking at the source: facts and preflight.

use super::PostgresEngine;
use crate::{
    domain::{check::Finding, failure::Failure, record::SourceFacts},
    engine::Context,
};

pub(super) async fn preflight(_engine: &PostgresEngine, _cx: &Context) -> Vec<Finding> {
    Vec::new()
}

pub(super) async fn inspect(
    _engine: &PostgresEngine,
    _cx: &Context,
) -> Result<Option<SourceFacts>, Failure> {
    Ok(None)
}
