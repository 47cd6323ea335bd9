//! Services of two versions on one history, as while one takes the place of the
//! other. Runs both programs and a real PostgreSQL.

use std::path::{Path, PathBuf};

use crate::{
    replicas::{
        DRILLS, every_fire_time_was_dealt_with_once, everything_has_ended,
        no_old_run_is_unfinished, replica, world,
    },
    support::{
        counted::all_are_counted,
        disk::skipped,
        postgres::{BINARIES, Server},
        served::scheduled,
        until,
    },
};

/// The program of a version that does not know the newest change of the schema.
fn older() -> Option<PathBuf> {
    let named = std::env::var_os("LIFEBOAT_TEST_OLDER").filter(|path| !path.is_empty());
    if named.is_none() {
        skipped(
            "LIFEBOAT_TEST_OLDER does not name the program of an older version (.ci/older builds it)",
        );
    }
    named.map(PathBuf::from)
}

#[test]
fn a_new_version_takes_the_place_of_the_one_before() {
    let Some(older) = older() else { return };
    let server = Server::start(Path::new(BINARIES), &[]);
    let (mut world, database) = world(&server);
    for drill in DRILLS {
        scheduled(&world, drill, "* * * * * *");
    }
    let ask = |sql: &str| server.psql(&database, sql);
    // How many services have begun runs since there were so many.
    let busy = |after: &str| {
        let sql = format!(
            "select count(distinct owner) from (select owner from runs order by id offset {after}) new"
        );
        ask(&sql)
    };
    let newer = std::mem::replace(&mut world.binary, older);
    let mut old = [replica(&world, 0), replica(&world, 1)];
    until("both of the version before begin runs", || busy("0") == "2");
    let schema = "select max(version) from _sqlx_migrations";
    let before: u32 = ask(schema).parse().unwrap();

    world.binary = newer;
    let mut new = replica(&world, 2);
    assert!(ask(schema).parse::<u32>().unwrap() > before);
    let so_far = ask("select count(*) from runs");
    until("all three begin runs", || busy(&so_far) == "3");
    let of_new = "select id from runs where verdict is not null order by id desc limit 1";
    let found = old[0].get(&format!("/api/v1/runs/{}", ask(of_new)));
    assert_eq!(found["verdict"], "passed", "{found}");

    // Each ends what the other one leaves when it dies.
    old[0].kill();
    let so_far = ask("select count(*) from runs");
    until("two begin runs", || busy(&so_far) == "2");
    new.kill();
    let so_far = ask("select count(*) from runs");
    until("the version before goes on", || busy(&so_far) == "1");
    no_old_run_is_unfinished(&server, &database);
    let mut new = [replica(&world, 2), replica(&world, 0)];

    assert_eq!(old[1].stop(), Some(0), "{}", old[1].log());
    let so_far = ask("select count(*) from runs");
    until("those of the new version begin runs", || {
        busy(&so_far) == "2"
    });
    until(
        "those that the version before concluded are counted",
        || ask("select count(*) from runs where verdict is not null and proof is null") == "0",
    );
    for served in &mut new {
        assert_eq!(served.stop(), Some(0), "{}", served.log());
    }
    every_fire_time_was_dealt_with_once(&server, &database);
    everything_has_ended(&world, 3);
    all_are_counted(&server, &database);
}
