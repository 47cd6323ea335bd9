//! Claims: the sandbox's own volumes, of the same class and size.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde_json::{Value, json};

use super::{Rules, tell, without};
use crate::{
    domain::failure::{Failure, FailureKind},
    k8s::Kind,
    workload::{Part, Workload},
};

/// What says where a claim's content comes from, or what its volume is like
/// beyond its class. The name of the volume itself is never taken over.
const DROPPED: [&str; 4] = [
    "selector",
    "dataSource",
    "dataSourceRef",
    "volumeAttributesClassName",
];

/// The claims that the pod needs, restored or empty.
pub(super) fn claims(
    workload: &Workload,
    rules: &Rules,
    notes: &mut Vec<String>,
) -> Result<Vec<Part>, Failure> {
    let volumes = workload.claimed_volumes();
    for volume in rules.restored.keys() {
        if !volumes.contains(volume) {
            let of = workload
                .stateful_set
                .kind
                .named(None, &workload.stateful_set.name);
            let message = format!("{of} has no volume {volume} to restore");
            return Err(Failure::new(FailureKind::Invalid, message)
                .hint(format!("it has {}", volumes.join(", "))));
        }
    }
    volumes
        .iter()
        .map(|volume| claim(workload, volume, rules, notes))
        .collect()
}

fn claim(
    workload: &Workload,
    volume: &str,
    rules: &Rules,
    notes: &mut Vec<String>,
) -> Result<Part, Failure> {
    let name = workload
        .claim(volume, rules.ordinal)
        .unwrap_or_else(|| volume.to_owned());
    let spec = workload.claim_spec(volume, &name).ok_or_else(|| {
        let message = format!("the claim {name} of volume {volume} is not known");
        Failure::new(FailureKind::NotFound, message)
            .hint("name manifests that hold the claim, or restore its object first")
    })?;
    if spec["volumeMode"] == "Block" {
        let message = format!("volume {volume} is a raw block device, which cannot be drilled");
        return Err(Failure::new(FailureKind::Invalid, message));
    }
    let of_claim = format!("claim {name}");
    let mut rest = spec.as_object().cloned().unwrap_or_default();
    tell(notes, &of_claim, without(&mut rest, &DROPPED));
    let mut body = json!({ "spec": {
        "accessModes": spec["accessModes"],
        "resources": { "requests": { "storage": spec["resources"]["requests"]["storage"] } },
    }});
    if let Some(class) = spec["storageClassName"].as_str() {
        let mapped = mapped(class, &of_claim, rules, notes);
        body["spec"]["storageClassName"] = mapped.into();
    }
    if let Some(restored) = rules.restored.get(volume) {
        body["spec"]["dataSource"] = json!({
            "apiGroup": Kind::VolumeSnapshot.group(),
            "kind": Kind::VolumeSnapshot.name(),
            "name": restored.snapshot,
        });
        let asked = bytes(&spec["resources"]["requests"]["storage"]).unwrap_or(0);
        if asked < restored.least_bytes {
            let size = restored.least_bytes.to_string();
            notes.push(format!(
                "{of_claim} asks for {size} bytes, as its snapshot needs, and not {asked}"
            ));
            body["spec"]["resources"]["requests"]["storage"] = size.into();
        }
    }
    Ok(Part {
        kind: Kind::PersistentVolumeClaim,
        name,
        body,
    })
}

/// A class of the sandbox's own, if the drill names one instead of the source's.
fn mapped<'a>(class: &'a str, of: &str, rules: &'a Rules, notes: &mut Vec<String>) -> &'a str {
    let Some(other) = rules.storage_classes.get(class) else {
        return class;
    };
    notes.push(format!("{of} is of storage class {other}, and not {class}"));
    other
}

/// A quantity in whole bytes, rounded up; `None` where it is none.
#[must_use]
pub fn bytes(text: &Value) -> Option<u64> {
    quantity(text).map(whole)
}

/// Rounded up.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "quantities are positive and below 2^53"
)]
pub fn whole(number: f64) -> u64 {
    number.ceil() as u64
}

