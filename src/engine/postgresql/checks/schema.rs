//! The schema of the copy against that of the source.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{
    check::{CheckKind, CheckResult, Finding},
    failure::Failure,
    inventory::{Inventory, ObjectRef, SchemaDifference},
};

const NAME: &str = "schema";
const KIND: CheckKind = CheckKind::Schema;

/// Why a backup that was found is not compared.
pub const NONE: &str =
    "the source's schema at the cut is not known: the recovery point was found, not made";

/// Classes that another check answers for.
pub(super) const ENVIRONMENT: [&str; 4] = ["database", "role", "extension", "collation version"];

/// Facets that a server prints from its own inner form: they can read
/// differently in another major version and mean the same.
const PRINTED: [&str; 9] = [
    "definition",
    "default",
    "generated",
    "using",
    "with check",
    "constraints",
    "partition bound",
    "partition key",
    "tables",
];

/// What a facet begins with that is too long to be kept whole.
const DIGEST: &str = "digest ";

/// Who owns `public` where nobody has changed that (`inventory/sql`).
const THE_DEFAULT: &str = "the default";

/// Longest text quoted in a finding, in characters.
const LONGEST: usize = 100;

/// Compares. Without an inventory of the source nothing can be said.
pub fn check(source: Option<&Inventory>, copy: &Inventory) -> CheckResult {
    let Some(source) = source else {
        return super::untested(
            NAME,
            KIND,
            "the recovery point has no inventory of the source's schema",
        );
    };
    let crossing = Crossing::between(source, copy);
    let mut differences = source.differences(copy);
    differences.retain(|difference| is_schema(&difference.object().class));
    let folded = Folded::of(&differences, source, copy);
    let findings = differences
        .iter()
        .filter(|difference| !folded.hides(difference) && !everywhere(difference, copy))
        .filter_map(|difference| {
            if let Some(finding) = left_out(difference, source) {
                return Some(finding);
            }
            let finding = crossing.judge(difference)?;
            Some(folded.with_children(finding, difference))
        })
        .collect();
    let objects = source.count(is_schema);
    let mut summary = format!("{objects} objects compared");
    if let Some(majors) = crossing.majors() {
        summary = format!("{summary}, {majors}");
    }
    super::concluded(NAME, KIND, summary, findings)
}

/// What is said of a copy whose catalog cannot be read.
pub fn unreadable(failure: &Failure) -> CheckResult {
    let finding = Finding::failed("the copy", failure);
    super::concluded(NAME, KIND, "cannot be read", vec![finding])
}

/// Every new database has the schema `public`, also where the source dropped
/// it. But nobody gives it another owner there.
fn everywhere(difference: &SchemaDifference, copy: &Inventory) -> bool {
    let SchemaDifference::Extra { object } = difference else {
        return false;
    };
    object.class == "schema"
        && object.name == "public"
        && copy.class("schema").any(|(name, facets)| {
            name == "public" && facets.get("owner").is_none_or(|owner| owner == THE_DEFAULT)
        })
}

/// An index that no dump brings, because it is not valid at the source.
fn left_out(difference: &SchemaDifference, source: &Inventory) -> Option<Finding> {
    let SchemaDifference::Missing { object } = difference else {
        return None;
    };
    let mut indexes = source.class("index");
    let (_, facets) = indexes.find(|(name, _)| object.class == "index" && **name == object.name)?;
    // A partitioned one is invalid until every partition has its own.
    let whole = facets.get("kind").is_none();
    let state = facets.get("state").filter(|s| whole && *s != "valid")?;
    let message = format!("is {state} at the source, so no dump brings it");
    let hint = "REINDEX or drop it at the source";
    Some(Finding::warning(object.to_string(), message).hint(hint))
}

fn is_schema(class: &str) -> bool {
    !ENVIRONMENT.contains(&class)
}

/// Whether source and copy are of different major versions.
struct Crossing<'a>(Option<(&'a str, &'a str)>);

impl<'a> Crossing<'a> {
    fn between(source: &'a Inventory, copy: &'a Inventory) -> Self {
        let pair = (source.dialect.as_str(), copy.dialect.as_str());
        Self((pair.0 != pair.1).then_some(pair))
    }

    fn majors(&self) -> Option<String> {
        self.0.map(|(from, to)| format!("{from} with {to}"))
    }

