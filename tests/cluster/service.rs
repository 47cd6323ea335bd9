//! The service within the cluster, as its manifests install it, with the rights
//! that they give: it drills by schedule, and a pod that dies loses nothing.

use std::{fs::File, net::TcpListener, path::Path, process::Stdio};

use serde_json::Value;

use crate::{
    asking::ask,
    needs_cluster,
    support::{
        account::Account,
        kubectl::{apply, kubectl, leftovers, objects, until},
        lifeboat::Lifeboat,
        site,
        source::Source,
    },
};

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

    /// The runs with a verdict. It is known before everything is given back.
    fn ended(&self, verdict: &str) -> Vec<Value> {
        let runs = self.runs().into_iter();
        runs.filter(|run| run["verdict"] == verdict && run["clean"] == true)
            .collect()
    }

    /// The run that goes on.
    fn under_way(&self) -> Option<String> {
        let runs = self.runs().into_iter();
        let mut open = runs.filter(|run| run["verdict"].is_null());
        open.next()?["id"].as_str().map(str::to_owned)
    }

    /// Waits until a run that was cut short is ended: released, or taken up and
    /// ended well if its copy was there already.
    fn until_ended(&self, id: &str) {
        until("the drill that was cut short is ended", || {
            let verdicts = ["passed", "inconclusive"].into_iter();
            let mut ended = verdicts.flat_map(|verdict| self.ended(verdict));
            ended.any(|run| run["id"] == id)
        });
        until("nothing of it is left", || leftovers(id).is_empty());
    }

    /// Ends a pod as a node that dies does.
    fn kill(&self, pod: &str) {
        let name = &self.account.name;
        let at_once = ["--grace-period=0", "--force"];
        kubectl(&[&["-n", name, "delete", "pod", pod], &at_once[..]].concat());
    }

    /// Starts nothing more, and waits until everything of a source is given back.
    fn stop(&self, source: &Source) {
        let name = &self.account.name;
        kubectl(&["-n", name, "scale", "deployment", name, "--replicas=0"]);
        until("the last one has given everything back", || {
            let ours = objects(&["namespaces", "-l", "lifeboat.dev/run"]);
            let drill = Value::from(source.namespace.clone());
            ours.iter()
                .all(|one| one["metadata"]["labels"]["lifeboat.dev/drill"] != drill)
        });
    }

    fn runs(&self) -> Vec<Value> {
        let answer = self.get("/api/v1/runs?limit=100");
        let runs = answer.map(|answer| answer["runs"].as_array().unwrap().clone());
        runs.unwrap_or_default()
    }
}

/// Installs the service of a folder of manifests; `env` is more of its
/// environment.
fn install<'a>(
    account: &'a Account,
    lifeboat: &Lifeboat,
    drill: &Path,
    folder: &str,
    env: &[(&str, &str)],
) -> Service<'a> {
    let token = lifeboat
        .command(&["token", "test", "--role", "admin"])
        .output()
        .unwrap();
    let said = String::from_utf8(token.stderr).unwrap();
    std::fs::write(lifeboat.path("tokens.yaml"), token.stdout).unwrap();

    let file = |kind: &[&str], name: &str, path: &Path| {
        let from = format!("--from-file={}", path.display());
        let mut args = vec!["-n", account.name.as_str(), "create"];
        args.extend(kind);
        let name = account.role(name);
        args.extend([name.as_str(), &from]);
        kubectl(&args);
    };
    file(&["configmap"], "lifeboat-drills", drill);
    let tokens = lifeboat.path("tokens.yaml");
    file(&["secret", "generic"], "lifeboat-tokens", &tokens);
    let role = account.role("lifeboat-sandbox");
    let own = [("LIFEBOAT_SANDBOX_ROLE", role.as_str())];
    let lines = own
        .iter()
        .chain(env)
        .map(|(name, value)| format!("        - name: {name}\n          value: {value}\n"));
    let lines: String = lines.collect();
    let manifests = account
        .manifests(folder)
        .replace("registry.example/lifeboat:0.1.0", &site::LIFEBOAT.name())
        .replace(
            "  resources:\n    requests:\n      storage: 1Gi\n",
            &format!(
                "  storageClassName: {}\n  resources:\n    requests:\n      storage: 1Gi\n",
                site::CLASS.name()
            ),
        )
        .replace(
            "        - name: LIFEBOAT_GRACE\n",
            &format!("{lines}        - name: LIFEBOAT_GRACE\n"),
        );
    apply(&manifests);
    Service {
        account,
        token: said.trim().rsplit(' ').next().unwrap().to_owned(),
    }
}

