//! Several services on one history: they share the work, and whatever happens
//! to each of them, every fire time is dealt with once and every run ends.
//! Runs the real binary and a real PostgreSQL.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{
    kill::SLOW,
    support::{
        clock,
        counted::all_are_counted,
        postgres::{BINARIES, SERVER, Server},
        served::{Served, put, scheduled},
        until,
        world::{SqliteFile, World, entries, labelled},
    },
};

pub const DRILLS: [&str; 2] = ["app", "bank"];

/// A world whose history is in a database of `server`, and the database.
pub fn world(server: &Server) -> (World<SqliteFile>, String) {
    let mut world = World::new(SqliteFile::make);
    let database = server.database();
    world.history = Some(server.url(&database));
    (world, database)
}

pub fn replica(world: &World<SqliteFile>, number: usize) -> Served {
    let state = format!("state-{number}");
    let options = ["--claim", "2s", "--sweep-every", "1h"];
    Served::start_with(world, &state, &options, &[clock::of(world, number)])
}

/// What the history has in a column, one line for each run or fire time.
fn lines(server: &Server, database: &str, sql: &str) -> Vec<Vec<String>> {
    let answer = server.psql(database, sql);
    let line = |line: &str| line.split('|').map(str::to_owned).collect();
    answer.lines().map(line).collect()
}

/// Each second from the first to the last has its run or its reason, once.
pub fn every_fire_time_was_dealt_with_once(server: &Server, database: &str) {
    let sql = "select drill, scheduled_for / 1000000, older from fires order by 1, 2";
    let mut seconds: BTreeMap<String, Vec<(i64, i64)>> = BTreeMap::new();
    for fire in lines(server, database, sql) {
        let number = |at: usize| fire[at].parse::<i64>().unwrap();
        let of_drill = seconds.entry(fire[0].clone()).or_default();
        of_drill.push((number(1), number(2)));
    }
    for drill in DRILLS {
        let fires = &seconds[drill];
        let all = fires.last().unwrap().0 - fires[0].0 + 1;
        let told: i64 = fires.iter().map(|(_, older)| 1 + older).sum();
        let known: BTreeSet<i64> = fires.iter().map(|fire| fire.0).collect();
        let gaps: Vec<_> = (fires[0].0..fires.last().unwrap().0)
            .filter(|second| !known.contains(second))
            .collect();
        assert_eq!(told, all, "{drill}: fire times are forgotten: {gaps:?}");
    }
    // Of each that was started there is one run, and of each run a fire time.
    let sql = "select count(*), count(distinct run_id) from fires where outcome = 'started'";
    let started = &lines(server, database, sql)[0];
    assert_eq!(started[0], started[1]);
    let sql = "select count(*), count(fires.run_id) from runs \
               left join fires on fires.run_id = runs.id";
    let runs = &lines(server, database, sql)[0];
    assert_eq!(runs[0], runs[1], "a fire time ran twice");
    assert_eq!(started[0], runs[0], "a run is lost");
    assert_ne!(runs[0], "0");
}

/// Waits until what was begun some time ago has ended.
pub fn no_old_run_is_unfinished(server: &Server, database: &str) {
    let unfinished = "select count(*) from runs where finished_at is null \
                      and requested_at < (extract(epoch from now()) - 10) * 1000000";
    until("no old run is unfinished", || {
        server.psql(database, unfinished) == "0"
    });
}

/// Every run has its result, and nothing of any is left.
pub fn everything_has_ended(world: &World<SqliteFile>, replicas: usize) {
    world.sweep();
    for run in world.runs() {
        assert!(
            run["verdict"].is_string() && run["finished_at"].is_string(),
            "{run}"
        );
        assert_eq!(run["cleanup"]["state"], "clean", "{run}");
        assert_eq!(labelled(run["id"].as_str().unwrap()), [""; 0]);
    }
    for number in 0..replicas {
        let scratch = world.path(&format!("state-{number}/scratch"));
        assert_eq!(entries(&scratch), [""; 0]);
    }
}

