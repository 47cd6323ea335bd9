//! Who is told how runs ended. Runs the real binary, and a receiver with
//! nothing but a socket.

use std::{
    io::{Read, Write},
    net::TcpListener,
    process::Command,
    sync::{Arc, Mutex},
};

use serde_json::Value;

use crate::support::{
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
    let stamp = header(&head, "x-lifeboat-timestamp");
    let signed = put(&world.path("etc"), "signed", &format!("{stamp}.{body}"));
    let by_others = Command::new("openssl")
        .args(["dgst", "-sha256", "-hmac", "of the webhook", "-r"])
        .arg(signed)
        .output()
        .unwrap();
    let by_others = String::from_utf8(by_others.stdout).unwrap();
    let by_others = by_others.split(' ').next().unwrap();
    assert_eq!(
        header(&head, "x-lifeboat-signature"),
        format!("v1={by_others}")
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

#[test]
fn wrong_targets_are_refused() {
    let world = World::new(SqliteFile::make);
    let place = scheduled(&world, "app", "@yearly").display().to_string();
    for (targets, wanted) in [
        ("- { name: a }\n", "a: either webhook or slack"),
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
