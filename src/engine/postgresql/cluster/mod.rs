//! The scratch cluster: a private server in the sandbox's directory.

use std::path::Path;

use super::PostgresEngine;
use crate::{
    domain::{
        failure::{Failure, FailureKind},
        record::SourceFacts,
        recovery_point::RecoveryPoint,
    },
    engine::{Context, Instance},
};

pub(super) async fn start(
    _engine: &PostgresEngine,
    _cx: &Context,
    _point: &RecoveryPoint,
    _source: Option<&SourceFacts>,
    _dir: &Path,
) -> Result<Instance, Failure> {
    Err(Failure::new(FailureKind::Internal, "to be written"))
}
