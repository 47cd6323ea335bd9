//! Who is told how runs ended. Runs the real binary, and a receiver with
//! nothing but a socket.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::TcpListener,
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::Value;

use crate::support::{
    postgres::{BINARIES, Server},
    served::{Served, put, scheduled},
    until,
    world::{SqliteFile, World, text},
};

/// What a receiver was sent: head and body of each request.
type Heard = Arc<Mutex<Vec<(String, String)>>>;

/// Answers the first `refused` requests with an error, and others well.
fn receiver(refused: usize) -> (String, Heard) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let told = Heard::default();
    let telling = told.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (mut all, mut part) = (String::new(), [0; 4096]);
            loop {
                let read = stream.read(&mut part).unwrap();
                all += std::str::from_utf8(&part[..read]).unwrap();
                let Some((head, body)) = all.split_once("\r\n\r\n") else {
                    continue;
                };
                let length = head.to_ascii_lowercase();
                let length = length.split("content-length: ").nth(1).unwrap();
                let length: usize = length.lines().next().unwrap().parse().unwrap();
                if body.len() == length || read == 0 {
                    break;
                }
            }
            let (head, body) = all.split_once("\r\n\r\n").unwrap();
            let mut told = telling.lock().unwrap();
            told.push((head.to_owned(), body.to_owned()));
            let status = if told.len() <= refused {
                "500 Oh"
            } else {
                "200 OK"
            };
            let _ = write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        }
    });
    (address, told)
}

fn header<'a>(head: &'a str, name: &str) -> &'a str {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines
        .find(|line| line.0.eq_ignore_ascii_case(name))
        .unwrap()
        .1
}

#[test]
fn a_change_is_told_once_and_signed() {
    let world = World::new(SqliteFile::make);
    scheduled(&world, "app", "@yearly");
    let (address, told) = receiver(1);
    put(&world.path("etc"), "secret", "of the webhook\n");
    put(
        &world.path("etc"),
        "slack",
        &format!("http://{address}/slack/T0/secret-path\n"),
    );
    let etc = world.path("etc").display().to_string();
    let targets = format!(
        "- name: ops\n  webhook: {{ url: 'http://{address}/hook', allowPrivate: true, \
         secret: {{ file: {etc}/secret }} }}\n\
         - name: chat\n  on: [every]\n  text: '{{drill}} is {{verdict}}'\n  \
         slack: {{ url: {{ file: {etc}/slack }}, allowPrivate: true }}\n\
         - name: others\n  on: [every]\n  drills: [bank]\n  \
         webhook: {{ url: 'http://{address}/others', allowPrivate: true }}\n"
    );
    let file = put(&world.path("etc"), "notify.yaml", &targets);
    let served = Served::start(&world, &["--notify", &file.display().to_string()]);
    let run = |wanted: &str| {
        assert_eq!(served.ask("POST", "/api/v1/drills/app/runs").0, 202);
        until("the run has ended", || {
            let drill = served.get("/api/v1/drills/app");
            drill["state"] == "idle" && drill["last_run"]["verdict"] == wanted
        });
    };
    let to = |path: &str| -> Vec<(String, String)> {
        let told = told.lock().unwrap();
        let wanted = format!("POST {path} ");
        told.iter()
            .filter(|one| one.0.starts_with(&wanted))
            .cloned()
            .collect()
    };
    // The first run is no change and no failure. The receiver refuses the first time.
    run("passed");
    until("the chat is told", || {
        to("/slack/T0/secret-path").len() == 2
    });
    let said: Value = serde_json::from_str(&to("/slack/T0/secret-path")[1].1).unwrap();
    assert_eq!(said, serde_json::json!({ "text": "app is passed" }));
    assert_eq!(to("/hook"), []);

    // A source that is gone.
    std::fs::rename(world.path("app.db"), world.path("away.db")).unwrap();
    run("inconclusive");
    until("the change is told", || to("/hook").len() == 1);
    let (head, body) = to("/hook").remove(0);
    let notice: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(notice["occasion"], "change", "{notice}");
    assert_eq!(notice["verdict"], "inconclusive", "{notice}");
    assert_eq!(notice["previous_verdict"], "passed", "{notice}");
    assert!(
        notice["text"].as_str().unwrap().contains("(was passed)"),
        "{notice}"
    );
    assert_eq!(
        header(&head, "x-lifeboat-signature"),
        by_others(&world, &head, &body)
    );
    std::fs::rename(world.path("away.db"), world.path("app.db")).unwrap();
    run("passed");
    until("that it is well again is told", || to("/hook").len() == 2);

    assert_eq!(to("/others"), []);
    let sent = |target: &str| {
        let series =
            format!("lifeboat_notifications_total{{outcome=\"sent\",target=\"{target}\"}}");
        served.metric(&series)
    };
    until("all is counted", || {
        sent("ops") == Some(2.0) && sent("chat") == Some(3.0)
    });
    assert_eq!(to("/hook").len(), 2);
    assert!(!served.log().contains("secret-path"), "{}", served.log());
}

