//! Whatever goes wrong around a drill: one clear message, the right exit
//! status, and nothing left. Runs the real binary.

use std::path::Path;

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::support::{
    copy::IN_COPY,
    database::{Database, QUIET},
    postgres::{BINARIES, Server},
    world::{SqliteFile, World, as_nobody, failed, record, text},
};

/// An index whose making takes for ever, in the copy alone.
pub fn sleepy() -> World<Database> {
    let sql = format!(
        "create function slow(i int) returns int language plpgsql immutable as $$ begin \
         if {IN_COPY} then perform pg_sleep(600); end if; return i; end $$; \
         create table t (i int); insert into t values (1); create index on t (slow(i))"
    );
    World::new(|_| Database::filled(&QUIET, &sql))
}

/// A check that takes for ever.
fn sleepy_check() -> World<Database> {
    let world = World::new(|_| Database::small());
    world.drill(
        "app",
        "  checks: { queries: [ { name: slow, sql: select pg_sleep(600), expect: some rows } ] }\n",
    );
    world
}

fn end(pid: i32) {
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
}

#[test]
fn a_loader_that_is_killed_is_told() {
    let leader = "pg_restore was killed by signal 9";
    let worker = "worker process died unexpectedly";
    for message in [leader, worker] {
        let world = sleepy();
        let run = world.run_drill().spawn().unwrap();
        world.until_copy_sleeps();
        let processes = world.processes_of("pg_restore");
        let whom = if message == leader {
            processes.first()
        } else {
            processes.last()
        };
        end(*whom.unwrap());
        let failure = failed(&run.wait_with_output().unwrap(), "restore", "unavailable");
        assert!(failure.message.contains(message), "{failure:?}");
        assert!(failure.hint.contains("memory"), "{failure:?}");
        world.is_empty();
    }
}

#[test]
fn a_scratch_server_that_dies_in_the_restore_is_told() {
    let world = sleepy();
    let run = world.run_drill().spawn().unwrap();
    end(world.until_copy_sleeps().server);
    let failure = failed(&run.wait_with_output().unwrap(), "restore", "unavailable");
    assert!(
        failure.message.starts_with("the scratch server went away"),
        "{failure:?}"
    );
    assert!(failure.message.contains("postmaster exit"), "{failure:?}");
    world.is_empty();
}

#[test]
fn a_scratch_server_that_dies_in_the_checks_is_no_fault_of_the_data() {
    for all in [true, false] {
        let world = sleepy_check();
        let run = world.run_drill().spawn().unwrap();
        let asleep = world.until_copy_sleeps();
        end(if all { asleep.server } else { asleep.session });
        let failure = failed(&run.wait_with_output().unwrap(), "verify", "unavailable");
        let begins = failure.message.starts_with("the scratch server went away");
        // Whichever check notices first: others go on beside the query.
        assert!(begins, "{failure:?}");
        let words = if all { "postmaster exit" } else { "signal 9" };
        assert!(failure.message.contains(words), "{failure:?}");
        world.is_empty();
    }
}

#[test]
fn a_source_that_goes_away_in_the_dump_is_told() {
    let server = Box::leak(Box::new(Server::start(Path::new(BINARIES), &[])));
    let world = World::new(|_| Database::filled(server, "create table t as select 1 as id"));
    let (lock, run) = world.run_until_dump_waits();
    server.stop();
    drop(lock);
    let failure = failed(&run.wait_with_output().unwrap(), "capture", "unavailable");
    assert!(failure.hint.contains("log"), "{failure:?}");
    let place = server.directory.display().to_string();
    assert!(failure.message.contains(&place), "{failure:?}");
    assert_eq!(world.scratch(), [""; 0]);
}

#[test]
fn a_dump_that_is_killed_is_told() {
    let world = World::new(|_| Database::filled(&QUIET, "create table t as select 1 as id"));
    let (lock, run) = world.run_until_dump_waits();
    end(world.processes_of("pg_dump")[0]);
    let failure = failed(&run.wait_with_output().unwrap(), "capture", "unavailable");
    assert!(
        failure.message.contains("pg_dump was killed by signal 9"),
        "{failure:?}"
    );
    drop(lock);
    world.is_empty();
}

#[test]
fn a_wrong_password_is_told_and_never_shown() {
    let server = Box::leak(Box::new(Server::with_password("right")));
    let world = World::new(|_| {
        let mut database = Database::filled(server, "create table t as select 1 as id");
        database.connection = "user: boat, password: { file: secret }".to_owned();
        database
    });
    std::fs::write(world.path("secret"), "wr0ng-s3cret").unwrap();
    let output = world.run_drill().output().unwrap();
    let failure = failed(&output, "inspect", "denied");
    let location = format!("{}:5432/{}", server.directory.display(), world.source.name);
    assert!(failure.message.contains(&location), "{failure:?}");
    assert!(
        failure.message.contains("password authentication failed"),
        "{failure:?}"
    );
    assert!(failure.hint.contains("password source"), "{failure:?}");
    assert!(!text(&output).contains("s3cret"));
    world.is_empty();

    std::fs::remove_file(world.path("secret")).unwrap();
    let failure = failed(&world.run_drill().output().unwrap(), "inspect", "invalid");
    assert!(failure.message.contains("secret"), "{failure:?}");
}

#[test]
fn a_standby_is_a_source_as_any_other_but_for_the_canary() {
    let primary = Server::start(Path::new(BINARIES), &[]);
    let name = primary.database();
    primary.psql(&name, "create table t as select 1 as id");
    let standby = Box::leak(Box::new(primary.standby()));
    let world = World::new(|_| Database::named(standby, name));
    let output = world.run_drill().output().unwrap();
    let passed = record(&output);
    assert_eq!(passed["verdict"], "passed", "{}", text(&output));
    assert_eq!(passed["source"]["details"]["in_recovery"], "true");
    assert_eq!(passed["proof"], "exact");
    world.is_empty();

    world.drill("app", "  canary: { table: public.canary }\n");
    let failure = failed(&world.run_drill().output().unwrap(), "capture", "invalid");
    assert!(failure.message.contains("standby"), "{failure:?}");
    world.is_empty();
}

#[test]
fn a_state_directory_that_cannot_be_written_is_told() {
    let world = World::new(SqliteFile::make);
    let owned = world.path("owned");
    std::fs::create_dir(&owned).unwrap();
    for (state, what) in [
        (owned.join("new"), "cannot make the state directory"),
        (owned.clone(), "cannot use the history"),
    ] {
        let output = as_nobody(&["run", &world.path("app.yaml").display().to_string()])
            .env("LIFEBOAT_STATE_DIR", &state)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(3), "{}", text(&output));
        let told = text(&output);
        for part in [
            what,
            &state.display().to_string(),
            "ermission denied",
            "--state-dir",
        ] {
            assert!(told.contains(part), "no `{part}` in {told}");
        }
    }
}
