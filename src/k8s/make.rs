//! Making objects of a run.

use kube::{Resource as _, ResourceExt, api::PostParams};
use serde_json::Value;

use super::{Cluster, Kind, Object, failure, labels, run_of};
use crate::domain::{
    failure::{Failure, FailureKind},
    ids::RunId,
};

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
        let what = kind.named(namespace, name);
        let object = self.object(kind, namespace, name, body)?;
        let api = self.cluster.api(kind, namespace);
        match api.create(&PostParams::default(), &object).await {
            Ok(made) => Ok(made),
            Err(kube::Error::Api(status)) if status.is_already_exists() => {
                self.adopt(kind, namespace, name).await
            }
            Err(error) => Err(failure(&format!("make {what}"), &error)),
        }
    }

    fn object(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        name: &str,
        mut body: Value,
    ) -> Result<Object, Failure> {
        let what = kind.named(namespace, name);
        let unfit = |error: &dyn std::fmt::Display| {
            Failure::new(
                FailureKind::Internal,
                format!("cannot describe {what}: {error}"),
            )
        };
        let fields = body
            .as_object_mut()
            .ok_or_else(|| unfit(&"not an object"))?;
        fields.insert("apiVersion".to_owned(), kind.api_version().into());
        fields.insert("kind".to_owned(), kind.name().into());
        fields
            .entry("metadata")
            .or_insert_with(|| Value::Object(serde_json::Map::new()));
        let mut object: Object = serde_json::from_value(body).map_err(|error| unfit(&error))?;
        object.metadata.name = Some(name.to_owned());
        object.metadata.namespace = namespace.map(str::to_owned);
        object.labels_mut().extend(labels(self.run, &self.drill));
        Ok(object)
    }

    async fn adopt(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Object, Failure> {
        let what = kind.named(namespace, name);
        let there = self.cluster.need(kind, namespace, name).await?;
        let going = there.meta().deletion_timestamp.is_some();
        if run_of(&there) == Some(self.run) && !going {
            return Ok(there);
        }
        let why = if going {
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
