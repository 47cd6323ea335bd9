//! The service as a process: killed, stopped, asked. Runs the real binary.

use std::{collections::BTreeSet, io::Write, net::TcpStream, time::Duration};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::kill::SLOW;
use crate::support::{
    asking::send,
    clock,
    served::{Served, put, scheduled, token},
    until,
    world::{SqliteFile, World, text},
};

fn world() -> World<SqliteFile> {
    World::new(SqliteFile::make)
}

/// A world whose drill runs when somebody asks, and its service.
fn serving() -> (World<SqliteFile>, Served) {
    let world = world();
    scheduled(&world, "app", "@yearly");
    let served = Served::start(&world, &[]);
    (world, served)
}

fn drills(served: &Served) -> Vec<String> {
    let all = served.get("/api/v1/drills");
    let drills = all["drills"].as_array().unwrap().iter();
    drills
        .map(|drill| drill["name"].as_str().unwrap().to_owned())
        .collect()
}

/// Kills a service that starts a run each second, again and again.
fn killed_again_and_again(kills: u32) {
    let world = world();
    scheduled(&world, "app", "* * * * * *");
    for number in 0..kills {
        let mut served = Served::start(&world, &[]);
        // Around the second at which a run begins.
        std::thread::sleep(Duration::from_millis(u64::from(number) * 67 % 1_300));
        served.kill();
    }
    let mut served = Served::start(&world, &[]);
    let fires = served.get("/api/v1/fires?limit=1000");
    let fires = fires["fires"].as_array().unwrap().clone();
    assert_eq!(served.stop(), Some(0), "{}", served.log());

    let started = fires.iter().filter(|fire| fire["outcome"] == "started");
    let of_fires: BTreeSet<&str> = started.map(|fire| fire["run"].as_str().unwrap()).collect();
    let times: BTreeSet<&str> = fires
        .iter()
        .map(|f| f["scheduled_for"].as_str().unwrap())
        .collect();
    assert_eq!(times.len(), fires.len(), "a fire time was dealt with twice");
    assert!(!of_fires.is_empty());
    // No second between the first and the last is without a word.
    let second = |text: &&str| text.parse::<jiff::Timestamp>().unwrap().as_second();
    let (first, last) = (
        second(times.first().unwrap()),
        second(times.last().unwrap()),
    );
    let older: u64 = fires
        .iter()
        .map(|fire| fire["older"].as_u64().unwrap())
        .sum();
    let all = u64::try_from(last - first).unwrap() + 1;
    assert_eq!(fires.len() as u64 + older, all, "a fire time is forgotten");

    let runs = world.runs();
    world.is_clean(runs.len());
    let runs = world.runs();
    let ids: BTreeSet<&str> = runs.iter().map(|run| run["id"].as_str().unwrap()).collect();
    assert!(of_fires.is_subset(&ids), "a run is lost");
    let by_schedule = runs
        .iter()
        .filter(|run| run["scheduled_for"].is_string())
        .count();
    assert_eq!(by_schedule, ids.len());
}

#[test]
fn a_service_that_is_killed_loses_nothing_and_runs_nothing_twice() {
    killed_again_and_again(12);
}

#[test]
#[ignore = "long: `make soak`"]
fn a_service_that_is_killed_very_often_loses_nothing() {
    killed_again_and_again(300);
}

#[test]
fn it_stops_when_it_is_asked_to_and_tells_the_same_after_a_restart() {
    let (world, mut served) = serving();
    for runs in 1..=2 {
        let (status, body) = served.ask("POST", "/api/v1/drills/app/runs");
        assert_eq!(status, 202, "{body}");
        let passed = "lifeboat_runs_total{drill=\"app\",verdict=\"passed\"}";
        until("the run is counted", || {
            served.metric(passed) == Some(f64::from(runs))
                && served.get("/api/v1/drills/app")["state"] == "idle"
        });
    }
    for operation in ["read", "write"] {
        let count = format!("lifeboat_history_seconds_count{{operation=\"{operation}\"}}");
        assert!(served.metric(&count).unwrap() > 0.0, "{operation}");
    }
    let before = served.of_runs();
    assert_eq!(served.stop(), Some(0), "{}", served.log());
    let again = Served::start(&world, &[]);
    assert_eq!(again.of_runs(), before);
    // A drill that goes away leaves no series.
    std::fs::remove_file(world.path("drills/app.yaml")).unwrap();
    until("the drill is gone", || drills(&again).is_empty());
    let (_, page) = again.ask("GET", "/metrics");
    assert!(!page.contains("drill=\"app\""), "{page}");
}

