//! What surrounds the schema: encoding and locale, extensions, collation
//! versions, roles.

use crate::domain::{
    check::{CheckKind, CheckResult, Finding, Severity},
    facets::Facets,
    inventory::{Inventory, SchemaDifference},
    recovery_point::Artifact,
};

const NAME: &str = "environment";
const KIND: CheckKind = CheckKind::Environment;

/// Properties of the database that decide how text is read and ordered.
const LOCALE: [&str; 6] = [
    "encoding",
    "collate",
    "ctype",
    "locale provider",
    "locale",
    "locale rules",
];

/// The facet of the library's own version: machines differ in it.
const LIBRARY: &str = "library version";

const REINDEX: &str = "restore with the libraries of the source's image, or REINDEX";

/// Compares. `superuser` is the scratch server's own role, which no source
/// has.
pub fn check(
    source: Option<&Inventory>,
    copy: &Inventory,
    superuser: &str,
    artifact: &Artifact,
) -> CheckResult {
    let Some(source) = source else {
        return super::untested(
            NAME,
            KIND,
            "the recovery point does not say what surrounded the source",
        );
    };
    let (source, copy) = (
        only_environment(source, superuser),
        only_environment(copy, superuser),
    );
    let judge = Judge {
        source: &source,
        physical: matches!(artifact, Artifact::PhysicalBackup { .. }),
        crossing: source.dialect != copy.dialect,
    };
    let mut findings: Vec<Finding> = source
        .differences(&copy)
        .iter()
        .filter_map(|difference| judge.finding(difference))
        .collect();
    findings.extend(drifted(&source).map(|(object, built, library)| {
        let message = format!(
            "at the source it was built with version {built}, and the library is {library}: \
             indexes on text may be wrongly ordered there"
        );
        Finding::warning(object, message).hint("REINDEX at the source")
    }));
    findings.extend(drifted(&copy).map(|(object, built, library)| {
        let message = format!(
            "was built with version {built}, and the library is {library}: indexes on text may \
             be wrongly ordered"
        );
        Finding::error(object, message).hint(REINDEX)
    }));
    let count = |class| source.class(class).count();
    let summary = format!(
        "locale, {} extensions, {} roles compared",
        count("extension"),
        count("role")
    );
    super::concluded(NAME, KIND, summary, findings)
}

/// Collations that indexes were built with another version of than the library
/// in use has.
fn drifted(inventory: &Inventory) -> impl Iterator<Item = (String, &str, &str)> {
    let version = |class: &str| match class {
        "database" => "collation version",
        _ => "version",
    };
    ["database", "collation version"]
        .into_iter()
        .flat_map(move |class| {
            let objects = inventory.class(class);
            objects.map(move |(name, facets)| (class, name, facets))
        })
        .filter_map(move |(class, name, facets)| {
            let built = facets.get(version(class))?;
            let library = facets.get(LIBRARY)?;
            (built != library).then(|| (subject(class, name), built, library))
        })
}

fn subject(class: &str, name: &str) -> String {
    match class {
        // Its name says nothing: the copy's is another one.
        "database" => "the database".to_owned(),
        _ => format!("{class} {name}"),
    }
}

fn only_environment(inventory: &Inventory, superuser: &str) -> Inventory {
    inventory.only(|class, name| {
        super::schema::ENVIRONMENT.contains(&class)
            && (class != "role" || name.trim_matches('"') != superuser)
    })
}

struct Judge<'a> {
    source: &'a Inventory,
    physical: bool,
    /// Whether the major versions differ.
    crossing: bool,
}