#[test]
fn a_notice_outlives_the_service() {
    let world = World::new(SqliteFile::make);
    scheduled(&world, "app", "@yearly");
    // Nobody listens there yet.
    let place = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let targets = format!(
        "- name: ops\n  on: [every]\n  webhook: {{ url: 'http://{place}/', allowPrivate: true }}\n"
    );
    let file = put(&world.path("etc"), "notify.yaml", &targets)
        .display()
        .to_string();
    let mut served = Served::start(&world, &["--notify", &file]);
    assert_eq!(served.ask("POST", "/api/v1/drills/app/runs").0, 202);
    let failed = "lifeboat_notifications_total{outcome=\"failed\",target=\"ops\"}";
    until("it was tried", || served.metric(failed) == Some(1.0));
    served.kill();
    let (address, told) = receiver(0);
    let now = put(
        &world.path("etc"),
        "notify.yaml",
        &targets.replace(&place.to_string(), &address),
    );
    let _served = Served::start(&world, &["--notify", &now.display().to_string()]);
    until("it is told by the next service", || {
        told.lock().unwrap().len() == 1
    });
}

/// A period of a year has ended long ago: what is told of it is told once,
/// whoever is there for it, and then no more.
#[test]
fn a_period_that_passed_is_told_late_and_once() {
    let mut world = World::new(SqliteFile::make);
    let server = Server::start(Path::new(BINARIES), &[]);
    world.history = Some(server.url(&server.database()));
    scheduled(&world, "app", "@yearly");
    let (address, told) = receiver(1);
    let targets = format!(
        "- name: ops\n  digest: {{ cron: '@yearly', timeZone: Europe/Berlin }}\n  \
         webhook: {{ url: 'http://{address}/', allowPrivate: true }}\n"
    );
    let file = put(&world.path("etc"), "notify.yaml", &targets);
    let file = file.display().to_string();
    let start = |state: &str| Served::start_in(&world, state, &["--notify", &file]);
    let mut replicas = [start("one"), start("two")];
    // The receiver refuses the first time.
    until("it is told", || told.lock().unwrap().len() == 2);
    let told = || -> Vec<(String, Value)> {
        let told = told.lock().unwrap();
        let whose = |head: &str| header(head, "idempotency-key").to_owned();
        told.iter()
            .map(|(head, body)| (whose(head), serde_json::from_str(body).unwrap()))
            .collect()
    };
    let both = told();
    assert_eq!(both[0], both[1], "another try says something else");
    let (key, digest) = &both[1];
    assert_eq!(digest["schema"], "lifeboat.dev/digest/v1", "{digest}");
    let text = digest["text"].as_str().unwrap();
    assert!(text.ends_with("Europe/Berlin: no run ended."), "{text}");
    let (since, until_) = (&digest["since"], &digest["until"]);
    let [since, until_] = [since, until_].map(|time| time.as_str().unwrap());
    assert_eq!(*key, format!("{since}/{until_}.ops"));
    assert!(since.ends_with("-12-31T23:00:00Z"), "{since}");
    replicas[0].kill();
    replicas[0] = start("one");
    // As long as it would take to be told again.
    std::thread::sleep(Duration::from_secs(25));
    assert_eq!(told().len(), 2);
}

