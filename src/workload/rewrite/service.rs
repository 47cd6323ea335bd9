//! Services: names within the sandbox, and nothing that opens it.

use serde_json::{Value, json};

use super::{kept, tell, without};
use crate::workload::{Part, list};

/// What leads to a Service from outside.
const DROPPED: [&str; 4] = [
    "externalIPs",
    "loadBalancerIP",
    "loadBalancerClass",
    "loadBalancerSourceRanges",
];

/// The Service as one that is reached from within only; `None` where it is
/// but a name for something outside.
pub(super) fn rewrite(part: &Part, notes: &mut Vec<String>) -> Option<Value> {
    let spec = &part.body["spec"];
    let of_type = spec["type"].as_str().unwrap_or("ClusterIP");
    if of_type == "ExternalName" {
        notes.push(format!(
            "Service {} is left out: it names something outside",
            part.name
        ));
        return None;
    }
    if of_type != "ClusterIP" {
        notes.push(format!(
            "Service {} is no {of_type} in the sandbox",
            part.name
        ));
    }
    let mut rest = spec.as_object().cloned().unwrap_or_default();
    let of_service = format!("Service {}", part.name);
    tell(notes, &of_service, without(&mut rest, &DROPPED));
    let mut body = kept(part, &[]);
    let ports: Vec<Value> = list(&spec["ports"]).iter().map(port).collect();
    body["spec"] = json!({
        "type": "ClusterIP",
        "selector": spec["selector"],
        "ports": ports,
        "publishNotReadyAddresses": spec["publishNotReadyAddresses"] == true,
    });
    if spec["clusterIP"] == "None" {
        body["spec"]["clusterIP"] = "None".into();
    }
    Some(body)
}

fn port(port: &Value) -> Value {
    let mut port = port.clone();
    if let Some(fields) = port.as_object_mut() {
        fields.remove("nodePort");
    }
    port
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::k8s::Kind;

    fn service(spec: Value) -> Part {
        Part {
            kind: Kind::Service,
            name: "db".to_owned(),
            body: json!({ "metadata": { "name": "db" }, "spec": spec }),
        }
    }

    #[test]
    fn nothing_opens_the_sandbox() {
        let mut notes = Vec::new();
        let open = service(json!({
            "type": "LoadBalancer", "clusterIP": "10.0.0.7", "externalIPs": ["192.0.2.1"],
            "loadBalancerIP": "192.0.2.2", "selector": { "app": "db" },
            "ports": [{ "name": "sql", "port": 5432, "nodePort": 30432 }],
        }));
        let body = rewrite(&open, &mut notes).unwrap();
        assert_eq!(
            body["spec"],
            json!({ "type": "ClusterIP", "selector": { "app": "db" },
                    "ports": [{ "name": "sql", "port": 5432 }],
                    "publishNotReadyAddresses": false })
        );
        assert_eq!(
            notes,
            [
                "Service db is no LoadBalancer in the sandbox",
                "Service db comes without externalIPs, loadBalancerIP",
            ]
        );
        let alias = service(json!({ "type": "ExternalName", "externalName": "db.prod.example" }));
        assert_eq!(rewrite(&alias, &mut notes), None);
    }

    #[test]
    fn a_headless_one_stays_headless() {
        let headless = service(json!({ "clusterIP": "None", "selector": { "app": "db" } }));
        let body = rewrite(&headless, &mut Vec::new()).unwrap();
        assert_eq!(body["spec"]["clusterIP"], "None");
    }
}
