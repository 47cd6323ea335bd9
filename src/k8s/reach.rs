//! How far our rights reach: to everything, or to what Lifeboat gives itself in
//! each of its namespaces.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::{Api, ResourceExt, api::PostParams};

use super::{Cluster, Object, Permission, failure, recall::Recall, watches::Scope};
use crate::domain::failure::{Failure, FailureKind};

/// What was learnt of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Reach {
    may_all: Recall<bool>,
    /// Whether one watch of the whole cluster may be used for what lies in
    /// namespaces.
    everywhere: Arc<AtomicBool>,
    /// That it is; that it is not says nothing of other namespaces.
    needs_binding: Recall<()>,
    who: Recall<String>,
}

impl Cluster {
    /// Whether we may do everything everywhere.
    ///
    /// # Errors
    /// If the API server cannot be asked.
    pub async fn may_all(&self) -> Result<bool, Failure> {
        let ask = async {
            let any = || Some("*".to_owned());
            let review = SelfSubjectAccessReview {
                spec: SelfSubjectAccessReviewSpec {
                    resource_attributes: Some(ResourceAttributes {
                        verb: any(),
                        group: any(),
                        resource: any(),
                        ..ResourceAttributes::default()
                    }),
                    ..SelfSubjectAccessReviewSpec::default()
                },
                ..SelfSubjectAccessReview::default()
            };
            let api: Api<SelfSubjectAccessReview> = Api::all(self.client().clone());
            let answer = api.create(&PostParams::default(), &review).await;
            let answer = answer.map_err(|error| failure("ask for rights", &error))?;
            let may = answer.status.is_some_and(|status| status.allowed);
            self.reach.everywhere.store(may, Ordering::Relaxed);
            Ok(may)
        };
        self.reach.may_all.or_ask(ask).await
    }

    pub(super) fn is_everywhere(&self) -> bool {
        self.reach.everywhere.load(Ordering::Relaxed)
    }

    /// Goes on in an object's own namespace where the whole cluster may not be
    /// watched any more.
    ///
    /// # Errors
    /// With the failure, where that is no way out.
    pub(super) async fn narrower(
        &self,
        scope: &Scope,
        seen: &Object,
        failure: Failure,
    ) -> Result<(), Failure> {
        let is_wide = scope.namespace.is_none() && seen.namespace().is_some();
        if failure.kind != FailureKind::Denied || !is_wide {
            return Err(failure);
        }
        tracing::warn!(%failure, "goes on with a watch of each namespace");
        self.reach.everywhere.store(false, Ordering::Relaxed);
        self.reach.may_all.forget().await;
        Ok(())
    }

    /// Whether what we may do in a new namespace has to be bound there first.
    /// That it has is kept in mind; a namespace that was bound before says
    /// nothing of others.
    ///
    /// # Errors
    /// If the API server cannot be asked.
    pub async fn needs_binding(
        &self,
        namespace: &str,
        wanted: &[Permission],
    ) -> Result<bool, Failure> {
        // What is no answer for all is not kept: so each asks for its own.
        let ask = async {
            match self.lacks(namespace, wanted).await {
                Ok(lacks) if lacks.is_empty() => Err(None),
                Ok(_) => Ok(()),
                Err(failure) => Err(Some(failure)),
            }
        };
        match self.reach.needs_binding.or_ask(ask).await {
            Ok(()) => Ok(true),
            Err(None) => Ok(false),
            Err(Some(failure)) => Err(failure),
        }
    }

    /// Who we are, in the API server's eyes.
    ///
    /// # Errors
    /// If it cannot be asked.
    pub async fn who(&self) -> Result<String, Failure> {
        self.reach.who.or_ask(self.ask_who()).await
    }
}
