//! What the binary asked of the API server, by its own log.

use std::{collections::BTreeSet, process::Output};

/// A request as RBAC sees it: verb, group, resource with its part, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked {
    pub verb: String,
    pub group: String,
    pub resource: String,
    pub place: Place,
}

/// Where something is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    Cluster,
    Sandbox,
    Source,
}

/// Everything that was asked of objects. Reviews and discovery everybody may
/// ask for.
pub fn asked(output: &Output) -> BTreeSet<Asked> {
    let text = String::from_utf8_lossy(&output.stderr);
    let plain = text.replace(['\u{1b}'], "");
    let lines = plain
        .lines()
        .filter(|line| line.contains("to the API server"));
    let requests: Vec<Asked> = lines.filter_map(parse).collect();
    assert!(!requests.is_empty(), "no request was logged: {text}");
    requests.into_iter().collect()
}

fn parse(line: &str) -> Option<Asked> {
    // Colours stand between names and values.
    let value = |name: &str| {
        let (_, rest) = line.split_once(name)?;
        let rest = rest.split_once('=')?.1;
        let rest = rest.trim_start_matches(|c: char| !c.is_ascii_uppercase() && c != '/');
        Some(rest.split_whitespace().next()?.to_owned())
    };
    let (method, address) = (value("method")?, value("path")?);
    let (path, query) = address.split_once('?').unwrap_or((&address, ""));
    let path = path.find("/api").map_or(path, |at| &path[at..]);
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (group, rest) = match parts.as_slice() {
        ["api", _version, rest @ ..] => ("", rest),
        ["apis", group, _version, rest @ ..] => (*group, rest),
        _ => return None,
    };
    if group.ends_with("authorization.k8s.io") && group != "rbac.authorization.k8s.io"
        || group == "authentication.k8s.io"
        || rest.is_empty()
    {
        return None;
    }
    let (place, rest) = match rest {
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() => {
            let ours = namespace.starts_with("lb-");
            (if ours { Place::Sandbox } else { Place::Source }, rest)
        }
        rest => (Place::Cluster, rest),
    };
    let watches = query.contains("watch=");
    let verb = match (method.as_str(), rest.len()) {
        ("GET", 1) if watches => "watch",
        ("GET", 1) => "list",
        ("GET", _) => "get",
        ("POST", _) => "create",
        ("DELETE", _) => "delete",
        (other, _) => other,
    };
    let resource = match rest {
        [resource, _name, part] => format!("{resource}/{part}"),
        [resource, ..] => (*resource).to_owned(),
        [] => return None,
    };
    Some(Asked {
        verb: verb.to_owned(),
        group: group.to_owned(),
        resource,
        place,
    })
}
