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
    let findings = source
        .differences(&copy)
        .iter()
        .filter_map(|difference| judge.finding(difference))
        .collect();
    let count = |class| source.class(class).count();
    let summary = format!(
        "locale, {} extensions, {} roles compared",
        count("extension"),
        count("role")
    );
    super::concluded(NAME, KIND, summary, findings)
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
        let subject = object.to_string();
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
            ("role", "used") => return None,
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
            ("extension", _) => Severity::Error,
            _ => Severity::Warning,
        };
        Some(match severity {
            Severity::Error => Finding::error(subject, message),
            _ => Finding::warning(subject, message).hint("this is not part of a database's dump"),
        })
    }

    fn collation_drift(&self, subject: String, message: String) -> Finding {
        if self.physical {
            let hint = "restore with the libraries of the source's image, or REINDEX";
            let message = format!("{message}: indexes on text may be wrongly ordered");
            return Finding::error(subject, message).hint(hint);
        }
        let message = format!(
            "{message}: indexes on text may be ordered differently; a logical restore rebuilt them"
        );
        Finding::warning(subject, message)
    }
}
