//! Fields of drill files that texts name: each has to be there.

use std::path::{Path, PathBuf};

use lifeboat::{domain::step::Step, spec::drill::deadline_field};
use serde_json::Value;

/// What a path of a field begins with; the first two are spellings that
/// somebody may take for one.
const BEGINNINGS: [&str; 9] = [
    "recovery_point",
    "deadline",
    "spec",
    "workload",
    "recoveryPoint",
    "sandbox",
    "canary",
    "checks",
    "deadlines",
];

struct Schema(Value);

impl Schema {
    fn read() -> Self {
        let text = std::fs::read_to_string(root().join("docs/drill.schema.json")).unwrap();
        Self(serde_json::from_str(&text).unwrap())
    }

    /// A node without its detours: all that it may be.
    fn meant<'a>(&'a self, node: &'a Value) -> Vec<&'a Value> {
        if let Some(name) = node["$ref"].as_str() {
            let name = name.rsplit('/').next().unwrap();
            return self.meant(&self.0["$defs"][name]);
        }
        let mut all = vec![node];
        for several in ["oneOf", "anyOf", "allOf"] {
            for one in node[several].as_array().into_iter().flatten() {
                all.extend(self.meant(one));
            }
        }
        if node["items"].is_object() {
            all.extend(self.meant(&node["items"]));
        }
        all
    }

    fn has(&self, field: &str) -> bool {
        let mut nodes = self.meant(&self.0["$defs"]["Spec"]);
        for part in field.split('.').skip_while(|part| *part == "spec") {
            // The names within a map are the user's.
            if nodes
                .iter()
                .any(|node| node["additionalProperties"].is_object())
            {
                return true;
            }
            let parts = nodes.iter().map(|node| &node["properties"][part]);
            let parts = parts.filter(|part| part.is_object());
            nodes = parts.flat_map(|part| self.meant(part)).collect();
        }
        !nodes.is_empty()
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, ending: &str, all: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, ending, all);
        } else if path.extension().is_some_and(|found| found == ending) {
            all.push(path);
        }
    }
}

/// The string literals of a source file up to its tests, each as it reads.
fn literals(source: &str) -> Vec<String> {
    let source = source.split("#[cfg(test)]").next().unwrap_or_default();
    let code = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let code = code.collect::<Vec<_>>().join("\n").replace("'\"'", "");
    let (mut all, mut within, mut escaped) = (Vec::new(), None::<String>, false);
    for c in code.chars() {
        match (&mut within, c) {
            (None, '"') => within = Some(String::new()),
            (None, _) => {}
            (Some(text), _) if escaped => {
                escaped = false;
                text.push(c);
            }
            (Some(_), '\\') => escaped = true,
            (Some(_), '"') => all.extend(within.take()),
            (Some(text), _) => text.push(c),
        }
    }
    all
}

fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | '/' | '-')
}

/// The fields that a text names.
fn fields(text: &str) -> Vec<&str> {
    let words = text.split(|c| !is_of_name(c));
    let words = words.map(|word| word.trim_matches('.'));
    words
        .filter(|word| !word.contains(['/', '-']))
        .filter(|word| {
            let (first, rest) = word.split_once('.').unwrap_or((word, ""));
            !rest.is_empty() && BEGINNINGS.contains(&first)
        })
        .collect()
}

#[test]
fn fields_that_texts_name_are_there() {
    let schema = Schema::read();
    let (mut sources, mut pages) = (Vec::new(), vec![root().join("README.md")]);
    files(&root().join("src"), "rs", &mut sources);
    files(&root().join("docs"), "md", &mut pages);
    let read = |path: &PathBuf| std::fs::read_to_string(path).unwrap();
    let of_sources = sources.iter().map(|path| (path, literals(&read(path))));
    let of_pages = pages.iter().map(|path| {
        // Every second part is between backticks.
        let text = read(path);
        let quoted = text.split('`').skip(1).step_by(2).map(str::to_owned);
        (path, quoted.collect())
    });
    let (mut seen, mut wrong) = (0, Vec::new());
    for (path, texts) in of_sources.chain(of_pages) {
        let texts: Vec<String> = texts;
        for field in texts.iter().flat_map(|text| fields(text)) {
            seen += 1;
            if !schema.has(field) {
                wrong.push(format!("{}: {field}", path.display()));
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
    assert!(seen > 50, "only {seen} fields are named");
    assert!(!schema.has("sandbox.directory") && schema.has("spec.sandbox.local.directory"));
}

#[test]
fn the_field_of_every_deadline_is_there() {
    let schema = Schema::read();
    for step in Step::ALL {
        match deadline_field(step) {
            Some(field) => assert!(schema.has(field), "{field}"),
            None => assert_eq!(step, Step::Spoil),
        }
    }
}