#[test]
fn a_part_that_dies_ends_the_service() {
    let world = world();
    scheduled(&world, "app", "@yearly");
    let mut served = Served::start_with(&world, "state", &[], &[clock::of(&world, 0)]);
    // A second before the end of all time: no part can reckon with it.
    let left = jiff::Timestamp::MAX.duration_since(jiff::Timestamp::now());
    clock::set(&world, 0, left.as_secs() - 1);
    let mut ended = None;
    until("it has ended by itself", || {
        ended = served.ended();
        ended.is_some()
    });
    let log = served.log();
    assert_eq!(ended.unwrap().code(), Some(3), "{log}");
    assert!(
        log.contains("error: the ") && log.contains(" failed: "),
        "{log}"
    );
    // What it is kept in is whole: it goes on when it is started again.
    let again = Served::start(&world, &[]);
    assert_eq!(drills(&again), ["app"]);
}

#[test]
fn one_history_has_one_service() {
    let (world, mut first) = serving();
    let place = world.path("drills").display().to_string();
    let second = world
        .lifeboat_for_people(&["serve", &place, "--listen", "127.0.0.1:0"])
        .output();
    let second = second.unwrap();
    assert_eq!(second.status.code(), Some(3), "{}", text(&second));
    assert!(
        text(&second).contains("another service already uses the history"),
        "{}",
        text(&second)
    );
    // Other commands may use it meanwhile, and see that a run goes on.
    assert!(world.runs().is_empty());
    first.kill();
    Served::start(&world, &[]);
}

#[test]
fn what_another_service_left_is_ended_wherever_it_ran() {
    let (world, mut served) = serving();
    served.signal(Signal::SIGSTOP);
    served.kill();
    let run = world.lifeboat(&["run", &world.drill("other", "").display().to_string()]);
    let mut run = run;
    run.env("LIFEBOAT_TEST_KILL_AT", "9").output().unwrap();
    // As if it had been a service in a pod that is gone.
    let history = rusqlite::Connection::open(world.path("state/history.db")).unwrap();
    let sql =
        "update runs set owner = json_set(owner, '$.host', 'gone', '$.service', json('true'))";
    assert_eq!(history.execute(sql, []).unwrap(), 1);
    let served = Served::start(&world, &[]);
    let runs = served.get("/api/v1/runs");
    assert_eq!(runs["runs"][0]["verdict"], "inconclusive", "{runs}");
    assert_eq!(runs["runs"][0]["clean"], true, "{runs}");
}

#[test]
fn drill_files_are_read_again_and_a_broken_one_is_loud() {
    let world = world();
    let file = scheduled(&world, "app", "@yearly");
    let good = std::fs::read_to_string(&file).unwrap();
    let folder = world.path("drills");
    let served = Served::start(&world, &[]);
    let interval = "lifeboat_drill_interval_seconds{drill=\"app\"}";
    let days = |served: &Served| served.metric(interval).map(|seconds| seconds / 86_400.0);
    assert_eq!(days(&served), Some(366.0));
    put(&folder, "app.yaml", &good.replace("@yearly", "61 * * * *"));
    until("it is told as broken", || {
        served.metric("lifeboat_drill_files_broken") == Some(1.0)
    });
    let all = served.get("/api/v1/drills");
    assert_eq!(all["drills"][0]["schedule"]["cron"], "@yearly");
    let error = all["broken_files"][0]["error"].as_str().unwrap();
    assert!(
        error.contains("spec.schedule.cron") && error.contains("61"),
        "{error}"
    );
    assert!(served.log().contains("cannot be used"), "{}", served.log());
    put(&folder, "app.yaml", &good.replace("@yearly", "@daily"));
    let cron =
        |served: &Served| served.get("/api/v1/drills")["drills"][0]["schedule"]["cron"].clone();
    until("it is used", || cron(&served) == "@daily");
    assert_eq!(days(&served), Some(1.0));
    assert_eq!(served.metric("lifeboat_drill_files_broken"), Some(0.0));
    put(&folder, "app.yaml", &world.document("app", ""));
    until("it only runs on request", || cron(&served).is_null());
    assert_eq!(days(&served), None);
}

