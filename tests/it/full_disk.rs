//! No space left, wherever it is needed: it is said where, the run is
//! inconclusive, and nothing is left. Runs the real binary.

use crate::support::{
    database::{Database, QUIET},
    disk::SmallDisk,
    world::{SqliteFile, World, entries, failed, record, text},
};

/// A few bytes per row in the dump, many in the database.
const LARGE: &str = "create table t as select i, 0::bigint a, 0::bigint b, 0::bigint c \
                     from generate_series(1, 1500000) i";

const ELSEWHERE: &str = "  sandbox: { local: { directory: small } }\n";

/// A drill whose scratch place is a disk of so many KiB.
fn on_small_disk(sql: &str, kibibytes: u32, more: &str) -> Option<(World<Database>, SmallDisk)> {
    let world = World::new(|_| Database::filled(&QUIET, sql));
    let disk = SmallDisk::mount(&world.path("small"), kibibytes)?;
    world.drill("app", &format!("{ELSEWHERE}{more}"));
    Some((world, disk))
}

fn is_told_and_leaves_nothing(world: &World<Database>, step: &str) {
    let failure = failed(&world.run_drill().output().unwrap(), step, "exhausted");
    let place = world.path("small").display().to_string();
    let told = ["No space left", "the sandbox's disk is full"];
    assert!(
        told.iter().any(|told| failure.message.contains(told)),
        "{failure:?}"
    );
    assert!(failure.hint.contains(&place), "{failure:?}");
    assert!(
        failure.hint.contains("sandbox.local.directory"),
        "{failure:?}"
    );
    assert_eq!(entries(&world.path("small")), [""; 0]);
    world.is_clean(1);
}

#[test]
fn a_disk_that_is_full_in_the_dump_is_told() {
    let uncompressed = "  recoveryPoint: { fresh: { compression: none } }\n";
    let Some((world, _disk)) = on_small_disk(LARGE, 6 << 10, uncompressed) else {
        return;
    };
    is_told_and_leaves_nothing(&world, "capture");
}

#[test]
fn a_disk_that_is_full_at_the_start_is_told() {
    let Some((world, _disk)) = on_small_disk("create table t (i int)", 20 << 10, "") else {
        return;
    };
    is_told_and_leaves_nothing(&world, "start");
}

/// In the tables, or, if there is room for these, in the write-ahead log,
/// where the server gives up as a whole.
#[test]
fn a_disk_that_is_full_in_the_restore_is_told() {
    for (mebibytes, settings) in [
        (100, ""),
        (160, ", settings: { max_wal_size: 2GB, wal_level: logical }"),
    ] {
        let Some((world, _disk)) = on_small_disk(LARGE, mebibytes << 10, "") else {
            return;
        };
        let local = format!("  sandbox: {{ local: {{ directory: small{settings} }} }}\n");
        world.drill("app", &local);
        is_told_and_leaves_nothing(&world, "restore");
    }
}

#[test]
fn a_history_without_room_is_told_before_anything_is_made() {
    let world = World::new(SqliteFile::make);
    let Some(disk) = SmallDisk::mount(&world.path("state"), 1 << 10) else {
        return;
    };
    assert!(world.run_drill().status().unwrap().success());
    // A process that ends in a hurry may leave a log with room in it.
    let history = rusqlite::Connection::open(world.path("state/history.db")).unwrap();
    let truncated = history.query_row("pragma wal_checkpoint(truncate)", [], |row| row.get(0));
    assert_eq!(truncated, Ok(0), "somebody else has it open");
    drop(history);
    disk.fill("filler".as_ref());
    let output = world.run_drill().output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    let history = world.path("state/history.db").display().to_string();
    for part in [&history, "no space is left", "hint: make room"] {
        assert!(text(&output).contains(part), "{}", text(&output));
    }
    assert_eq!(world.scratch(), [""; 0]);
    std::fs::remove_file(world.path("state/filler")).unwrap();
    world.is_clean(1);
}

#[test]
fn a_history_that_is_full_in_the_middle_ends_the_run_and_leaves_nothing() {
    let world = World::new(|_| Database::filled(&QUIET, "create table t as select 1 as id"));
    let Some(disk) = SmallDisk::mount(&world.path("state"), 1 << 10) else {
        return;
    };
    world.drill("app", "  sandbox: { local: { directory: elsewhere } }\n");
    let (lock, run) = world.run_until_dump_waits();
    disk.fill("filler".as_ref());
    drop(lock);
    let output = run.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    assert!(
        text(&output).contains("no space is left"),
        "{}",
        text(&output)
    );
    assert_eq!(entries(&world.path("elsewhere")), [""; 0]);
    world.is_empty();

    std::fs::remove_file(world.path("state/filler")).unwrap();
    world.is_clean(1);
    assert_eq!(world.runs()[0]["verdict"], "inconclusive");
}

#[test]
fn a_run_that_fills_the_historys_disk_makes_room_for_its_result() {
    let world = World::new(|_| Database::filled(&QUIET, "create table t as select 1 as id"));
    let Some(disk) = SmallDisk::mount(&world.path("state"), 1 << 10) else {
        return;
    };
    let (lock, run) = world.run_until_dump_waits();
    let point = world
        .scratch()
        .into_iter()
        .find(|name| name.contains(".point"));
    disk.fill(
        &world
            .path("state/scratch")
            .join(point.unwrap())
            .join("filler"),
    );
    drop(lock);
    let output = run.wait_with_output().unwrap();
    let failure = failed(&output, "capture", "exhausted");
    assert!(failure.message.contains("o space"), "{failure:?}");
    world.is_clean(1);
    assert_eq!(world.runs()[0]["id"], record(&output)["id"]);
}
