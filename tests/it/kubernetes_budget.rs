//! How many runs of workloads in one namespace go on at once. Runs the real binary
//! against the fake API server.

use std::time::Duration;

use crate::support::{
    kubernetes::{
        Fake, Pace,
        world::{self as cluster, From},
    },
    served::{Served, put},
    until,
    world::{SqliteFile, World},
};

/// Drills of the workloads of two namespaces, and two of the one in `shop`.
async fn drills(world: &World<SqliteFile>) -> Fake {
    // A run takes so long that another one is asked for meanwhile.
    let slow = Pace {
        verify: Duration::from_secs(3),
        ..Pace::default()
    };
    let fake = Fake::start(slow).await;
    cluster::cluster(&fake);
    for namespace in ["shop", "pay"] {
        cluster::workload(&fake, namespace).await;
        let drill = cluster::drill(&fake, &world.path(""), namespace, From::Snapshot);
        let text = std::fs::read_to_string(drill).unwrap();
        let file = format!("{namespace}.yaml");
        put(&world.path("drills"), &file, &text);
    }
    let text = std::fs::read_to_string(world.path("drills/shop.yaml")).unwrap();
    let other = text.replace("\"name\":\"shop\"", "\"name\":\"shop-again\"");
    assert_ne!(other, text);
    put(&world.path("drills"), "shop-again.yaml", &other);
    fake
}

/// The limit of the source, which would hold it up just so, is off.
const LIMITS: [&str; 4] = [
    "--max-runs-per-source",
    "0",
    "--max-runs-per-namespace",
    "1",
];

#[tokio::test(flavor = "multi_thread")]
async fn of_a_namespace_one_run_goes_on_at_once() {
    let world = World::new(SqliteFile::make);
    let _fake = drills(&world).await;
    tokio::task::block_in_place(|| {
        let served = Served::start(&world, &LIMITS);
        let state = |drill: &str| served.get(&format!("/api/v1/drills/{drill}"))["state"].clone();
        served.promised("shop");
        until("the first one runs", || state("shop") == "running");
        let [second, other] = ["shop-again", "pay"].map(|drill| served.promised(drill));
        until("that of another namespace runs", || {
            state("pay") == "running"
        });
        assert_eq!(state("shop-again"), "waiting");
        for run in [second, other] {
            until("all have passed", || {
                let (status, body) = served.ask("GET", &format!("/api/v1/runs/{run}"));
                status == 200 && body.contains("\"verdict\":\"passed\"")
            });
        }
        // It is counted when the run has ended.
        let limit = "lifeboat_budget_wait_seconds_count{limit=\"per namespace\"}";
        until("its wait is counted", || served.metric(limit) == Some(1.0));
        let waited = "lifeboat_budget_wait_seconds_sum{limit=\"per namespace\"}";
        assert!(served.metric(waited).unwrap() > 1.0, "{}", served.log());
    });
}
