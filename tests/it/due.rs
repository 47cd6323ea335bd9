//! When drills start by themselves, and what is told of times at which they do not.
//! Runs the real binary, whose clock is set ahead while it is stopped.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde_json::Value;

use crate::{
    kill::SLOW,
    support::{
        clock,
        served::{Served, put, with_schedule},
        until,
        world::{SqliteFile, World},
    },
};

fn world() -> World<SqliteFile> {
    World::new(SqliteFile::make)
}

/// A service whose clock is so many seconds ahead.
pub fn ahead(world: &World<SqliteFile>, seconds: i64) -> Served {
    clock::set(world, 0, seconds);
    Served::start_with(world, "state", &[], &[clock::of(world, 0)])
}

/// A service that begins a few seconds before an instant, by its own clock.
pub fn shortly_before(world: &World<SqliteFile>, at: Timestamp) -> Served {
    let left = at.duration_since(Timestamp::now());
    ahead(world, left.as_secs() - 3)
}

/// Lets a service see the drills: from then on their fire times count.
fn seen(world: &World<SqliteFile>) {
    let mut served = ahead(world, 0);
    assert_eq!(served.stop(), Some(0), "{}", served.log());
}

/// A whole second, as cron expressions have them, so long from now.
pub fn soon(seconds: i64) -> Timestamp {
    Timestamp::from_second(Timestamp::now().as_second() + seconds).unwrap()
}

/// The expression of an instant's time of day, in a zone: `hours` is what stands for
/// the hour.
pub fn cron(at: Timestamp, zone: &str, hours: &str) -> String {
    let reading = at.to_zoned(TimeZone::get(zone).unwrap()).datetime();
    let hours = hours.replace('H', &reading.hour().to_string());
    let (minute, second) = (reading.minute(), reading.second());
    format!("cron: '{second} {minute} {hours} * * *', timeZone: {zone}")
}

/// A time at which nothing starts, by the clocks of a zone.
fn blackout(from: Timestamp, to: Timestamp, zone: &str) -> String {
    let zone = TimeZone::get(zone).unwrap();
    let [from, to] = [from, to].map(|at| zone.to_datetime(at));
    format!("blackouts: [ {{ from: '{from}', to: '{to}' }} ]")
}

/// What became of a drill's fire times, oldest first, as the API and the command
/// tell it.
pub fn fires(world: &World<SqliteFile>, served: &Served, drill: &str) -> Vec<Value> {
    let told = served.get(&format!("/api/v1/fires?drill={drill}&limit=1000"));
    let mut told = told["fires"].as_array().unwrap().clone();
    let command = ["fires", "--drill", drill, "--limit", "1000"];
    let listed = world.lifeboat(&command).output().unwrap();
    let listed: Vec<Value> = serde_json::from_slice(&listed.stdout).unwrap();
    // More may have passed since the API was asked.
    let since = listed.len() - told.len();
    assert_eq!(listed[since..], told);
    told.reverse();
    told
}

/// That a run was started, or why it was not.
pub fn came(fire: &Value) -> &str {
    fire["reason"].as_str().unwrap_or_else(|| {
        assert_eq!(fire["outcome"], "started", "{fire}");
        "started"
    })
}

/// The instant that stands in a field.
pub fn instant(of: &Value, field: &str) -> Timestamp {
    let text = of[field].as_str();
    text.unwrap_or_else(|| panic!("{field} of {of}"))
        .parse()
        .unwrap()
}

/// The only fire time of a drill, once it has begun a run, and that run.
fn started(world: &World<SqliteFile>, served: &Served, drill: &str) -> (Value, Value) {
    until("a run has begun", || {
        !fires(world, served, drill).is_empty()
    });
    let fires = fires(world, served, drill);
    assert_eq!(fires.len(), 1, "{fires:#?}");
    assert_eq!(came(&fires[0]), "started");
    let run = fires[0]["run"].as_str().unwrap();
    let run = served.get(&format!("/api/v1/runs/{run}"));
    assert_eq!(run["scheduled_for"], fires[0]["scheduled_for"]);
    (fires[0].clone(), run)
}

