//! Reads a tree by the shape that the JSON schema gives, and says of every
//! deviation where it is and what was probably meant.

use std::{collections::HashMap, path::Path};

use serde_json::{Map, Value};

use super::{
    error::{Place, SpecError},
    hint,
    raw::DrillFile,
    schema,
    tree::{Content, Entry, Node},
};

/// A document as it was read, and where its fields stand.
pub(super) struct Reading {
    pub file: DrillFile,
    pub places: HashMap<String, Place>,
    /// Fields whose value could not be used; placeholders stand in for them.
    pub broken: Vec<String>,
}

/// Reads `root`. `None` where nothing is left to validate.
pub(super) fn read(root: &Node, origin: &Path, errors: &mut Vec<SpecError>) -> Option<Reading> {
    let mut reader = Reader {
        origin,
        errors: Vec::new(),
        places: HashMap::new(),
    };
    reader.places.insert(String::new(), root.place);
    let value = reader.value(root, schema::shared(), "");
    let broken: Vec<String> = reader.errors.iter().map(|e| e.field.clone()).collect();
    let places = reader.places;
    errors.append(&mut reader.errors);
    match serde_json::from_value(value) {
        Ok(file) => Some(Reading {
            file,
            places,
            broken,
        }),
        Err(error) => {
            if broken.is_empty() {
                let message = format!("cannot be read: {error}");
                errors.push(SpecError::new(origin, root.place, "", message));
            }
            None
        }
    }
}

struct Reader<'a> {
    origin: &'a Path,
    errors: Vec<SpecError>,
    places: HashMap<String, Place>,
}

impl Reader<'_> {
    fn error(&mut self, place: Place, path: &str, message: String) -> &mut SpecError {
        let index = self.errors.len();
        let error = SpecError::new(self.origin, place, path, message);
        self.errors.push(error);
        &mut self.errors[index]
    }

    fn value(&mut self, node: &Node, schema: &Value, path: &str) -> Value {
        let options = options(schema);
        let of = |kind: &str| options.iter().find(|o| types(o).contains(&kind)).copied();
        match (&node.content, of("object"), of("array")) {
            (Content::Mapping(entries), Some(shape), _) => {
                self.object(entries, node.place, shape, path)
            }
            (Content::Scalar { .. }, Some(shape), _) if node.is_null() => {
                self.object(&[], node.place, shape, path)
            }
            (Content::Sequence(items), _, Some(shape)) => {
                let read = |(index, item): (usize, &std::rc::Rc<Node>)| {
                    let path = format!("{path}[{index}]");
                    self.places.insert(path.clone(), item.place);
                    self.value(item, &shape["items"], &path)
                };
                Value::Array(items.iter().enumerate().map(read).collect())
            }
            (Content::Scalar { text, plain }, ..) => match scalar(node, text, *plain, &options) {
                Some(value) => value,
                None => self.wrong(node, schema, path),
            },
            _ => self.wrong(node, schema, path),
        }
    }

    fn object(&mut self, entries: &[Entry], at: Place, shape: &Value, path: &str) -> Value {
        let mut map = Map::new();
        let fields = shape["properties"].as_object();
        for entry in entries {
            let path = join(path, &entry.key);
            let known = fields.and_then(|fields| fields.get(&entry.key));
            let Some(schema) = known.or_else(|| {
                shape["additionalProperties"]
                    .as_object()
                    .map(|_| &shape["additionalProperties"])
            }) else {
                self.unknown(entry, shape, &path);
                continue;
            };
            let place = match entry.value.content {
                Content::Scalar { .. } if !entry.value.is_null() => entry.value.place,
                _ => entry.place,
            };
            self.places.insert(path.clone(), place);
            let value = self.value(&entry.value, schema, &path);
            map.insert(entry.key.clone(), value);
        }
        let at = self.places.get(path).copied().unwrap_or(at);
        for name in shape["required"].as_array().into_iter().flatten() {
            let Some(name) = name.as_str().filter(|name| !map.contains_key(*name)) else {
                continue;
            };
            self.error(at, &join(path, name), "is missing".to_owned());
            let field = &shape["properties"][name];
            map.insert(name.to_owned(), placeholder(field));
        }
        Value::Object(map)
    }

    fn unknown(&mut self, entry: &Entry, shape: &Value, path: &str) {
        let names = shape["properties"].as_object().into_iter().flatten();
        let names: Vec<&str> = names.map(|(name, _)| name.as_str()).collect();
        let hint = match hint::nearest(&entry.key, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => match home(schema::shared(), &entry.key, "") {
                Some(parent) => format!("`{}` belongs under {parent}", entry.key),
                None => format!("known here: {}", names.join(", ")),
            },
        };
        let message = "there is no such field".to_owned();
        self.error(entry.place, path, message).hint = Some(hint);
    }

    fn wrong(&mut self, node: &Node, schema: &Value, path: &str) -> Value {
        let options = options(schema);
        let choices = choices(&options);
        // A text in place of a secret may be the secret: it is never repeated.
        let secret = path.ends_with(".password");
        let mut foreign = None;
        let (found, near) = match &node.content {
            _ if node.is_null() => ("nothing is written here".to_owned(), None),
            Content::Scalar { .. } if secret => {
                ("a secret must not stand in the file".to_owned(), None)
            }
            // Such as a connection string with a password in it.
            Content::Scalar { .. } if options.iter().any(|o| types(o).contains(&"object")) => {
                ("a text cannot be used here".to_owned(), None)
            }
            Content::Scalar { text, .. } => {
                let near = hint::nearest(text, choices.iter().copied());
                foreign = word_of_others(path, text);
                (format!("`{}` cannot be used here", shorten(text)), near)
            }
            Content::Sequence(_) => ("a list cannot be used here".to_owned(), None),
            Content::Mapping(_) => ("a mapping cannot be used here".to_owned(), None),
        };
        let place = self.places.get(path).copied().unwrap_or(node.place);
        let error = self.error(place, path, found);
        error.expected = Some(wanted(&options, &choices));
        let near = near.map(|near| format!("did you mean `{near}`?"));
        error.hint = near.or(foreign.map(str::to_owned));
        if secret {
            error.hint = Some(
                "name where it is: `{ env: VARIABLE }` or `{ file: /path/to/secret }`".to_owned(),
            );
        }
        placeholder(schema)
    }
}

