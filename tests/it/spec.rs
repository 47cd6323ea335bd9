//! Drill files: samples, schema, and every message a writer may meet.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy takes the helpers of tests for production code"
)]

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use lifeboat::spec::{
    self,
    drill::{Drill, Equality, Expectation, RecoveryPointSource, SecretSource, TlsMode, Workload},
};
use proptest::prelude::*;
use serde_json::Value;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn yaml_files(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "yaml"));
    files.sort();
    files
}

fn sample(name: &str) -> Drill {
    spec::read(&root().join("drills").join(name)).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn every_sample_is_a_valid_drill_and_fits_the_schema() {
    let schema = spec::schema::json_schema();
    let files = yaml_files("drills");
    assert!(files.len() >= 6, "{files:?}");
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let pointer = "# yaml-language-server: $schema=../docs/drill.schema.json\n";
        assert!(text.starts_with(pointer), "{}", file.display());
        spec::read(&file).unwrap_or_else(|errors| panic!("{errors}"));
        // A second YAML reader, so that the schema is not held against itself.
        let value: Value = serde_saphyr::from_str(&text).unwrap();
        fits(&value, &schema, &schema, "").unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    }
}

#[test]
fn the_samples_show_every_field() {
    let samples = [
        "postgresql-full",
        "postgresql-existing-dump",
        "postgresql-s3",
        "kubernetes-snapshot",
        "kubernetes-existing-snapshot",
    ]
    .map(|name| fs::read_to_string(root().join(format!("drills/{name}.yaml"))).unwrap());
    let text = samples.concat();
    let schema = spec::schema::json_schema();
    let defs = schema["$defs"].as_object().unwrap();
    let fields = defs
        .iter()
        .filter(|(name, _)| *name != "Sqlite" && *name != "Secret");
    let fields = fields.flat_map(|(_, def)| def["properties"].as_object().into_iter().flatten());
    for (field, _) in fields.filter(|(field, _)| *field != "sqlite") {
        let shown = text.contains(&format!("{field}:")) || text.contains(&format!("`{field}`"));
        assert!(shown, "no sample shows {field}");
    }
}

#[test]
fn the_reference_names_every_field() {
    let text = fs::read_to_string(root().join("docs/drill-files.md")).unwrap();
    let schema = spec::schema::json_schema();
    for (_, def) in schema["$defs"].as_object().unwrap() {
        for (field, _) in def["properties"].as_object().into_iter().flatten() {
            assert!(
                text.contains(&format!("`{field}`")),
                "{field} is not documented"
            );
        }
    }
}

/// To write the file anew: `UPDATE_SCHEMA=1 cargo test --test it spec`.
#[test]
fn the_committed_schema_is_the_one_of_the_code() {
    let file = root().join("docs/drill.schema.json");
    let made = serde_json::to_string_pretty(&spec::schema::json_schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        fs::write(&file, &made).unwrap();
    }
    let same = fs::read_to_string(file).unwrap() == made;
    assert!(
        same,
        "docs/drill.schema.json is not what `lifeboat schema` prints"
    );
}

#[test]
fn a_full_file_becomes_what_it_says() {
    let drill = sample("postgresql-full.yaml");
    let Workload::Postgresql(workload) = &drill.workload else {
        panic!("{:?}", drill.workload);
    };
    let connection = workload.connection.as_ref().unwrap();
    assert_eq!(connection.tls, TlsMode::VerifyFull);
    assert_eq!(
        connection.password,
        Some(SecretSource::File("/run/secrets/shop".into()))
    );
    assert_eq!(drill.objectives.rto.unwrap().as_secs(), 900);
    assert_eq!(drill.sandbox.settings["maintenance_work_mem"], "1GB");
    assert_eq!(drill.checks.fingerprints, Some(Equality::Text));
    let rows = vec![
        vec![Some("1".to_owned()), Some("EUR".to_owned())],
        vec![Some("2".to_owned()), None],
    ];
    assert_eq!(drill.checks.queries[2].expect, Expectation::Rows(rows));
    assert_eq!(drill.deadlines.len(), 7);
}

#[test]
fn relative_paths_start_at_the_folder_of_the_file() {
    let drill = spec::parse(&valid(), Path::new("/etc/drills/app.yaml")).unwrap();
    let Workload::Sqlite(workload) = drill.workload else {
        panic!("{:?}", drill.workload);
    };
    assert_eq!(workload.file, Some("/etc/drills/app.db".into()));
}

#[test]
fn an_existing_backup_is_not_compared_with_a_source() {
    let drill = sample("postgresql-existing-dump.yaml");
    assert!(matches!(
        drill.recovery_point,
        RecoveryPointSource::Existing(_)
    ));
    assert!(drill.checks.fingerprints.is_none() && !drill.checks.schema);
    let fresh = sample("postgresql-minimal.yaml");
    assert!(fresh.checks.fingerprints.is_some() && fresh.checks.schema);
}

#[test]
fn several_documents_are_several_drills() {
    let two = format!(
        "{}---\n{}---\n",
        valid(),
        valid().replace("app }", "other }")
    );
    let drills = spec::parse_all(&two, Path::new("d.yaml")).unwrap();
    let names: Vec<_> = drills.iter().map(|drill| drill.name.as_str()).collect();
    assert_eq!(names, ["app", "other"]);
    assert!(spec::parse(&two, Path::new("d.yaml")).is_err());
}

#[test]
fn aliases_and_merge_keys_work() {
    let text = valid().replace(
        "spec:\n",
        "spec:\n  objectives: &a { rto: 5s }\n  deadlines: {}\n",
    ) + "  checks: { queries: [&q { name: a, sql: s, expect: some rows }, { <<: *q, name: b }] }\n";
    let drill = spec::parse(&text, Path::new("d.yaml")).unwrap();
    assert_eq!(drill.checks.queries[1].name, "b");
    assert_eq!(drill.checks.queries[1].sql, "s");
}

