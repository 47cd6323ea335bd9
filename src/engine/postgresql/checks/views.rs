//! Views have to be usable. Making one checks less than using it: the bodies of
//! the functions that it calls are read when they run.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::try_join_all;
use tokio_postgres::error::SqlState;

use super::reader::Reader;
use crate::{
    domain::{
        check::{CheckKind, CheckResult, Finding},
        failure::Failure,
    },
    engine::{
        Context,
        postgresql::{endpoint::Endpoint, error::failure, session::Session},
    },
};

const NAME: &str = "views";
const KIND: CheckKind = CheckKind::Schema;
const DOING: &str = "use the views";

/// How long one view may take, as the server reads it: whatever runs so long
/// is usable.
const EACH: &str = "2s";

/// How long all of them may take.
const ALL: Duration = Duration::from_mins(1);

const VIEWS: &str = "
    SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'v' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
            AND d.objid = c.oid AND d.deptype = 'e')
    ORDER BY 1";

/// A view that failed.
struct Broken {
    view: String,
    code: String,
    message: String,
}

/// Reads a row of every view. Of one that fails, the source is asked whether
/// it fails there too.
///
/// # Errors
/// If the copy can't be reached.
pub async fn check(
    cx: &Context,
    reader: &Reader,
    source: Option<&Endpoint>,
    jobs: usize,
) -> Result<CheckResult, Failure> {
    let session = reader.open().await?;
    let views: Vec<String> = session
        .rows(DOING, VIEWS, &[])
        .await?
        .iter()
        .map(|row| row.get(0))
        .collect();
    drop(session);
    let total = views.len();
    let (broken, left) = use_all(cx, reader, views, jobs).await?;
    let mut findings = Vec::new();
    if !broken.is_empty() {
        let source = ask_source(cx, source).await;
        for broken in broken {
            findings.push(judge(broken, source.as_ref()).await);
        }
    }
    let mut summary = format!("{} views used", total - left);
    if left > 0 {
        summary = format!("{summary}; for {left} more there was no time");
    }
    Ok(super::concluded(NAME, KIND, summary, findings))
}

/// What failed, and how many were not come to.
async fn use_all(
    cx: &Context,
    reader: &Reader,
    views: Vec<String>,
    jobs: usize,
) -> Result<(Vec<Broken>, usize), Failure> {
    let deadline = cx.clock.monotonic() + ALL;
    let workers = jobs.clamp(1, views.len().max(1));
    let queue = Mutex::new(VecDeque::from(views));
    let work = async || -> Result<Vec<Broken>, Failure> {
        let session = reader.open().await?;
        let mut broken = Vec::new();
        while cx.clock.monotonic() < deadline {
            let next = queue
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop_front();
            let Some(view) = next else { break };
            broken.extend(try_out(&session, view).await?);
        }
        Ok(broken)
    };
    let broken = try_join_all((0..workers).map(|_| work())).await?;
    let left = queue
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
        .len();
    let mut broken: Vec<_> = broken.into_iter().flatten().collect();
    broken.sort_by(|a, b| a.view.cmp(&b.view));
    Ok((broken, left))
}

/// Within the session's transaction, which goes on whatever happens.
async fn try_out(session: &Session, view: String) -> Result<Option<Broken>, Failure> {
    let sql = format!(
        "SAVEPOINT one; SET LOCAL statement_timeout = '{EACH}'; SELECT * FROM {view} LIMIT 1"
    );
    let result = session.client().simple_query(&sql).await;
    let Err(error) = result else {
        session.batch(DOING, "ROLLBACK TO one").await?;
        return Ok(None);
    };
    let Some(db) = error.as_db_error() else {
        return Err(failure(DOING, &error));
    };
    session.batch(DOING, "ROLLBACK TO one").await?;
    Ok(is_structural(db.code(), db.message()).then(|| Broken {
        view,
        code: db.code().code().to_owned(),
        message: db.message().to_owned(),
    }))
}

/// Whether an error is about what the view is made of. Others hang on the rows
/// and their storage, or on the rights and limits of the session.
fn is_structural(code: &SqlState, message: &str) -> bool {
    match code.code() {
        "42501" => false,
        "3F000" | "XX000" => true,
        // The library of a function; a file that it reads is another matter.
        "58P01" => message.starts_with("could not access file"),
        code => code.starts_with("42"),
    }
}

async fn ask_source(cx: &Context, source: Option<&Endpoint>) -> Option<Session> {
    let session = Session::open(source?, cx.run).await.ok()?;
    let sql = "RESET search_path; BEGIN READ ONLY; SELECT 1";
    session.batch(DOING, sql).await.ok()?;
    Some(session)
}

async fn judge(broken: Broken, source: Option<&Session>) -> Finding {
    let Broken {
        view,
        code,
        message,
    } = broken;
    let subject = format!("view {view}");
    let message = format!("fails when it is used: {message} ({code})");
    let there = match source {
        Some(session) => Some(try_out(session, view).await),
        None => None,
    };
    match there {
        Some(Ok(None)) => Finding::error(subject, message),
        Some(Ok(Some(same))) if same.code == code => {
            Finding::warning(subject, format!("{message}; so it does at the source"))
        }
        _ => {
            let hint = "the source could not be asked whether the view works there";
            Finding::warning(subject, message).hint(hint)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_rows_and_limits_are_no_faults_of_a_view() {
        for (code, structural) in [
            ("42P01", true),
            ("42883", true),
            ("58P01", false),
            ("XX000", true),
            ("XX001", false),
            ("42501", false),
            ("22012", false),
            ("57014", false),
            ("25006", false),
        ] {
            let code = SqlState::from_code(code);
            assert_eq!(is_structural(&code, ""), structural, "{code:?}");
        }
        let library = "could not access file \"$libdir/postgis-3\": No such file or directory";
        assert!(is_structural(&SqlState::UNDEFINED_FILE, library));
    }
}
