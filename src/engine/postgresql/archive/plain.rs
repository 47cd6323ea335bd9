//! Plain SQL dumps, compressed or not: a stream of lines.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_compression::tokio::bufread::{GzipDecoder, Lz4Decoder, ZstdDecoder};
use tokio::{
    fs::File,
    io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, BufReader},
};
use tokio_util::io::InspectReader;

use super::{cut_off, unreadable};
use crate::domain::failure::Failure;

const BUFFER: usize = 256 * 1024;

/// The lines at the begin that are looked at for versions and times.
const HEAD_LINES: usize = 200;

/// How a plain dump is compressed, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compressed {
    No,
    Gzip,
    Zstd,
    Lz4,
}

impl Compressed {
    /// What the first bytes of a file say.
    #[must_use]
    pub fn of(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            [0x04, 0x22, 0x4d, 0x18, ..] => Self::Lz4,
            _ => Self::No,
        }
    }

    /// The name, and empty for none.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::No => "",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
        }
    }
}

/// What a plain dump says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    pub server_version: Option<String>,
    pub dump_version: Option<String>,
    /// `Started on` of a verbose dump: local time with a zone's abbreviation.
    pub started: Option<String>,
    pub encoding: Option<String>,
}

/// What a text is, by its begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Dump(Box<Head>),
    /// `pg_dumpall` of a whole server, or of its globals.
    Cluster,
    /// An archive of `pg_dump` within a compressed file.
    Archive,
    Other,
}

/// The decompressed content of a file, with the count of bytes read of it.
pub type Content = (Box<dyn AsyncBufRead + Send + Unpin>, Arc<AtomicU64>);

/// Opens a dump for reading, decompressed.
///
/// # Errors
/// If it can't be read.
pub async fn open(path: &Path) -> Result<Content, Failure> {
    let mut file = File::open(path).await.map_err(|e| unreadable(path, &e))?;
    let mut head = [0; 4];
    let length = file.read(&mut head).await;
    let length = length.map_err(|e| unreadable(path, &e))?;
    let file = File::open(path).await.map_err(|e| unreadable(path, &e))?;
    let count = Arc::new(AtomicU64::new(0));
    let counted = count.clone();
    let file = InspectReader::new(file, move |bytes: &[u8]| {
        let more = u64::try_from(bytes.len()).unwrap_or(0);
        counted.fetch_add(more, Ordering::Relaxed);
    });
    let file = BufReader::with_capacity(BUFFER, file);
    Ok((decompressed(file, Compressed::of(&head[..length])), count))
}

fn decompressed<'a>(
    file: impl AsyncBufRead + Send + Unpin + 'a,
    compressed: Compressed,
) -> Box<dyn AsyncBufRead + Send + Unpin + 'a> {
    match compressed {
        Compressed::No => Box::new(file),
        Compressed::Gzip => {
            let mut decoder = GzipDecoder::new(file);
            decoder.multiple_members(true);
            Box::new(BufReader::with_capacity(BUFFER, decoder))
        }
        Compressed::Zstd => {
            let mut decoder = ZstdDecoder::new(file);
            decoder.multiple_members(true);
            Box::new(BufReader::with_capacity(BUFFER, decoder))
        }
        Compressed::Lz4 => {
            let mut decoder = Lz4Decoder::new(file);
            decoder.multiple_members(true);
            Box::new(BufReader::with_capacity(BUFFER, decoder))
        }
    }
}

/// What a text is, by as much of its begin as there is.
pub async fn begun(head: &[u8], compressed: Compressed) -> Kind {
    let mut text = Vec::new();
    let mut content = decompressed(head, compressed);
    // It ends in the middle: then there is an error, which means nothing.
    while text.len() < BUFFER
        && let Ok(more @ 1..) = content.read_buf(&mut text).await
    {
        let _ = more;
    }
    begin(&text)
}

