//! What a service lists: runs by what came of them, times at which drills were due,
//! and what could not be removed.

use serde_json::{Value, json};

use crate::{
    support::{
        asking::send,
        disk::SmallDisk,
        served::{Served, put, scheduled, token},
        until,
        world::{SqliteFile, World, entries, killed, text},
    },
    sweep::forget_runs,
};

/// The instant at which both directories of a run are there.
const BOTH_MADE: &str = "20";

/// The ids of runs of an answer or of a command.
fn ids(runs: &Value) -> Vec<String> {
    let runs = runs.as_array().unwrap().iter();
    let ids = runs.map(|run| run["id"].as_str().unwrap().to_owned());
    ids.collect()
}

#[test]
fn runs_are_found_by_what_came_of_them() {
    let world = World::new(SqliteFile::make);
    scheduled(&world, "app", "@yearly");
    let served = Served::start(&world, &[]);
    let mut runs = Vec::new();
    for body in ["", r#"{"negative_control": ["row_byte"]}"#] {
        let path = "/api/v1/drills/app/runs";
        let sent = send(&served.address, ("POST", path), &[], body);
        let (status, said) = sent.unwrap();
        assert_eq!(status, 202, "{said}");
        until("the run has ended", || {
            served.get("/api/v1/drills/app")["state"] == "idle"
                && ids(&served.get("/api/v1/runs")["runs"]).len() > runs.len()
        });
        runs = ids(&served.get("/api/v1/runs")["runs"]);
    }
    let (spoilt, passed) = (vec![runs[0].clone()], vec![runs[1].clone()]);
    let first = served.get(&format!("/api/v1/runs/{}", passed[0]));
    let at = first["requested_at"].as_str().unwrap();
    let made = first["resources"].as_array().unwrap();
    assert!(!made.is_empty(), "{first:#}");
    for made in made {
        assert!(
            made["gone_us"].as_u64() > made["intended_us"].as_u64(),
            "{made:#}"
        );
    }
    for (asked, command, found) in [
        ("verdict=passed", "--verdict passed".to_owned(), &passed),
        (
            "verdict=failed,inconclusive",
            "--verdict failed,inconclusive".to_owned(),
            &spoilt,
        ),
        ("verdict=none", "--verdict none".to_owned(), &Vec::new()),
        (
            "negative_control=true",
            "--negative-control true".to_owned(),
            &spoilt,
        ),
        (&format!("until={at}"), format!("--until {at}"), &Vec::new()),
        (
            &format!("drill=app&since={at}"),
            format!("--drill app --since {at}"),
            &runs,
        ),
    ] {
        let told = served.get(&format!("/api/v1/runs?{asked}"));
        assert_eq!(ids(&told["runs"]), **found, "{asked}");
        let args: Vec<&str> = std::iter::once("runs").chain(command.split(' ')).collect();
        let told = world.lifeboat(&args).output().unwrap();
        let told: Value = serde_json::from_slice(&told.stdout).unwrap();
        assert_eq!(ids(&told), **found, "{command}");
    }
    let (status, said) = served.ask("GET", "/api/v1/runs?verdict=failed,odd");
    assert!(
        status == 400 && said.contains("`odd` is not a verdict"),
        "{said}"
    );
}

