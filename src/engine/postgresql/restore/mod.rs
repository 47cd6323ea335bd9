//! Loading a dump into the scratch cluster.

use std::path::Path;

use super::PostgresEngine;
use crate::{
    domain::{
        failure::{Failure, FailureKind},
        recovery_point::RecoveryPoint,
    },
    engine::{Context, Instance, Restored},
};

pub(super) async fn identify(
    _engine: &PostgresEngine,
    _cx: &Context,
    _path: &Path,
) -> Result<RecoveryPoint, Failure> {
    Err(Failure::new(FailureKind::Internal, "to be written"))
}

pub(super) async fn restore(
    _engine: &PostgresEngine,
    _cx: &Context,
    _point: &RecoveryPoint,
    _instance: &Instance,
) -> Result<Restored, Failure> {
    Err(Failure::new(FailureKind::Internal, "to be written"))
}
