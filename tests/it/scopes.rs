//! Tokens that are for some drills only.

use serde_json::{Value, json};

use crate::support::{
    kubernetes::{
        Fake, Habits, Pace,
        world::{self as cluster, From},
    },
    served::{Served, put, token},
    until,
    world::{SqliteFile, World, text},
};

fn names(list: &Value, field: &str) -> Vec<String> {
    let lines = list.as_array().unwrap().iter();
    let mut names: Vec<_> = lines
        .map(|line| line[field].as_str().unwrap().to_owned())
        .collect();
    names.dedup();
    names
}

#[test]
fn a_token_is_for_the_drills_of_its_scope() {
    let world = World::new(SqliteFile::make);
    for (name, team) in [("ours", "shop"), ("theirs", "pay")] {
        let text = world.document(
            name,
            "  schedule: { cron: '* * * * * *', suspended: true }\n",
        );
        let text = text.replace("file: app.db", "file: ../app.db");
        let labels = format!("{{ name: {name}, labels: {{ team: {team} }} }}");
        let text = text.replace(&format!("{{ name: {name} }}"), &labels);
        put(&world.path("drills"), &format!("{name}.yaml"), &text);
    }
    put(&world.path("drills"), "broken.yaml", "kind: [");
    let (all, first) = token(&world, &["all", "--role", "admin"]);
    let (shop, second) = token(&world, &["shop", "--role", "admin", "--label", "team=shop"]);
    let file = put(
        &world.path("secret"),
        "tokens.yaml",
        &format!("{first}{second}"),
    );
    let mut served = Served::start(&world, &["--tokens", &file.display().to_string()]);

    served.token = Some(all.clone());
    let mut runs = Vec::new();
    for drill in ["ours", "theirs"] {
        let (status, body) = served.ask("POST", &format!("/api/v1/drills/{drill}/runs"));
        assert_eq!(status, 202, "{body}");
        let run: Value = serde_json::from_str(&body).unwrap();
        runs.push(run["run"].as_str().unwrap().to_owned());
    }
    until("all have ended, and fire times have passed", || {
        let all = served.get("/api/v1/runs")["runs"].clone();
        let ended = |run: &&Value| run["finished_at"].is_string();
        let ended = all.as_array().unwrap().iter().filter(ended).count();
        let fires = names(&served.get("/api/v1/fires")["fires"], "drill");
        ended == 2 && fires.iter().any(|name| name == "theirs")
    });

    served.token = Some(shop);
    let drills = served.get("/api/v1/drills");
    assert_eq!(names(&drills["drills"], "name"), ["ours"]);
    assert_eq!(drills["broken_files"], Value::Array(Vec::new()));
    assert_eq!(
        names(&served.get("/api/v1/runs")["runs"], "drill"),
        ["ours"]
    );
    assert_eq!(
        names(&served.get("/api/v1/fires?limit=1000")["fires"], "drill"),
        ["ours"]
    );
    let upcoming = served.get("/api/v1/schedule?next=1000");
    assert_eq!(names(&upcoming["upcoming"], "drill"), ["ours"]);
    for list in ["runs", "fires"] {
        let found = served.get(&format!("/api/v1/{list}?drill=theirs"));
        assert_eq!(found[list], Value::Array(Vec::new()), "{list}");
    }
    let (ours, theirs) = (&runs[0], &runs[1]);
    for (method, path, known) in [
        ("GET", "drills/NAME", 200),
        ("GET", "drills/NAME/trend", 200),
        ("GET", "runs/ID", 200),
        ("GET", "runs/ID/report", 200),
        ("GET", "runs/ID/events", 200),
        ("POST", "runs/ID/cancel", 409),
        ("POST", "drills/NAME/runs", 202),
    ] {
        for (name, id, wanted) in [("ours", ours, known), ("theirs", theirs, 404)] {
            let path = path.replace("NAME", name).replace("ID", id);
            let (got, body) = served.ask(method, &format!("/api/v1/{path}"));
            assert_eq!(got, wanted, "{method} {path}: {body}");
        }
    }
    assert_eq!(served.ask("POST", "/api/v1/sweep").0, 403);
    // Whose a key was does not come out.
    let key = [("idempotency-key", "nightly")];
    let shop = served.token.take();
    served.token = Some(all);
    let (status, body) = served.ask_with("POST", "/api/v1/drills/theirs/runs", &key);
    assert_eq!(status, 202, "{body}");
    served.token = shop;
    let (status, body) = served.ask_with("POST", "/api/v1/drills/ours/runs", &key);
    assert_eq!(status, 422, "{body}");
    assert!(!body.contains("theirs"), "{body}");
    assert_eq!(served.stop(), Some(0), "{}", served.log());
}

