//! Native dumps, made and restored by agents.

use crate::{
    needs_cluster,
    support::{
        lifeboat::{CHECKS, Lifeboat, between, is_proven_exact, outcome},
        source::Source,
    },
};

#[test]
fn a_dump_of_a_busy_source_is_restored_and_proven_exact() {
    needs_cluster!();
    let mut source = Source::new("dump");
    source.keep_writing();
    let lifeboat = Lifeboat::new();
    lifeboat.drill(&source, true, "", CHECKS);
    let record = lifeboat.run(&[]);
    is_proven_exact(&record);
    let fence = &record["restore"]["fence"];
    assert_eq!(fence["network"], true);
    let attempts = fence["attempts"].as_array().unwrap();
    let service = "connect to the source's Service db at ";
    let tried = attempts
        .iter()
        .find(|one| one["what"].as_str().unwrap().starts_with(service));
    let tried = tried.unwrap_or_else(|| panic!("{fence:#}"));
    assert_eq!(tried["prevented"], true, "{tried}");
    let order = [
        "declared",
        "sandbox_ready",
        "storage_bound",
        "accepting",
        "reads",
        "serving",
    ];
    for pair in order.windows(2) {
        assert!(
            between(&record, pair[0], pair[1]) >= 0,
            "{pair:?}: {:#}",
            record["timeline"]
        );
    }
}

#[test]
fn a_spoilt_copy_fails_and_says_what_is_wrong() {
    needs_cluster!();
    let source = Source::new("spoilt");
    let lifeboat = Lifeboat::new();
    lifeboat.drill(&source, true, "", "  canary: { table: lifeboat.canary }\n");
    let record = lifeboat.run(&["--negative-control", "row-byte,canary-write,index"]);
    assert_eq!(record["verdict"], "failed", "{record:#}");
    for (check, expected) in [
        ("fingerprints", "fail"),
        ("canary", "fail"),
        ("integrity", "fail"),
        ("schema", "pass"),
    ] {
        assert_eq!(outcome(&record, check), expected, "{check}");
    }
}
