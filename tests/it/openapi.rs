//! The API is what its document says.

use std::process::Command;

use serde_json::Value;

use crate::support::{
    disk::skipped,
    served::{Served, put, scheduled, token},
    world::{SqliteFile, World, text},
};

fn document() -> Value {
    lifeboat::api::document()
}

#[test]
fn the_document_is_the_one_in_the_docs() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json");
    let made = serde_json::to_string_pretty(&document()).unwrap() + "\n";
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(&file, &made).unwrap();
    }
    let same = std::fs::read_to_string(file).unwrap() == made;
    assert!(
        same,
        "write it anew: UPDATE_OPENAPI=1 cargo test --test it openapi"
    );
}

#[test]
fn every_type_that_is_named_is_there() {
    let document = document();
    let text = document.to_string();
    let known = document["components"]["schemas"].as_object().unwrap();
    let mut named = text.split("#/components/schemas/").skip(1);
    let name = |rest: &str| rest.split('"').next().unwrap().to_owned();
    assert!(named.clone().count() > 50);
    assert_eq!(named.find(|rest| !known.contains_key(&name(rest))), None);
}

/// Every operation is there; and what a page of the docs lists is documented.
#[test]
fn what_is_documented_is_answered() {
    let world = World::new(SqliteFile::make);
    scheduled(&world, "app", "@yearly");
    let served = Served::start(&world, &[]);
    let document = document();
    let page = std::fs::read_to_string("docs/service.md").unwrap();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let method = method.to_uppercase();
            let asked = path.replace("{name}", "none").replace("{id}", "none");
            let (status, body) = served.ask(&method, &asked);
            assert_ne!(status, 405, "{method} {path}");
            assert!(
                !body.contains("there is nothing at"),
                "{method} {path}: {body}"
            );
            let listed = path.replace("{name}", "NAME").replace("{id}", "ID");
            assert!(
                page.contains(&format!("{listed}`")),
                "{method} {path} is not in the docs"
            );
        }
    }
}

#[test]
fn whatever_is_asked_is_answered_as_documented() {
    let Some(schemathesis) = std::env::var_os("LIFEBOAT_TEST_SCHEMATHESIS") else {
        skipped("LIFEBOAT_TEST_SCHEMATHESIS does not name it (make test does)");
        return;
    };
    let world = World::new(SqliteFile::make);
    scheduled(&world, "app", "@yearly");
    let (token, line) = token(&world, &["all", "--role", "admin"]);
    let file = put(&world.path("secret"), "tokens.yaml", &line);
    let mut served = Served::start(&world, &["--tokens", &file.display().to_string()]);
    served.token = Some(token.clone());
    // There is a run to be found.
    assert_eq!(served.ask("POST", "/api/v1/drills/app/runs").0, 202);
    let asked = Command::new(schemathesis)
        .arg("run")
        .arg(format!("http://{}/api/v1/openapi.json", served.address))
        .args(["--max-examples", "25", "--seed", "7", "--no-color"])
        // A stream that lasts as long as its run.
        .args(["--exclude-operation-id", "followRun"])
        .args(["-H", &format!("Authorization: Bearer {token}")])
        .current_dir(world.path("secret"))
        .output()
        .unwrap();
    assert!(asked.status.success(), "{}", text(&asked));
    let said = text(&asked);
    assert!(said.contains("No issues found"), "{said}");
    assert_eq!(served.stop(), Some(0), "{}", served.log());
}
