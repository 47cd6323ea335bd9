//! Which drills somebody may know of.

use std::collections::{BTreeMap, BTreeSet};

use axum::{
    extract::FromRequestParts,
    http::{StatusCode, request::Parts},
};
use serde::{Deserialize, Serialize};

use super::{Api, problem::Problem};
use crate::{domain::resource::WorkloadRef, spec::packed::PackedDrill};

/// Which drills somebody may know of: those that fit all that is said here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// Of workloads in these namespaces of Kubernetes.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub namespaces: BTreeSet<String>,
    /// That wear all of these labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

impl Scope {
    /// Whether it is every drill, also those that are no more.
    #[must_use]
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a drill is one of them.
    #[must_use]
    pub fn holds(&self, drill: &PackedDrill) -> bool {
        let namespace = drill.namespace.as_deref();
        let near = namespace.is_some_and(|namespace| self.namespaces.contains(namespace));
        let wears = |(name, value): (&String, &String)| drill.labels.get(name) == Some(value);
        (self.namespaces.is_empty() || near) && self.labels.iter().all(wears)
    }

    /// Whether a drill that is called so is one of them. Of one that is in no
    /// file any more, nobody knows what it was.
    #[must_use]
    pub fn knows(&self, api: &Api, drill: &str) -> bool {
        let catalog = api.catalog.borrow();
        self.is_all() || catalog.drill(drill).is_some_and(|drill| self.holds(drill))
    }

    /// Whether a run of this workload may have been of one of them: another drill of
    /// the same name may have been somebody else's.
    #[must_use]
    pub fn covers(&self, workload: Option<&WorkloadRef>) -> bool {
        self.covers_namespace(workload.map(|of| of.namespace.as_str()))
    }

    /// The same of one whose workload is known to be in a namespace, if it is.
    #[must_use]
    pub fn covers_namespace(&self, namespace: Option<&str>) -> bool {
        let within = namespace.is_none_or(|namespace| self.namespaces.contains(namespace));
        self.namespaces.is_empty() || within
    }

    /// The namespaces of which runs may be told; all where absent.
    #[must_use]
    pub fn within(&self) -> Option<Vec<String>> {
        let some = !self.namespaces.is_empty();
        some.then(|| self.namespaces.iter().cloned().collect())
    }

    /// What the drills are called; none where it is all of them.
    #[must_use]
    pub fn names(&self, api: &Api) -> Option<Vec<String>> {
        if self.is_all() {
            return None;
        }
        let drills = api.catalog.borrow().drills();
        let held = drills.iter().filter(|drill| self.holds(drill));
        Some(held.map(|drill| drill.name.to_string()).collect())
    }

    /// Those of which one is asked for, if one is.
    #[must_use]
    pub fn among(&self, api: &Api, wanted: Option<String>) -> Option<Vec<String>> {
        match wanted {
            Some(drill) if self.knows(api, &drill) => Some(vec![drill]),
            Some(_) => Some(Vec::new()),
            None => self.names(api),
        }
    }
}

/// What the guard has found out about who asks.
impl<S: Send + Sync> FromRequestParts<S> for Scope {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let found = parts.extensions.get::<Self>().cloned();
        found.ok_or_else(|| {
            let detail = "nobody has looked who asks";
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec;

    fn drill(labels: &str, workload: &str) -> PackedDrill {
        let text = format!(
            "apiVersion: lifeboat.dev/v1alpha1\nkind: Drill\n\
             metadata: {{ name: a, labels: {{ {labels} }} }}\nspec: {{ workload: {{ {workload} }} }}\n"
        );
        let drill = spec::parse(&text, std::path::Path::new("a.yaml")).unwrap();
        PackedDrill::new(&drill).unwrap()
    }

    #[test]
    fn a_drill_must_fit_all_that_is_said() {
        let here = "sqlite: { file: a.db }";
        let (shop, pay) = ("team: shop, tier: gold", "team: pay");
        let scope = |text: &str| serde_saphyr::from_str::<Scope>(text).unwrap();
        for (said, labels, workload, holds) in [
            ("{}", pay, here, true),
            ("namespaces: [shop]", pay, here, false),
            ("labels: { team: shop }", shop, here, true),
            ("labels: { team: shop }", pay, here, false),
            ("labels: { team: shop, tier: tin }", shop, here, false),
        ] {
            assert_eq!(scope(said).holds(&drill(labels, workload)), holds, "{said}");
        }
        let in_shop = |labels| {
            let mut drill = drill(labels, here);
            drill.namespace = Some("shop".into());
            drill
        };
        assert!(scope("namespaces: [pay, shop]").holds(&in_shop(pay)));
        let both = scope("{ namespaces: [shop], labels: { team: shop } }");
        assert!(both.holds(&in_shop(shop)) && !both.holds(&in_shop(pay)));
    }
}