/// How often it has noted something that drill files say.
fn noted(served: &Served) -> usize {
    served.log().matches("noted what drill files say").count()
}

#[test]
fn a_broken_file_keeps_its_drills_over_a_restart() {
    const BROKEN: &str = "lifeboat_drill_files_broken";
    let world = world();
    let file = scheduled(&world, "app", "@yearly");
    let good = std::fs::read_to_string(&file).unwrap();
    scheduled(&world, "bank", "@yearly");
    let folder = world.path("drills");
    let mut served = Served::start(&world, &[]);
    until("they are noted", || noted(&served) == 1);
    put(&folder, "app.yaml", &good.replace("@yearly", "@daily"));
    until("the change is noted", || noted(&served) == 2);
    put(&folder, "app.yaml", "kind: [");
    until("it is broken", || served.metric(BROKEN) == Some(1.0));
    let before = served.of_runs();
    served.kill();

    let mut served = Served::start(&world, &[]);
    assert_eq!(served.of_runs(), before, "it tells of the same drills");
    let all = served.get("/api/v1/drills");
    assert_eq!(all["drills"][0]["schedule"]["cron"], "@daily", "{all}");
    let broken = all["broken_files"][0]["file"].as_str().unwrap();
    assert!(broken.ends_with("/app.yaml"), "{broken}");
    let log = served.log();
    assert!(log.contains("a drill file cannot be used"), "{log}");
    assert_eq!(served.stop(), Some(0), "{}", served.log());

    // One that is broken while nobody is there, and one that has the drill of another.
    put(&folder, "bank.yaml", &good);
    put(&folder, "app.yaml", "");
    let mut served = Served::start(&world, &[]);
    assert_eq!(served.metric(BROKEN), Some(2.0));
    assert_eq!(drills(&served), ["app", "bank"]);
    assert_eq!(served.stop(), Some(0), "{}", served.log());
    let away = world.path("away");
    std::fs::rename(&folder, &away).unwrap();
    let mut served = Served::start(&world, &[]);
    assert_eq!(served.metric(BROKEN), Some(1.0), "the folder");
    assert_eq!(drills(&served), ["app", "bank"]);
    std::fs::rename(&away, &folder).unwrap();

    // What is not there any more is forgotten, and nothing else was written.
    std::fs::remove_file(&file).unwrap();
    until("it is forgotten", || noted(&served) == 1);
    until("one is left", || drills(&served) == ["app"]);
    assert_eq!(served.stop(), Some(0), "{}", served.log());
    put(&folder, "app.yaml", "kind: [");
    put(&folder, "bank.yaml", "kind: [");
    let served = Served::start(&world, &[]);
    let all = served.get("/api/v1/drills");
    let left = &all["drills"][0];
    assert_eq!(left["schedule"]["cron"], "@yearly", "of the other: {all}");
    assert_eq!(served.metric(BROKEN), Some(2.0));
}

/// As the kubelet does it: the files are links into a folder that is a link
/// itself, and only that one changes.
#[test]
fn a_config_map_that_changes_is_read_again() {
    use std::os::unix::fs::symlink;
    let world = world();
    let folder = world.path("drills");
    let version = |name: &str, drill: &str| {
        put(&folder.join(name), "drill.yaml", &world.document(drill, ""));
        symlink(name, folder.join("..tmp")).unwrap();
        std::fs::rename(folder.join("..tmp"), folder.join("..data")).unwrap();
    };
    version("..1", "old");
    symlink("..data/drill.yaml", folder.join("drill.yaml")).unwrap();
    let served = Served::start(&world, &[]);
    assert_eq!(drills(&served), ["old"]);
    version("..2", "new");
    until("the new version is used", || drills(&served) == ["new"]);
}

