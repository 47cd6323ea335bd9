//! The right to be told of a run, for as long as it is told: a token may be taken
//! back, or be for less, while a stream goes on.

use std::{sync::Arc, time::Duration};

use axum::{extract::FromRequestParts, http::request::Parts};

use super::{
    Api, PATIENCE,
    auth::{Asker, Role, who},
    problem::{self, Problem},
    scope::Scope,
};

/// How often to look at it again. The tokens of the file are at hand, and answers of
/// another authority are kept for a minute.
const AGAIN: Duration = Duration::from_secs(2);

/// What the guard has let pass, to be looked at again.
pub struct Rights {
    api: Arc<Api>,
    head: Parts,
    scope: Scope,
}

impl Rights {
    /// Waits until who asked would be let pass no more, or for other drills.
    pub async fn end(self) {
        loop {
            tokio::time::sleep(AGAIN).await;
            let found = who(&self.api, &self.head, Role::Viewer);
            let found = tokio::time::timeout(PATIENCE, found).await;
            let found = found.unwrap_or_else(|_| Err(problem::too_long()));
            if !hold(found, &self.scope) {
                return;
            }
        }
    }
}

/// Whether a stream that was begun with this scope may go on. Other drills may have
/// become more, too: the client asks anew then, and is told as of now.
fn hold(found: Result<Asker, Problem>, scope: &Scope) -> bool {
    match found {
        Ok(asker) => asker.may && asker.scope == *scope,
        // An authority that cannot be asked has taken nothing back.
        Err(problem) => !problem.is_unauthorized(),
    }
}

impl FromRequestParts<Arc<Api>> for Rights {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        Ok(Self {
            scope: Scope::from_request_parts(parts, api).await?,
            api: api.clone(),
            head: parts.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;

    fn asker(may: bool, scope: Scope) -> Asker {
        Asker {
            name: "shop".to_owned(),
            role: None,
            client: None,
            scope,
            may,
        }
    }

    #[test]
    fn a_stream_goes_on_for_as_long_as_nothing_is_taken_back() {
        let shop = Scope {
            namespaces: ["shop".to_owned()].into(),
            ..Scope::default()
        };
        let refused = |status| Err(Problem::new(status, "x"));
        for (found, goes_on) in [
            (Ok(asker(true, shop.clone())), true),
            (Ok(asker(false, shop.clone())), false),
            (Ok(asker(true, Scope::default())), false),
            (refused(StatusCode::UNAUTHORIZED), false),
            (refused(StatusCode::SERVICE_UNAVAILABLE), true),
            (refused(StatusCode::INTERNAL_SERVER_ERROR), true),
        ] {
            let said = found.as_ref().map_or("refused", |_| "found");
            assert_eq!(hold(found, &shop), goes_on, "{said}");
        }
    }
}