/// What is to be said to who knows a word from elsewhere: Kubernetes' cron jobs
/// may allow what no drill may do.
fn word_of_others(path: &str, text: &str) -> Option<&'static str> {
    match (path, text) {
        ("spec.schedule.overlap", "allow" | "Allow") => {
            Some("two runs of a drill never go on at once")
        }
        ("spec.schedule.overlap", "forbid" | "Forbid") => Some("say `skip`"),
        _ => None,
    }
}

fn join(path: &str, name: &str) -> String {
    match path {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    }
}

/// A text of the user's, short enough for a message.
pub(super) fn shorten(text: &str) -> String {
    let line: String = text.chars().take(60).collect();
    if line.len() < text.len() {
        format!("{line}…")
    } else {
        line
    }
}

/// Follows references, and spreads alternatives.
fn options(schema: &Value) -> Vec<&Value> {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.trim_start_matches("#/$defs/");
        return options(&schema::shared()["$defs"][name]);
    }
    match schema["anyOf"].as_array().or(schema["oneOf"].as_array()) {
        Some(list) => list.iter().flat_map(options).collect(),
        None => vec![schema],
    }
}

fn types(option: &Value) -> Vec<&str> {
    match &option["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// The fixed values among the alternatives.
fn choices<'a>(options: &[&'a Value]) -> Vec<&'a str> {
    let fixed = options.iter().flat_map(|option| {
        let listed = option["enum"].as_array().into_iter().flatten();
        listed.chain(option.get("const"))
    });
    fixed.filter_map(Value::as_str).collect()
}

fn scalar(node: &Node, text: &str, plain: bool, options: &[&Value]) -> Option<Value> {
    let takes = |kind| options.iter().any(|option| types(option).contains(&kind));
    if node.is_null() {
        return takes("null").then_some(Value::Null);
    }
    let choices = choices(options);
    if choices.contains(&text) {
        return Some(text.into());
    }
    if choices.is_empty() && takes("string") {
        return Some(text.into());
    }
    if takes("boolean") && plain {
        return match text {
            "true" | "True" | "TRUE" => Some(true.into()),
            "false" | "False" | "FALSE" => Some(false.into()),
            _ => None,
        };
    }
    let integer = options.iter().find(|o| types(o).contains(&"integer"))?;
    let number: u64 = text.parse().ok().filter(|_| plain)?;
    let within = integer["maximum"].as_u64().is_none_or(|max| number <= max)
        && integer["minimum"].as_u64().is_none_or(|min| number >= min);
    within.then(|| number.into())
}

fn wanted(options: &[&Value], choices: &[&str]) -> String {
    let mut wanted: Vec<String> = choices.iter().map(|c| format!("`{c}`")).collect();
    for option in options {
        for kind in types(option) {
            let name = match kind {
                "object" => {
                    let fields = option["properties"].as_object().into_iter().flatten();
                    let fields: Vec<_> = fields.map(|(name, _)| name.as_str()).collect();
                    format!("a mapping with {}", fields.join(", "))
                }
                "array" => "a list".to_owned(),
                "boolean" => "true or false".to_owned(),
                "integer" => match (option["minimum"].as_u64(), option["maximum"].as_u64()) {
                    (Some(min), Some(max)) => format!("a whole number from {min} to {max}"),
                    _ => "a whole number from 0".to_owned(),
                },
                "string" if choices.is_empty() => "a text".to_owned(),
                _ => continue,
            };
            wanted.push(name);
        }
    }
    wanted.join(", or ")
}

/// Something of the right type, so that the rest can still be validated.
fn placeholder(schema: &Value) -> Value {
    let options = options(schema);
    if let Some(choice) = choices(&options).first() {
        return (*choice).into();
    }
    let Some(option) = options.first() else {
        return Value::Null;
    };
    match types(option).first().copied() {
        Some("string") => "".into(),
        Some("boolean") => false.into(),
        Some("integer") => option["minimum"].as_u64().unwrap_or(0).into(),
        Some("array") => Value::Array(Vec::new()),
        Some("object") => {
            let required = option["required"].as_array().into_iter().flatten();
            let fields = required
                .filter_map(Value::as_str)
                .map(|name| (name.to_owned(), placeholder(&option["properties"][name])));
            Value::Object(fields.collect())
        }
        _ => Value::Null,
    }
}

/// The path of the mapping that `name` is a field of. The shape is finite, as
/// no type of [`super::raw`] holds itself.
fn home(schema: &Value, name: &str, path: &str) -> Option<String> {
    for option in options(schema) {
        let Some(fields) = option["properties"].as_object() else {
            if types(option).contains(&"array")
                && let Some(found) = home(&option["items"], name, &format!("{path}[]"))
            {
                return Some(found);
            }
            continue;
        };
        if fields.contains_key(name) {
            return Some(match path {
                "" => "the top level".to_owned(),
                path => path.to_owned(),
            });
        }
        for (field, schema) in fields {
            if let Some(found) = home(schema, name, &join(path, field)) {
                return Some(found);
            }
        }
    }
    None
}
