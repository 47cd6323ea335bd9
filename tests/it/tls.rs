//! HTTPS, and what is read again while the service goes on.

use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use crate::{
    follow::drill,
    kill::SLOW,
    support::{
        certificate::certificate,
        served::{Served, put, scheduled, token},
        until,
        world::{SqliteFile, World, text},
    },
};

/// What a client that trusts only `authority` is answered.
fn ask(address: &str, authority: &Path, path: &str) -> String {
    let mut client = Command::new("openssl")
        .args([
            "s_client",
            "-quiet",
            "-verify_return_error",
            "-verify_hostname",
            "localhost",
        ])
        .args(["-connect", address, "-CAfile"])
        .arg(authority)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    // One that does not trust the service is gone already.
    let _ = client.stdin.as_mut().unwrap().write_all(request.as_bytes());
    text(&client.wait_with_output().unwrap())
}

#[test]
fn a_certificate_is_replaced_while_the_service_goes_on() {
    let world = World::new(SqliteFile::make);
    scheduled(&world, "app", "@yearly");
    let folder = world.path("tls");
    let (cert, key) = certificate(&folder, "served");
    let first = folder.join("first.crt");
    std::fs::copy(&cert, &first).unwrap();
    let (cert, key) = (cert.display().to_string(), key.display().to_string());
    let served = Served::start(&world, &["--tls-cert", &cert, "--tls-key", &key]);
    assert!(
        served.log().contains("scheme=\"https\""),
        "{}",
        served.log()
    );
    let good = ask(&served.address, &first, "/api/v1/drills");
    assert!(
        good.contains("HTTP/1.1 200 OK") && good.contains("\"app\""),
        "{good}"
    );
    let (stranger, _) = certificate(&folder, "stranger");
    let refused = ask(&served.address, &stranger, "/livez");
    assert!(!refused.contains("HTTP/1.1"), "{refused}");

    // A broken one leaves the one before.
    let whole = std::fs::read_to_string(&cert).unwrap();
    put(&folder, "served.crt", "no certificate");
    until("it is loud", || {
        served.log().contains("what it said before holds")
    });
    assert!(ask(&served.address, &first, "/livez").contains("200 OK"));
    put(&folder, "served.crt", &whole);
    let (new, new_key) = certificate(&folder, "new");
    put(
        &folder,
        "served.key",
        &std::fs::read_to_string(new_key).unwrap(),
    );
    put(
        &folder,
        "served.crt",
        &std::fs::read_to_string(&new).unwrap(),
    );
    until("the new one is shown", || {
        ask(&served.address, &new, "/livez").contains("200 OK")
    });
    assert!(!ask(&served.address, &first, "/livez").contains("200 OK"));
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let world = World::new(SqliteFile::make);
    let folder = world.path("tls");
    let (cert, key) = certificate(&folder, "one");
    let (_, other) = certificate(&folder, "other");
    let place = world.path("").display().to_string();
    let serve = |cert: &Path, key: &Path| {
        let (cert, key) = (cert.display().to_string(), key.display().to_string());
        let args = [
            "serve",
            place.as_str(),
            "--tls-cert",
            &cert,
            "--tls-key",
            &key,
        ];
        let output = world.lifeboat_for_people(&args).output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{}", text(&output));
        text(&output)
    };
    let said = serve(&cert, &other);
    assert!(
        said.contains("other.key: it is not the certificate's"),
        "{said}"
    );
    let said = serve(&key, &key);
    assert!(said.contains("one.key: it holds no certificate"), "{said}");
    let said = serve(&cert, &folder.join("none.key"));
    assert!(
        said.contains("none.key: ") && said.contains("hint: --tls-cert"),
        "{said}"
    );
}

#[test]
fn tokens_are_read_again() {
    let world = World::new(SqliteFile::make);
    scheduled(&world, "app", "@yearly");
    let (old, old_line) = token(&world, &["old"]);
    let (new, new_line) = token(&world, &["new"]);
    let file = put(&world.path("etc"), "tokens.yaml", &old_line);
    let mut served = Served::start(&world, &["--tokens", &file.display().to_string()]);
    served.token = Some(old);
    assert_eq!(served.ask("GET", "/api/v1/drills").0, 200);
    put(&world.path("etc"), "tokens.yaml", &new_line);
    until("the old one is refused", || {
        served.ask("GET", "/api/v1/drills").0 == 401
    });
    served.token = Some(new);
    assert_eq!(served.ask("GET", "/api/v1/drills").0, 200);
}

#[test]
fn a_stream_ends_when_what_its_token_may_is_taken_back() {
    let world = World::new(SqliteFile::make);
    drill(&world, "slow", "shop", SLOW);
    let (stays, line) = token(&world, &["stays", "--role", "operator"]);
    let (goes, goes_line) = token(&world, &["goes"]);
    let (less, less_line) = token(&world, &["less", "--label", "team=shop"]);
    let lines = [line.as_str(), &goes_line, &less_line].concat();
    let file = put(&world.path("etc"), "tokens.yaml", &lines);
    let mut served = Served::start(&world, &["--tokens", &file.display().to_string()]);
    served.token = Some(stays.clone());
    let run = served.promised("slow");
    let [kept, lost, other] = [&stays, &goes, &less].map(|token| {
        served.token = Some(token.clone());
        served.follow(&run)
    });
    let elsewhere = less_line.replace("\"shop\"", "\"pay\"");
    assert_ne!(elsewhere, less_line);
    put(&world.path("etc"), "tokens.yaml", &(line + &elsewhere));
    for stream in [lost, other] {
        let (status, told) = stream.whole().unwrap();
        assert_eq!(status, 200, "{told}");
        assert!(!told.contains(r#""event":"finished""#), "{told}");
    }
    assert_eq!(served.ask("GET", &format!("/api/v1/runs/{run}")).0, 404);
    // Others are told on.
    served.token = Some(stays);
    let (status, body) = served.ask("POST", &format!("/api/v1/runs/{run}/cancel"));
    assert_eq!(status, 202, "{body}");
    let (_, told) = kept.whole().unwrap();
    assert!(told.contains(r#""event":"finished""#), "{told}");
}
