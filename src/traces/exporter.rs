//! The exporter as the environment wants it.

use std::{path::Path, sync::Arc};

use opentelemetry::KeyValue;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    resource::{EnvResourceDetector, TelemetryResourceDetector},
    trace::SpanExporter as _,
};
use rustls::RootCertStore;

use super::{client::Client, setting, trouble::Trouble};
use crate::{domain::failure::Failure, trust};

/// An exporter to `endpoint`. Address, headers and compression are read from
/// the environment by the library.
///
/// # Errors
/// If the environment says what cannot be.
pub(super) fn new(endpoint: &str, trouble: Arc<Trouble>) -> anyhow::Result<SpanExporter> {
    let client = Client::new(trust::client(authorities(endpoint)?)?, trouble);
    let mut exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_protocol(Protocol::HttpBinary)
        .build()?;
    exporter.set_resource(&resource());
    Ok(exporter)
}

/// Who vouches for the collector. One that is asked without TLS needs nobody: an
/// image may hold no certificates at all.
fn authorities(endpoint: &str) -> Result<RootCertStore, Failure> {
    if !endpoint.trim().starts_with("https:") {
        return Ok(RootCertStore::empty());
    }
    let file = setting("CERTIFICATE");
    trust::authorities(file.as_ref().map(Path::new))
}

/// Who exports: `lifeboat`, where the environment has no other name for it.
fn resource() -> Resource {
    let resource = Resource::builder_empty()
        .with_service_name("lifeboat")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_detector(Box::new(EnvResourceDetector::new()));
    match std::env::var("OTEL_SERVICE_NAME") {
        Ok(name) if !name.is_empty() => resource.with_service_name(name).build(),
        _ => resource.build(),
    }
}