/// Reads a text to its end: what it is, and whether its end is there.
///
/// # Errors
/// `BadBackup` if the compressed data is damaged or a dump is cut off.
pub async fn examine(path: &Path) -> Result<Kind, Failure> {
    let (mut content, _) = open(path).await?;
    let mut head = Vec::new();
    let mut tail: Vec<u8> = Vec::new();
    loop {
        let block = content.fill_buf().await.map_err(|e| damaged(path, &e))?;
        if block.is_empty() {
            break;
        }
        if head.len() < BUFFER {
            head.extend_from_slice(block);
            let kind = begin(&head);
            if head.len() >= 64 && !matches!(kind, Kind::Dump(_)) {
                return Ok(kind);
            }
        }
        let length = block.len();
        tail.extend_from_slice(&block[length.saturating_sub(END)..]);
        tail.drain(..tail.len().saturating_sub(END));
        content.consume(length);
    }
    let kind = begin(&head);
    if matches!(kind, Kind::Dump(_)) && !complete(&tail) {
        return Err(cut_off(path, "its closing line is missing"));
    }
    Ok(kind)
}

/// The closing comment and an `\unrestrict` with its key fit in.
pub const END: usize = 1024;

/// Whether the last bytes of a plain dump are its end.
#[must_use]
pub fn complete(tail: &[u8]) -> bool {
    let text = String::from_utf8_lossy(tail);
    let mut lines = text
        .lines()
        .rev()
        .map(str::trim_end)
        .filter(|line| !line.is_empty() && *line != "--")
        .filter(|line| !line.starts_with("\\unrestrict ") && !line.starts_with("-- Completed on "));
    lines.next() == Some("-- PostgreSQL database dump complete")
}

fn begin(head: &[u8]) -> Kind {
    if head.starts_with(b"PGDMP") {
        return Kind::Archive;
    }
    let text = String::from_utf8_lossy(head);
    let mut lines = text
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty() && *line != "--");
    match lines.next() {
        Some("-- PostgreSQL database dump") => {}
        Some("-- PostgreSQL database cluster dump") => return Kind::Cluster,
        _ => return Kind::Other,
    }
    let mut found = Head::default();
    for line in lines.take(HEAD_LINES) {
        let after = |prefix: &str| line.strip_prefix(prefix).map(str::to_owned);
        let Head {
            server_version,
            dump_version,
            started,
            encoding,
        } = &mut found;
        *server_version = server_version
            .take()
            .or(after("-- Dumped from database version "));
        *dump_version = dump_version
            .take()
            .or(after("-- Dumped by pg_dump version "));
        *started = started.take().or(after("-- Started on "));
        let set = after("SET client_encoding = '");
        *encoding = encoding
            .take()
            .or(set.map(|rest| rest.trim_end_matches("';").to_owned()));
    }
    Kind::Dump(Box::new(found))
}

/// The failure of a read that decompression gave up on.
pub fn damaged(path: &Path, error: &std::io::Error) -> Failure {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => cut_off(path, "the compressed data ends too early"),
        std::io::ErrorKind::InvalidData
        | std::io::ErrorKind::InvalidInput
        | std::io::ErrorKind::Other => {
            super::bad(path, &format!("its compressed data is damaged: {error}"))
        }
        _ => unreadable(path, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_says_what_it_is() {
        let text = b"--\n-- PostgreSQL database dump\n--\n\n\\restrict abc\n\n\
            -- Dumped from database version 15.18\n-- Dumped by pg_dump version 17.2\n\n\
            -- Started on 2026-11-23 09:43:11 UTC\n\nSET client_encoding = 'LATIN1';\n";
        let Kind::Dump(head) = begin(text) else {
            panic!("no dump");
        };
        assert_eq!(head.server_version.as_deref(), Some("15.18"));
        assert_eq!(head.dump_version.as_deref(), Some("17.2"));
        assert_eq!(head.started.as_deref(), Some("2026-11-23 09:43:11 UTC"));
        assert_eq!(head.encoding.as_deref(), Some("LATIN1"));
        let cluster = b"--\n-- PostgreSQL database cluster dump\n--\n";
        assert_eq!(begin(cluster), Kind::Cluster);
        assert_eq!(begin(b"-- MySQL dump 10.13"), Kind::Other);
    }

    #[test]
    fn only_the_closing_line_makes_a_dump_complete() {
        let end = "--\n-- PostgreSQL database dump complete\n--\n\n";
        assert!(complete(end.as_bytes()));
        assert!(complete(format!("{end}\\unrestrict GU9\n\n").as_bytes()));
        assert!(!complete(b"1\tPostgreSQL\n2\tda"));
        assert!(!complete(format!("{end}select 1;\n").as_bytes()));
    }
}
