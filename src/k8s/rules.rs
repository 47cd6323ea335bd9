//! Rules: what somebody may do, as RBAC writes it down.

use jiff::Timestamp;
use k8s_openapi::api::{
    authentication::v1::SelfSubjectReview,
    authorization::v1::{SelfSubjectRulesReview, SelfSubjectRulesReviewSpec},
};
use kube::{Api, api::PostParams};
use serde::Deserialize;

use super::{Cluster, Kind, Permission, failure};
use crate::domain::failure::Failure;

/// One rule, of a role or of an answer about one's own rights.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rule {
    pub api_groups: Vec<String>,
    pub resources: Vec<String>,
    pub resource_names: Vec<String>,
    pub verbs: Vec<String>,
}

impl Rule {
    /// Whether the rule allows it, wherever the rule holds.
    #[must_use]
    pub fn grants(&self, permission: &Permission) -> bool {
        let has = |all: &[String], wanted: &str| all.iter().any(|one| one == wanted || one == "*");
        let kind = permission.kind;
        let of_name = match &permission.name {
            _ if self.resource_names.is_empty() => true,
            Some(name) => self.resource_names.contains(name),
            None => false,
        };
        let resource = match permission.subresource {
            None => has(&self.resources, kind.plural()),
            Some(part) => {
                has(&self.resources, &format!("{}/{part}", kind.plural()))
                    || self.resources.contains(&format!("*/{part}"))
            }
        };
        of_name
            && resource
            && has(&self.verbs, permission.verb)
            && has(&self.api_groups, kind.group())
    }
}

impl Cluster {
    /// Which of the permissions we do not have within a namespace.
    ///
    /// # Errors
    /// If the API server cannot be asked.
    pub async fn lacks(
        &self,
        namespace: &str,
        permissions: &[Permission],
    ) -> Result<Vec<Permission>, Failure> {
        let review = SelfSubjectRulesReview {
            spec: SelfSubjectRulesReviewSpec {
                namespace: Some(namespace.to_owned()),
            },
            ..SelfSubjectRulesReview::default()
        };
        let api: Api<SelfSubjectRulesReview> = Api::all(self.client().clone());
        let answer = api.create(&PostParams::default(), &review).await;
        let answer = answer.map_err(|error| failure("ask for rights", &error))?;
        let status = answer.status.unwrap_or_default();
        let rules: Vec<Rule> = status
            .resource_rules
            .into_iter()
            .map(|rule| Rule {
                api_groups: rule.api_groups.unwrap_or_default(),
                resources: rule.resources.unwrap_or_default(),
                resource_names: rule.resource_names.unwrap_or_default(),
                verbs: rule.verbs,
            })
            .collect();
        let missing = permissions
            .iter()
            .filter(|permission| !rules.iter().any(|rule| rule.grants(permission)));
        let missing: Vec<Permission> = missing.cloned().collect();
        if !status.incomplete {
            return Ok(missing);
        }
        // Not every authorizer can list its rules; each can answer for one.
        let within = missing.into_iter().map(|one| one.within(namespace));
        let answers = self.access(within.collect()).await?;
        let denied = answers.into_iter().filter(|answer| !answer.allowed);
        Ok(denied.map(|answer| answer.permission).collect())
    }

    /// The rules of a role of the whole cluster. `None` where there is none.
    ///
    /// # Errors
    /// If it may not be read.
    pub async fn role(&self, name: &str) -> Result<Option<Vec<Rule>>, Failure> {
        let role = self.get(Kind::ClusterRole, None, name).await?;
        Ok(role.map(|role| serde_json::from_value(role.data["rules"].clone()).unwrap_or_default()))
    }

    /// Who we are, in the API server's eyes.
    ///
    /// # Errors
    /// If it cannot be asked.
    pub(super) async fn ask_who(&self) -> Result<String, Failure> {
        let answer = self.review_of_self().await?;
        let user = answer.status.and_then(|status| status.user_info);
        Ok(user.and_then(|user| user.username).unwrap_or_default())
    }

    /// What the API server's clock reads, in whole seconds; `None` if it does not
    /// say: it notes when it has answered who we are.
    ///
    /// # Errors
    /// If it cannot be asked.
    pub async fn time(&self) -> Result<Option<Timestamp>, Failure> {
        let answer = self.review_of_self().await?;
        Ok(answer.metadata.creation_timestamp.map(|time| time.0))
    }

    async fn review_of_self(&self) -> Result<SelfSubjectReview, Failure> {
        let api: Api<SelfSubjectReview> = Api::all(self.client().clone());
        let asked = api
            .create(&PostParams::default(), &SelfSubjectReview::default())
            .await;
        asked.map_err(|error| failure("ask who we are", &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(group: &str, resource: &str, verbs: &[&str], names: &[&str]) -> Rule {
        let texts = |all: &[&str]| all.iter().map(|&one| one.to_owned()).collect();
        Rule {
            api_groups: texts(&[group]),
            resources: texts(&[resource]),
            resource_names: texts(names),
            verbs: texts(verbs),
        }
    }

    #[test]
    fn a_rule_grants_what_it_says_and_no_more() {
        let create = Permission::of_cluster("create", Kind::Pod);
        let log = Permission::of_cluster("get", Kind::Pod).part("log");
        let secret = Permission::of_cluster("get", Kind::Secret);
        for (rule, permission, expected) in [
            (rule("", "pods", &["create"], &[]), &create, true),
            (rule("*", "*", &["*"], &[]), &create, true),
            (rule("", "pods", &["get"], &[]), &create, false),
            (rule("apps", "pods", &["create"], &[]), &create, false),
            (rule("", "pods", &["get"], &[]), &log, false),
            (rule("", "pods/log", &["get"], &[]), &log, true),
            (rule("", "*/log", &["get"], &[]), &log, true),
            (rule("", "secrets", &["get"], &["auth"]), &secret, false),
        ] {
            assert_eq!(rule.grants(permission), expected, "{rule:?} {permission}");
        }
        let named = rule("", "secrets", &["get"], &["auth"]);
        assert!(named.grants(&secret.clone().of("auth")));
        assert!(!named.grants(&secret.of("other")));
    }
}