#[test]
fn it_drills_by_schedule_within_the_cluster_and_survives_its_pod() {
    needs_cluster!(site::POD_NETWORK.is_there());
    let source = Source::new("service");
    let account = Account::new("service");
    account.may_drill(&source.namespace, &["db-auth", "drill-auth"]);
    let lifeboat = Lifeboat::new();
    let schedule = "  recoveryPoint: { snapshot: {} }\n  schedule: { cron: '*/20 * * * * *' }\n";
    let drill = lifeboat.drill(&source, false, "", schedule);
    apply(&account.manifests("review"));
    let env = [
        ("LIFEBOAT_SWEEP_EVERY", "5s"),
        ("LIFEBOAT_KUBERNETES_AUTH", "\"true\""),
    ];
    let service = install(&account, &lifeboat, &drill, "service", &env);
    let with = |verdict: &str| service.ended(verdict);
    until("two drills by schedule have passed", || {
        with("passed").len() >= 2
    });
    for run in with("passed") {
        assert!(run["scheduled_for"].is_string(), "{run:#}");
        assert_eq!(run["proof"], "structural", "{run:#}");
        assert_eq!(leftovers(run["id"].as_str().unwrap()), Vec::<String>::new());
    }
    the_api_server_says_who_may_what(&service);
    let mut cut = None;
    until("a drill goes on", || {
        cut = service.under_way();
        cut.is_some()
    });
    let (pod, _) = service.pod().unwrap();
    service.kill(&pod);
    service.until_ended(&cut.unwrap());
    let passed = with("passed").len();
    until("drills go on", || with("passed").len() > passed);

    service.stop(&source);
}

/// A ServiceAccount that is no friend of the service, made one.
fn the_api_server_says_who_may_what(service: &Service<'_>) {
    let namespace = service.account.name.as_str();
    kubectl(&["-n", namespace, "create", "serviceaccount", "grafana"]);
    let token = kubectl(&["-n", namespace, "create", "token", "grafana"]);
    let ask = |method: &str, path: &str, token: &str| {
        let (_, address) = service.pod().unwrap();
        let token = format!("Bearer {}", token.trim());
        ask(&address, method, path, &[("authorization", &token)])
            .unwrap()
            .0
    };
    assert_eq!(ask("GET", "/api/v1/runs", &token), 403);
    assert_eq!(ask("GET", "/api/v1/runs", "ey.no.token"), 401);
    let role = format!("--clusterrole={}", service.account.role("lifeboat-viewer"));
    let whose = format!("--serviceaccount={namespace}:grafana");
    let name = service.account.role("lifeboat-grafana");
    kubectl(&["create", "clusterrolebinding", &name, &role, &whose]);
    // What was answered holds for up to a minute.
    until("it may see", || ask("GET", "/api/v1/drills", &token) == 200);
    assert_eq!(ask("POST", "/api/v1/sweep", &token), 403);
    kubectl(&["delete", "clusterrolebinding", &name]);
}

