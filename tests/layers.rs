//! The layers of `src/lib.rs`, kept: a module uses only modules of its own
//! layer's ports and of the layers below. This table *is* the architecture.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{collections::BTreeMap, fs, path::Path};

/// Every top-level module with the modules it may use.
const MAY_USE: &[(&str, &[&str])] = &[
    // L0: plain data and rules.
    ("clock", &[]),
    ("domain", &[]),
    ("schedule", &[]),
    ("spec", &["domain", "schedule"]),
    // L1: ports and their adapters.
    ("secret", &["domain"]),
    ("trust", &["domain"]),
    ("process", &["domain", "clock"]),
    ("k8s", &["domain"]),
    ("workload", &["domain", "k8s"]),
    (
        "engine",
        &[
            "clock", "domain", "spec", "process", "recovery", "sandbox", "secret", "trust",
        ],
    ),
    ("recovery", &["domain", "secret", "trust"]),
    ("sandbox", &["clock", "domain", "process", "k8s"]),
    // L2: work next to the data.
    ("agent", &["clock", "domain", "spec", "engine", "sandbox"]),
    (
        "remote",
        &[
            "clock", "domain", "spec", "secret", "trust", "k8s", "workload", "engine", "recovery",
            "sandbox", "agent",
        ],
    ),
    // And the only place that orders steps.
    (
        "runner",
        &["clock", "domain", "spec", "engine", "recovery", "sandbox"],
    ),
    // L3: around the runner.
    ("history", &["clock", "domain", "schedule", "runner"]),
    ("catalog", &["domain", "spec"]),
    (
        "service",
        &["clock", "domain", "schedule", "spec", "runner", "history"],
    ),
    ("metrics", &["domain", "spec", "runner", "history"]),
    (
        "notify",
        &[
            "clock", "domain", "schedule", "secret", "trust", "runner", "history",
        ],
    ),
    ("sweeper", &["domain", "runner", "sandbox"]),
    ("traces", &["domain", "trust"]),
    // L4: faces.
    (
        "api",
        &[
            "clock", "domain", "schedule", "spec", "runner", "history", "catalog", "metrics",
            "service", "report",
        ],
    ),
    ("report", &["domain", "schedule", "spec"]),
    // L5: composition.
    (
        "app",
        &[
            "clock", "domain", "spec", "process", "k8s", "workload", "engine", "recovery",
            "sandbox", "agent", "remote", "runner", "history", "catalog", "metrics", "notify",
            "service", "sweeper", "traces", "api", "report",
        ],
    ),
    (
        "demo",
        &[
            "clock", "domain", "spec", "process", "engine", "sandbox", "report", "app", "cli",
        ],
    ),
    (
        "cli",
        &[
            "clock", "domain", "spec", "process", "engine", "sandbox", "runner", "history",
            "catalog", "notify", "service", "sweeper", "api", "report", "app", "demo",
        ],
    ),
];

/// No file is longer, tests included.
const MOST_LINES: usize = 600;

#[test]
fn modules_use_only_what_is_below_them() {
    let allowed: BTreeMap<_, _> = MAY_USE.iter().copied().collect();
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let module = module_of(&path);
        if module == "lib" || module == "main" {
            continue;
        }
        let Some(may_use) = allowed.get(module.as_str()) else {
            wrong.push(format!("{path}: module {module} is not in the table"));
            continue;
        };
        for used in used_modules(&text) {
            if used != module && !may_use.contains(&used.as_str()) {
                wrong.push(format!("{path}: {module} must not use {used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn engines_do_not_know_each_other() {
    for (path, text) in sources() {
        for engine in ["postgresql", "sqlite"] {
            let other = if engine == "sqlite" {
                "postgresql"
            } else {
                "sqlite"
            };
            if path.contains(&format!("engine/{engine}/")) {
                assert!(
                    !text.contains(&format!("engine::{other}")),
                    "{path} knows {other}"
                );
            }
        }
    }
}

#[test]
fn files_stay_small() {
    for (path, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= MOST_LINES, "{path} has {lines} lines");
    }
}

fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.display().to_string(), text));
            }
        }
    }
    assert!(found.len() > 20, "the sources were not found");
    found
}

fn module_of(path: &str) -> String {
    let (_, inside) = path.rsplit_once("/src/").unwrap();
    let first = inside.split('/').next().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// The top-level modules that a file names by `crate::…`, in groups, too.
fn used_modules(text: &str) -> Vec<String> {
    let mut used = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            used.extend(group_heads(group));
        } else {
            used.push(head(rest));
        }
    }
    used
}

/// The first segments of a group `{a::b, c::{d, e}, …}`, from behind its `{`.
fn group_heads(group: &str) -> Vec<String> {
    let mut heads = Vec::new();
    let mut depth = 1;
    let mut expects_head = true;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => expects_head = true,
            c if expects_head && depth == 1 && !c.is_whitespace() => {
                heads.push(head(&group[at..]));
                expects_head = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    heads
}

fn head(path: &str) -> String {
    path.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}
