//! Asking the API server about somebody else: whose a token is, and whether they
//! may do something that is no object's.

use k8s_openapi::api::{
    authentication::v1::{TokenReview, TokenReviewSpec, UserInfo},
    authorization::v1::{NonResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
};
use kube::{Api, api::PostParams};

use super::{Cluster, error::failure};
use crate::domain::failure::Failure;

impl Cluster {
    /// Whose a token is; `None` where the API server does not take it.
    ///
    /// # Errors
    /// If it cannot be asked.
    pub async fn token_review(&self, token: &str) -> Result<Option<UserInfo>, Failure> {
        let api: Api<TokenReview> = Api::all(self.client().clone());
        let review = TokenReview {
            spec: TokenReviewSpec {
                token: token.to_owned(),
                ..TokenReviewSpec::default()
            },
            ..TokenReview::default()
        };
        let answer = api.create(&PostParams::default(), &review).await;
        let answer = answer.map_err(|error| failure("ask whose a token is", &error))?;
        let status = answer.status.unwrap_or_default();
        let known = status.authenticated.unwrap_or_default();
        Ok(status.user.filter(|_| known))
    }

    /// Whether somebody may do `verb` at `path`.
    ///
    /// # Errors
    /// If it cannot be asked.
    pub async fn may(&self, user: &UserInfo, verb: &str, path: &str) -> Result<bool, Failure> {
        let api: Api<SubjectAccessReview> = Api::all(self.client().clone());
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: user.username.clone(),
                groups: user.groups.clone(),
                uid: user.uid.clone(),
                extra: user.extra.clone(),
                non_resource_attributes: Some(NonResourceAttributes {
                    path: Some(path.to_owned()),
                    verb: Some(verb.to_owned()),
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let answer = api.create(&PostParams::default(), &review).await;
        let answer = answer.map_err(|error| failure("ask what somebody may do", &error))?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }
}