#[test]
fn replicas_share_a_history_and_end_what_one_of_them_left() {
    needs_cluster!(site::POD_NETWORK.is_there());
    let source = Source::new("replicas");
    let account = Account::new("replicas");
    account.may_drill(&source.namespace, &["db-auth", "drill-auth"]);
    let lifeboat = Lifeboat::new();
    let schedule = "  recoveryPoint: { snapshot: {} }\n  schedule: { cron: '*/15 * * * * *' }\n";
    let drill = lifeboat.drill(&source, false, "", schedule);
    // The history is beside the data that is drilled.
    source.psql("create database lifeboat");
    let url = format!(
        "--from-literal=url=postgresql://postgres:s3cret-of-the-source@db.{}:5432/lifeboat",
        source.namespace
    );
    let secret = account.role("lifeboat-history");
    kubectl(&[
        "-n",
        &account.name,
        "create",
        "secret",
        "generic",
        &secret,
        &url,
    ]);
    let env = [("LIFEBOAT_CLAIM", "6s")];
    let service = install(&account, &lifeboat, &drill, "replicas", &env);
    until("two drills by schedule have passed", || {
        service.ended("passed").len() >= 2
    });
    let open = || {
        let sql = "select id || ' ' || (owner::json ->> 'host') from runs \
                   where verdict is null limit 1";
        let one = source.psql_in("lifeboat", sql);
        let (id, pod) = one.trim().split_once(' ')?;
        Some((id.to_owned(), pod.to_owned()))
    };
    let pods = || {
        let selector = format!("app.kubernetes.io/name={}", account.name);
        objects(&["pods", "-n", &account.name, "-l", &selector])
    };
    assert_eq!(pods().len(), 3);
    let mut cut = None;
    until("a drill goes on", || {
        cut = open();
        cut.is_some()
    });
    let (id, pod) = cut.unwrap();
    service.kill(&pod);
    // The others have no way to look at it but that it says nothing.
    service.until_ended(&id);
    let passed = service.ended("passed").len();
    until("drills go on", || service.ended("passed").len() > passed);
    let twice =
        "select count(*) - count(fires.run_id) from runs left join fires on fires.run_id = runs.id";
    assert_eq!(source.psql_in("lifeboat", twice).trim(), "0");
    service.stop(&source);
}

/// From a laptop, too, which asks the cluster where the volumes would be.
#[test]
fn drills_of_one_storage_class_go_one_after_the_other() {
    needs_cluster!();
    let source = Source::new("classes");
    let lifeboat = Lifeboat::new();
    let drill = lifeboat.drill(&source, false, "", "  recoveryPoint: { snapshot: {} }\n");
    let one = std::fs::read_to_string(&drill).unwrap();
    let (name, second) = (&source.namespace, "t-classes-second");
    let other = one.replace(
        &format!("{{ name: {name} }}"),
        &format!("{{ name: {second} }}"),
    );
    std::fs::write(&drill, format!("{one}---\n{other}")).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = port.local_addr().unwrap().to_string();
    drop(port);
    let limits = [
        "--max-runs-per-storage-class",
        "1",
        "--max-runs-per-source",
        "0",
    ];
    let mut serving = lifeboat
        .command(&["serve", "--listen", &address, &drill.display().to_string()])
        .args(limits)
        .stdout(Stdio::null())
        .stderr(File::create(lifeboat.path("log")).unwrap())
        .spawn()
        .unwrap();
    let ask = |method: &str, path: &str| ask(&address, method, path, &[]).unwrap_or_default();
    let get = |path: &str| serde_json::from_str::<Value>(&ask("GET", path).1).unwrap_or_default();
    let promised = [name, second].map(|name| {
        let mut answer = (0, String::new());
        until("a run is promised", || {
            answer = ask("POST", &format!("/api/v1/drills/{name}/runs"));
            answer.0 == 202
        });
        let promise: Value = serde_json::from_str(&answer.1).unwrap();
        promise["run"].as_str().unwrap().to_owned()
    });
    let mut runs = promised.map(|run| {
        let path = format!("/api/v1/runs/{run}");
        until("it has ended", || get(&path)["finished_at"].is_string());
        assert_eq!(leftovers(&run), Vec::<String>::new());
        get(&path)
    });
    let page = ask("GET", "/metrics").1;
    serving.kill().unwrap();
    serving.wait().unwrap();
    for run in &runs {
        assert_eq!(run["verdict"], "passed", "{run:#}");
    }
    let at = |run: &Value, which: &str| run[which].as_str().unwrap().parse::<jiff::Timestamp>();
    runs.sort_by_key(|run| at(run, "requested_at").unwrap());
    let times = (at(&runs[0], "finished_at"), at(&runs[1], "requested_at"));
    assert!(times.0.unwrap() <= times.1.unwrap(), "{runs:#?}");
    let held_up = "lifeboat_budget_wait_seconds_count{limit=\"per storage class\"} 1";
    assert!(page.contains(held_up), "{page}");
}
