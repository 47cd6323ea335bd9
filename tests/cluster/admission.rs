//! The optional policies: whatever rights the account has, the API server
//! itself refuses what Lifeboat must never do, and lets whole drills pass.

use serde_json::{Value, json};

use crate::{
    needs_cluster,
    support::{
        account::Account,
        kubectl::{apply, kubectl, objects, try_kubectl, until},
        lifeboat::Lifeboat,
        site,
        source::Source,
    },
};

/// A run of nobody, and what its sandbox is called.
const RUN: &str = "01900000-0000-7000-8000-0123456789ab";
const SANDBOX: &str = "lb-0123456789ab";

/// A content as a run makes it.
const CONTENT: &str = "lb-0123456789ab-log";

/// One that is yet to come.
const NEXT_RUN: &str = "01900000-0000-7000-8000-0123456789ac";
const NEXT_SANDBOX: &str = "lb-0123456789ac";

/// What only an administrator would give by mistake.
fn far_too_much() -> Vec<Value> {
    let rule = |group: &str, resources: &[&str], verbs: &[&str]| json!({ "apiGroups": [group], "resources": resources, "verbs": verbs });
    let all = ["get", "list", "create", "update", "patch", "delete"];
    vec![
        rule("", &["namespaces", "persistentvolumes", "pods"], &all),
        rule("snapshot.storage.k8s.io", &["*"], &all),
        rule(
            "rbac.authorization.k8s.io",
            &["rolebindings", "clusterrolebindings", "clusterroles"],
            &["create", "bind"],
        ),
    ]
}

/// Something that the account asks of the API server.
struct Attempt {
    what: &'static str,
    args: Vec<String>,
    object: Option<Value>,
}

impl Attempt {
    fn create(what: &'static str, object: Value) -> Self {
        Self {
            what,
            args: vec!["create".into(), "-f".into(), "-".into()],
            object: Some(object),
        }
    }

    fn with(what: &'static str, args: &[&str]) -> Self {
        Self {
            what,
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
            object: None,
        }
    }

    /// Tries it, without anything being done; gives the refusal.
    fn refusal(&self, account: &Account) -> Option<String> {
        let mut args: Vec<&str> = self.args.iter().map(String::as_str).collect();
        args.push("--dry-run=server");
        let input = self.object.as_ref().map(Value::to_string);
        account.kubectl(&args, input.as_deref()).err()
    }
}

fn namespace(name: &str, run: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": {
        "name": name,
        "labels": { "lifeboat.dev/run": run, "pod-security.kubernetes.io/enforce": "restricted" },
        "annotations": { "lifeboat.dev/expires-at": "2099-01-01T00:00:00Z" },
    }})
}

/// Without one field, which a JSON pointer names.
fn without(mut object: Value, of: &str, field: &str) -> Value {
    let map = object.pointer_mut(of).unwrap().as_object_mut().unwrap();
    map.remove(field).unwrap();
    object
}

fn content(name: &str, policy: &str, run: &str, of: &str) -> Value {
    json!({ "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshotContent",
        "metadata": { "name": name, "labels": { "lifeboat.dev/run": run } },
        "spec": { "deletionPolicy": policy, "driver": site::DRIVER.name(),
            "source": { "snapshotHandle": "none" },
            "volumeSnapshotRef": { "name": "x", "namespace": of } } })
}

fn binding(namespace: &str, role: &str, account: &str) -> Value {
    json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": { "name": "attempt", "namespace": namespace },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role },
        "subjects": [{ "kind": "ServiceAccount", "name": account, "namespace": account }] })
}

/// A namespace, a snapshot with its content, and a volume that no run has made;
/// and a namespace as a run makes it.
struct Others {
    source: Source,
    content: String,
}

const VOLUME: &str = "t-admission";

/// They wear the label of a run, and not its name.
const MARKED: &str = "t-admission-marked";

