//! Dumps in a bucket: sent and fetched by pods, found and left as they were.

use crate::{
    fence::tried_from,
    needs_cluster,
    support::{
        kubectl::{leftovers, until},
        lifeboat::Lifeboat,
        site,
        source::Source,
        store::{SECRET, Store, place},
    },
};

/// The recovery point of a drill that keeps its dump in the bucket.
fn keeping(store: &Store<'_>) -> String {
    let to = place(&store.address(), "kept");
    format!("  recoveryPoint: {{ fresh: {{ jobs: 2, to: {{ {to} }} }} }}\n")
}

#[test]
fn a_dump_goes_by_way_of_a_bucket_and_nothing_is_left_there() {
    needs_cluster!(site::S3.is_there(), site::POD_NETWORK.is_there());
    let source = Source::new("s3");
    let store = Store::new(&source);
    let lifeboat = Lifeboat::new();
    lifeboat.drill(&source, true, "", &keeping(&store));
    let record = lifeboat.run(&[]);
    assert_eq!(record["verdict"], "passed", "{record:#}");
    assert_eq!(record["proof"], "exact");
    assert_eq!(record["recovery_point"]["artifact"]["kind"], "stored_dump");
    let fence = &record["restore"]["fence"];
    assert_eq!(fence["network"], true);
    // The pods on the way are let out to one place, and no further.
    for (pod, attempts) in [("lifeboat-dump", 2), ("lifeboat-fetch", 3)] {
        let tried = tried_from(&record, pod);
        assert_eq!(tried.len(), attempts, "{fence:#}");
    }
    assert!(!record.to_string().contains(SECRET));
    assert_eq!(store.objects(), [""; 0]);

    // Killed while the dump lies there, it is found and removed.
    let mut killed = lifeboat.begin();
    until("something is in the bucket", || !store.objects().is_empty());
    killed.kill().unwrap();
    killed.wait().unwrap();
    let swept = lifeboat.sweep();
    assert!(swept.status.success(), "{swept:?}");
    assert_eq!(store.objects(), [""; 0]);
    let run = lifeboat.runs()[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(leftovers(&run), Vec::<String>::new());

    // Wrong credentials are told before anything is made.
    let wrong = keeping(&store).replace("key: secret }", "key: id }");
    lifeboat.drill(&source, true, "", &wrong);
    let record = lifeboat.run(&[]);
    assert_eq!(record["verdict"], "inconclusive", "{record:#}");
    assert_eq!(record["failure"]["step"], "inspect", "{record:#}");
    assert_eq!(record["failure"]["kind"], "denied", "{record:#}");
}

#[test]
fn a_dump_that_is_in_a_bucket_is_found_and_left_as_it_is() {
    needs_cluster!(site::S3.is_there());
    let source = Source::new("s3-existing");
    let store = Store::new(&source);
    store.exec(&format!(
        "cd /store/drills && mkdir backups && export PGPASSWORD=s3cret-of-the-source && pg_dump -h \
         db.{}.svc -U postgres -Fc -f backups/shop-2.dump shop && pg_dumpall -h db.{}.svc -U postgres --globals-only \
         > backups/globals.sql",
        source.namespace, source.namespace
    ));
    let before = store.objects();
    let lifeboat = Lifeboat::new();
    // Only pods can ask for this name.
    let at = place(&store.service(), "backups/shop-*.dump");
    let spec = format!(
        "  recoveryPoint: {{ existing: {{ {at}, globals: backups/globals.sql }} }}\n  \
         checks: {{ rowCounts: [ {{ table: public.orders, min: 20000 }} ] }}\n"
    );
    lifeboat.drill(&source, false, "", &spec);
    let record = lifeboat.run(&[]);
    assert_eq!(record["verdict"], "passed", "{record:#}");
    let key = &record["recovery_point"]["artifact"]["key"];
    assert_eq!(key, "backups/shop-2.dump");
    assert_eq!(tried_from(&record, "lifeboat-find").len(), 3);
    assert_eq!(store.objects(), before);
}
