//! Manifests: the objects in YAML files that the drill names.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Part, list};
use crate::{
    domain::failure::{Failure, FailureKind},
    k8s::Kind,
};

/// The largest file that is read.
const MOST_BYTES: u64 = 16 << 20;

/// Reads all objects of known kinds from the files. A `List` is taken apart.
///
/// # Errors
/// With file and document where one cannot be read.
pub(super) fn read(files: &[PathBuf]) -> Result<Vec<Part>, Failure> {
    let mut parts = Vec::new();
    for file in files {
        let text = text(file)?;
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text).map_err(|error| {
            let message = format!("{} is not YAML: {error}", file.display());
            Failure::new(FailureKind::Invalid, message)
        })?;
        for document in documents {
            add(document, &mut parts);
        }
    }
    Ok(parts)
}

fn text(file: &Path) -> Result<String, Failure> {
    let unreadable = |error: &dyn std::fmt::Display| {
        let message = format!("cannot read the manifests in {}: {error}", file.display());
        Failure::new(FailureKind::NotFound, message)
    };
    let size = std::fs::metadata(file)
        .map_err(|error| unreadable(&error))?
        .len();
    if size > MOST_BYTES {
        return Err(unreadable(&format!("it has more than {MOST_BYTES} bytes")));
    }
    std::fs::read_to_string(file).map_err(|error| unreadable(&error))
}

fn add(document: Value, parts: &mut Vec<Part>) {
    if document["kind"]
        .as_str()
        .is_some_and(|kind| kind.ends_with("List"))
    {
        for item in list(&document["items"]) {
            add(item.clone(), parts);
        }
        return;
    }
    let kind = document["kind"].as_str().and_then(Kind::of);
    let name = document.pointer("/metadata/name").and_then(Value::as_str);
    let (Some(kind), Some(name)) = (kind, name.map(str::to_owned)) else {
        return;
    };
    let mut body = document;
    if kind == Kind::Secret {
        encode(&mut body);
    }
    parts.push(Part { kind, name, body });
}

/// `stringData` becomes `data`, as the API server would make it.
fn encode(secret: &mut Value) {
    let Some(plain) = secret
        .as_object_mut()
        .and_then(|secret| secret.remove("stringData"))
    else {
        return;
    };
    let Some(plain) = plain.as_object() else {
        return;
    };
    for (key, value) in plain {
        let text = value.as_str().unwrap_or_default();
        let bytes = k8s_openapi::ByteString(text.as_bytes().to_vec());
        if let Ok(encoded) = serde_json::to_value(bytes) {
            secret["data"][key] = encoded;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_lists_and_plain_secrets_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("db.yaml");
        let text = "\
kind: Secret
apiVersion: v1
metadata: { name: auth }
stringData: { password: s3cret }
---
kind: List
items:
- { kind: ConfigMap, metadata: { name: conf }, data: { a: '1' } }
- { kind: Gadget, metadata: { name: unknown } }
---
";
        std::fs::write(&file, text).unwrap();
        let parts = read(&[file]).unwrap();
        let names: Vec<_> = parts
            .iter()
            .map(|part| part.kind.named(None, &part.name))
            .collect();
        assert_eq!(names, ["Secret auth", "ConfigMap conf"]);
        assert_eq!(parts[0].body["data"]["password"], "czNjcmV0");
        assert!(parts[0].body.get("stringData").is_none());
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bad.yaml");
        std::fs::write(&file, "a: [").unwrap();
        let failure = read(&[file]).unwrap_err();
        assert!(
            failure.message.contains("bad.yaml is not YAML"),
            "{failure}"
        );
        let failure = read(&[folder.path().join("none.yaml")]).unwrap_err();
        assert_eq!(failure.kind, FailureKind::NotFound);
    }
}