#[test]
fn a_digest_sums_up_a_period() {
    let world = World::new(SqliteFile::make);
    scheduled(&world, "app", "@yearly");
    scheduled(&world, "bank", "@yearly");
    let (address, told) = receiver(0);
    put(&world.path("etc"), "secret", "of the webhook\n");
    put(
        &world.path("etc"),
        "slack",
        &format!("http://{address}/slack\n"),
    );
    let etc = world.path("etc").display().to_string();
    let often = "digest: { cron: '*/10 * * * * *' }";
    let targets = format!(
        "- name: ops\n  {often}\n  drills: [app]\n  webhook: {{ url: 'http://{address}/hook', \
         allowPrivate: true, secret: {{ file: {etc}/secret }} }}\n\
         - name: chat\n  {often}\n  slack: {{ url: {{ file: {etc}/slack }}, \
         allowPrivate: true }}\n"
    );
    let file = put(&world.path("etc"), "notify.yaml", &targets);
    let served = Served::start(&world, &["--notify", &file.display().to_string()]);
    let run = |drill: &str, wanted: &str| {
        let path = format!("/api/v1/drills/{drill}");
        assert_eq!(served.ask("POST", &format!("{path}/runs")).0, 202);
        until("the run has ended", || {
            let drill = served.get(&path);
            drill["state"] == "idle" && drill["last_run"]["verdict"] == wanted
        });
    };
    let told = |path: &str| -> Vec<(String, String)> {
        let told = told.lock().unwrap();
        let wanted = format!("POST {path} ");
        let to = told.iter().filter(|one| one.0.starts_with(&wanted));
        to.cloned().collect()
    };
    run("app", "passed");
    std::fs::rename(world.path("app.db"), world.path("away.db")).unwrap();
    run("app", "inconclusive");
    run("bank", "inconclusive");
    // In one digest or in several: in each period there is what ended in it.
    let digests = || -> Vec<Value> {
        let told = told("/hook").into_iter();
        let digests = told.map(|(_, body)| serde_json::from_str(&body).unwrap());
        digests.collect()
    };
    let count = |verdict: &str| -> u64 {
        let runs = digests().into_iter();
        runs.map(|digest| digest["runs"][verdict].as_u64().unwrap())
            .sum()
    };
    until("both runs are told", || {
        count("passed") == 1 && count("inconclusive") == 1
    });
    let digests = digests();
    let failed = digests.iter().find_map(|digest| digest["failed"].get(0));
    assert_eq!(failed.unwrap()["drill"], "app", "{digests:#?}");
    let reason = failed.unwrap()["reason"].as_str().unwrap();
    assert!(reason.contains("app.db"), "{reason}");
    let longest = digests.iter().map(|digest| &digest["longest_rto"]);
    let longest: Vec<_> = longest.filter(|longest| !longest.is_null()).collect();
    assert_eq!(longest.len(), 1, "{digests:#?}");
    assert_eq!(longest[0]["drill"], "app");
    let (head, body) = told("/hook").remove(0);
    assert_eq!(
        header(&head, "x-lifeboat-signature"),
        by_others(&world, &head, &body)
    );
    let said = || -> String { told("/slack").into_iter().map(|(_, body)| body).collect() };
    until("the chat is told of all drills", || {
        said().contains("app inconclusive: ") && said().contains("bank inconclusive: ")
    });
    // Each period is told once.
    let keys = told("/hook").into_iter();
    let keys: Vec<_> = keys
        .map(|(head, _)| header(&head, "idempotency-key").to_owned())
        .collect();
    let once: BTreeSet<_> = keys.iter().collect();
    assert_eq!(once.len(), keys.len(), "{keys:?}");
}

/// The signature of a webhook's body as another program makes it.
fn by_others(world: &World<SqliteFile>, head: &str, body: &str) -> String {
    let stamp = header(head, "x-lifeboat-timestamp");
    let signed = put(&world.path("etc"), "signed", &format!("{stamp}.{body}"));
    let by_others = Command::new("openssl")
        .args(["dgst", "-sha256", "-hmac", "of the webhook", "-r"])
        .arg(signed)
        .output()
        .unwrap();
    let by_others = String::from_utf8(by_others.stdout).unwrap();
    format!("v1={}", by_others.split(' ').next().unwrap())
}

