//! The alert rules: with Prometheus' own tests, and with a real Prometheus that
//! scrapes a real service.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use crate::support::{
    asking::ask,
    served::{Served, put, scheduled},
    until,
    world::{SqliteFile, World, text},
};

fn rules() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus")
}

/// Where `.ci/prometheus` has put it.
pub fn program(name: &str) -> PathBuf {
    let place = std::env::var("LIFEBOAT_TEST_PROMETHEUS");
    let place = place.unwrap_or_else(|_| panic!("no LIFEBOAT_TEST_PROMETHEUS: use `make test`"));
    Path::new(&place).join(name)
}

#[test]
fn each_rule_has_a_test_that_passes_and_a_page_that_helps() {
    let files = ["rules", "growth", "late"].map(|name| format!("lifeboat.{name}.test.yaml"));
    let mut tool = Command::new(program("promtool"));
    let output = tool.args(["test", "rules"]).args(&files);
    let output = output.current_dir(rules()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");

    let text = fs::read_to_string(rules().join("lifeboat.rules.yaml")).unwrap();
    let rules_of: Value = serde_saphyr::from_str(&text).unwrap();
    let tests = files.map(|file| fs::read_to_string(rules().join(file)).unwrap());
    let tests = tests.concat();
    let runbook = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/runbook.md");
    let runbook = fs::read_to_string(runbook).unwrap();
    let metrics = lifeboat::metrics::page();
    let groups = rules_of["groups"].as_array().unwrap().iter();
    for rule in groups.flat_map(|group| group["rules"].as_array().unwrap()) {
        let name = rule["alert"].as_str().unwrap();
        assert!(
            tests.contains(&format!("alertname: {name}\n")),
            "{name} is not tested"
        );
        assert!(
            runbook.contains(&format!("## {name}\n")),
            "{name} has no page"
        );
        let page = format!("#{}", name.to_lowercase());
        assert!(
            rule["annotations"]["runbook_url"]
                .as_str()
                .unwrap()
                .ends_with(&page)
        );
        // Every metric in it exists.
        let of_words = |c: char| !c.is_ascii_alphanumeric() && c != '_';
        for word in rule["expr"].as_str().unwrap().split(of_words) {
            let known = !word.starts_with("lifeboat_") || metrics.contains(&format!("`{word}`"));
            assert!(known, "{name}: there is no metric {word}");
        }
    }
}

/// What the panels of the dashboard ask for, by their titles, of all drills.
pub fn asked_by_the_dashboard() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dashboard = fs::read_to_string(root.join("deploy/grafana/lifeboat.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let mut asked = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        for target in panel["targets"].as_array().unwrap() {
            let expr = target["expr"].as_str().unwrap().replace("$drill", ".*");
            asked.push((title.to_owned(), expr));
        }
    }
    asked
}

/// The dashboard asks only for what there is, in words that Prometheus takes.
#[test]
fn the_dashboard_asks_for_what_there_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let metrics = fs::read_to_string(root.join("docs/metrics.md")).unwrap();
    let of_words = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    let mut rules = "groups:\n- name: dashboard\n  rules:\n".to_owned();
    let asked = asked_by_the_dashboard();
    for (number, (title, expr)) in asked.iter().enumerate() {
        for word in expr.split(of_words) {
            let word = word.strip_suffix("_bucket").unwrap_or(word);
            let known = !word.starts_with("lifeboat_") || metrics.contains(&format!("`{word}`"));
            assert!(known, "{title}: there is no metric {word}");
        }
        let expr = serde_json::to_string(expr).unwrap();
        rules += &format!("  - {{ record: \"panel:{number}\", expr: {expr} }}\n");
    }
    assert!(asked.len() > 20);
    let place = tempfile::tempdir().unwrap();
    let file = put(place.path(), "rules.yaml", &rules);
    let checked = Command::new(program("promtool"))
        .args(["check", "rules", "--lint=none"])
        .arg(file)
        .output()
        .unwrap();
    assert!(checked.status.success(), "{}", text(&checked));
}

pub struct Prometheus {
    child: Child,
    address: String,
}

