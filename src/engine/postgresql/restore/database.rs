//! The empty database, as the source made it.

use super::Work;
use crate::{
    domain::failure::{Failure, FailureKind},
    engine::postgresql::{
        archive::header::Header,
        error::failure,
        globals::{identifier, literal},
        session::Session,
    },
};

/// The options of `CREATE DATABASE` that are taken over from an archive.
const OPTIONS: [&str; 8] = [
    "ENCODING",
    "LOCALE_PROVIDER",
    "LOCALE",
    "LC_COLLATE",
    "LC_CTYPE",
    "ICU_LOCALE",
    "ICU_RULES",
    "BUILTIN_LOCALE",
];

/// Makes the database anew, with encoding and locale of the backup; with those
/// of this machine, and a note, where it has no such locale.
pub(super) async fn create(
    work: &Work<'_>,
    session: &Session,
    header: Option<&Header>,
) -> Result<(), Failure> {
    let name = identifier(&work.cluster.database);
    let doing = "make the database of the copy";
    session
        .batch(
            doing,
            &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
        )
        .await?;
    let definition = header
        .and_then(Header::database_entry)
        .and_then(|entry| entry.definition.as_deref());
    let told = options(definition.unwrap_or_default());
    let encoding = encoding(work, header, &told);
    let create = format!("CREATE DATABASE {name} TEMPLATE template0");
    if told.is_empty() {
        work.cx
            .note("the backup does not tell its locale: the copy has the locale C");
    } else {
        let options: Vec<_> = told
            .iter()
            .map(|(k, v)| format!("{k} {}", literal(v)))
            .collect();
        let sql = format!("{create} {}", options.join(" "));
        let Err(error) = session.client().batch_execute(&sql).await else {
            return Ok(());
        };
        // 22023, 42809 and 0A000: the locale or provider is not known here.
        let code = error.code().map(tokio_postgres::error::SqlState::code);
        if !matches!(code, Some("22023" | "42809" | "0A000" | "42602" | "42601")) {
            return Err(failure(doing, &error));
        }
        let reason = failure(doing, &error).message;
        work.cx.note(format!(
            "the copy has another locale than the backup: {reason}"
        ));
    }
    let locale = if encoding == "UTF8" { "C.UTF-8" } else { "C" };
    let encoding = literal(&encoding);
    let sql = format!("{create} ENCODING {encoding} LOCALE '{locale}'");
    session.batch(doing, &sql).await.map_err(|mut failure| {
        if failure.kind == FailureKind::Internal {
            failure.kind = FailureKind::Invalid;
        }
        failure
    })
}

fn encoding(work: &Work<'_>, header: Option<&Header>, told: &[(&str, String)]) -> String {
    let told = told.iter().find(|(name, _)| *name == "ENCODING");
    told.map(|(_, value)| value.clone())
        .or_else(|| header?.encoding().map(str::to_owned))
        .or_else(|| work.point.details.get("encoding").cloned())
        .unwrap_or_else(|| "UTF8".to_owned())
}

/// Reads `CREATE DATABASE name WITH … ENCODING = 'UTF8' LOCALE = 'C';` as
/// `pg_dump` writes it.
fn options(definition: &str) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let Some((_, rest)) = definition.split_once(" WITH TEMPLATE = template0") else {
        return found;
    };
    let mut rest = rest.trim_start();
    while let Some((name, after)) = rest.split_once(" = ") {
        let Some((value, after)) = value(after) else {
            break;
        };
        if let Some(option) = OPTIONS.into_iter().find(|option| *option == name.trim()) {
            found.push((option, value));
        }
        rest = after.trim_start();
    }
    found
}

/// A quoted or bare value, and what follows it.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('\'') else {
        let end = text.find([' ', ';']).unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let mut from = 0;
    loop {
        let end = from + quoted[from..].find('\'')?;
        if !quoted[end + 1..].starts_with('\'') {
            return Some((quoted[..end].replace("''", "'"), &quoted[end + 1..]));
        }
        from = end + 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_pg_dump_writes() {
        let text = "CREATE DATABASE \"a ENCODING = 'x'\" WITH TEMPLATE = template0 \
                    ENCODING = 'UTF8' LOCALE_PROVIDER = libc LOCALE = 'it''s';\n";
        assert_eq!(
            options(text),
            [
                ("ENCODING", "UTF8".to_owned()),
                ("LOCALE_PROVIDER", "libc".to_owned()),
                ("LOCALE", "it's".to_owned()),
            ]
        );
        assert!(options("CREATE DATABASE a;").is_empty());
    }
}