#[test]
fn wrong_targets_are_refused() {
    let world = World::new(SqliteFile::make);
    let place = scheduled(&world, "app", "@yearly").display().to_string();
    for (targets, wanted) in [
        (
            "- { name: a }\n",
            "a: one of webhook, slack and kubernetesEvents",
        ),
        (
            "- { name: a, webhook: { url: 'http://hooks.example/' } }\n",
            "must be https://",
        ),
        (
            "- { name: a, webhook: { url: 'https://10.0.0.1/' } }\n",
            "private network",
        ),
        (
            "- { name: a, on: [], slack: { url: { env: X } } }\n",
            "on must not be empty",
        ),
        (
            "- { name: a, slack: { url: { env: X } } }\n- { name: a, slack: { url: { env: X } } }\n",
            "a is there twice",
        ),
        (
            "- { name: a, slack: { url: 'https://hooks.example/hunter2' } }\n",
            "notify.yaml",
        ),
        (
            "- { name: a, webhook: { url: 'https://hooks.example/', secret: hunter2 } }\n",
            "notify.yaml",
        ),
        (
            "- { name: a, kubernetesEvents: {}, slack: { url: { env: X } } }\n",
            "a: one of webhook, slack and kubernetesEvents",
        ),
        (
            "- { name: a, on: [every], digest: { cron: '@daily' }, slack: { url: { env: X } } }\n",
            "on and digest exclude each other",
        ),
        (
            "- { name: a, text: x, digest: { cron: '@daily' }, slack: { url: { env: X } } }\n",
            "text and digest exclude each other",
        ),
        (
            "- { name: a, digest: { cron: '@daily' }, kubernetesEvents: {} }\n",
            "kubernetesEvents and digest exclude each other",
        ),
        (
            "- { name: a, digest: { cron: '0 8 * *' }, slack: { url: { env: X } } }\n",
            "digest.cron has 4 fields; expected five fields",
        ),
        (
            "- { name: a, digest: { cron: '@daily', timeZone: Atlantis }, slack: { url: { env: X } } }\n",
            "no time zone `Atlantis`",
        ),
        ("- { name: a, slak: { url: { env: X } } }\n", "slak"),
    ] {
        let file = put(&world.path("etc"), "notify.yaml", targets)
            .display()
            .to_string();
        for command in [&["serve"][..], &["config", "check"]] {
            let args = [command, &[place.as_str(), "--notify", &file]].concat();
            let output = world.lifeboat_for_people(&args).output().unwrap();
            let said = text(&output);
            assert_eq!(output.status.code(), Some(3), "{said}");
            assert!(!said.contains("hunter2"), "{said}");
            assert!(
                said.contains(wanted) && said.contains("notify.yaml"),
                "{said}"
            );
        }
    }
}

/// As the file says now; while it is broken, as it said before.
#[test]
fn targets_are_read_again() {
    let world = World::new(SqliteFile::make);
    scheduled(&world, "app", "@yearly");
    let ((first, to_first), (second, to_second)) = (receiver(0), receiver(0));
    let target = |address: &str| {
        format!(
            "- name: ops\n  on: [every]\n  \
             webhook: {{ url: 'http://{address}/', allowPrivate: true }}\n"
        )
    };
    let write = |text: &str| put(&world.path("etc"), "notify.yaml", text);
    let file = write(&target(&first)).display().to_string();
    let served = Served::start(&world, &["--notify", &file]);
    let said = |what: &str| {
        until(what, || {
            let log = served.log();
            let mut lines = log.lines();
            lines.any(|line| line.contains("notify.yaml") && line.contains(what))
        });
    };
    let told = |heard: &Heard| heard.lock().unwrap().len();
    let run = || {
        until("the run before has ended", || {
            served.get("/api/v1/drills/app")["state"] == "idle"
        });
        served.promised("app");
    };
    run();
    until("the first one is told", || told(&to_first) == 1);
    // What is sent says which file holds.
    write(&target(&second));
    until("the second one is told", || {
        run();
        told(&to_second) > 0
    });
    write("[broken");
    said("what it said before holds");
    let (before, first) = (told(&to_second), told(&to_first));
    run();
    until("it is told still", || told(&to_second) > before);
    assert_eq!(told(&to_first), first);
}

/// A name that leads into the private network is found out when it is looked up.
#[test]
fn nothing_is_sent_into_the_own_network() {
    let world = World::new(SqliteFile::make);
    scheduled(&world, "app", "@yearly");
    let (address, told) = receiver(0);
    let port = address.rsplit(':').next().unwrap();
    let target =
        format!("- name: ops\n  on: [every]\n  webhook: {{ url: 'https://localhost:{port}/' }}\n");
    let file = put(&world.path("etc"), "notify.yaml", &target);
    let served = Served::start(&world, &["--notify", &file.display().to_string()]);
    served.promised("app");
    let failed = "lifeboat_notifications_total{outcome=\"failed\",target=\"ops\"}";
    until("it was refused", || served.metric(failed) == Some(1.0));
    assert_eq!(told.lock().unwrap().len(), 0);
    assert!(served.log().contains("private"), "{}", served.log());
}
