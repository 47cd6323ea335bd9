//! The data directory is where the container's own environment says, and a copy
//! without data there is not started.

use crate::{
    needs_cluster,
    support::{
        lifeboat::Lifeboat,
        source::{Shape, Source},
    },
};

#[test]
fn the_data_directory_is_where_the_containers_environment_says() {
    needs_cluster!();
    let source = Source::new("place");
    let lifeboat = Lifeboat::new();
    let snapshot = "  recoveryPoint: { snapshot: {} }\n";
    // The same place, but told by another object.
    let manifests = source
        .manifests(&Shape::default())
        .replace("work_mem: 6MB }", "work_mem: 6MB, pgdata: /data/pg }")
        .replace(
            "{ name: PGDATA, value: /data/pg }",
            "{ name: PGDATA, valueFrom: { configMapKeyRef: { name: db-conf, key: pgdata } } }",
        );
    assert!(manifests.contains("key: pgdata"));
    std::fs::write(lifeboat.path("db.yaml"), manifests).unwrap();
    lifeboat.drill(&source, false, "        manifests: [db.yaml]\n", snapshot);
    let record = lifeboat.run(&[]);
    assert_eq!(record["verdict"], "passed", "{record:#}");

    let wrong = "        dataDirectory: /data/elsewhere\n";
    lifeboat.drill(&source, false, wrong, snapshot);
    let record = lifeboat.run(&[]);
    assert_eq!(record["verdict"], "inconclusive", "{record:#}");
    let message = record["failure"]["message"].as_str().unwrap();
    for part in ["no PG_VERSION in /data/elsewhere", "dataDirectory"] {
        assert!(message.contains(part), "{message}");
    }
}
