//! YAML as a tree that knows where everything stands.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    rc::Rc,
};

use serde_saphyr::granit_parser::{Event, Marker, Parser, ScalarStyle, ScanError};

use super::error::{Place, SpecError};

/// The most nodes that a document may have once its aliases are expanded.
const MAX_NODES: usize = 50_000;
/// The deepest nesting.
const MAX_DEPTH: usize = 32;

pub(super) struct Node {
    pub place: Place,
    pub content: Content,
    /// Number of nodes in here, aliases expanded.
    size: usize,
    depth: usize,
}

pub(super) enum Content {
    /// `plain` where it is written without quotes.
    Scalar {
        text: String,
        plain: bool,
    },
    Sequence(Vec<Rc<Node>>),
    Mapping(Vec<Entry>),
}

#[derive(Clone)]
pub(super) struct Entry {
    pub key: String,
    pub place: Place,
    pub value: Rc<Node>,
}

impl Node {
    /// Whether nothing is written here.
    pub fn is_null(&self) -> bool {
        matches!(&self.content, Content::Scalar { text, plain: true }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }
}

/// Reads the documents in `text` that are not empty. Stops at the first error
/// of syntax.
pub(super) fn read(text: &str, file: &Path, errors: &mut Vec<SpecError>) -> Vec<Rc<Node>> {
    let mut builder = Builder {
        file: file.to_owned(),
        open: Vec::new(),
        anchors: HashMap::new(),
        roots: Vec::new(),
    };
    for event in Parser::new_from_str(text) {
        let taken = match event {
            Ok((event, span)) => builder.take(event, place(span.start), errors),
            Err(error) => Err(Box::new(syntax(&error, text, file))),
        };
        if let Err(error) = taken {
            errors.push(*error);
            return Vec::new();
        }
    }
    builder.roots.retain(|root| !root.is_null());
    builder.roots
}

fn place(marker: Marker) -> Place {
    Place {
        line: marker.line().max(1),
        column: marker.col() + 1,
    }
}

fn syntax(error: &ScanError, text: &str, file: &Path) -> SpecError {
    let at = place(*error.marker());
    let tab = text.lines().enumerate().take(at.line).find(|(_, line)| {
        line.chars()
            .take_while(|c| c.is_whitespace())
            .any(|c| c == '\t')
    });
    let hint = tab.map(|(index, _)| {
        let line = index + 1;
        format!("line {line} is indented with a tab; YAML indents with spaces")
    });
    SpecError::new(file, at, "", format!("not valid YAML: {}", error.info())).hint(hint)
}

/// A collection that is not closed yet.
struct Open {
    place: Place,
    anchor: usize,
    mapping: bool,
    /// In a mapping, keys and values take turns.
    children: Vec<Rc<Node>>,
}

struct Builder {
    file: PathBuf,
    open: Vec<Open>,
    anchors: HashMap<usize, Rc<Node>>,
    roots: Vec<Rc<Node>>,
}

impl Builder {
    fn take(
        &mut self,
        event: Event<'_>,
        place: Place,
        errors: &mut Vec<SpecError>,
    ) -> Result<(), Box<SpecError>> {
        if tagged(&event) {
            let message = "YAML tags (`!…`) have no meaning in a drill";
            return Err(self.error(place, message).into());
        }
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let content = Content::Scalar {
                    text: text.into_owned(),
                    plain: style == ScalarStyle::Plain,
                };
                self.add(
                    Rc::new(Node {
                        place,
                        content,
                        size: 1,
                        depth: 1,
                    }),
                    anchor,
                );
                Ok(())
            }
            Event::Alias(id) => match self.anchors.get(&id).cloned() {
                Some(node) => {
                    self.add(node, 0);
                    Ok(())
                }
                None => Err(self
                    .error(place, "an alias inside of what it stands for")
                    .into()),
            },
            Event::SequenceStart(_, anchor, _) => self.begin(place, anchor, false),
            Event::MappingStart(_, anchor, _) => self.begin(place, anchor, true),
            Event::SequenceEnd | Event::MappingEnd => self.end(errors),
            _ => Ok(()),
        }
    }

    fn error(&self, place: Place, message: &str) -> SpecError {
        SpecError::new(&self.file, place, "", message)
    }

    fn begin(&mut self, place: Place, anchor: usize, mapping: bool) -> Result<(), Box<SpecError>> {
        if self.open.len() >= MAX_DEPTH {
            return Err(self.error(place, "nested too deeply").into());
        }
        self.open.push(Open {
            place,
            anchor,
            mapping,
            children: Vec::new(),
        });
        Ok(())
    }

    fn end(&mut self, errors: &mut Vec<SpecError>) -> Result<(), Box<SpecError>> {
        let Some(open) = self.open.pop() else {
            return Ok(());
        };
        let size = 1 + open.children.iter().map(|node| node.size).sum::<usize>();
        let depth = 1 + open
            .children
            .iter()
            .map(|node| node.depth)
            .max()
            .unwrap_or(0);
        // Before merge keys copy entries: a bomb must not go off here.
        self.limits(open.place, size, depth)?;
        let content = if open.mapping {
            Content::Mapping(self.entries(&open.children, errors))
        } else {
            Content::Sequence(open.children)
        };
        let node = Node {
            place: open.place,
            content,
            size,
            depth,
        };
        self.add(Rc::new(node), open.anchor);
        Ok(())
    }

    /// Aliases share nodes, so a bomb takes no memory; but walking it would
    /// take forever.
    fn limits(&self, place: Place, size: usize, depth: usize) -> Result<(), Box<SpecError>> {
        if size > MAX_NODES {
            return Err(self
                .error(place, "too many nodes once aliases are expanded")
                .into());
        }
        if depth > MAX_DEPTH {
            return Err(self
                .error(place, "nested too deeply once aliases are expanded")
                .into());
        }
        Ok(())
    }

    fn add(&mut self, node: Rc<Node>, anchor: usize) {
        if anchor > 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        match self.open.last_mut() {
            Some(open) => open.children.push(node),
            None => self.roots.push(node),
        }
    }

    fn entries(&self, children: &[Rc<Node>], errors: &mut Vec<SpecError>) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut merged: Vec<Entry> = Vec::new();
        // Key to line; a search through `entries` would be quadratic.
        let mut seen: HashMap<String, usize> = HashMap::new();
        for pair in children.chunks_exact(2) {
            let (key, value) = (&pair[0], &pair[1]);
            let Content::Scalar { text, plain } = &key.content else {
                errors.push(self.error(key.place, "a key must be a plain text"));
                continue;
            };
            if *plain && text == "<<" {
                match merge(value) {
                    Some(more) => merged.extend(more),
                    None => errors.push(self.error(key.place, "`<<` takes mappings only")),
                }
            } else if let Some(line) = seen.get(text) {
                let message = format!("the key `{text}` is here twice; first in line {line}");
                errors.push(self.error(key.place, &message));
            } else {
                seen.insert(text.clone(), key.place.line);
                entries.push(Entry {
                    key: text.clone(),
                    place: key.place,
                    value: Rc::clone(value),
                });
            }
        }
        for entry in merged {
            // The mapping's own keys win, then the mapping merged first.
            if seen.insert(entry.key.clone(), entry.place.line).is_none() {
                entries.push(entry);
            }
        }
        entries
    }
}

fn tagged(event: &Event<'_>) -> bool {
    matches!(
        event,
        Event::Scalar(.., Some(_))
            | Event::SequenceStart(.., Some(_))
            | Event::MappingStart(.., Some(_))
    )
}

/// The entries that a merge key brings.
fn merge(value: &Node) -> Option<Vec<Entry>> {
    match &value.content {
        Content::Mapping(entries) => Some(entries.clone()),
        Content::Sequence(items) => {
            let mappings: Option<Vec<_>> = items.iter().map(|item| merge(item)).collect();
            mappings.map(|lists| lists.into_iter().flatten().collect())
        }
        Content::Scalar { .. } => None,
    }
}