impl Others {
    fn new(source: Source) -> Self {
        Self::remove();
        apply(&format!(
            "apiVersion: snapshot.storage.k8s.io/v1\nkind: VolumeSnapshot\nmetadata: {{ name: kept, \
             namespace: {} }}\nspec: {{ source: {{ persistentVolumeClaimName: data-db-0 }} }}\n---\n\
             apiVersion: v1\nkind: PersistentVolume\nmetadata: {{ name: {VOLUME} }}\nspec: {{ \
             capacity: {{ storage: 1Mi }}, accessModes: [ReadWriteOnce], hostPath: {{ path: /nowhere }} }}\n",
            source.namespace
        ));
        apply(&namespace(SANDBOX, RUN).to_string());
        apply(&namespace(MARKED, RUN).to_string());
        for name in [MARKED, CONTENT] {
            apply(&content(name, "Retain", RUN, SANDBOX).to_string());
        }
        let mut content = None;
        until("the snapshot to be bound", || {
            let found = objects(&["-n", &source.namespace, "volumesnapshot", "kept"]);
            let name = found[0]["status"]["boundVolumeSnapshotContentName"].as_str();
            content = name.map(str::to_owned);
            content.is_some()
        });
        let content = content.unwrap();
        Self { source, content }
    }

    fn remove() {
        let gone = "--ignore-not-found";
        try_kubectl(&["delete", "persistentvolume", VOLUME, gone]);
        try_kubectl(&["delete", "namespace", SANDBOX, MARKED, gone]);
        try_kubectl(&["delete", "volumesnapshotcontent", MARKED, CONTENT, gone]);
    }

    /// What no policy lets pass, by the reason for it.
    fn forbidden(&self, account: &Account) -> Vec<(&'static str, Attempt)> {
        let mut all = Vec::new();
        let mut add = |why, attempts: Vec<Attempt>| {
            all.extend(attempts.into_iter().map(|attempt| (why, attempt)));
        };
        add("only what wears the label of a run", self.of_no_run());
        add(
            "no namespace but its runs' sandboxes",
            vec![Attempt::with(
                "a namespace with the label",
                &["delete", "namespace", MARKED],
            )],
        );
        add(
            "only contents of snapshots that its runs have made",
            vec![Attempt::with(
                "a content with the label",
                &["delete", "volumesnapshotcontent", MARKED],
            )],
        );
        let next = || namespace(NEXT_SANDBOX, NEXT_RUN);
        add(
            "the name and the label of its run",
            vec![
                Attempt::create("another name", namespace("t-other", RUN)),
                Attempt::create("no run", namespace("lb-other", "other")),
            ],
        );
        let endless = without(next(), "/metadata/annotations", "lifeboat.dev/expires-at");
        add("when it expires", vec![Attempt::create("no end", endless)]);
        let open = "pod-security.kubernetes.io/enforce";
        let open = without(next(), "/metadata/labels", open);
        add(
            "restricted pods only",
            vec![Attempt::create("any pod", open)],
        );
        self.add_contents(&mut add);
        self.add_bindings(&mut add, account);
        all
    }

    /// Removing and changing what no run has made.
    fn of_no_run(&self) -> Vec<Attempt> {
        let shop = self.source.namespace.as_str();
        let mark = format!("lifeboat.dev/run={RUN}");
        vec![
            Attempt::with("a namespace", &["delete", "namespace", shop]),
            Attempt::with(
                "a snapshot",
                &["-n", shop, "delete", "volumesnapshot", "kept"],
            ),
            Attempt::with(
                "all snapshots",
                &["-n", shop, "delete", "volumesnapshots", "--all"],
            ),
            Attempt::with(
                "a content",
                &["delete", "volumesnapshotcontent", &self.content],
            ),
            Attempt::with("a volume", &["delete", "persistentvolume", VOLUME]),
            Attempt::with("a pod", &["-n", shop, "delete", "pod", "db-0"]),
            Attempt::with("mark a pod", &["-n", shop, "label", "pod", "db-0", &mark]),
        ]
    }

