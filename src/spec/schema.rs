//! The JSON schema of drill files, for editors and for the reader itself.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::raw::DrillFile;

static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<DrillFile>().to_value();
    tidy(&mut schema);
    schema
});

/// The JSON schema (draft 2020-12) of a drill file.
#[must_use]
pub fn json_schema() -> Value {
    SCHEMA.clone()
}

pub(super) fn shared() -> &'static Value {
    &SCHEMA
}

/// Takes out `null`, which nobody should write for a field that may be absent.
fn tidy(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Object(map) => {
            map.values_mut().for_each(tidy);
            if map.get("default").is_some_and(Value::is_null) {
                map.remove("default");
            }
            optional_type(map);
            optional_reference(map);
        }
        _ => {}
    }
}

/// `["string", "null"]` becomes `"string"`.
fn optional_type(map: &mut serde_json::Map<String, Value>) {
    if let Some(Value::Array(types)) = map.get("type")
        && let [only, Value::String(null)] = types.as_slice()
        && null == "null"
    {
        let only = only.clone();
        map.insert("type".to_owned(), only);
    }
}

/// `anyOf` with `null` becomes the other alternative.
fn optional_reference(map: &mut serde_json::Map<String, Value>) {
    let null = serde_json::json!({ "type": "null" });
    if let Some(Value::Array(options)) = map.get("anyOf")
        && let [Value::Object(only), other] = options.as_slice()
        && *other == null
    {
        let only = only.clone();
        map.remove("anyOf");
        map.extend(only);
    }
}