#[test]
fn the_api_says_what_is_wrong() {
    let (_world, served) = serving();
    let none = "01a21558-0d12-76be-b87c-308650d063a2";
    for (method, path, status, said) in [
        ("GET", "/", 404, "there is nothing at /"),
        ("GET", "/api/v1/nothing", 404, "the API is at /api/v1"),
        ("GET", "/api/v1/drills/none", 404, "there is no drill none"),
        (
            "POST",
            "/api/v1/drills/none/runs",
            404,
            "there is no drill none",
        ),
        (
            "POST",
            "/api/v1/drills/NONE%00/runs",
            404,
            "there is no drill",
        ),
        (
            "DELETE",
            "/api/v1/drills/app",
            405,
            "DELETE is not possible",
        ),
        ("GET", &format!("/api/v1/runs/{none}"), 404, none),
        ("GET", "/api/v1/runs/..%2f..%2fetc", 404, "there is no run"),
        ("GET", &format!("/api/v1/runs/{none}/report"), 404, none),
        ("GET", &format!("/api/v1/runs/{none}/events"), 404, none),
        ("POST", &format!("/api/v1/runs/{none}/cancel"), 404, none),
        ("GET", "/api/v1/runs?limit=0", 400, "limit must be 1 to 100"),
        ("GET", "/api/v1/runs?limit=x", 400, "limit"),
        ("GET", "/api/v1/runs?lmit=1", 400, "lmit"),
        ("GET", "/api/v1/runs?after=x", 400, "an earlier answer"),
        (
            "GET",
            "/api/v1/schedule?next=1001",
            400,
            "next must be 1 to 1000",
        ),
        ("GET", "/api/v1/fires?limit=-1", 400, "limit"),
    ] {
        let (got, body) = served.ask(method, path);
        assert_eq!(got, status, "{method} {path}: {body}");
        let problem: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(problem["status"], status, "{body}");
        assert!(body.contains(said), "{method} {path}: {body}");
    }
    for path in ["/livez", "/readyz", "/startz"] {
        assert_eq!(served.ask("GET", path).0, 200, "{path}");
    }
}