impl Prometheus {
    /// Scrapes an address each second; the rules do not wait.
    pub fn start(place: &Path, target: &str) -> Self {
        let rules = fs::read_to_string(rules().join("lifeboat.rules.yaml")).unwrap();
        put(place, "rules.yaml", &rules.replace("for: 1m", "for: 3s"));
        let config = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: [rules.yaml]\n\
             scrape_configs:\n  - {{ job_name: lifeboat, static_configs: [ {{ targets: ['{target}'] }} ] }}\n"
        );
        let config = put(place, "prometheus.yaml", &config);
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap().to_string();
        drop(free);
        let child = Command::new(program("prometheus"))
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                place.join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(fs::File::create(place.join("prometheus.log")).unwrap())
            .spawn()
            .unwrap();
        Self { child, address }
    }

    /// How many series an expression has now.
    pub fn series(&self, expr: &str) -> usize {
        let escaped = |byte: u8| format!("%{byte:02x}");
        let escaped: String = expr.bytes().map(escaped).collect();
        let path = format!("/api/v1/query?query={escaped}");
        let answer = self.answer(&path);
        answer.map_or(0, |data| data["result"].as_array().unwrap().len())
    }

    /// How its rules are, by their names: ok, unknown, or what is wrong with them.
    pub fn rules(&self) -> Vec<(String, String)> {
        let data = self.answer("/api/v1/rules");
        let groups = data
            .iter()
            .flat_map(|data| data["groups"].as_array().unwrap());
        let rules = groups.flat_map(|group| group["rules"].as_array().unwrap());
        let word = |rule: &Value, field: &str| rule[field].as_str().unwrap().to_owned();
        let wrong = |rule: &Value| rule["lastError"].as_str().map(str::to_owned);
        rules
            .map(|rule| {
                let health = wrong(rule).unwrap_or_else(|| word(rule, "health"));
                (word(rule, "name"), health)
            })
            .collect()
    }

    fn answer(&self, path: &str) -> Option<Value> {
        let (status, body) = ask(&self.address, "GET", path, &[])?;
        let body: Value = serde_json::from_str(&body).ok()?;
        (status == 200).then(|| body["data"].clone())
    }

    /// How an alert of a drill stands: inactive, pending or firing.
    fn state(&self, alert: &str, drill: &str) -> String {
        let Some((200, body)) = ask(&self.address, "GET", "/api/v1/alerts", &[]) else {
            return "nothing".to_owned();
        };
        let body: Value = serde_json::from_str(&body).unwrap();
        let alerts = body["data"]["alerts"].as_array().unwrap();
        let ours = alerts
            .iter()
            .find(|one| one["labels"]["alertname"] == alert && one["labels"]["drill"] == drill);
        let state = ours.map(|one| one["state"].as_str().unwrap().to_owned());
        state.unwrap_or_else(|| "inactive".to_owned())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_recovery_that_takes_too_long_fires_and_is_resolved() {
    let world = World::new(SqliteFile::make);
    let file = scheduled(&world, "app", "@yearly");
    let text = fs::read_to_string(&file).unwrap();
    let with_target = |rto: &str| {
        let text = format!("{text}  objectives: {{ rto: {rto} }}\n");
        put(&world.path("drills"), "app.yaml", &text);
    };
    with_target("1ms");
    let served = Served::start(&world, &[]);
    let prometheus = Prometheus::start(&world.path("prometheus"), &served.address);
    let stands = |wanted: &str| {
        until(&format!("the alert is {wanted}"), || {
            prometheus.state("LifeboatRTOOverTarget", "app") == wanted
        });
    };
    stands("inactive");
    assert_eq!(served.ask("POST", "/api/v1/drills/app/runs").0, 202);
    stands("pending");
    stands("firing");
    with_target("1h");
    stands("inactive");
    // That the run failed is told by another one.
    assert_eq!(prometheus.state("LifeboatDrillFailed", "app"), "firing");
    assert_eq!(served.ask("POST", "/api/v1/drills/app/runs").0, 202);
    until("a run that passes resolves it", || {
        prometheus.state("LifeboatDrillFailed", "app") == "inactive"
    });
}
