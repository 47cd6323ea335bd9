//! A workload whose image has another C library than the agent and no glibc at
//! all: the agent works in it, and proves as much.

use crate::{
    needs_cluster,
    support::{
        lifeboat::{CHECKS, Lifeboat, is_proven_exact, outcome},
        site,
        source::{Engine, Shape, Source},
    },
};

/// A source that somebody writes to, and that has what is ordered by a library.
fn source(name: &str) -> Source {
    let shape = Shape {
        engine: Engine::musl(),
        ..Shape::default()
    };
    let mut source = Source::of(name, &shape);
    let built = source.psql("select version()");
    assert!(built.contains("linux-musl"), "{built}");
    source.psql(
        "create table names (name text collate \"de-x-icu\" primary key); \
         insert into names select chr(192 + g) || g from generate_series(1, 60) g",
    );
    source.keep_writing();
    source
}

#[test]
fn a_dump_of_an_image_on_musl_is_restored_and_proven_exact() {
    needs_cluster!(site::MUSL.is_there());
    let source = source("musl-dump");
    let lifeboat = Lifeboat::new();
    lifeboat.drill(&source, true, "", CHECKS);
    let record = lifeboat.run(&[]);
    is_proven_exact(&record);
}

#[test]
fn a_snapshot_of_an_image_on_musl_holds_every_acknowledged_write() {
    needs_cluster!(site::MUSL.is_there());
    let source = source("musl-snap");
    let lifeboat = Lifeboat::new();
    let point = "  recoveryPoint: { snapshot: { consistency: application } }\n";
    lifeboat.drill(&source, true, "", &format!("{point}{CHECKS}"));
    let record = lifeboat.run(&[]);
    assert_eq!(record["verdict"], "passed", "{record:#}");
    assert_eq!(record["proof"], "canary");
    assert!(record["canary"]["acknowledged"].as_u64().unwrap() >= 3);
    for check in ["canary", "integrity", "query: rows"] {
        assert_eq!(outcome(&record, check), "pass", "{check}");
    }
}
