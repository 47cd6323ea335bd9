//! Workloads that reach for all that a copy must not have.

use serde_json::{Value, json};

use super::*;
use crate::workload::list;

fn workload(spec: Value) -> Workload {
    let claim = json!({ "accessModes": ["ReadWriteOnce"], "storageClassName": "fast",
                        "resources": { "requests": { "storage": "1Gi" } } });
    Workload {
        namespace: "shop".to_owned(),
        stateful_set: Part {
            kind: Kind::StatefulSet,
            name: "db".to_owned(),
            body: json!({ "spec": {
                "serviceName": "db",
                "template": { "metadata": { "labels": { "app": "db" } }, "spec": spec },
                "volumeClaimTemplates": [{ "metadata": { "name": "data" }, "spec": claim }],
            }}),
        },
        parts: Vec::new(),
    }
}

fn rules() -> Rules {
    Rules {
        engine: "db".to_owned(),
        run_as: Some(RunAs {
            user: 999,
            group: 999,
        }),
        storage_classes: BTreeMap::from([("dear".to_owned(), "scratch".to_owned())]),
        arguments: vec!["-c".to_owned(), "archive_mode=off".to_owned()],
        agent: Agent {
            before: Some(vec!["agent".to_owned(), "before".to_owned()]),
            ..Agent::default()
        },
        ..Rules::default()
    }
}

/// Every value in it reaches for something of production's or of the node's.
fn hostile() -> Value {
    let call = |what: &str| json!({ what: { "host": "EVIL", "port": 80 } });
    let powers = json!({
        "privileged": true, "runAsUser": 0, "runAsGroup": 0, "allowPrivilegeEscalation": true,
        "procMount": "EVIL", "capabilities": { "add": ["EVIL"] },
        "seLinuxOptions": { "type": "EVIL" }, "seccompProfile": { "type": "EVIL" },
        "appArmorProfile": { "type": "EVIL" }, "windowsOptions": { "hostProcess": "EVIL" },
    });
    json!({
        "nodeName": "EVIL", "hostNetwork": true, "hostPID": true, "hostIPC": true,
        "hostUsers": "EVIL", "hostAliases": [{ "ip": "EVIL" }], "priorityClassName": "EVIL",
        "priority": "EVIL", "preemptionPolicy": "EVIL", "activeDeadlineSeconds": "EVIL",
        "topologySpreadConstraints": ["EVIL"], "schedulingGates": ["EVIL"],
        "readinessGates": ["EVIL"], "resourceClaims": ["EVIL"],
        "affinity": { "podAffinity": ["EVIL"], "podAntiAffinity": ["EVIL"],
                      "nodeAffinity": { "it": "stays" } },
        // Where it may run, and by whose word: as the source, so that the time is.
        "nodeSelector": { "disk": "fast" }, "tolerations": [{ "key": "db" }],
        "schedulerName": "its-own", "runtimeClassName": "its-own",
        "serviceAccountName": "db",
        "securityContext": {
            "sysctls": ["EVIL"], "runAsUser": 0, "appArmorProfile": { "type": "EVIL" },
            "windowsOptions": { "hostProcess": "EVIL" },
            "seLinuxOptions": { "user": "EVIL", "role": "EVIL", "type": "EVIL", "level": "s0" },
        },
        "volumes": [
            { "name": "host", "hostPath": { "path": "EVIL" } },
            { "name": "share", "nfs": { "server": "EVIL" } },
            { "name": "driver", "csi": { "driver": "EVIL" } },
            { "name": "token", "projected": { "sources": [
                { "serviceAccountToken": { "path": "EVIL" } }, { "podCertificate": "EVIL" },
                { "configMap": { "name": "conf" } },
            ]}},
            { "name": "anew", "ephemeral": { "volumeClaimTemplate": { "spec": {
                "volumeName": "EVIL", "selector": { "it": "EVIL" }, "dataSource": "EVIL",
                "dataSourceRef": "EVIL", "volumeAttributesClassName": "EVIL",
                "storageClassName": "dear" } } } },
        ],
        "containers": [
            { "name": "db", "image": "postgres:15", "securityContext": powers,
              "ports": [{ "containerPort": 5432, "hostPort": 65432, "hostIP": "EVIL" }],
              "resources": { "claims": ["EVIL"], "limits": { "cpu": "1" } },
              "livenessProbe": call("httpGet"), "readinessProbe": call("tcpSocket"),
              "startupProbe": call("httpGet"),
              "lifecycle": { "postStart": call("httpGet"), "preStop": call("tcpSocket") } },
        ],
        "initContainers": [
            { "name": "first", "securityContext": powers, "ports": [{ "hostIP": "EVIL" }] },
        ],
    })
}

