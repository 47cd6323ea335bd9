//! The trend of a drill: from an index alone.

use jiff::Timestamp;
use sqlx::{Row, any::AnyRow};

use super::{asked::Asked, backend, parse_id, tallies::UNREADABLE};
use crate::{
    domain::{check::Proof, verdict::Verdict},
    history::tallies::{Point, Trend},
    runner::store::StoreError,
};

pub(super) fn asked(wanted: &Trend) -> Asked {
    let asked = Asked::new(
        "SELECT id, concluded_at, verdict, negative_control, rto_ms, rpo_ms, proof FROM runs \
         WHERE concluded_at IS NOT NULL AND drill = ",
    );
    let asked = within(
        asked.bind(wanted.drill.clone()),
        wanted.namespaces.as_deref(),
    );
    let asked = match wanted.after {
        Some((at, run)) => {
            let asked = asked.push(" AND (concluded_at, id) < (");
            let asked = asked.bind(at.as_microsecond()).push(", ");
            asked.bind(run.to_string()).push(")")
        }
        None => asked,
    };
    let asked = asked.push(" ORDER BY concluded_at DESC, id DESC LIMIT ");
    asked.bind(i64::from(wanted.limit))
}

/// Where a run was is known once it is counted, and not if its record cannot be
/// read.
fn within(asked: Asked, namespaces: Option<&[String]>) -> Asked {
    let Some(namespaces) = namespaces else {
        return asked;
    };
    let asked = asked.push(" AND proof IS NOT NULL AND proof <> ");
    let asked = asked.bind(UNREADABLE.to_owned());
    let mut asked = asked.push(" AND (namespace IS NULL");
    for namespace in namespaces {
        asked = asked.push(" OR namespace = ").bind(namespace.clone());
    }
    asked.push(")")
}

pub(super) fn point(row: &AnyRow) -> Result<Point, StoreError> {
    let text = |column| {
        row.try_get::<Option<String>, _>(column)
            .map_err(backend("read"))
    };
    let number = |column| {
        row.try_get::<Option<i64>, _>(column)
            .map_err(backend("read"))
    };
    let ms = |column| Ok(number(column)?.and_then(|ms| u64::try_from(ms).ok()));
    let id = text("id")?.unwrap_or_default();
    let odd = |column: &str| StoreError::Inconsistent {
        run: id.clone(),
        what: format!("column {column} has no value that is known here"),
    };
    let at = number("concluded_at")?.and_then(|at| Timestamp::from_microsecond(at).ok());
    let (verdict, proof) = (text("verdict")?, text("proof")?);
    let verdict = Verdict::ALL
        .into_iter()
        .find(|one| Some(one.name()) == verdict.as_deref());
    Ok(Point {
        run: parse_id(&id)?,
        concluded_at: at.ok_or_else(|| odd("concluded_at"))?,
        verdict: verdict.ok_or_else(|| odd("verdict"))?,
        rto_ms: ms("rto_ms")?,
        rpo_ms: ms("rpo_ms")?,
        proof: Proof::ALL
            .into_iter()
            .find(|one| Some(one.name()) == proof.as_deref()),
        negative_control: number("negative_control")? == Some(1),
    })
}
