//! Whether Lifeboat may do what it will need to do: asked, not tried.

use futures_util::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::{Api, api::PostParams};

use super::{Cluster, Kind, failure};
use crate::domain::failure::Failure;

/// How many questions are under way at once.
const AT_ONCE: usize = 8;

/// One thing that has to be allowed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    pub verb: &'static str,
    pub kind: Kind,
    pub subresource: Option<&'static str>,
    pub scope: Scope,
    /// `None`: of every name.
    pub name: Option<String>,
}

/// Where something has to be allowed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// In the whole cluster, and of what lies in no namespace.
    Cluster,
    Namespace(String),
    /// In every namespace that a run makes.
    Sandboxes,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    pub permission: Permission,
    pub allowed: bool,
}

impl Permission {
    /// A permission for all objects of a kind.
    #[must_use]
    pub fn new(verb: &'static str, kind: Kind, scope: Scope) -> Self {
        Self {
            verb,
            kind,
            subresource: None,
            scope,
            name: None,
        }
    }

    /// One for all of the cluster.
    #[must_use]
    pub fn of_cluster(verb: &'static str, kind: Kind) -> Self {
        Self::new(verb, kind, Scope::Cluster)
    }

    /// The same within one namespace.
    #[must_use]
    pub fn within(mut self, namespace: &str) -> Self {
        self.scope = Scope::Namespace(namespace.to_owned());
        self
    }

    /// Narrowed to one object.
    #[must_use]
    pub fn of(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Of a part of the objects, such as `log`.
    #[must_use]
    pub fn part(mut self, subresource: &'static str) -> Self {
        self.subresource = Some(subresource);
        self
    }

    fn attributes(&self) -> ResourceAttributes {
        ResourceAttributes {
            verb: Some(self.verb.to_owned()),
            group: Some(self.kind.group().to_owned()),
            resource: Some(self.kind.plural().to_owned()),
            subresource: self.subresource.map(str::to_owned),
            namespace: match &self.scope {
                Scope::Namespace(name) => Some(name.clone()),
                // What holds everywhere holds in a namespace that will be.
                Scope::Cluster | Scope::Sandboxes => None,
            },
            name: self.name.clone(),
            ..ResourceAttributes::default()
        }
    }
}

impl std::fmt::Display for Permission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.verb, self.kind.plural())?;
        if let Some(part) = self.subresource {
            write!(f, "/{part}")?;
        }
        if !self.kind.group().is_empty() {
            write!(f, ".{}", self.kind.group())?;
        }
        if let Some(name) = &self.name {
            write!(f, " `{name}`")?;
        }
        match &self.scope {
            Scope::Namespace(namespace) => write!(f, " in namespace {namespace}"),
            Scope::Cluster => write!(f, " in the whole cluster"),
            Scope::Sandboxes => write!(f, " in sandboxes"),
        }
    }
}

impl Cluster {
    /// Asks the API server about each permission, in the same order.
    ///
    /// # Errors
    /// If it cannot be asked.
    pub async fn access(&self, permissions: Vec<Permission>) -> Result<Vec<Access>, Failure> {
        let ask = |permission: Permission| async move {
            let api: Api<SelfSubjectAccessReview> = Api::all(self.client().clone());
            let review = SelfSubjectAccessReview {
                spec: SelfSubjectAccessReviewSpec {
                    resource_attributes: Some(permission.attributes()),
                    ..SelfSubjectAccessReviewSpec::default()
                },
                ..SelfSubjectAccessReview::default()
            };
            let answer = api.create(&PostParams::default(), &review).await;
            let answer = answer.map_err(|error| failure("ask for rights", &error))?;
            let allowed = answer.status.is_some_and(|status| status.allowed);
            Ok(Access {
                permission,
                allowed,
            })
        };
        stream::iter(permissions)
            .map(ask)
            .buffered(AT_ONCE)
            .try_collect()
            .await
    }
}