/// Three replicas: so many times one of them is killed, and in between one is
/// held up, the database starts anew, connections are cut, or clocks are set.
fn storm(kills: u32) {
    let server = Server::start(Path::new(BINARIES), &[]);
    let (world, database) = world(&server);
    for drill in DRILLS {
        scheduled(&world, drill, "* * * * * *");
    }
    let mut replicas: Vec<Option<Served>> =
        (0..3).map(|number| Some(replica(&world, number))).collect();
    let mut asleep: Option<usize> = None;
    let (mut time, mut killed) = (0_u32, 0);
    while killed < kills {
        let number = time as usize % 3;
        std::thread::sleep(Duration::from_millis(u64::from(time) * 97 % 700));
        match time % 7 {
            // Longer than its claim lasts, while others go on.
            2 if asleep.is_none() => {
                replicas[number].as_ref().unwrap().signal(Signal::SIGSTOP);
                asleep = Some(number);
            }
            5 => {
                if let Some(number) = asleep.take() {
                    std::thread::sleep(Duration::from_millis(2_500));
                    replicas[number].as_ref().unwrap().signal(Signal::SIGCONT);
                }
            }
            4 if time % 2 == 0 => server.restart(),
            6 if time % 2 == 0 => {
                let seconds = [40, -3, 0, -40, 7];
                clock::set(&world, number, seconds[time as usize / 14 % seconds.len()]);
            }
            6 => {
                let cut = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
                           where pid <> pg_backend_pid() and backend_type = 'client backend'";
                server.psql("postgres", cut);
            }
            _ if asleep != Some(number) => {
                killed += 1;
                replicas[number].as_mut().unwrap().kill();
                replicas[number] = None;
                replicas[number] = Some(replica(&world, number));
            }
            _ => {}
        }
        time += 1;
    }
    if let Some(number) = asleep {
        replicas[number].as_ref().unwrap().signal(Signal::SIGCONT);
    }
    (0..3).for_each(|number| clock::set(&world, number, 0));
    // What was taken over has ended before anybody else looks.
    no_old_run_is_unfinished(&server, &database);
    for replica in &mut replicas {
        let replica = replica.as_mut().unwrap();
        assert_eq!(replica.stop(), Some(0), "{}", replica.log());
    }
    every_fire_time_was_dealt_with_once(&server, &database);
    everything_has_ended(&world, 3);
    all_are_counted(&server, &database);
}

#[test]
fn whatever_happens_to_replicas_every_fire_time_is_dealt_with_once() {
    storm(7);
}

/// `LIFEBOAT_TEST_KILLS` for another number of kills.
#[test]
#[ignore = "long: `make soak`"]
fn a_long_storm_over_replicas_loses_nothing() {
    let kills = std::env::var("LIFEBOAT_TEST_KILLS").ok();
    storm(kills.map_or(1_000, |kills| kills.parse().unwrap()));
}

#[test]
fn replicas_tell_the_same_and_stop_each_others_runs() {
    let (world, _) = world(&SERVER);
    scheduled(&world, "app", "@yearly");
    let mut first = replica(&world, 0);
    let second = replica(&world, 1);
    let (status, body) = first.ask("POST", "/api/v1/drills/app/runs");
    assert_eq!(status, 202, "{body}");
    let run = serde_json::from_str::<Value>(&body).unwrap()["run"].clone();
    let path = format!("/api/v1/runs/{}", run.as_str().unwrap());
    until("the other one tells of the run's end", || {
        let (status, body) = second.ask("GET", &path);
        status == 200 && body.contains("\"verdict\":\"passed\"")
    });
    until("both count the same", || {
        first.of_runs() == second.of_runs()
    });
    let conclusion = &second.get("/api/v1/drills")["drills"][0]["last_conclusion"];
    let point = &second.get("/api/v1/drills/app/trend")["points"][0];
    for told in [conclusion, point] {
        assert_eq!((&told["run"], &told["verdict"]), (&run, &"passed".into()));
        assert!(told["rto_ms"].is_u64(), "{told}");
    }
    let all = second.get("/api/v1/drills/app/trend?limit=1");
    assert!(all["next"].is_null(), "there are no more: {all}");
    // One that has just begun tells the same at once.
    first.kill();
    first = replica(&world, 0);
    assert_eq!(first.of_runs(), second.of_runs());

    // Others who use the database see the same.
    let shared = world.runs();
    assert_eq!(shared.len(), 1);

    // A run that takes long is ended by way of the other replica.
    let slow = world
        .document("slow", SLOW)
        .replace("file: app.db", "file: ../app.db");
    put(&world.path("drills"), "slow.yaml", &slow);
    until("the drill is known", || {
        first.ask("GET", "/api/v1/drills/slow").0 == 200
    });
    let (status, body) = first.ask("POST", "/api/v1/drills/slow/runs");
    assert_eq!(status, 202, "{body}");
    let run = serde_json::from_str::<Value>(&body).unwrap()["run"].clone();
    let path = format!("/api/v1/runs/{}", run.as_str().unwrap());
    until("the other one knows that it goes on", || {
        second.get("/api/v1/runs?drill=slow")["runs"][0]["id"] == run
    });
    let (status, body) = second.ask("POST", &format!("{path}/cancel"));
    assert_eq!(status, 202, "{body}");
    until("it has ended", || {
        second.get(&path)["finished_at"].is_string()
    });
    let ended = second.get(&path);
    assert_eq!(ended["verdict"], "inconclusive", "{ended}");
    assert!(
        ended["reasons"].to_string().contains("stopped on request"),
        "{ended}"
    );
}