/// A cluster with a workload in each of two namespaces, of which runs leave a volume
/// behind, and a drill of each.
async fn two_namespaces(world: &World<SqliteFile>) -> Fake {
    let fake = Fake::start(Pace::default()).await;
    cluster::cluster(&fake);
    for namespace in ["shop", "pay"] {
        cluster::workload(&fake, namespace).await;
        let drill = cluster::drill(&fake, &world.path(""), namespace, From::Snapshot);
        let text = std::fs::read_to_string(drill).unwrap();
        let mut drill: Value = serde_json::from_str(&text).unwrap();
        drill["spec"]["schedule"] = json!({ "cron": "* * * * * *", "suspended": true });
        let file = format!("{namespace}.yaml");
        put(&world.path("drills"), &file, &drill.to_string());
    }
    fake.inner.state().habits = Habits {
        retains: true,
        ..Habits::default()
    };
    fake
}

/// Which drills each list tells of.
fn listed(served: &Served) -> Vec<(&'static str, Vec<String>)> {
    let lists = [
        ("drills", "drills", "name"),
        ("runs", "runs", "drill"),
        ("fires?limit=1000", "fires", "drill"),
        ("schedule?next=1000", "upcoming", "drill"),
        ("leaks", "leaks", "drill"),
    ];
    let list = |(path, list, field)| {
        let found = served.get(&format!("/api/v1/{path}"));
        let mut names = names(&found[list], field);
        names.sort();
        names.dedup();
        (path, names)
    };
    lists.map(list).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_a_namespace_is_for_the_workloads_in_it() {
    let world = World::new(SqliteFile::make);
    let _fake = two_namespaces(&world).await;
    tokio::task::block_in_place(|| {
        let (all, first) = token(&world, &["all", "--role", "operator"]);
        let (shop, second) = token(&world, &["shop", "--namespace", "shop"]);
        let file = put(&world.path("secret"), "tokens.yaml", &(first + &second));
        let mut served = Served::start(&world, &["--tokens", &file.display().to_string()]);
        served.token = Some(all);
        let runs = ["shop", "pay"].map(|drill| served.promised(drill));
        until("each list tells of both", || {
            let mut lists = listed(&served).into_iter();
            lists.all(|(_, names)| names == ["pay", "shop"])
        });
        served.token = Some(shop);
        for (path, names) in listed(&served) {
            assert_eq!(names, ["shop"], "{path}");
        }
        for list in ["runs", "fires"] {
            let found = served.get(&format!("/api/v1/{list}?drill=pay"));
            assert_eq!(found[list], json!([]), "{list}");
        }
        for path in [
            "drills/NAME",
            "drills/NAME/trend",
            "runs/ID",
            "runs/ID/report",
        ] {
            for (name, id, wanted) in [("shop", &runs[0], 200), ("pay", &runs[1], 404)] {
                let path = path.replace("NAME", name).replace("ID", id);
                let (got, body) = served.ask("GET", &format!("/api/v1/{path}"));
                assert_eq!(got, wanted, "{path}: {body}");
            }
        }
        let events = format!("/api/v1/runs/{}/events", runs[1]);
        assert_eq!(served.ask("GET", &events).0, 404);
        assert_eq!(served.stop(), Some(0), "{}", served.log());
    });
}

#[test]
fn a_scope_that_says_nothing_is_refused() {
    let world = World::new(SqliteFile::make);
    let (_, line) = token(&world, &["all", "--role", "admin"]);
    let line = line.replace(" }", ", scope: { namespaces: [] } }");
    let file = put(&world.path("secret"), "tokens.yaml", &line);
    let place = world.path("").display().to_string();
    let args = ["serve", &place, "--tokens", &file.display().to_string()];
    let refused = world.lifeboat_for_people(&args).output().unwrap();
    let said = text(&refused);
    assert!(said.contains("the scope of all says nothing"), "{said}");
    let twice = ["token", "x", "--label", "a=b", "--label", "a=c"];
    let refused = world.lifeboat_for_people(&twice).output().unwrap();
    assert!(text(&refused).contains("a label twice"));
}