/// The number that a quantity such as `10Gi` or `500m` is.
#[must_use]
pub fn quantity(quantity: &Value) -> Option<f64> {
    let Quantity(text) = serde_json::from_value(quantity.clone()).ok()?;
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let number: f64 = text[..digits].parse().ok()?;
    let factor = match &text[digits..] {
        "" => 1.0,
        "m" => 1.0e-3,
        "k" => 1.0e3,
        "M" => 1.0e6,
        "G" => 1.0e9,
        "T" => 1.0e12,
        "P" => 1.0e15,
        "Ki" => 1024.0,
        "Mi" => 1_048_576.0,
        "Gi" => 1_073_741_824.0,
        "Ti" => 1_099_511_627_776.0,
        "Pi" => 1_125_899_906_842_624.0,
        exponent => 10.0_f64.powi(exponent.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    Some(number * factor)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{super::Restored, *};

    fn workload() -> Workload {
        let claim = |class: &str, size: &str| {
            json!({ "accessModes": ["ReadWriteOnce"], "storageClassName": class,
                    "resources": { "requests": { "storage": size } },
                    "volumeName": "pv-of-production" })
        };
        let mut live = claim("fast", "3Gi");
        live["selector"] = json!({ "matchLabels": { "disk": "of production" } });
        Workload {
            namespace: "shop".to_owned(),
            stateful_set: Part {
                kind: Kind::StatefulSet,
                name: "db".to_owned(),
                body: json!({ "spec": {
                    "template": { "spec": {} },
                    "volumeClaimTemplates": [
                        { "metadata": { "name": "data" }, "spec": claim("fast", "1Gi") },
                        { "metadata": { "name": "wal" }, "spec": claim("fast", "1Gi") },
                    ],
                }}),
            },
            parts: vec![Part {
                kind: Kind::PersistentVolumeClaim,
                name: "data-db-0".to_owned(),
                body: json!({ "spec": live }),
            }],
        }
    }

    #[test]
    fn a_claim_is_as_large_as_it_was_and_as_the_snapshot_needs() {
        let restored = |least_bytes| Restored {
            snapshot: "cut".to_owned(),
            least_bytes,
        };
        let rules = Rules {
            storage_classes: BTreeMap::from([("fast".to_owned(), "scratch".to_owned())]),
            restored: BTreeMap::from([
                ("data".to_owned(), restored(2 << 30)),
                ("wal".to_owned(), restored(2 << 30)),
            ]),
            ..Rules::default()
        };
        let mut notes = Vec::new();
        let claims = claims(&workload(), &rules, &mut notes).unwrap();
        let size = |at: usize| claims[at].body["spec"]["resources"]["requests"]["storage"].clone();
        assert_eq!(claims[0].name, "data-db-0");
        assert_eq!(size(0), "3Gi");
        assert_eq!(size(1), "2147483648");
        let spec = &claims[0].body["spec"];
        assert_eq!(spec["storageClassName"], "scratch");
        assert_eq!(spec["dataSource"]["name"], "cut");
        assert_eq!(
            spec.get("volumeName"),
            None,
            "never production's own volume"
        );
        assert_eq!(
            notes,
            [
                "claim data-db-0 comes without selector",
                "claim data-db-0 is of storage class scratch, and not fast",
                "claim wal-db-0 is of storage class scratch, and not fast",
                "claim wal-db-0 asks for 2147483648 bytes, as its snapshot needs, and not \
                 1073741824",
            ]
        );
    }

    #[test]
    fn a_volume_that_is_not_there_cannot_be_restored() {
        let restored = Restored {
            snapshot: "cut".to_owned(),
            least_bytes: 0,
        };
        let rules = Rules {
            restored: BTreeMap::from([("date".to_owned(), restored)]),
            ..Rules::default()
        };
        let failure = claims(&workload(), &rules, &mut Vec::new()).unwrap_err();
        assert_eq!(failure.hint.as_deref(), Some("it has data, wal"));
    }

    #[test]
    fn quantities_are_read() {
        for (text, expected) in [
            ("10Gi", Some(10 << 30)),
            ("1.5Ki", Some(1536)),
            ("5G", Some(5_000_000_000)),
            ("100", Some(100)),
            ("1e3", Some(1000)),
            ("1500m", Some(2)),
            ("x", None),
        ] {
            assert_eq!(bytes(&json!(text)), expected, "{text}");
        }
    }
}
