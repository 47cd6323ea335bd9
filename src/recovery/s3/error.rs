//! What went wrong with a request, for people.

use aws_sdk_s3::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};

use crate::domain::{
    failure::{Failure, FailureKind, chain},
    store::S3Place,
};

/// The code that tells that an upload is not there, or not any more.
pub(super) const NO_SUCH_UPLOAD: &str = "NoSuchUpload";

/// The header that tells where a bucket really is.
const BUCKET_REGION: &str = "x-amz-bucket-region";

/// Makes a failure of an error: `doing` is what was tried.
pub(super) fn failure<E>(place: &S3Place, doing: &str, error: &SdkError<E>) -> Failure
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let at = place.address();
    let failed = |kind, what: &str| Failure::new(kind, format!("cannot {doing}: {what}"));
    match error {
        SdkError::ServiceError(context) => {
            let status = context.raw().status().as_u16();
            let region = context.raw().headers().get(BUCKET_REGION);
            answered(context.err(), status, region, place, &failed)
        }
        SdkError::TimeoutError(_) => failed(
            FailureKind::Unavailable,
            &format!("{at} did not answer in time"),
        ),
        SdkError::DispatchFailure(_) => {
            let what = format!("{at} cannot be reached: {}", causes(error));
            failed(FailureKind::Unavailable, &what)
        }
        SdkError::ResponseError(_) => {
            let what = format!("{at} gave no proper answer: {}", causes(error));
            failed(FailureKind::Unavailable, &what)
        }
        _ => {
            let what = causes(error);
            // Credentials are looked for when the request is made ready.
            let kind = if what.to_lowercase().contains("credential") {
                FailureKind::Denied
            } else {
                FailureKind::Internal
            };
            failed(kind, &what)
        }
    }
}

/// Whether the server says that it does not know what it was asked for.
pub(super) fn is_not_known<E>(error: &SdkError<E>) -> bool {
    matches!(status(error), Some(400 | 405 | 501))
}

/// Whether something is not there.
pub(super) fn is_missing<E>(error: &SdkError<E>) -> bool {
    status(error) == Some(404)
}

/// Whether the server forbids it.
pub(super) fn is_denied<E>(error: &SdkError<E>) -> bool {
    status(error) == Some(403)
}

fn status<E>(error: &SdkError<E>) -> Option<u16> {
    error
        .raw_response()
        .map(|raw: &HttpResponse| raw.status().as_u16())
}

fn answered(
    error: &impl ProvideErrorMetadata,
    status: u16,
    region: Option<&str>,
    place: &S3Place,
    failed: &dyn Fn(FailureKind, &str) -> Failure,
) -> Failure {
    let code = error.code().unwrap_or_default();
    // An answer to HEAD has no body to say more.
    let told = match (code, error.message()) {
        ("" | "NotFound", None | Some("")) => format!("status {status}"),
        (code, None | Some("")) => code.to_owned(),
        (code, Some(message)) => format!("{code}: {}", message.trim_end_matches('.')),
    };
    let bucket = &place.bucket;
    match (code, status) {
        ("NoSuchBucket", _) => failed(FailureKind::NotFound, &format!("no bucket {bucket}"))
            .hint("check the bucket's name, and that the endpoint and region are its own"),
        (
            "PermanentRedirect"
            | "AuthorizationHeaderMalformed"
            | "IllegalLocationConstraintException",
            _,
        )
        | (_, 301) => {
            let hint = match region {
                Some(region) => format!("set `region: {region}`"),
                None => "set `region` to that of the bucket".to_owned(),
            };
            failed(FailureKind::Invalid, &told).hint(hint)
        }
        ("InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken", _) => {
            failed(FailureKind::Denied, &told).hint("check the access key id and its secret")
        }
        ("ExpiredToken" | "TokenRefreshRequired", _) => failed(FailureKind::Denied, &told)
            .hint("the credentials were valid for a while only: take some that last"),
        ("RequestTimeTooSkewed", _) => {
            failed(FailureKind::Denied, &told).hint("set this machine's clock")
        }
        (_, 401 | 403) => failed(FailureKind::Denied, &told)
            .hint("see docs/s3.md for the rights that a drill needs"),
        ("QuotaExceeded" | "XMinioStorageFull" | "EntityTooLarge", _) | (_, 507) => {
            failed(FailureKind::Exhausted, &told)
        }
        (_, 404) => failed(FailureKind::NotFound, &told),
        (_, 412) => failed(FailureKind::Conflict, "it was changed while it was read"),
        (_, 500..) => failed(FailureKind::Unavailable, &told),
        _ => failed(FailureKind::Invalid, &told),
    }
}

/// All causes, without the words that say only what kind of error it is.
fn causes<E: std::error::Error + 'static>(error: &SdkError<E>) -> String {
    match std::error::Error::source(error) {
        Some(source) => chain(source),
        None => error.to_string(),
    }
}
