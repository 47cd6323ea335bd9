//! Errors as `application/problem+json` (RFC 9457).

use axum::{
    extract::Request,
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::Serialize;

use super::PATIENCE;
use crate::{
    domain::failure::{Failure, FailureKind},
    runner::store::StoreError,
    service::Refused,
};

/// What went wrong with a request.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Problem {
    #[serde(serialize_with = "number")]
    #[schemars(with = "u16")]
    status: StatusCode,
    title: &'static str,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    /// In how many seconds it may be better.
    #[serde(skip)]
    again: Option<u32>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

impl Problem {
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            title: status.canonical_reason().unwrap_or("error"),
            detail: detail.into(),
            hint: None,
            again: None,
        }
    }

    /// What there is no room for now, and may be in a moment.
    pub fn no_room(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            again: Some(1),
            ..Self::new(status, detail)
        }
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    pub fn is_not_found(&self) -> bool {
        self.status == StatusCode::NOT_FOUND
    }

    /// Whether who asks is not known.
    pub fn is_unauthorized(&self) -> bool {
        self.status == StatusCode::UNAUTHORIZED
    }

    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_string(&self).unwrap_or_default();
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        let mut response = (self.status, kind, body).into_response();
        if let Some(seconds) = self.again {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let status = match failure.kind {
            FailureKind::NotFound => StatusCode::NOT_FOUND,
            FailureKind::Conflict => StatusCode::CONFLICT,
            FailureKind::Unavailable | FailureKind::Exhausted | FailureKind::Timeout => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self {
            hint: failure.hint,
            ..Self::new(status, failure.message)
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Failure::from(&error).into()
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Failed(failure) => failure.into(),
            Refused::Unknown(_) => Self::not_found(refused.to_string()),
            Refused::Running { .. } | Refused::Waiting { .. } => {
                Self::new(StatusCode::CONFLICT, refused.to_string())
            }
            Refused::Requested { .. } => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, refused.to_string())
            }
            Refused::Stopped => Self::no_room(StatusCode::SERVICE_UNAVAILABLE, refused.to_string())
                .hint("ask another replica, or again once the service has started anew"),
        }
    }
}

/// Ends what takes too long.
pub async fn in_time(request: Request, next: Next) -> Response {
    let answer = tokio::time::timeout(PATIENCE, next.run(request)).await;
    answer.unwrap_or_else(|_| too_long().into_response())
}

pub fn too_long() -> Problem {
    let detail = format!("took longer than {} s", PATIENCE.as_secs());
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
}

pub async fn nowhere(request: Request) -> Problem {
    Problem::not_found(format!("there is nothing at {}", request.uri().path()))
        .hint("the API is at /api/v1")
}

pub async fn not_so(request: Request) -> Problem {
    let (method, path) = (request.method(), request.uri().path());
    let detail = format!("{method} is not possible at {path}");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
}