    fn add_contents(&self, add: &mut impl FnMut(&'static str, Vec<Attempt>)) {
        let own = format!("{SANDBOX}-data");
        let of = |policy, namespace| content(&own, policy, RUN, namespace);
        add(
            "has to retain its snapshot",
            vec![
                Attempt::create("takes its snapshot along", of("Delete", SANDBOX)),
                Attempt::with(
                    "comes to take it along",
                    &[
                        "patch",
                        "volumesnapshotcontent",
                        CONTENT,
                        "--type=merge",
                        "--patch",
                        r#"{"spec":{"deletionPolicy":"Delete"}}"#,
                    ],
                ),
            ],
        );
        let unmarked = without(
            of("Retain", SANDBOX),
            "/metadata/labels",
            "lifeboat.dev/run",
        );
        add(
            "for the sandbox of its run",
            vec![
                Attempt::create("a content of no run", unmarked),
                Attempt::create("a content for others", of("Retain", &self.source.namespace)),
                Attempt::create("another name", content("other", "Retain", RUN, SANDBOX)),
            ],
        );
    }

    fn add_bindings(&self, add: &mut impl FnMut(&'static str, Vec<Attempt>), account: &Account) {
        let shop = self.source.namespace.as_str();
        let (ours, me) = (account.role("lifeboat-sandbox"), account.name.as_str());
        let everywhere = [
            "create",
            "clusterrolebinding",
            "attempt",
            &format!("--clusterrole={ours}"),
            &format!("--serviceaccount={me}:{me}"),
        ];
        add(
            "only in the sandboxes of its runs",
            vec![
                Attempt::create("with a workload", binding(shop, &ours, me)),
                Attempt::create("a namespace with the label", binding(MARKED, &ours, me)),
                Attempt::with("everywhere", &everywhere),
            ],
        );
        add(
            "to nobody but itself",
            vec![Attempt::create(
                "somebody else",
                binding(SANDBOX, &ours, "else"),
            )],
        );
        add(
            "no role but that of its sandboxes",
            vec![Attempt::create(
                "another role",
                binding(SANDBOX, "admin", me),
            )],
        );
    }
}

impl Drop for Others {
    fn drop(&mut self) {
        Self::remove();
    }
}

/// What runs do.
fn usual(account: &Account) -> Vec<Attempt> {
    let ours = account.role("lifeboat-sandbox");
    let own = format!("{SANDBOX}-data");
    vec![
        Attempt::with("remove a sandbox", &["delete", "namespace", SANDBOX]),
        Attempt::with(
            "remove a content",
            &["delete", "volumesnapshotcontent", CONTENT],
        ),
        Attempt::create("a sandbox", namespace(NEXT_SANDBOX, NEXT_RUN)),
        Attempt::create("a content", content(&own, "Retain", RUN, SANDBOX)),
        Attempt::create("a binding", binding(SANDBOX, &ours, &account.name)),
    ]
}

#[test]
fn the_api_server_refuses_what_must_never_be_done_and_lets_drills_pass() {
    needs_cluster!();
    let others = Others::new(Source::new("admission"));
    let account = Account::new("admission");
    account.may_drill(&others.source.namespace, &["db-auth"]);
    let lifeboat = Lifeboat::of(&account);
    let rules = account.rules("lifeboat-cluster");
    account.set_rules(
        "lifeboat-cluster",
        &[rules.clone(), far_too_much()].concat(),
    );

    let forbidden = others.forbidden(&account);
    // Nothing but the policies stands in the way.
    for (why, attempt) in &forbidden {
        let what = format!("{} to be allowed, against: {why}", attempt.what);
        until(&what, || attempt.refusal(&account).is_none());
    }
    assert_eq!(policies(&lifeboat), "warning");
    apply(&account.manifests("admission"));
    for (why, attempt) in &forbidden {
        until(&format!("{}: {why}", attempt.what), || {
            let refusal = attempt.refusal(&account).unwrap_or_default();
            refusal.contains("ValidatingAdmissionPolicy") && refusal.contains(why)
        });
    }
    for attempt in usual(&account) {
        assert_eq!(attempt.refusal(&account), None, "{}", attempt.what);
    }
    // Nobody else is held back.
    kubectl(&[
        "-n",
        &others.source.namespace,
        "delete",
        "volumesnapshot",
        "kept",
        "--dry-run=server",
    ]);

    account.set_rules("lifeboat-cluster", &rules);
    assert_eq!(policies(&lifeboat), "ok");
    let before = others.source.objects();
    lifeboat.drill(
        &others.source,
        false,
        "",
        "  recoveryPoint: { snapshot: {} }\n",
    );
    let record = lifeboat.run(&[]);
    assert_eq!(record["verdict"], "passed", "{record:#}");
    assert_eq!(others.source.objects(), before);
}

/// What `lifeboat doctor` thinks of the policies.
fn policies(lifeboat: &Lifeboat) -> String {
    let output = lifeboat.command(&["doctor"]).output().unwrap();
    let findings: Value = serde_json::from_slice(&output.stdout).unwrap();
    let found = findings.as_array().unwrap().iter();
    let mut of_policies = found.filter(|one| one["subject"] == "admission policies");
    of_policies.next().unwrap()["severity"]
        .as_str()
        .unwrap()
        .to_owned()
}
