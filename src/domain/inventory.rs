//! The inventory: every object of a database's schema, described in text that
//! does not depend on where it is read.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{Deserialize, Serialize};

use super::facets::Facets;

/// All objects, each with its facets (`type`, `owner`, `grants`, `comment`,
/// `definition`, …).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// What wrote the texts, such as `postgresql 15`: definitions that a
    /// server prints can read differently in another major version.
    pub dialect: String,
    objects: BTreeMap<String, BTreeMap<String, Facets>>,
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
        let objects = self.objects.entry(class.to_owned()).or_default();
        let facets = objects.entry(name.to_owned()).or_default();
        facets.set(facet, value);
    }

    /// The number of objects.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count(|_| true)
    }

    /// Whether there is no object.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// The number of objects of the classes that `counts`.
    #[must_use]
    pub fn count(&self, counts: impl Fn(&str) -> bool) -> usize {
        let classes = self.objects.iter();
        classes
            .filter(|(class, _)| counts(class))
            .map(|(_, objects)| objects.len())
            .sum()
    }

    /// The objects of a class with their facets.
    pub fn class(&self, class: &str) -> impl Iterator<Item = (&String, &Facets)> {
        self.objects.get(class).into_iter().flatten()
    }

    /// Leaves out the objects for which `keep` is false.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &str) -> bool) {
        for (class, objects) in &mut self.objects {
            objects.retain(|name, _| keep(class, name));
        }
        self.objects.retain(|_, objects| !objects.is_empty());
    }

    /// A copy of the objects for which `keep` is true.
    #[must_use]
    pub fn only(&self, keep: impl Fn(&str, &str) -> bool) -> Self {
        let mut kept = Self::new(&self.dialect);
        for (class, objects) in &self.objects {
            let objects: BTreeMap<_, _> = objects
                .iter()
                .filter(|(name, _)| keep(class, name))
                .map(|(name, facets)| (name.clone(), facets.clone()))
                .collect();
            if !objects.is_empty() {
                kept.objects.insert(class.clone(), objects);
            }
        }
        kept
    }

    /// Every difference, ordered by class and name.
    #[must_use]
    pub fn differences(&self, copy: &Self) -> Vec<SchemaDifference> {
        let none = BTreeMap::new();
        let mut found = Vec::new();
        for class in either(&self.objects, &copy.objects) {
            let ours = self.objects.get(class).unwrap_or(&none);
            let theirs = copy.objects.get(class).unwrap_or(&none);
            for name in either(ours, theirs) {
                let object = || ObjectRef {
                    class: class.clone(),
                    name: name.clone(),
                };
                match (ours.get(name), theirs.get(name)) {
                    (Some(source), Some(copy)) if source == copy => {}
                    (Some(source), Some(copy)) => {
                        changed_facets(&object(), source, copy, &mut found);
                    }
                    (Some(_), None) => found.push(SchemaDifference::Missing { object: object() }),
                    (None, _) => found.push(SchemaDifference::Extra { object: object() }),
                }
            }
        }
        found
    }
}

/// The keys of both, in order.
fn either<'a, T>(
    one: &'a BTreeMap<String, T>,
    other: &'a BTreeMap<String, T>,
) -> BTreeSet<&'a String> {
    one.keys().chain(other.keys()).collect()
}

fn changed_facets(
    object: &ObjectRef,
    source: &Facets,
    copy: &Facets,
    found: &mut Vec<SchemaDifference>,
) {
    let names: BTreeSet<&str> = source.iter().chain(copy.iter()).map(|(n, _)| n).collect();
    for facet in names {
        if source.get(facet) != copy.get(facet) {
            found.push(SchemaDifference::Changed {
                object: object.clone(),
                facet: facet.to_owned(),
                source: source.get(facet).map(str::to_owned),
                copy: copy.get(facet).map(str::to_owned),
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
