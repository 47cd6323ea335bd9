//! All checks of a restored copy.

use super::PostgresEngine;
use crate::{
    domain::failure::{Failure, FailureKind},
    engine::{Context, Instance, Verification, VerifyRequest},
};

pub(super) async fn verify(
    _engine: &PostgresEngine,
    _cx: &Context,
    _request: VerifyRequest<'_>,
    _instance: &Instance,
) -> Result<Verification, Failure> {
    Err(Failure::new(FailureKind::Internal, "to be written"))
}