#[test]
fn nothing_of_a_hostile_pod_gets_through_and_each_loss_is_told() {
    let Rewritten { pod, notes, .. } = rewrite(&workload(hostile()), &rules()).unwrap();
    let spec = &pod.body["spec"];
    let text = format!("{spec:#}");
    for part in [
        "EVIL",
        "65432",
        "hostNetwork",
        "hostPID",
        "hostIPC",
        "privileged",
    ] {
        let held = text.lines().find(|line| line.contains(part));
        assert_eq!(held, None, "{part} gets through");
    }
    assert_eq!(spec["automountServiceAccountToken"], false);
    for container in ["containers", "initContainers"]
        .iter()
        .flat_map(|field| list(&spec[*field]))
    {
        let context = &container["securityContext"];
        assert_eq!(context["runAsNonRoot"], true, "{container:#}");
        assert_eq!(context["allowPrivilegeEscalation"], false, "{container:#}");
        assert_eq!(context["capabilities"], json!({ "drop": ["ALL"] }));
        assert_eq!(context.get("runAsUser"), None, "{container:#}");
    }
    assert_eq!(spec["securityContext"]["runAsUser"], 999);
    assert_eq!(
        spec["securityContext"]["seLinuxOptions"],
        json!({ "level": "s0" })
    );
    // What makes its time production's stays.
    assert_eq!(
        spec["affinity"],
        json!({ "nodeAffinity": { "it": "stays" } })
    );
    for (field, value) in [
        ("nodeSelector", json!({ "disk": "fast" })),
        ("tolerations", json!([{ "key": "db" }])),
        ("schedulerName", json!("its-own")),
        ("runtimeClassName", json!("its-own")),
    ] {
        assert_eq!(spec[field], value, "{field}");
    }
    let powers = "privileged, allowPrivilegeEscalation, procMount, seLinuxOptions, \
                  appArmorProfile, seccompProfile, windowsOptions, capabilities";
    for expected in [
        "the pod comes without nodeName, hostNetwork, hostPID, hostIPC, hostAliases, hostUsers, \
         priorityClassName, priority, preemptionPolicy, topologySpreadConstraints, \
         schedulingGates, readinessGates, activeDeadlineSeconds, resourceClaims, podAffinity, \
         podAntiAffinity, a service account's token",
        "the pod comes without sysctls, appArmorProfile, windowsOptions, seLinuxOptions.user, \
         seLinuxOptions.role, seLinuxOptions.type",
        "the pod runs as 999:999, as the drill says",
        "volume host comes empty: hostPath reaches beyond the sandbox",
        "volume share comes empty: nfs reaches beyond the sandbox",
        "volume driver comes empty: csi reaches beyond the sandbox",
        "volume token comes without a token for the API server",
        "volume anew comes as an empty directory: the cluster would make an ephemeral volume only \
         for a pod that can use it already, before it is looked at",
        "container db is given: -c archive_mode=off",
        "container db comes without hostPort, hostIP, the host that livenessProbe calls, the \
         host that readinessProbe calls, the host that startupProbe calls, the host that \
         lifecycle/postStart calls, the host that lifecycle/preStop calls, claims",
        &format!("container db comes without {powers}"),
        "container db does not run as root",
        "container first comes without hostIP",
        &format!("container first comes without {powers}"),
        "container first does not run as root",
    ] {
        assert!(
            notes.iter().any(|note| note == expected),
            "no {expected}: {notes:#?}"
        );
    }
    assert_eq!(notes.len(), 15, "{notes:#?}");
}

#[test]
fn containers_are_kept_and_left_out_by_the_drills_word() {
    let spec = json!({
        "automountServiceAccountToken": false, "securityContext": { "runAsUser": 26 },
        "containers": [{ "name": "db", "image": "postgres:15" }, { "name": "pooler" },
                       { "name": "exporter" }],
        "initContainers": [{ "name": "chown" }, { "name": "wait" },
                           { "name": "mesh", "restartPolicy": "Always" },
                           { "name": "vault", "restartPolicy": "Always" }],
    });
    let wanted = ["pooler", "vault"].map(str::to_owned).to_vec();
    let rules = Rules {
        keep: wanted,
        leave_out: vec!["wait".to_owned()],
        arguments: Vec::new(),
        ..rules()
    };
    let Rewritten { pod, notes, .. } = rewrite(&workload(spec.clone()), &rules).unwrap();
    let names = |field: &str| -> Vec<&str> {
        let all = list(&pod.body["spec"][field]).iter();
        all.map(|one| one["name"].as_str().unwrap()).collect()
    };
    assert_eq!(names("containers"), ["db", "pooler", AGENT]);
    let first = [FIRST[0], FIRST[1], "chown", "vault"];
    assert_eq!(names("initContainers"), first);
    // Whatever the image's own path to the binary is.
    let install = &pod.body["spec"]["initContainers"][0];
    assert_eq!(install.get("command"), None, "the entry point is run");
    assert_eq!(
        notes,
        [
            "container exporter is left out",
            "container wait is left out",
            "container mesh is left out",
        ]
    );
    // The template's own user counts, and a name that is none is refused.
    assert_eq!(pod.body["spec"]["securityContext"]["runAsUser"], 26);
    let rules = Rules {
        keep: vec!["poler".to_owned()],
        ..rules
    };
    let failure = rewrite(&workload(spec), &rules).unwrap_err();
    assert!(failure.message.contains("no container poler"), "{failure}");
}

#[test]
fn marks_of_other_tools_are_told() {
    let mut workload = workload(json!({ "containers": [{ "name": "db" }] }));
    workload.stateful_set.body["spec"]["template"]["metadata"]["annotations"] =
        json!({ "sidecar.istio.io/inject": "true", "own": "stays" });
    let Rewritten { pod, notes, .. } = rewrite(&workload, &rules()).unwrap();
    assert_eq!(
        pod.body["metadata"]["annotations"],
        json!({ "own": "stays" })
    );
    assert_eq!(notes[0], "the copy comes without sidecar.istio.io/inject");
}