    /// What a difference amounts to; `None` where the versions alone explain
    /// it.
    fn judge(&self, difference: &SchemaDifference) -> Option<Finding> {
        match difference {
            // A copy must not subscribe to the source's publisher.
            SchemaDifference::Missing { object } if object.class == "subscription" => Some(
                Finding::warning(object.to_string(), "is left out of the copy"),
            ),
            SchemaDifference::Missing { object } => {
                Some(Finding::error(object.to_string(), "is missing"))
            }
            SchemaDifference::Extra { object } => {
                Some(Finding::error(object.to_string(), "is not in the source"))
            }
            SchemaDifference::Changed {
                object,
                facet,
                source,
                copy,
            } => self.changed(object, facet, source.as_deref(), copy.as_deref()),
        }
    }

    fn changed(
        &self,
        object: &ObjectRef,
        facet: &str,
        source: Option<&str>,
        copy: Option<&str>,
    ) -> Option<Finding> {
        let subject = object.to_string();
        let message = describe(facet, source, copy);
        if facet == "disabled triggers" && copy.is_none() {
            let message = "is enforced again, which no dump can help";
            return Some(Finding::warning(subject, message));
        }
        if self.0.is_none() {
            return Some(Finding::error(subject, message));
        }
        if facet == "grants" && without_maintain(source) == without_maintain(copy) {
            return None;
        }
        if !PRINTED.contains(&facet) {
            return Some(Finding::error(subject, message));
        }
        if without_qualification(source) == without_qualification(copy) {
            return None;
        }
        let hint = "another major version prints it; compare the two by eye";
        Some(Finding::warning(subject, message).hint(hint))
    }
}

/// The privilege `MAINTAIN` came with 17 and is among every owner's defaults.
fn without_maintain(grants: Option<&str>) -> String {
    let grants = grants.unwrap_or_default();
    grants.replace("MAINTAIN, ", "").replace(", MAINTAIN", "")
}

/// White space, parentheses and column qualification are what majors print
/// differently.
fn without_qualification(definition: Option<&str>) -> String {
    let words = definition.unwrap_or_default();
    words
        .split(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | ','))
        .filter(|word| !word.is_empty())
        .map(|word| word.rsplit('.').next().unwrap_or(word))
        .collect::<Vec<_>>()
        .join(" ")
}

fn describe(facet: &str, source: Option<&str>, copy: Option<&str>) -> String {
    match (source, copy) {
        (Some(was), None) if was.chars().count() <= LONGEST => format!("lost its {facet}: {was}"),
        (Some(_), None) => format!("lost its {facet}"),
        (None, Some(is)) if is.chars().count() <= LONGEST => {
            format!("has {facet}: {is}, unlike the source")
        }
        (None, _) => format!("has {facet}, unlike the source"),
        (Some(was), Some(_)) if was.starts_with(DIGEST) => format!("{facet} are not the same"),
        (Some(was), Some(is)) if was.len() + is.len() <= 2 * LONGEST => {
            format!("{facet} is {is}, was {was}")
        }
        (Some(was), Some(is)) => {
            let line = was.lines().zip(is.lines()).position(|(a, b)| a != b);
            let line = line.unwrap_or_else(|| was.lines().count().min(is.lines().count())) + 1;
            format!("{facet} is not the same, from its line {line} on")
        }
    }
}

/// Differences that follow from another one: what was on a missing table is
/// missing, too, and is counted instead of listed.
struct Folded<'a> {
    /// Whole objects that differ, by name: their sides.
    whole: BTreeSet<String>,
    /// The parent of each object that is missing or extra.
    parents: BTreeMap<&'a ObjectRef, String>,
    /// Tables whose set of columns differs.
    reshaped: BTreeSet<String>,
}

impl<'a> Folded<'a> {
    fn of(differences: &'a [SchemaDifference], source: &Inventory, copy: &Inventory) -> Self {
        let mut folded = Self {
            whole: BTreeSet::new(),
            parents: BTreeMap::new(),
            reshaped: BTreeSet::new(),
        };
        for difference in differences {
            let (side, object) = match difference {
                SchemaDifference::Missing { object } => (source, object),
                SchemaDifference::Extra { object } => (copy, object),
                SchemaDifference::Changed { .. } => continue,
            };
            if object.class != "comment" {
                folded.whole.insert(object.name.clone());
            }
            if let Some(parent) = parent(side, object) {
                if object.class == "column" {
                    folded.reshaped.insert(parent.clone());
                }
                folded.parents.insert(object, parent);
            }
        }
        folded
    }

    fn hides(&self, difference: &SchemaDifference) -> bool {
        match difference {
            SchemaDifference::Changed { object, facet, .. } => {
                facet == "column order" && self.reshaped.contains(&object.name)
            }
            SchemaDifference::Missing { object } | SchemaDifference::Extra { object } => {
                self.parent_differs(object)
            }
        }
    }

