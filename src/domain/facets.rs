//! What is known of one object, facet by facet, in a single text.
//!
//! A schema has a hundred thousand facets soon, and a map of strings for each
//! object takes several times the memory of the texts themselves.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Between a facet's name, the length of its value, and the value. No name
/// holds it.
const SEPARATOR: char = '\0';

/// Facets by name, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<String, String>", into = "BTreeMap<String, String>")]
pub struct Facets(Box<str>);

impl Facets {
    /// Adds a facet, or replaces it.
    pub fn set(&mut self, name: &str, value: &str) {
        let (before, after) = self.0.split_at(self.place(name));
        let after = match next(after) {
            Some((known, _, rest)) if known == name => rest,
            _ => after,
        };
        let length = value.len();
        self.0 = format!("{before}{name}{SEPARATOR}{length}{SEPARATOR}{value}{after}").into();
    }

    /// The value of a facet.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut rest = &*self.0;
        std::iter::from_fn(move || {
            let (name, value, after) = next(rest)?;
            rest = after;
            Some((name, value))
        })
    }

    /// Where the facet stands, or would have to.
    fn place(&self, name: &str) -> usize {
        let mut rest = &*self.0;
        while let Some((known, _, after)) = next(rest)
            && known < name
        {
            rest = after;
        }
        self.0.len() - rest.len()
    }
}

/// The first facet of a text, and what follows it.
fn next(text: &str) -> Option<(&str, &str, &str)> {
    let (name, rest) = text.split_once(SEPARATOR)?;
    let (length, rest) = rest.split_once(SEPARATOR)?;
    let (value, rest) = rest.split_at_checked(length.parse().ok()?)?;
    Some((name, value, rest))
}

impl From<BTreeMap<String, String>> for Facets {
    fn from(map: BTreeMap<String, String>) -> Self {
        let mut facets = Self::default();
        for (name, value) in &map {
            facets.set(name, value);
        }
        facets
    }
}

impl From<Facets> for BTreeMap<String, String> {
    fn from(facets: Facets) -> Self {
        let pairs = facets.iter();
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facets_are_kept_in_order_whatever_they_hold() {
        let mut facets = Facets::default();
        for (name, value) in [
            ("m", "é\0b\0"),
            ("z", ""),
            ("a", "1"),
            ("m", "é\u{0}3\u{0}x"),
        ] {
            facets.set(name, value);
        }
        let all: Vec<_> = facets.iter().collect();
        assert_eq!(all, [("a", "1"), ("m", "é\u{0}3\u{0}x"), ("z", "")]);
        assert_eq!(facets.get("m"), Some("é\u{0}3\u{0}x"));
        assert_eq!(facets.get("x"), None);
    }

    #[test]
    fn the_order_of_adding_does_not_matter() {
        let (mut one, mut other) = (Facets::default(), Facets::default());
        for (name, value) in [("owner", "ann"), ("type", "text")] {
            one.set(name, value);
        }
        for (name, value) in [("type", "text"), ("owner", "bob"), ("owner", "ann")] {
            other.set(name, value);
        }
        assert_eq!(one, other);
        let text = serde_json::to_string(&one).unwrap();
        assert_eq!(text, r#"{"owner":"ann","type":"text"}"#);
        assert_eq!(serde_json::from_str::<Facets>(&text).unwrap(), one);
    }
}
