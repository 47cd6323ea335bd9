//! Asks a collector, with the libraries that notifications are sent with.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use rustls::ClientConfig;

use super::trouble::Trouble;
use crate::domain::failure::chain;

/// How long an address may take to be connected to, so that one which does not
/// answer leaves time for the next.
const CONNECTING: Duration = Duration::from_secs(3);

/// The longest answer that is read. A good one is a few bytes.
const LONGEST: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct Client {
    http: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    trouble: Arc<Trouble>,
}

impl Client {
    pub fn new(tls: ClientConfig, trouble: Arc<Trouble>) -> Self {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(CONNECTING));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        Self {
            http: legacy::Client::builder(TokioExecutor::new()).build(connector),
            trouble,
        }
    }

    async fn ask(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.http.request(request.map(Full::from)).await?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, LONGEST).collect().await?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        self.ask(request).await.inspect_err(|error| {
            // The exporter says no more of it than that it was the network.
            self.trouble.met(&chain(&**error));
        })
    }
}
