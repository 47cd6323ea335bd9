//! Spoiling a copy on purpose, to show that the checks would notice.

use super::PostgresEngine;
use crate::{
    domain::failure::{Failure, FailureKind},
    engine::{Context, Fault, Instance},
};

pub(super) async fn spoil(
    _engine: &PostgresEngine,
    _cx: &Context,
    _faults: &[Fault],
    _instance: &Instance,
) -> Result<Vec<String>, Failure> {
    Err(Failure::new(FailureKind::Internal, "to be written"))
}