impl Judge<'_> {
    fn finding(&self, difference: &SchemaDifference) -> Option<Finding> {
        let object = difference.object();
        let subject = subject(&object.class, &object.name);
        match (difference, object.class.as_str()) {
            (SchemaDifference::Missing { .. }, "extension") => Some(
                Finding::error(subject, "is missing")
                    .hint("install its package for the scratch server's version"),
            ),
            (SchemaDifference::Missing { .. }, "role") => Some(self.missing_role(&object.name)),
            // What only the copy has, or has no version, harms nothing here.
            (SchemaDifference::Missing { .. } | SchemaDifference::Extra { .. }, _) => None,
            (
                SchemaDifference::Changed {
                    facet,
                    source,
                    copy,
                    ..
                },
                class,
            ) => {
                let told = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".into());
                let message = format!("{facet} is {}, was {}", told(copy), told(source));
                self.changed(class, facet, subject, message)
            }
        }
    }

    fn missing_role(&self, name: &str) -> Finding {
        let subject = format!("role {name}");
        let used = self
            .facets(name)
            .is_some_and(|facets| facets.get("used") == Some("true"));
        if used {
            Finding::error(
                subject,
                "is missing, and owns or is granted something in the database",
            )
            .hint("roles are not in a dump: keep `pg_dumpall --globals-only` beside it")
        } else {
            Finding::warning(subject, "is missing; nothing in the database needs it")
        }
    }

    fn facets(&self, role: &str) -> Option<&Facets> {
        let mut roles = self.source.class("role");
        roles
            .find(|(name, _)| *name == role)
            .map(|(_, facets)| facets)
    }

    fn changed(
        &self,
        class: &str,
        facet: &str,
        subject: String,
        message: String,
    ) -> Option<Finding> {
        let severity = match (class, facet) {
            ("role", "used") | (_, LIBRARY) => return None,
            ("database", "locale" | "locale provider" | "locale rules") if self.crossing => {
                Severity::Warning
            }
            ("database", facet) if LOCALE.contains(&facet) => Severity::Error,
            ("collation version", _) | ("database", "collation version") => {
                return Some(self.collation_drift(subject, message));
            }
            ("extension", "version") => {
                let hint = "a dump installs the version that the server has by default";
                return Some(Finding::warning(subject, message).hint(hint));
            }
            // What no statement of the globals brings.
            ("database", "connection limit") => {
                let hint = "this is not part of a database's dump";
                return Some(Finding::warning(subject, message).hint(hint));
            }
            ("role", _) if self.crossing => Severity::Warning,
            _ => Severity::Error,
        };
        Some(match severity {
            Severity::Error => Finding::error(subject, message),
            _ => Finding::warning(subject, message),
        })
    }

    fn collation_drift(&self, subject: String, message: String) -> Finding {
        if self.physical {
            let message = format!("{message}: indexes on text may be wrongly ordered");
            return Finding::error(subject, message).hint(REINDEX);
        }
        let message = format!(
            "{message}: indexes on text may be ordered differently; a logical restore rebuilt them"
        );
        Finding::warning(subject, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inventory(rows: &[(&str, &str, &str)]) -> Inventory {
        let mut all = Inventory::new("postgresql 15");
        for (class, facet, value) in rows {
            all.add(class, "x", facet, value);
        }
        all
    }

    fn told(source: &Inventory, copy: &Inventory) -> Vec<(Severity, String)> {
        let artifact = Artifact::LogicalDump {
            path: "d".into(),
            format: "custom".into(),
        };
        let check = check(Some(source), copy, "nobody", &artifact);
        let line = |f: Finding| (f.severity, format!("{} {}", f.subject, f.message));
        check.findings.into_iter().map(line).collect()
    }

    #[test]
    fn indexes_built_with_another_library_are_told_on_the_side_where_they_are() {
        let class = "collation version";
        let here = inventory(&[(class, "version", "2"), (class, LIBRARY, "2")]);
        // Another machine has another library, which by itself harms nothing.
        let there = inventory(&[(class, "version", "1"), (class, LIBRARY, "1")]);
        let drifted = inventory(&[(class, "version", "1"), (class, LIBRARY, "2")]);
        let severities = |source, copy| -> Vec<Severity> {
            told(source, copy)
                .into_iter()
                .map(|(severity, _)| severity)
                .collect()
        };
        assert_eq!(severities(&here, &here), []);
        assert_eq!(severities(&there, &here), [Severity::Warning]);
        let (severity, text) = told(&drifted, &drifted).remove(0);
        assert_eq!(severity, Severity::Error);
        let expected = "collation version x was built with version 1, and the library is 2";
        assert!(text.starts_with(expected), "{text}");
        // The version differs, and the source's own indexes are at risk.
        let warnings = [Severity::Warning, Severity::Warning];
        assert_eq!(severities(&drifted, &here), warnings);
    }

    #[test]
    fn what_the_globals_bring_has_to_be_there() {
        let source = inventory(&[
            ("database", "setting search_path", "shop"),
            ("database", "connection limit", "7"),
            ("role", "attributes", "login"),
            ("role", "used", "true"),
        ]);
        let copy = inventory(&[
            ("database", "owner", "x"),
            ("role", "attributes", "nologin"),
        ]);
        let mut found = told(&source, &copy);
        found.sort();
        let expected = [
            (Severity::Error, "role x attributes is nologin, was login"),
            (Severity::Error, "the database owner is x, was none"),
            (
                Severity::Error,
                "the database setting search_path is none, was shop",
            ),
            (
                Severity::Warning,
                "the database connection limit is none, was 7",
            ),
        ];
        assert_eq!(
            found,
            expected.map(|(severity, text)| (severity, text.to_owned()))
        );
    }
}