#[test]
fn a_run_is_asked_for_followed_and_read() {
    let (_world, served) = serving();
    let mut ids = Vec::new();
    for number in 0..3 {
        let (status, body) = served.ask("POST", "/api/v1/drills/app/runs");
        assert_eq!(status, 202, "{body}");
        let id = serde_json::from_str::<Value>(&body).unwrap()["run"]
            .as_str()
            .unwrap()
            .to_owned();
        until("the run has ended", || {
            served.get("/api/v1/runs")["runs"].as_array().unwrap().len() == number + 1
                && served.get("/api/v1/drills/app")["state"] == "idle"
        });
        ids.insert(0, id);
    }
    let run = served.get(&format!("/api/v1/runs/{}", ids[0]));
    assert_eq!(
        (&run["verdict"], &run["proof"]),
        (&"passed".into(), &"exact".into())
    );
    let last = served.get("/api/v1/drills/app");
    assert_eq!(last["last_run"]["id"], ids[0].as_str());
    let (status, page) = served.ask("GET", &format!("/api/v1/runs/{}/report", ids[0]));
    assert!(
        status == 200 && page.contains("<!DOCTYPE html>"),
        "{status}"
    );
    // Page by page, each run once.
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let answer = served.get(&format!("/api/v1/runs?drill=app&limit=2{after}"));
        let runs = answer["runs"].as_array().unwrap();
        seen.extend(
            runs.iter()
                .map(|run| run["id"].as_str().unwrap().to_owned()),
        );
        match answer["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(seen, ids);
    // The stream of a run that has ended ends, too.
    let (status, events) = served.ask("GET", &format!("/api/v1/runs/{}/events", ids[0]));
    assert_eq!((status, events.as_str()), (200, ""));
    let (status, body) = served.ask("POST", &format!("/api/v1/runs/{}/cancel", ids[0]));
    assert!(status == 409 && body.contains("has ended"), "{body}");
    assert_eq!(served.get("/api/v1/fires")["fires"], serde_json::json!([]));
    let ahead = served.get("/api/v1/schedule?next=2");
    assert_eq!(ahead["upcoming"].as_array().unwrap().len(), 2);
}

#[test]
fn whoever_has_no_token_or_no_right_is_refused() {
    let world = world();
    scheduled(&world, "app", "@yearly");
    let place = world.path("drills").display().to_string();
    let open = world
        .lifeboat_for_people(&["serve", &place, "--listen", "0.0.0.0:0"])
        .output();
    let open = open.unwrap();
    assert_eq!(open.status.code(), Some(3));
    assert!(text(&open).contains("refusing to serve"), "{}", text(&open));

    let mut tokens = Vec::new();
    let mut lines = String::new();
    for role in ["viewer", "operator", "admin"] {
        let (token, line) = token(&world, &[role, "--role", role]);
        tokens.push(token);
        lines += &line;
    }
    let file = put(&world.path("secret"), "tokens.yaml", &lines);
    let mut served = Served::start(&world, &["--tokens", &file.display().to_string()]);
    let asked = [
        ("GET", "/api/v1/runs", [401, 200, 200, 200]),
        ("POST", "/api/v1/drills/none/runs", [401, 403, 404, 404]),
        ("POST", "/api/v1/sweep", [401, 403, 403, 200]),
        ("GET", "/livez", [200, 200, 200, 200]),
    ];
    for (method, path, wanted) in asked {
        let given = [None, Some(&tokens[0]), Some(&tokens[1]), Some(&tokens[2])];
        for (token, status) in given.into_iter().zip(wanted) {
            served.token = token.cloned();
            let (got, body) = served.ask(method, path);
            assert_eq!(got, status, "{method} {path} with {token:?}: {body}");
        }
    }
    served.token = Some("wrong".to_owned());
    assert_eq!(served.ask("GET", "/api/v1/runs").0, 401);
    let log = served.log();
    assert!(
        log.contains("who=\"admin\"") && log.contains("path=\"/api/v1/sweep\""),
        "{log}"
    );
    for token in &tokens {
        assert!(!log.contains(token.as_str()), "a token is in the log");
    }
    let broken = put(
        &world.path("secret"),
        "broken.yaml",
        "- { name: x, token: hunter2 }\n",
    );
    let args = ["serve", &place, "--tokens", &broken.display().to_string()];
    let refused = world.lifeboat_for_people(&args).output().unwrap();
    assert!(text(&refused).contains("broken.yaml") && !text(&refused).contains("hunter2"));
}

/// A request whose body does not come.
fn dangling(served: &Served, token: &str) -> TcpStream {
    let mut stream = TcpStream::connect(&served.address).unwrap();
    write!(
        stream,
        "POST /api/v1/drills/app/runs HTTP/1.1\r\nhost: localhost\r\n\
         authorization: Bearer {token}\r\ncontent-length: 2\r\n\r\n"
    )
    .unwrap();
    stream
}

#[test]
fn one_client_does_not_take_all_places() {
    let world = world();
    scheduled(&world, "app", "@yearly");
    let (eve, first) = token(&world, &["eve", "--role", "operator"]);
    let (bob, second) = token(&world, &["bob", "--role", "viewer"]);
    let file = put(&world.path("secret"), "tokens.yaml", &(first + &second));
    let mut served = Served::start(&world, &["--tokens", &file.display().to_string()]);
    let held: Vec<_> = (0..64).map(|_| dangling(&served, &eve)).collect();
    served.token = Some(eve.clone());
    let mut body = String::new();
    until("its places are taken", || {
        let (status, said) = served.ask("GET", "/api/v1/version");
        body = said;
        status == 429
    });
    let problem: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(problem["status"], 429, "{body}");
    assert!(body.contains("one client may have 64 requests"), "{body}");
    // Others are answered meanwhile, and this one again later.
    served.token = Some(bob);
    assert_eq!(served.ask("GET", "/api/v1/version").0, 200);
    drop(held);
    served.token = Some(eve);
    until("there is room again", || {
        served.ask("GET", "/api/v1/version").0 == 200
    });
}

#[test]
fn a_body_that_is_too_large_is_refused() {
    let (_world, served) = serving();
    let post = ("POST", "/api/v1/drills/app/runs");
    let large = " ".repeat((64 << 10) + 1);
    let (status, body) = send(&served.address, post, &[], &large).unwrap();
    assert_eq!(status, 413, "{body}");
    let problem: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(problem["status"], 413, "{body}");
    // No run has begun by it.
    assert_eq!(served.get("/api/v1/drills/app")["state"], "idle");
    let (status, body) = send(&served.address, post, &[], &large[1..]).unwrap();
    assert_eq!(status, 400, "as it is no JSON: {body}");
}

/// As after an update that was taken back.
#[test]
fn a_run_that_a_newer_version_wrote_does_not_make_it_unready() {
    let (world, mut served) = serving();
    assert_eq!(served.ask("POST", "/api/v1/drills/app/runs").0, 202);
    until("the run has ended", || {
        served.get("/api/v1/drills/app")["last_conclusion"]["verdict"] == "passed"
            && served.get("/api/v1/drills/app")["state"] == "idle"
    });
    served.kill();
    let history = rusqlite::Connection::open(world.path("state/history.db")).unwrap();
    let sql = "update runs set record = '{\"schema\":\"lifeboat.dev/run/v9\"}', packed = null";
    assert_eq!(history.execute(sql, []).unwrap(), 1);
    let served = Served::start(&world, &[]);
    for path in ["/livez", "/readyz", "/startz"] {
        let (status, body) = served.ask("GET", path);
        assert_eq!(status, 200, "{path}: {body}");
    }
}

/// The lines about who asked for what.
fn audit(served: &Served) -> Vec<String> {
    let log = served.log();
    let lines = log.lines().filter(|line| line.contains(" audit: "));
    lines.map(str::to_owned).collect()
}

#[test]
fn who_asked_for_what_is_told_whatever_the_log_tells() {
    let world = world();
    scheduled(&world, "app", "@yearly");
    let (eve, first) = token(&world, &["eve", "--role", "viewer"]);
    let (bob, second) = token(&world, &["bob", "--role", "operator"]);
    let file = put(&world.path("secret"), "tokens.yaml", &(first + &second));
    let file = file.display().to_string();
    let mut served = Served::start_quiet(&world, &["--tokens", &file, "--log", "warn"]);
    assert_eq!(served.ask("POST", "/api/v1/sweep").0, 401);
    served.token = Some(eve);
    assert_eq!(served.ask("POST", "/api/v1/sweep").0, 403);
    assert_eq!(served.ask("GET", "/api/v1/runs").0, 200);
    served.token = Some(bob.clone());
    let (status, body) = served.ask("POST", "/api/v1/drills/app/runs");
    assert_eq!(status, 202, "{body}");
    let run = serde_json::from_str::<Value>(&body).unwrap()["run"].clone();
    let run = run.as_str().unwrap();
    until("the run has ended", || {
        served.get("/api/v1/drills/app")["state"] == "idle"
    });
    // Whoever does not wait for the answer: the history is held, so there is none.
    let history = rusqlite::Connection::open(world.path("state/history.db")).unwrap();
    history.execute_batch("begin immediate").unwrap();
    let mut gone = TcpStream::connect(&served.address).unwrap();
    let head = format!("POST /api/v1/runs/{run}/cancel HTTP/1.1\r\nhost: localhost\r\n");
    write!(gone, "{head}authorization: Bearer {bob}\r\n\r\n").unwrap();
    std::thread::sleep(Duration::from_millis(500));
    drop(gone);
    until("it is told", || audit(&served).len() >= 4);
    history.execute_batch("rollback").unwrap();

    let told = audit(&served);
    assert_eq!(told.len(), 4, "{told:#?}");
    let sweep = "method=POST path=\"/api/v1/sweep\"";
    let (run, cancel) = (format!("run={run}"), format!("/runs/{run}/cancel\""));
    let (run, cancel) = (run.as_str(), cancel.as_str());
    for (line, parts) in told.iter().zip([
        [sweep, "status=401", " peer=127.0.0.1:"],
        [sweep, "status=403", "who=\"eve\" role=\"viewer\""],
        [run, "status=202", "who=\"bob\" role=\"operator\""],
        [run, cancel, "the client went away"],
    ]) {
        for part in parts {
            assert!(line.contains(part), "{part} is not in {line}");
        }
    }
    assert!(!told[0].contains("who="), "{told:#?}");
    let log = served.log();
    assert!(
        !log.contains(&bob) && !log.contains(" INFO lifeboat"),
        "{log}"
    );
    served.kill();

    let silent = ["--tokens", &file, "--log", "info,audit=off"];
    let mut served = Served::start(&world, &silent);
    served.token = Some(bob);
    assert_eq!(served.ask("POST", "/api/v1/sweep").0, 403);
    assert_eq!(audit(&served), Vec::<String>::new());
}

#[test]
fn the_page_of_metrics_is_the_one_in_the_docs() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    let made = lifeboat::metrics::page();
    if std::env::var_os("UPDATE_METRICS").is_some() {
        std::fs::write(&file, &made).unwrap();
    }
    let same = std::fs::read_to_string(file).unwrap() == made;
    assert!(
        same,
        "write it anew: UPDATE_METRICS=1 cargo test --test it metrics"
    );
}

