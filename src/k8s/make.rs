//! Making objects of a run.

use std::time::Duration;

use kube::{Api, Client, ResourceExt, discovery::ApiResource};
use serde_json::{Value, json};

use super::{Cluster, Kind, Object, error::exceeded, failure, is_going, labels, run_of};
use crate::domain::{
    failure::{Failure, FailureKind},
    ids::RunId,
};

/// How often a refusal that goes by itself is tried again, and after what time.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(100);

/// What the API server says where it does not know yet what was made just now.
const NOT_KNOWN_YET: [&str; 3] = [
    "cannot create resource",
    "error looking up service account",
    "status unknown for quota",
];

/// Makes the objects of one run.
#[derive(Debug, Clone)]
pub struct Maker {
    pub cluster: Cluster,
    pub run: RunId,
    pub drill: String,
}

impl Maker {
    /// Makes an object, or adopts the one that this very run has made under
    /// that name. `body` is all but the kind, the name and the run's labels.
    ///
    /// # Errors
    /// `Conflict` if something stands there that is not this run's; and what
    /// the API server has against it.
    pub async fn make(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        name: &str,
        body: Value,
    ) -> Result<Object, Failure> {
        let doing = format!("make {}", kind.named(namespace, name));
        let (api, object) = self.prepare(kind, namespace, name, body).await?;
        let mut tries = 0;
        loop {
            let made = create(self.cluster.client(), api.resource_url(), &object, false).await;
            match made {
                Err(kube::Error::Api(status)) if status.is_already_exists() => {
                    return self.adopt(kind, namespace, name).await;
                }
                Err(kube::Error::Api(status)) if exceeded(&status.message) => {
                    let ours = self.made_before(kind, namespace, name).await;
                    return ours.ok_or_else(|| failure(&doing, &kube::Error::Api(status)));
                }
                Err(error) if tries < TRIES && self.may_pass(namespace, &error) => {
                    tries += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                made => return made.map_err(|error| failure(&doing, &error)),
            }
        }
    }

    /// What this run has made under that name, if the answer was lost: a quota is
    /// asked for room before anybody looks whether it is there.
    async fn made_before(&self, kind: Kind, namespace: Option<&str>, name: &str) -> Option<Object> {
        let there = self.cluster.get(kind, namespace, name).await.ok()??;
        self.has_made(&there).then_some(there)
    }

    /// Whether it is this run's, and stays.
    fn has_made(&self, there: &Object) -> bool {
        run_of(there) == Some(self.run) && !is_going(there)
    }

    /// Whether the API server refused for a reason that goes by itself: rights,
    /// accounts and quotas in a new sandbox are not known to each of its
    /// replicas at once, and several objects may want to be counted by a quota
    /// at the same time.
    fn may_pass(&self, namespace: Option<&str>, error: &kube::Error) -> bool {
        let kube::Error::Api(status) = error else {
            return false;
        };
        let in_sandbox = namespace == Some(self.run.resource_name().as_str());
        let unknown_yet = NOT_KNOWN_YET
            .iter()
            .any(|words| status.message.contains(words));
        status.is_conflict() || (in_sandbox && status.is_forbidden() && unknown_yet)
    }

    async fn prepare(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        name: &str,
        body: Value,
    ) -> Result<(Api<Object>, Object), Failure> {
        let resource = self.cluster.resource(kind).await?;
        let mut object = describe(&resource, body).map_err(|error| {
            let what = kind.named(namespace, name);
            let message = format!("cannot describe {what}: {error}");
            Failure::new(FailureKind::Internal, message)
        })?;
        object.metadata.name = Some(name.to_owned());
        object.metadata.namespace = namespace.map(str::to_owned);
        object.labels_mut().extend(labels(self.run, &self.drill));
        Ok((self.cluster.api(kind, namespace).await?, object))
    }

    async fn adopt(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Object, Failure> {
        let what = kind.named(namespace, name);
        let there = match self.cluster.need(kind, namespace, name).await {
            // Whose it is cannot be told: so it is not taken for ours.
            Err(failure) if failure.kind == FailureKind::Denied => {
                let message = format!("{what} is there already: it is left alone");
                return Err(Failure::new(FailureKind::Conflict, message));
            }
            there => there?,
        };
        if self.has_made(&there) {
            return Ok(there);
        }
        let why = if is_going(&there) {
            "is just being removed"
        } else {
            "is not this run's"
        };
        Err(Failure::new(
            FailureKind::Conflict,
            format!("{what} {why}: it is left alone"),
        ))
    }
}

impl Cluster {
    /// Asks whether the API server would make an object, without making it.
    /// `body` is all but the kind.
    ///
    /// # Errors
    /// With what it has against it.
    pub async fn try_out(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        body: Value,
    ) -> Result<(), Failure> {
        let object = describe(&self.resource(kind).await?, body)
            .map_err(|error| Failure::new(FailureKind::Internal, error.to_string()))?;
        let api = self.api(kind, namespace).await?;
        let tried = create(self.client(), api.resource_url(), &object, true).await;
        let doing = || format!("make {}", kind.named(namespace, &object.name_any()));
        tried.map(drop).map_err(|error| failure(&doing(), &error))
    }
}

fn describe(resource: &ApiResource, mut body: Value) -> serde_json::Result<Object> {
    if let Some(fields) = body.as_object_mut() {
        fields.insert("apiVersion".to_owned(), resource.api_version.clone().into());
        fields.insert("kind".to_owned(), resource.kind.clone().into());
        fields.entry("metadata").or_insert_with(|| json!({}));
    }
    serde_json::from_value(body)
}

/// An API server that does not know a field drops it in silence, unless it is
/// told to refuse. A field of the fence must not go so.
async fn create(
    client: &Client,
    url: &str,
    object: &Object,
    dry_run: bool,
) -> Result<Object, kube::Error> {
    let trial = if dry_run { "&dryRun=All" } else { "" };
    let body = serde_json::to_vec(object).map_err(kube::Error::SerdeError)?;
    let request = http::Request::post(format!("{url}?fieldValidation=Strict{trial}"))
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(body)
        .map_err(kube::Error::HttpError)?;
    client.request(request).await
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use kube::client::Body;

    use super::*;

    /// An API server that gives these answers, one after the other, and what
    /// it was asked.
    fn server(answers: Vec<(u16, &'static str, String)>) -> (Maker, Arc<Mutex<Vec<String>>>) {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let answers = Arc::new(Mutex::new(answers.into_iter()));
        let heard = asked.clone();
        let service = tower::service_fn(move |request: http::Request<Body>| {
            heard.lock().unwrap().push(request.uri().to_string());
            let (code, reason, message) = answers.lock().unwrap().next().unwrap();
            let body = if code < 300 {
                json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "made" } })
            } else {
                json!({ "kind": "Status", "status": "Failure", "code": code, "reason": reason,
                        "message": message })
            };
            let answer = http::Response::builder().status(code);
            let body = Body::from(serde_json::to_vec(&body).unwrap());
            async move { Ok::<_, std::convert::Infallible>(answer.body(body).unwrap()) }
        });
        let maker = Maker {
            cluster: Cluster::of(Client::new(service, "default"), "test"),
            run: RunId::new(jiff::Timestamp::UNIX_EPOCH),
            drill: "d".to_owned(),
        };
        (maker, asked)
    }

