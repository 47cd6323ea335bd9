//! The service within the cluster, as its manifests install it, with the rights
//! that they give: it drills by schedule, and a pod that dies loses nothing.

use serde_json::Value;

use crate::{
    asking::ask,
    needs_cluster,
    support::{
        account::Account,
        kubectl::{apply, kubectl, leftovers, objects, until},
        lifeboat::Lifeboat,
        source::Source,
    },
};

const IMAGE: &str = "drill/lifeboat:test";

/// The service of an account.
struct Service<'a> {
    account: &'a Account,
    token: String,
}

impl Service<'_> {
    /// Its pod that is ready, and where it answers.
    fn pod(&self) -> Option<(String, String)> {
        let selector = format!("app.kubernetes.io/name={}", self.account.name);
        let pods = objects(&["pods", "-n", &self.account.name, "-l", &selector]);
        let ready = pods.iter().find(|pod| {
            let conditions = pod["status"]["conditions"].as_array();
            let ready = conditions
                .into_iter()
                .flatten()
                .any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
            ready && pod["metadata"]["deletionTimestamp"].is_null()
        })?;
        let name = ready["metadata"]["name"].as_str()?.to_owned();
        let address = ready["status"]["podIP"].as_str()?;
        Some((name, format!("{address}:8650")))
    }

    fn get(&self, path: &str) -> Option<Value> {
        let (_, address) = self.pod()?;
        let token = format!("Bearer {}", self.token);
        let (status, body) = ask(&address, "GET", path, &[("authorization", &token)])?;
        (status == 200).then(|| serde_json::from_str(&body).unwrap())
    }

    fn runs(&self) -> Vec<Value> {
        let answer = self.get("/api/v1/runs?limit=100");
        let runs = answer.map(|answer| answer["runs"].as_array().unwrap().clone());
        runs.unwrap_or_default()
    }
}

#[test]
fn it_drills_by_schedule_within_the_cluster_and_survives_its_pod() {
    needs_cluster!();
    let source = Source::new("service");
    let account = Account::new("service");
    account.may_drill(&source.namespace, &["db-auth", "drill-auth"]);
    let lifeboat = Lifeboat::new();
    let schedule = "  recoveryPoint: { snapshot: {} }\n  schedule: { cron: '*/20 * * * * *' }\n";
    let drill = lifeboat.drill(&source, false, "", schedule);
    let token = lifeboat
        .command(&["token", "test", "--role", "admin"])
        .output()
        .unwrap();
    let said = String::from_utf8(token.stderr).unwrap();
    std::fs::write(lifeboat.path("tokens.yaml"), token.stdout).unwrap();

    let file = |kind: &[&str], name: &str, path: &std::path::Path| {
        let from = format!("--from-file={}", path.display());
        let mut args = vec!["-n", account.name.as_str(), "create"];
        args.extend(kind);
        let name = account.role(name);
        args.extend([name.as_str(), &from]);
        kubectl(&args);
    };
    file(&["configmap"], "lifeboat-drills", &drill);
    file(
        &["secret", "generic"],
        "lifeboat-tokens",
        &lifeboat.path("tokens.yaml"),
    );
    let manifests = account
        .manifests("service")
        .replace("registry.example/lifeboat:0.1.0", IMAGE)
        .replace(
            "  resources:\n    requests:\n      storage: 1Gi\n",
            "  storageClassName: drill-hostpath\n  resources:\n    requests:\n      storage: 1Gi\n",
        )
        .replace(
            "        - name: LIFEBOAT_GRACE\n",
            &format!(
                "        - name: LIFEBOAT_SANDBOX_ROLE\n          value: {}\n        \
                 - name: LIFEBOAT_SWEEP_EVERY\n          value: 5s\n        - name: LIFEBOAT_GRACE\n",
                account.role("lifeboat-sandbox")
            ),
        );
    apply(&manifests);
    let service = Service {
        account: &account,
        token: said.trim().rsplit(' ').next().unwrap().to_owned(),
    };
    // The verdict is known before everything is given back.
    let with = |verdict: &str| {
        let runs = service.runs().into_iter();
        runs.filter(|run| run["verdict"] == verdict && run["clean"] == true)
            .collect::<Vec<_>>()
    };
    until("two drills by schedule have passed", || {
        with("passed").len() >= 2
    });
    for run in with("passed") {
        assert!(run["scheduled_for"].is_string(), "{run:#}");
        assert_eq!(run["proof"], "structural", "{run:#}");
        assert_eq!(leftovers(run["id"].as_str().unwrap()), Vec::<String>::new());
    }
    until("a drill goes on", || {
        service.runs().iter().any(|run| run["verdict"].is_null())
    });
    let (pod, _) = service.pod().unwrap();
    kubectl(&[
        "-n",
        &account.name,
        "delete",
        "pod",
        &pod,
        "--grace-period=0",
        "--force",
    ]);
    until("the drill that was cut short is ended", || {
        !with("inconclusive").is_empty()
    });
    let cut = with("inconclusive").remove(0);
    let id = cut["id"].as_str().unwrap().to_owned();
    until("nothing of it is left", || leftovers(&id).is_empty());
    let passed = with("passed").len();
    until("drills go on", || with("passed").len() > passed);

    kubectl(&[
        "-n",
        &account.name,
        "scale",
        "deployment",
        &account.name,
        "--replicas=0",
    ]);
    let selector = "lifeboat.dev/run";
    until("the last one has given everything back", || {
        let ours = objects(&["namespaces", "-l", selector]);
        let drill = Value::from(source.namespace.clone());
        ours.iter()
            .all(|one| one["metadata"]["labels"]["lifeboat.dev/drill"] != drill)
    });
}
