//! The API server as an authority over tokens.

use async_trait::async_trait;

use crate::{
    api::{Authority, Review},
    app::App,
    domain::{failure::Failure, resource::ClusterRef},
};

/// What paths begin with where RBAC speaks of them: below `/api` every account
/// of a cluster may `get` everything, by Kubernetes' own `system:discovery`.
const OURS: &str = "/lifeboat";

#[async_trait]
impl Authority for App {
    async fn review(&self, token: &str, verb: &str, path: &str) -> Result<Review, Failure> {
        let cluster = self.clusters.get(&ClusterRef::default()).await?;
        let Some(user) = cluster.token_review(token).await? else {
            return Ok(Review::Unknown);
        };
        let may = cluster.may(&user, verb, &format!("{OURS}{path}")).await?;
        let name = user.username.unwrap_or_default();
        Ok(Review::Known { name, may })
    }
}