#[test]
fn each_new_backup_is_drilled() {
    let world = world();
    let text = world.document(
        "app",
        "  recoveryPoint: { existing: { path: '../backups/*.db' } }\n  \
         schedule: { afterEachBackup: { lookEvery: 1s } }\n",
    );
    let text = text.replace("file: app.db", "file: ../app.db");
    put(&world.path("drills"), "app.yaml", &text);
    let backups = world.path("backups");
    std::fs::create_dir(&backups).unwrap();
    std::fs::copy(world.path("app.db"), backups.join("old.db")).unwrap();
    let mut served = Served::start(&world, &[]);
    let drill = served.get("/api/v1/drills/app");
    assert_eq!(drill["schedule"]["after_each_backup"], true, "{drill}");
    let mut made = Vec::new();
    for number in 1..=2 {
        let path = backups.join(format!("{number}.db"));
        std::fs::copy(world.path("app.db"), &path).unwrap();
        let at = std::fs::metadata(&path).unwrap().modified().unwrap();
        made.push(jiff::Timestamp::try_from(at).unwrap().as_microsecond());
        until("it is drilled", || {
            let runs = served.get("/api/v1/runs")["runs"].clone();
            let done = |run: &&Value| run["verdict"] == "passed" && run["finished_at"].is_string();
            runs.as_array().unwrap().iter().filter(done).count() == number
        });
    }
    let fires = served.get("/api/v1/fires")["fires"].clone();
    let mut told: Vec<_> = fires
        .as_array()
        .unwrap()
        .iter()
        .map(|fire| {
            assert_eq!(fire["outcome"], "started", "{fires:#}");
            let at = fire["scheduled_for"].as_str().unwrap();
            at.parse::<jiff::Timestamp>().unwrap().as_microsecond()
        })
        .collect();
    told.reverse();
    assert_eq!(told, made);
    assert_eq!(served.stop(), Some(0), "{}", served.log());
}

