//! The inventory: every object of a database's schema, described in text that
//! does not depend on where it is read.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

/// All objects, each with its facets (`type`, `owner`, `grants`, `comment`,
/// `definition`, …).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// What wrote the texts, such as `postgresql 15`: definitions that a
    /// server prints can read differently in another major version.
    pub dialect: String,
    objects: BTreeMap<String, BTreeMap<String, BTreeMap<String, String>>>,
}

/// What an object is called within the inventory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectRef {
    /// `table`, `column`, `index`, `function`, …
    pub class: String,
    /// Qualified, as the engine quotes it.
    pub name: String,
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.class, self.name)
    }
}

/// One way in which the copy's schema is not the source's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "difference")]
pub enum SchemaDifference {
    /// In the source only.
    Missing { object: ObjectRef },
    /// In the copy only.
    Extra { object: ObjectRef },
    /// A facet is not the same.
    Changed {
        object: ObjectRef,
        facet: String,
        source: Option<String>,
        copy: Option<String>,
    },
}

impl SchemaDifference {
    /// The object concerned.
    #[must_use]
    pub fn object(&self) -> &ObjectRef {
        match self {
            Self::Missing { object } | Self::Extra { object } | Self::Changed { object, .. } => {
                object
            }
        }
    }
}

impl Inventory {
    /// An empty inventory.
    pub fn new(dialect: impl Into<String>) -> Self {
        Self {
            dialect: dialect.into(),
            objects: BTreeMap::new(),
        }
    }

    /// Adds one facet of an object. The facet `exists` is implied.
    pub fn add(&mut self, class: &str, name: &str, facet: &str, value: &str) {
        let facets = self
            .objects
            .entry(class.to_owned())
            .or_default()
            .entry(name.to_owned())
            .or_default();
        facets.insert(facet.to_owned(), value.to_owned());
    }

    /// The number of objects.
    #[must_use]
    pub fn len(&self) -> usize {
        self.objects.values().map(BTreeMap::len).sum()
    }

    /// Whether there is no object.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// The objects of a class with their facets.
    pub fn class(&self, class: &str) -> impl Iterator<Item = (&String, &BTreeMap<String, String>)> {
        self.objects.get(class).into_iter().flatten()
    }

    /// Leaves out the objects for which `keep` is false.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &str) -> bool) {
        for (class, objects) in &mut self.objects {
            objects.retain(|name, _| keep(class, name));
        }
        self.objects.retain(|_, objects| !objects.is_empty());
    }

    /// Every difference, ordered by class and name.
    #[must_use]
    pub fn differences(&self, copy: &Self) -> Vec<SchemaDifference> {
        let ours = self.flat();
        let theirs = copy.flat();
        let mut found = Vec::new();
        for (object, facets) in &ours {
            match theirs.get(object) {
                None => found.push(SchemaDifference::Missing {
                    object: object.clone(),
                }),
                Some(others) => changed_facets(object, facets, others, &mut found),
            }
        }
        for object in theirs.keys().filter(|object| !ours.contains_key(object)) {
            found.push(SchemaDifference::Extra {
                object: object.clone(),
            });
        }
        found.sort_by(|a, b| a.object().cmp(b.object()));
        found
    }

    fn flat(&self) -> BTreeMap<ObjectRef, &BTreeMap<String, String>> {
        let mut all = BTreeMap::new();
        for (class, objects) in &self.objects {
            for (name, facets) in objects {
                let (class, name) = (class.clone(), name.clone());
                all.insert(ObjectRef { class, name }, facets);
            }
        }
        all
    }
}

fn changed_facets(
    object: &ObjectRef,
    source: &BTreeMap<String, String>,
    copy: &BTreeMap<String, String>,
    found: &mut Vec<SchemaDifference>,
) {
    let facets: std::collections::BTreeSet<_> = source.keys().chain(copy.keys()).collect();
    for facet in facets {
        if source.get(facet) != copy.get(facet) {
            found.push(SchemaDifference::Changed {
                object: object.clone(),
                facet: facet.clone(),
                source: source.get(facet).cloned(),
                copy: copy.get(facet).cloned(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inventory(rows: &[(&str, &str, &str, &str)]) -> Inventory {
        let mut all = Inventory::new("test");
        for (class, name, facet, value) in rows {
            all.add(class, name, facet, value);
        }
        all
    }

    #[test]
    fn tells_missing_extra_and_changed_apart() {
        let source = inventory(&[
            ("table", "t", "owner", "ann"),
            ("index", "i", "definition", "on t (a)"),
        ]);
        let copy = inventory(&[
            ("table", "t", "owner", "bob"),
            ("view", "v", "definition", "select 1"),
        ]);
        let found = source.differences(&copy);
        assert_eq!(found.len(), 3);
        assert!(matches!(&found[0], SchemaDifference::Missing { object } if object.name == "i"));
        assert!(matches!(&found[1], SchemaDifference::Changed { facet, .. } if facet == "owner"));
        assert!(matches!(&found[2], SchemaDifference::Extra { object } if object.name == "v"));
        assert!(source.differences(&source).is_empty());
    }
}