    fn no_right() -> (u16, &'static str, String) {
        let message =
            "pods is forbidden: User \"u\" cannot create resource \"pods\" in the namespace";
        (403, "Forbidden", message.to_owned())
    }

    async fn make(maker: &Maker, namespace: &str) -> Result<Object, Failure> {
        let body = json!({ "spec": {} });
        maker.make(Kind::Pod, Some(namespace), "made", body).await
    }

    #[tokio::test]
    async fn a_right_that_is_just_being_given_is_waited_for() {
        let made = (201, "", String::new());
        let (maker, asked) = server(vec![no_right(), no_right(), made]);
        make(&maker, &maker.run.resource_name()).await.unwrap();
        let asked = asked.lock().unwrap();
        assert_eq!(asked.len(), 3);
        assert!(
            asked[0].ends_with("/pods?fieldValidation=Strict"),
            "{asked:?}"
        );
    }

    #[tokio::test]
    async fn an_account_that_was_made_just_now_is_waited_for() {
        let message = "pods \"made\" is forbidden: error looking up service account lb/db: \
                       serviceaccount \"db\" not found";
        let unknown = (403, "Forbidden", message.to_owned());
        let (maker, asked) = server(vec![unknown, (201, "", String::new())]);
        make(&maker, &maker.run.resource_name()).await.unwrap();
        assert_eq!(asked.lock().unwrap().len(), 2);
    }

    #[tokio::test]
    async fn no_other_refusal_is_tried_again() {
        let (maker, asked) = server(vec![no_right()]);
        let failure = make(&maker, "shop").await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Denied, "outside of the sandbox");
        assert_eq!(asked.lock().unwrap().len(), 1);
        let full = "pods \"made\" is forbidden: exceeded quota: size".to_owned();
        let none = (404, "NotFound", String::new());
        let (maker, asked) = server(vec![(403, "Forbidden", full), none]);
        let failure = make(&maker, &maker.run.resource_name()).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Exhausted);
        // Once to make it, and once to see whether it is there.
        assert_eq!(asked.lock().unwrap().len(), 2);
    }

    #[tokio::test]
    async fn what_stands_there_and_may_not_be_read_is_left_alone() {
        let there = (409, "AlreadyExists", "it exists".to_owned());
        let denied = (403, "Forbidden", "cannot get resource".to_owned());
        let (maker, _) = server(vec![there, denied]);
        let failure = make(&maker, "shop").await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Conflict, "{failure}");
    }
}