#[test]
fn what_nobody_was_there_for_is_missed_or_caught_up_with_once() {
    let world = world();
    let first = soon(3_600 - 30);
    let drills = [
        (
            "strict",
            "startingDeadline: 10s",
            ["missed", "missed", "missed"],
        ),
        (
            "patient",
            "startingDeadline: 30m",
            ["missed", "missed", "started"],
        ),
        (
            "once",
            "startingDeadline: 10s, catchUp: once",
            ["missed", "missed", "started"],
        ),
    ];
    for (name, more, _) in drills {
        let schedule = format!("{}, {more}", cron(first, "UTC", "*"));
        with_schedule(&world, name, &schedule, "");
    }
    seen(&world);
    // The newest fire time is half a minute ago then.
    for _ in 0..2 {
        let mut served = ahead(&world, 3 * 3_600);
        until("all have been dealt with", || {
            drills.iter().all(|(name, _, wanted)| {
                let fires = fires(&world, &served, name);
                fires.len() == wanted.len()
            })
        });
        for (name, _, wanted) in drills {
            let fires = fires(&world, &served, name);
            let told: Vec<_> = fires.iter().map(came).collect();
            assert_eq!(told, wanted, "{name}: {fires:#?}");
            let times = fires.iter().map(|fire| instant(fire, "scheduled_for"));
            let hours = (0..).map(|hour| first + Duration::from_hours(hour));
            assert!(times.eq(hours.take(3)), "{name}: {fires:#?}");
        }
        assert_eq!(served.stop(), Some(0), "{}", served.log());
        world.is_clean(2);
    }
    assert!(world.runs().iter().all(|run| run["verdict"] == "passed"));
}

#[test]
fn nothing_starts_in_a_blackout_and_what_comes_after_it_does() {
    let world = world();
    let zone = "Asia/Kolkata";
    let (dark, bright) = (soon(-60), soon(600));
    let dark = blackout(dark, bright, zone);
    let schedule = format!("cron: '* * * * * *', timeZone: {zone}, {dark}");
    with_schedule(&world, "app", &schedule, "");
    let mut served = ahead(&world, 0);
    until("some have passed", || {
        fires(&world, &served, "app").len() > 1
    });
    assert_eq!(served.stop(), Some(0), "{}", served.log());
    let mut served = ahead(&world, 602);
    until("a run has begun", || {
        let fires = fires(&world, &served, "app");
        fires.iter().any(|fire| came(fire) == "started")
    });
    let fires = fires(&world, &served, "app");
    let mut all = 0;
    for fire in &fires {
        let in_blackout = instant(fire, "scheduled_for") < bright;
        assert_eq!(came(fire) == "blackout", in_blackout, "{fire}");
        all += 1 + fire["older"].as_i64().unwrap();
    }
    let times = [fires.first(), fires.last()].map(|fire| instant(fire.unwrap(), "scheduled_for"));
    assert_eq!(all, times[1].as_second() - times[0].as_second() + 1);
    assert!(times[0] < bright, "{times:?}");
    assert_eq!(served.stop(), Some(0), "{}", served.log());
    let dark = world.lifeboat_for_people(&["fires", "--passed", "blackout", "--limit", "200"]);
    let dark = String::from_utf8({ dark }.output().unwrap().stdout).unwrap();
    assert!(dark.contains("blackout, and "), "{dark}");
    assert!(!dark.contains("started"), "{dark}");
    assert!(world.runs().iter().all(|run| run["verdict"] == "passed"));
}

#[test]
fn a_drill_starts_by_the_clocks_of_its_zone() {
    let world = world();
    let (at, zone) = (soon(1_800), "Asia/Kolkata");
    with_schedule(&world, "app", &cron(at, zone, "H"), "");
    seen(&world);
    let served = shortly_before(&world, at);
    let (fire, run) = started(&world, &served, "app");
    assert_eq!(instant(&fire, "scheduled_for"), at);
    let late = instant(&run, "requested_at").duration_since(at);
    assert!((0..30).contains(&late.as_secs()), "{run}");
}