#[test]
fn a_replica_that_is_new_has_the_drills_of_a_broken_file() {
    let (world, _) = world(&SERVER);
    scheduled(&world, "app", "@yearly");
    let first = replica(&world, 0);
    until("it is noted", || {
        first.log().contains("noted what drill files say")
    });
    put(&world.path("drills"), "app.yaml", "kind: [");
    let broken = "lifeboat_drill_files_broken";
    until("it is broken", || first.metric(broken) == Some(1.0));
    let second = replica(&world, 1);
    assert_eq!(second.metric(broken), Some(1.0));
    assert_eq!(first.of_runs(), second.of_runs());
    let drills = second.get("/api/v1/drills");
    assert_eq!(drills["drills"][0]["name"], "app", "{drills}");
}

/// All of them are silent for as long as the database is: nobody may take that
/// for death.
#[test]
fn a_database_that_is_away_for_longer_than_a_claim_costs_no_run() {
    let server = Server::start(Path::new(BINARIES), &[]);
    let (world, database) = world(&server);
    let endless = world
        .document("slow", SLOW)
        .replace("file: app.db", "file: ../app.db");
    put(&world.path("drills"), "slow.yaml", &endless);
    let replicas: Vec<Served> = (0..3).map(|number| replica(&world, number)).collect();
    let (status, body) = replicas[0].ask("POST", "/api/v1/drills/slow/runs");
    assert_eq!(status, 202, "{body}");
    let epoch = "select count(*) || ' ' || coalesce(max(epoch), 0) from runs where verdict is null";
    until("the run has begun", || {
        server.psql(&database, epoch) == "1 1"
    });
    // Elsewhere nothing is known of it but what the history has.
    until("it is refused elsewhere", || {
        replicas[1].ask("POST", "/api/v1/drills/slow/runs").0 == 409
    });
    server.stop();
    std::thread::sleep(Duration::from_secs(5));
    server.start_again();
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(
        server.psql(&database, epoch),
        "1 1",
        "a run that goes on was taken over"
    );
    let path = server.psql(
        &database,
        "select '/api/v1/runs/' || id || '/cancel' from runs",
    );
    until("it is ended by way of another one", || {
        replicas[2].ask("POST", &path).0 == 202
    });
    until("it has ended", || server.psql(&database, epoch) == "0 0");
}

#[test]
fn a_request_with_a_name_runs_once_whoever_is_asked() {
    let (world, _) = world(&SERVER);
    scheduled(&world, "app", "@yearly");
    scheduled(&world, "bank", "@yearly");
    let replicas = [replica(&world, 0), replica(&world, 1)];
    let ask = |served: &Served, drill: &str, key: &str| {
        served.ask_with(
            "POST",
            &format!("/api/v1/drills/{drill}/runs"),
            &[("idempotency-key", key)],
        )
    };
    let (status, first) = ask(&replicas[0], "app", "deploy-7");
    assert_eq!(status, 202, "{first}");
    let ended = |served: &Served| {
        let runs = served.get("/api/v1/runs?drill=app");
        runs["runs"][0]["finished_at"].is_string()
    };
    // Asked again at once, and of another replica later.
    let (status, again) = ask(&replicas[0], "app", "deploy-7");
    assert_eq!((status, &again), (202, &first));
    until("it has ended", || ended(&replicas[1]));
    for served in &replicas {
        let (status, again) = ask(served, "app", "deploy-7");
        assert_eq!((status, &again), (202, &first));
    }
    let (status, other) = ask(&replicas[1], "bank", "deploy-7");
    assert_eq!(status, 422, "{other}");
    let (status, wrong) = ask(&replicas[1], "app", "");
    assert_eq!(status, 400, "{wrong}");
    assert_eq!(world.runs().len(), 1);
}

#[test]
fn two_that_are_asked_for_the_same_at_once_answer_the_same() {
    let (world, _) = world(&SERVER);
    scheduled(&world, "app", "@yearly");
    let replicas = [replica(&world, 0), replica(&world, 1)];
    let mut runs = BTreeSet::new();
    for number in 0..20 {
        let key = format!("at once {number}");
        let ask = |served: &Served| {
            let named = [("idempotency-key", key.as_str())];
            served.ask_with("POST", "/api/v1/drills/app/runs", &named)
        };
        let [first, second] = std::thread::scope(|scope| {
            let asked = replicas.each_ref().map(|one| scope.spawn(|| ask(one)));
            asked.map(|one| one.join().unwrap())
        });
        assert_eq!((first.0, &first.1), (202, &second.1), "{second:?}");
        let run: Value = serde_json::from_str(&first.1).unwrap();
        let run = run["run"].as_str().unwrap().to_owned();
        until("the run that was promised has ended", || {
            let (status, body) = replicas[0].ask("GET", &format!("/api/v1/runs/{run}"));
            status == 200 && !body.contains("\"finished_at\":null")
        });
        assert!(runs.insert(run));
    }
    assert_eq!(world.runs().len(), 20);
}
