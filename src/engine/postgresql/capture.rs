//! A fresh recovery point: parallel `pg_dump` with fingerprint and inventory
//! taken in the same snapshot.

use std::path::Path;

use super::PostgresEngine;
use crate::{
    domain::{
        failure::{Failure, FailureKind},
        recovery_point::RecoveryPoint,
    },
    engine::Context,
};

pub(super) async fn capture(
    _engine: &PostgresEngine,
    _cx: &Context,
    _into: &Path,
) -> Result<RecoveryPoint, Failure> {
    Err(Failure::new(FailureKind::Internal, "to be written"))
}