/// Who was told the id of a run finds that run, whatever became of the process.
#[test]
fn a_run_that_is_asked_for_and_waits_outlives_its_service() {
    let world = world();
    for (name, more) in [("slow", SLOW), ("app", ""), ("other", "")] {
        let text = world.document(name, more);
        let text = text.replace("file: app.db", "file: ../app.db");
        put(&world.path("drills"), &format!("{name}.yaml"), &text);
    }
    let mut served = Served::start(&world, &["--max-runs", "1"]);
    let ask = |served: &Served, drill: &str| {
        let (status, body) = served.ask("POST", &format!("/api/v1/drills/{drill}/runs"));
        assert_eq!(status, 202, "{body}");
        let asked: Value = serde_json::from_str(&body).unwrap();
        asked["run"].as_str().unwrap().to_owned()
    };
    let slow = ask(&served, "slow");
    until("it goes on", || {
        served.get("/api/v1/runs?drill=slow")["runs"][0]["id"] == slow.as_str()
    });
    let post = ("POST", "/api/v1/drills/app/runs");
    for wrong in ["[]", "null", "{\"profile\":\"slow\"}", "{\"depth\":1}", "{"] {
        let (status, body) = send(&served.address, post, &[], wrong).unwrap();
        assert_eq!(status, 400, "{wrong}: {body}");
    }
    let overrides = r#"{"profile":"fast-validate","negative_control":["row_byte"]}"#;
    let (status, body) = send(&served.address, post, &[], overrides).unwrap();
    assert_eq!(status, 202, "{body}");
    let kept = serde_json::from_str::<Value>(&body).unwrap()["run"].clone();
    let kept = kept.as_str().unwrap();
    let withdrawn = ask(&served, "other");
    let cancel = format!("/api/v1/runs/{withdrawn}/cancel");
    assert_eq!(served.ask("POST", &cancel).0, 202);
    served.kill();

    let again = Served::start(&world, &["--max-runs", "1"]);
    until("the run that was promised has ended", || {
        let (status, body) = again.ask("GET", &format!("/api/v1/runs/{kept}"));
        status == 200 && body.contains("\"verdict\":\"failed\"")
    });
    let run = again.get(&format!("/api/v1/runs/{kept}"));
    let told = (&run["profile"], &run["negative_control"]);
    assert_eq!(told, (&"fast-validate".into(), &true.into()), "{run:#}");
    assert_eq!(world.runs().len(), 2);
    let (status, _) = again.ask("GET", &format!("/api/v1/runs/{withdrawn}"));
    assert_eq!(status, 404);
}