/// As far after its fire time as is told, which may begin in a blackout and be long
/// before the deadline.
#[test]
fn a_drill_starts_within_its_start_window() {
    let world = world();
    let at = soon(1_800);
    let dark = blackout(at, at + Duration::from_secs(5), "UTC");
    let more = format!("startWindow: 40m, startingDeadline: 1m, {dark}");
    let schedule = format!("{}, {more}", cron(at, "UTC", "H"));
    with_schedule(&world, "app", &schedule, "");
    let mut served = ahead(&world, 0);
    let next = served.get("/api/v1/schedule?next=1")["upcoming"][0].clone();
    let starts_at = instant(&next, "starts_at");
    let distance = starts_at.duration_since(at);
    let (least, most) = (SignedDuration::from_mins(1), SignedDuration::from_mins(40));
    assert!(least < distance && distance < most, "{next}");
    assert_eq!(instant(&next, "scheduled_for"), at);
    assert_eq!(
        instant(&served.get("/api/v1/drills/app"), "starts_at"),
        starts_at
    );
    assert_eq!(served.stop(), Some(0), "{}", served.log());
    let served = shortly_before(&world, starts_at);
    let (fire, run) = started(&world, &served, "app");
    assert_eq!(instant(&fire, "scheduled_for"), at);
    let late = instant(&run, "requested_at").duration_since(starts_at);
    assert!(!late.is_negative() && late.as_secs() < 30, "{run}");
}

#[test]
fn what_finds_no_room_before_its_deadline_passes() {
    let world = world();
    let endless = world.document("slow", SLOW);
    let endless = endless.replace("file: app.db", "file: ../app.db");
    put(&world.path("drills"), "slow.yaml", &endless);
    let served = Served::start(&world, &["--max-runs", "1"]);
    let slow = served.promised("slow");
    until("it goes on", || {
        served.get("/api/v1/drills/slow")["state"] == "running"
    });
    let at = soon(5);
    let schedule = format!("{}, startingDeadline: 2s", cron(at, "UTC", "H"));
    with_schedule(&world, "app", &schedule, "");
    until("it waits", || {
        let (status, body) = served.ask("GET", "/api/v1/drills/app");
        status == 200 && body.contains("\"state\":\"waiting\"")
    });
    let waiting = &served.get("/api/v1/schedule")["waiting"];
    assert_eq!(waiting.as_array().unwrap().len(), 1, "{waiting}");
    assert_eq!(waiting[0]["drill"], "app");
    assert_eq!(instant(&waiting[0], "scheduled_for"), at);
    until("it passes", || !fires(&world, &served, "app").is_empty());
    let fires = fires(&world, &served, "app");
    let told = (came(&fires[0]), instant(&fires[0], "scheduled_for"));
    assert_eq!((fires.len(), told), (1, ("budget", at)));
    assert_eq!(served.get("/api/v1/drills/app")["state"], "idle");
    let (status, body) = served.ask("POST", &format!("/api/v1/runs/{slow}/cancel"));
    assert_eq!(status, 202, "{body}");
}

#[test]
fn a_drill_that_is_suspended_starts_nothing_until_it_goes_on() {
    let world = world();
    let going = "cron: '* * * * * *'";
    with_schedule(&world, "app", going, "");
    let mut served = ahead(&world, 0);
    let newest = |wanted: &str| {
        until(wanted, || {
            let fires = fires(&world, &served, "app");
            let newest = fires.iter().rev().take(2);
            newest.filter(|fire| came(fire) == wanted).count() == 2
        });
    };
    let runs = || {
        let fires = fires(&world, &served, "app");
        let started = fires.iter().filter(|fire| came(fire) == "started");
        started.count()
    };
    until("a run has begun", || runs() > 0);
    with_schedule(&world, "app", &format!("{going}, suspended: true"), "");
    newest("suspended");
    let before = runs();
    let drill = served.get("/api/v1/drills/app");
    assert_eq!(drill["schedule"]["suspended"], true, "{drill}");
    let next = &served.get("/api/v1/schedule?next=1")["upcoming"][0];
    assert_eq!(next["skipped"], "suspended", "{next}");
    with_schedule(&world, "app", going, "");
    until("a run has begun again", || runs() > before);
    assert_eq!(served.stop(), Some(0), "{}", served.log());
    let listed = world.lifeboat(&["fires", "--limit", "1000"]).output();
    let listed: Vec<Value> = serde_json::from_slice(&listed.unwrap().stdout).unwrap();
    // One after the other, and each second has its word.
    let mut told: Vec<&str> = listed.iter().rev().map(came).collect();
    let seconds = listed.iter().rev();
    let seconds = seconds.map(|fire| instant(fire, "scheduled_for").as_second());
    let seconds: Vec<i64> = seconds.collect();
    assert!(
        seconds.windows(2).all(|pair| pair[0] + 1 == pair[1]),
        "{seconds:?}"
    );
    for came in &mut told {
        if *came == "overlap" {
            *came = "started";
        }
    }
    told.dedup();
    assert_eq!(told, ["started", "suspended", "started"], "{listed:#?}");
}
