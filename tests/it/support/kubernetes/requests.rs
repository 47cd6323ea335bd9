//! What was asked, for people and for counting.

use std::{collections::BTreeMap, fmt};

use lifeboat::k8s::Kind;
use serde_json::{Value, json};

use super::http::Request;

/// What a request wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    Get,
    List,
    Watch,
    Create,
    Patch,
    Delete,
    DeleteAll,
    Log,
    Review,
    /// What one may do in a namespace.
    Rules,
    /// Who one is.
    Who,
    /// Which groups of kinds there are.
    Groups,
    Unknown,
}

/// A request, understood.
#[derive(Debug, Clone)]
pub struct Asked {
    pub verb: Verb,
    pub kind: Option<Kind>,
    pub namespace: Option<String>,
    pub name: Option<String>,
}

impl Asked {
    pub fn of(request: &Request) -> Self {
        let parts: Vec<&str> = request.path.trim_matches('/').split('/').collect();
        let (group, rest) = match parts.as_slice() {
            ["api", "v1", rest @ ..] => ("", rest),
            ["apis", group, _version, rest @ ..] => (*group, rest),
            _ => ("?", &parts[..]),
        };
        let (namespace, rest) = match rest {
            ["namespaces", namespace, plural, rest @ ..] => {
                (Some(*namespace), [&[*plural], rest].concat())
            }
            rest => (None, rest.to_vec()),
        };
        let kind = rest.first().and_then(|plural| {
            let mut all = Kind::ALL.into_iter();
            all.find(|kind| kind.group() == group && kind.plural() == *plural)
        });
        let watched = request
            .query
            .get("watch")
            .is_some_and(|watch| watch != "false");
        let verb = match (request.method.as_str(), rest.as_slice()) {
            ("POST", ["selfsubjectaccessreviews"]) => Verb::Review,
            ("POST", ["selfsubjectrulesreviews"]) => Verb::Rules,
            ("POST", ["selfsubjectreviews"]) => Verb::Who,
            ("GET", ["apis"]) => Verb::Groups,
            ("GET", [_, _, "log"]) => Verb::Log,
            ("GET", [_, _]) => Verb::Get,
            ("GET", [_]) if watched => Verb::Watch,
            ("GET", [_]) => Verb::List,
            ("POST", [_]) => Verb::Create,
            ("PATCH", [_, _]) => Verb::Patch,
            ("DELETE", [_, _]) => Verb::Delete,
            ("DELETE", [_]) => Verb::DeleteAll,
            _ => Verb::Unknown,
        };
        Self {
            verb: match verb {
                Verb::Review | Verb::Rules | Verb::Who | Verb::Groups => verb,
                _ if kind.is_none() => Verb::Unknown,
                _ => verb,
            },
            kind,
            namespace: namespace.map(str::to_owned),
            name: rest.get(1).map(|name| (*name).to_owned()),
        }
    }

    pub fn is(&self, verb: Verb, kind: Kind) -> bool {
        self.verb == verb && self.kind == Some(kind)
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind.map_or("?", Kind::name);
        write!(f, "{:?} {kind}", self.verb)?;
        let place = [&self.namespace, &self.name];
        let place: Vec<&str> = place.into_iter().flatten().map(String::as_str).collect();
        write!(f, " {}", place.join("/"))
    }
}

/// The version of a kind that the fake serves, with its group.
pub fn api_version(kind: Kind) -> String {
    kind.resource(kind.versions()[0]).api_version
}

/// The groups that it serves.
pub fn groups() -> Value {
    let kinds = Kind::ALL
        .into_iter()
        .filter(|kind| !kind.group().is_empty());
    let groups: BTreeMap<&str, String> = kinds
        .map(|kind| (kind.group(), api_version(kind)))
        .collect();
    let groups = groups.into_iter().map(|(group, whole)| {
        let version = whole.rsplit('/').next().unwrap();
        let version = json!({ "groupVersion": whole, "version": version });
        json!({ "name": group, "versions": [version], "preferredVersion": version })
    });
    json!({
        "kind": "APIGroupList", "apiVersion": "v1", "groups": groups.collect::<Vec<_>>(),
    })
}

/// How many there were of each verb and kind.
pub fn by_kind(asked: &[Asked]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for one in asked {
        let what = format!("{:?} {}", one.verb, one.kind.map_or("-", Kind::name));
        *counts.entry(what).or_default() += 1;
    }
    counts
}