    fn parent_differs(&self, object: &ObjectRef) -> bool {
        if object.class == "comment" {
            // `on index public.i`, `on table column public.t.c`
            return self
                .whole
                .iter()
                .any(|name| object.name.ends_with(&format!(" {name}")));
        }
        self.parents
            .get(object)
            .is_some_and(|parent| self.whole.contains(parent))
    }

    fn with_children(&self, mut finding: Finding, difference: &SchemaDifference) -> Finding {
        let name = &difference.object().name;
        if matches!(difference, SchemaDifference::Changed { .. }) || !self.whole.contains(name) {
            return finding;
        }
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for (child, _) in self.parents.iter().filter(|(_, parent)| *parent == name) {
            *counts.entry(child.class.as_str()).or_default() += 1;
        }
        if !counts.is_empty() {
            let list: Vec<_> = counts.iter().map(|(c, n)| format!("{n} x {c}")).collect();
            finding.message = format!("{}, with {}", finding.message, list.join(", "));
        }
        finding
    }
}

fn parent(side: &Inventory, object: &ObjectRef) -> Option<String> {
    side.class(&object.class)
        .find(|(name, _)| **name == object.name)
        .and_then(|(_, facets)| facets.get("of").map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::check::{
        Outcome,
        Severity::{Error, Warning},
    };

    fn inventory(dialect: &str, rows: &[(&str, &str, &str, &str)]) -> Inventory {
        let mut all = Inventory::new(dialect);
        for (class, name, facet, value) in rows {
            all.add(class, name, facet, value);
        }
        all
    }

    #[test]
    fn a_missing_table_is_one_finding() {
        let source = inventory(
            "postgresql 15",
            &[
                ("table", "public.t", "owner", "ann"),
                ("column", "public.t.a", "of", "public.t"),
                ("column", "public.t.b", "of", "public.t"),
                ("comment", "on table public.t", "text", "x"),
            ],
        );
        let check = check(Some(&source), &inventory("postgresql 15", &[]));
        assert_eq!(check.outcome, Outcome::Fail);
        assert_eq!(check.findings.len(), 1, "{check:?}");
        assert_eq!(check.findings[0].message, "is missing, with 2 x column");
    }

    #[test]
    fn another_major_may_print_a_definition_differently_but_not_leave_it_out() {
        let old = [
            (
                "view",
                "public.v",
                "definition",
                "SELECT t.a\n FROM public.t",
            ),
            ("view", "public.w", "definition", "SELECT 1"),
            ("table", "public.t", "grants", "the owner: INSERT, SELECT"),
            ("index", "public.i", "definition", "on t (a)"),
        ];
        let new = [
            ("view", "public.v", "definition", "SELECT a FROM public.t"),
            ("view", "public.w", "definition", "SELECT 2"),
            (
                "table",
                "public.t",
                "grants",
                "the owner: INSERT, MAINTAIN, SELECT",
            ),
        ];
        let (old, new) = (
            inventory("postgresql 15", &old),
            inventory("postgresql 17", &new),
        );
        let check = check(Some(&old), &new);
        let told: Vec<_> = check
            .findings
            .iter()
            .map(|f| (f.severity, f.subject.as_str()))
            .collect();
        assert_eq!(
            told,
            [(Error, "index public.i"), (Warning, "view public.w")]
        );
    }

    #[test]
    fn what_no_dump_brings_or_any_database_has_is_no_fault() {
        let index = |name| ("index", name, "state", "invalid");
        let rows = [
            index("public.failed"),
            index("public.parent"),
            ("index", "public.parent", "kind", "partitioned"),
            ("index", "public.good", "state", "valid"),
        ];
        let source = inventory("postgresql 15", &rows);
        let copy = [("schema", "public", "owner", "the default")];
        let check = check(Some(&source), &inventory("postgresql 15", &copy));
        let told: Vec<_> = check
            .findings
            .iter()
            .map(|f| (f.severity, f.subject.as_str()))
            .collect();
        let expected = [
            (Error, "index public.good"),
            (Error, "index public.parent"),
            (Warning, "index public.failed"),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn a_public_schema_of_somebody_else_is_no_new_databases() {
        let copy = [("schema", "public", "owner", "ann")];
        let source = inventory("postgresql 15", &[]);
        let check = check(Some(&source), &inventory("postgresql 15", &copy));
        assert_eq!(check.outcome, Outcome::Fail, "{check:?}");
    }

    #[test]
    fn without_an_inventory_nothing_is_claimed() {
        let check = check(None, &inventory("postgresql 15", &[]));
        assert_eq!(check.outcome, Outcome::Untested);
    }
}
