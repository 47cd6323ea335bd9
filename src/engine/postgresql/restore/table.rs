//! One table's rows, read from the archive once more into a table beside the
//! copy's own: so that the two can be compared.

use std::{io::Cursor, pin::Pin};

use futures_util::SinkExt;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio_postgres::CopyInSink;
use tokio_util::sync::CancellationToken;

use super::{Work, archived};
use crate::{
    domain::{
        failure::{Failure, FailureKind},
        recovery_point::Artifact,
    },
    engine::postgresql::{error::failure, session::Session},
};

const DOING: &str = "read the rows of the recovery point again";

/// Bytes of rows that are passed on at once.
const CHUNK: usize = 1 << 16;

/// The end of the rows in a script: a line of its own.
const END: &[u8] = b"\n\\.\n";

type Sink = CopyInSink<Cursor<Vec<u8>>>;

/// A table by its parts, none of them quoted.
pub(in crate::engine::postgresql) struct Name<'a> {
    pub schema: &'a str,
    pub table: &'a str,
}

/// Appends the rows that the archive holds for `name` to `into`, whose columns
/// have to be those of the dump.
///
/// # Errors
/// `NotFound` where the archive has no rows of that table; and if it or they
/// can't be read.
pub(in crate::engine::postgresql) async fn read(
    work: &Work<'_>,
    session: &Session,
    name: &Name<'_>,
    into: &str,
) -> Result<(), Failure> {
    let Artifact::LogicalDump { path, .. } = &work.point.artifact else {
        return Err(nothing());
    };
    let launch = work
        .client(archived::program(work).await?)
        .args(["--data-only", "--file=-"])
        .arg(format!("--schema={}", name.schema))
        .arg(format!("--table={}", name.table))
        .readable([path.clone()])
        .arg(path);
    let mut running = work.launcher().start(launch)?;
    let stdout = running.child.stdout.take().ok_or_else(nothing)?;
    let mut script = BufReader::with_capacity(CHUNK, stdout);
    let encoding = head(&mut script).await?;
    let sql = format!("SET client_encoding = '{encoding}'");
    session.batch(DOING, &sql).await?;
    let broken = |error| failure(DOING, &error);
    let copy = format!("COPY {into} FROM STDIN");
    let sink = session.client().copy_in(&copy).await.map_err(broken)?;
    let mut sink = Box::pin(sink);
    forward(&mut script, sink.as_mut()).await?;
    sink.as_mut().finish().await.map_err(broken)?;
    session.batch(DOING, "RESET client_encoding").await?;
    // What follows is short; a program that cannot write it would not end.
    tokio::io::copy(&mut script, &mut tokio::io::sink())
        .await
        .map_err(unreadable)?;
    running.wait(&CancellationToken::new()).await?;
    Ok(())
}

/// Reads up to the first row; gives the encoding of the rows.
async fn head(script: &mut (impl AsyncBufReadExt + Unpin)) -> Result<String, Failure> {
    let mut encoding = "UTF8".to_owned();
    let mut line = Vec::new();
    loop {
        line.clear();
        if script
            .read_until(b'\n', &mut line)
            .await
            .map_err(unreadable)?
            == 0
        {
            return Err(nothing());
        }
        let text = String::from_utf8_lossy(&line);
        if text.starts_with("COPY ") && text.trim_end().ends_with("FROM stdin;") {
            return Ok(encoding);
        }
        let set = text.strip_prefix("SET client_encoding = '");
        if let Some(name) = set.and_then(|rest| rest.trim_end().strip_suffix("';"))
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        {
            name.clone_into(&mut encoding);
        }
    }
}

/// Passes rows on up to the line that ends them. A row may be of any length:
/// it is never held whole.
async fn forward(
    script: &mut (impl AsyncReadExt + Unpin),
    mut sink: Pin<&mut Sink>,
) -> Result<(), Failure> {
    // As if a line had ended before the first row: the end may come at once.
    let mut held = vec![b'\n'];
    let mut sent = 0;
    loop {
        // What is read at once is what there is room for.
        held.reserve(CHUNK);
        if script.read_buf(&mut held).await.map_err(unreadable)? == 0 {
            return Err(Failure::new(
                FailureKind::BadBackup,
                format!("{DOING}: they end early"),
            ));
        }
        let end = held.windows(END.len()).position(|window| window == END);
        let upto = end.map_or((held.len() + 1).saturating_sub(END.len()), |end| end + 1);
        if upto > 0 {
            let rest = held.split_off(upto);
            let mut rows = std::mem::replace(&mut held, rest);
            if sent == 0 {
                rows.remove(0);
            }
            sent += 1;
            sink.send(Cursor::new(rows))
                .await
                .map_err(|error| failure(DOING, &error))?;
        }
        if end.is_some() {
            return Ok(());
        }
    }
}

fn nothing() -> Failure {
    Failure::new(
        FailureKind::NotFound,
        "the recovery point holds no rows of that table",
    )
}

fn unreadable(error: std::io::Error) -> Failure {
    Failure::new(FailureKind::Internal, format!("{DOING}: {error}"))
}