/// Every broken file, with the exact words and places of what is said.
#[test]
fn broken_files_are_explained() {
    let mut report = String::new();
    let files = yaml_files("tests/it/spec_cases");
    assert!(files.len() >= 30, "{}", files.len());
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let name = Path::new(file.file_name().unwrap());
        let errors = spec::parse(&text, name).expect_err(&format!("{name:?} is valid"));
        write!(report, "{errors}\n\n").unwrap();
    }
    assert!(!report.contains("hunter2"), "a secret is repeated");
    insta::assert_snapshot!(report);
}

#[test]
fn bombs_and_foreign_bytes_are_refused() {
    let error = |text: &str| {
        spec::parse(text, Path::new("d.yaml"))
            .unwrap_err()
            .to_string()
    };
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let alias = format!("*a{}, ", level - 1).repeat(10);
        writeln!(laughs, "a{level}: &a{level} [{alias}]").unwrap();
    }
    assert!(
        error(&laughs).contains("too many nodes"),
        "{}",
        error(&laughs)
    );
    let flow = error(&"[".repeat(5_000));
    assert!(
        flow.contains("not valid YAML") || flow.contains("nested too deeply"),
        "{flow}"
    );
    assert!(error(&("[".repeat(40) + &"]".repeat(40))).contains("nested too deeply"));
    let merges: Vec<String> = (0..9_000).map(|i| format!("k{i}: 1")).collect();
    let merges = merges.join(", ");
    let merges = format!("a: &a {{{merges}}}\nb:\n") + &"  <<: *a\n".repeat(50_000);
    assert!(
        error(&merges).contains("too many nodes"),
        "{}",
        error(&merges)
    );
    assert!(error(&"- ".repeat(5_000)).contains("nested too deeply"));
    assert!(error(&"#".repeat(2 << 20)).contains("larger than 1 MiB"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("latin.yaml");
    fs::write(&file, b"kind: Drill\nname: caf\xe9\n").unwrap();
    let latin = spec::read(&file).unwrap_err().to_string();
    assert!(
        latin.ends_with("latin.yaml:2:10: the file is not UTF-8 text"),
        "{latin}"
    );
    let gone = spec::read(&folder.path().join("gone.yaml")).unwrap_err();
    assert!(gone.to_string().contains("cannot be read"), "{gone}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn nothing_makes_the_reader_panic(text in "(?s).{0,200}") {
        let _ = spec::parse(&text, Path::new("d.yaml"));
    }

    /// Damage to a valid file reaches deeper than noise does.
    #[test]
    fn no_damage_makes_the_reader_panic(at in 0_usize..2_000, cut in 0_usize..40, put in "[ -~\n\t]{0,6}") {
        let text = fs::read_to_string(root().join("drills/postgresql-full.yaml")).unwrap();
        let (start, end) = (at.min(text.len()), (at + cut).min(text.len()));
        let damaged = format!("{}{put}{}", &text[..start], &text[end..]);
        if let Err(errors) = spec::parse(&damaged, Path::new("d.yaml")) {
            let lines = damaged.lines().count() + 1;
            prop_assert!(errors.iter().all(|e| e.line >= 1 && e.line <= lines && e.column >= 1));
        }
    }
}

fn valid() -> String {
    "apiVersion: lifeboat.dev/v1alpha1\nkind: Drill\nmetadata: { name: app }\nspec:\n  \
     workload: { sqlite: { file: app.db } }\n"
        .to_owned()
}

/// The few words of JSON schema that the drill schema uses.
fn fits(value: &Value, schema: &Value, root: &Value, path: &str) -> Result<(), String> {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap();
        fits(value, &root["$defs"][name], root, path)?;
    }
    if let Some(options) = schema["anyOf"].as_array().or(schema["oneOf"].as_array())
        && !options
            .iter()
            .any(|option| fits(value, option, root, path).is_ok())
    {
        return Err(format!("{path}: {value} fits no alternative"));
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let is = |wanted: &Value| *wanted == kind || (*wanted == "number" && kind == "integer");
    let right = match &schema["type"] {
        Value::Null => true,
        Value::Array(kinds) => kinds.iter().any(is),
        one => is(one),
    };
    let fixed = schema.get("const").is_none_or(|fixed| fixed == value)
        && schema["enum"]
            .as_array()
            .is_none_or(|list| list.contains(value));
    if !right || !fixed {
        return Err(format!("{path}: {value} is not {schema}"));
    }
    for item in value.as_array().into_iter().flatten() {
        fits(item, &schema["items"], root, &format!("{path}[]"))?;
    }
    if schema["type"] == "object" {
        object_fits(value, schema, root, path)?;
    }
    Ok(())
}

fn object_fits(value: &Value, schema: &Value, root: &Value, path: &str) -> Result<(), String> {
    let map = value.as_object().unwrap();
    let count = map.len() as u64;
    if schema["minProperties"]
        .as_u64()
        .is_some_and(|min| count < min)
        || schema["maxProperties"]
            .as_u64()
            .is_some_and(|max| count > max)
    {
        return Err(format!("{path}: wrong number of fields"));
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        if !map.contains_key(name.as_str().unwrap()) {
            return Err(format!("{path}: {name} is missing"));
        }
    }
    for (name, value) in map {
        let path = format!("{path}.{name}");
        match schema["properties"]
            .get(name)
            .or(schema["additionalProperties"]
                .is_object()
                .then_some(&schema["additionalProperties"]))
        {
            Some(schema) => fits(value, schema, root, &path)?,
            None => return Err(format!("{path}: unknown")),
        }
    }
    Ok(())
}