#[test]
fn times_at_which_drills_were_due_are_listed_page_by_page() {
    let world = World::new(SqliteFile::make);
    let file = scheduled(&world, "app", "* * * * * *");
    let document = std::fs::read_to_string(file).unwrap();
    let asleep = document
        .replace("name: app", "name: asleep")
        .replace("cron: ", "suspended: true, cron: ");
    put(&world.path("drills"), "asleep.yaml", &asleep);
    let mut served = Served::start(&world, &[]);
    let list = |path: &str| served.get(&format!("/api/v1/fires?{path}"));
    let told = |path: &str| list(path)["fires"].as_array().unwrap().clone();
    until("several are dealt with", || {
        told("drill=app").len() > 2 && told("drill=asleep").len() > 2
    });
    let all = told("passed=suspended&limit=1000");
    assert!(all.iter().all(|fire| fire["drill"] == "asleep"), "{all:?}");
    assert_eq!(told("passed=blackout"), [Value::Null; 0]);
    let (mut paged, mut after) = (Vec::new(), String::new());
    loop {
        let page = list(&format!("passed=any&drill=asleep&limit=2{after}"));
        paged.extend(page["fires"].as_array().unwrap().clone());
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    // Others have come in front of them meanwhile, as the list was read twice.
    let times: Vec<&str> = paged
        .iter()
        .map(|fire| fire["scheduled_for"].as_str().unwrap())
        .collect();
    assert!(times.is_sorted_by(|a, b| a > b), "{times:?}");
    assert!(all.iter().all(|fire| paged.contains(fire)), "{paged:#?}");
    for (path, said) in [
        ("passed=x", "`x` is no reason"),
        ("after=1", "an earlier answer"),
    ] {
        let (status, body) = served.ask("GET", &format!("/api/v1/fires?{path}"));
        assert!(status == 400 && body.contains(said), "{body}");
    }
    assert_eq!(served.stop(), Some(0), "{}", served.log());
    let table = world.lifeboat_for_people(&["fires", "--passed", "any", "--limit", "3"]);
    let table = text(&{ table }.output().unwrap());
    assert!(
        table.contains("asleep") && table.contains("suspended"),
        "{table}"
    );
    let started = world
        .lifeboat(&["fires", "--drill", "app"])
        .output()
        .unwrap();
    let started: Value = serde_json::from_slice(&started.stdout).unwrap();
    assert!(started.to_string().contains("\"started\""), "{started:#}");
}

/// A world in which a run was killed, the name of a directory of that run, and what
/// keeps the directory from being removed. `None` where this user may not do that.
fn stuck() -> Option<(World<SqliteFile>, String, SmallDisk)> {
    let world = World::new(SqliteFile::make);
    world.drill("app", "  sandbox: { local: { directory: mine } }\n");
    scheduled(&world, "other", "@yearly");
    let mut run = world.lifeboat(&["run", "app.yaml"]);
    run.env("LIFEBOAT_TEST_KILL_AT", BOTH_MADE);
    let run = run.current_dir(world.path("")).output().unwrap();
    assert!(killed(&run), "{}", text(&run));
    let made = entries(&world.path("mine")).swap_remove(0);
    let stuck = world.path("mine").join(&made).join("stuck");
    let disk = SmallDisk::mount(&stuck, 64)?;
    Some((world, made, disk))
}

#[test]
fn what_cannot_be_removed_is_listed_until_it_is_gone() {
    let Some((world, made, disk)) = stuck() else {
        return;
    };
    let mut served = Served::start(&world, &[]);
    let leaks = || {
        served.get("/api/v1/leaks")["leaks"]
            .as_array()
            .unwrap()
            .clone()
    };
    until("it is listed", || !leaks().is_empty());
    let leak = &leaks()[0];
    assert_eq!(leak["drill"], "app");
    let listed = leak["resources"].to_string();
    assert!(
        listed.contains(&made) && listed.contains("reason"),
        "{listed}"
    );
    // It is told with its run, and not once more.
    until("it is swept", || {
        served.metric("lifeboat_sweep_leaks") == Some(1.0)
    });
    assert_eq!(served.get("/api/v1/leaks")["nobodys"], json!([]));
    let left = served.metric("lifeboat_leaked_resources{drill=\"app\"}");
    assert_eq!(left, Some(1.0), "{}", served.ask("GET", "/metrics").1);
    drop(disk);
    let (status, said) = served.ask("POST", "/api/v1/sweep");
    assert_eq!(status, 200, "{said}");
    assert_eq!(leaks(), [Value::Null; 0]);
    assert_eq!(served.stop(), Some(0), "{}", served.log());
    world.is_clean(1);
}

#[test]
fn what_belongs_to_no_run_and_cannot_be_removed_is_listed_too() {
    let Some((world, made, disk)) = stuck() else {
        return;
    };
    forget_runs(&world);
    let (all, first) = token(&world, &["all", "--role", "admin"]);
    let (some, second) = token(&world, &["some", "--role", "admin", "--label", "a=b"]);
    let file = put(
        &world.path("secret"),
        "tokens.yaml",
        &format!("{first}{second}"),
    );
    let mut served = Served::start(&world, &["--tokens", &file.display().to_string()]);
    served.token = Some(all);
    let listed = |served: &Served| {
        let leaks = served.get("/api/v1/leaks");
        assert_eq!(leaks["leaks"], json!([]), "no run is known");
        leaks["nobodys"].as_array().unwrap().clone()
    };
    until("it is listed", || !listed(&served).is_empty());
    let leaks = listed(&served);
    assert_eq!(leaks.len(), 1, "{leaks:?}");
    let place = world.path("mine").join(&made).display().to_string();
    assert!(
        leaks[0]["resource"].to_string().contains(&place),
        "{leaks:?}"
    );
    assert!(
        !leaks[0]["reason"].as_str().unwrap().is_empty(),
        "{leaks:?}"
    );

    // Whose it is, nobody knows.
    let all = served.token.replace(some);
    assert_eq!(listed(&served), [Value::Null; 0]);
    served.token = all;
    drop(disk);
    let (status, said) = served.ask("POST", "/api/v1/sweep");
    assert_eq!(status, 200, "{said}");
    assert_eq!(listed(&served), [Value::Null; 0]);
    assert_eq!(served.metric("lifeboat_sweep_leaks"), Some(0.0));
    assert_eq!(served.metric("lifeboat_sweep_removed_total"), Some(2.0));
    assert_eq!(served.stop(), Some(0), "{}", served.log());
    assert_eq!(entries(&world.path("mine")), [""; 0]);
}
