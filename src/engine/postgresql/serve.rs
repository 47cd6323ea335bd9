//! A real read and a real, committed write.

use super::PostgresEngine;
use crate::{
    domain::failure::{Failure, FailureKind},
    engine::{Context, Instance},
};

pub(super) async fn serve(
    _engine: &PostgresEngine,
    _cx: &Context,
    _instance: &Instance,
) -> Result<(), Failure> {
    Err(Failure::new(FailureKind::Internal, "to be written"))
}
