//! The files of a database: header and companions.
//! Format: <https://sqlite.org/fileformat2.html>.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use crate::domain::failure::{Failure, FailureKind};

const MAGIC: &[u8; 16] = b"SQLite format 3\0";
const LEN: usize = 100;

/// What the first 100 bytes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub page_size: u64,
    pub wal_mode: bool,
    pub change_counter: u32,
    /// `None` where the header's own count is not valid.
    pub pages: Option<u64>,
}

/// The name of a companion, such as `-wal`.
pub(super) fn companion(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Reads the header of a *backup*.
///
/// Never of a database that this process has open: closing any descriptor of a
/// file drops all POSIX locks that the process has on it, SQLite's too
/// (<https://sqlite.org/howtocorrupt.html>, 2.2).
pub(super) fn read(path: &Path) -> Result<Header, Failure> {
    let io = |error: std::io::Error| {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => FailureKind::NotFound,
            std::io::ErrorKind::PermissionDenied => FailureKind::Denied,
            _ => FailureKind::Unavailable,
        };
        Failure::new(kind, format!("read {}: {error}", path.display()))
    };
    let mut bytes = Vec::with_capacity(LEN);
    let file = File::open(path).map_err(io)?;
    file.take(LEN as u64).read_to_end(&mut bytes).map_err(io)?;
    parse(&bytes).map_err(|failure| failure.context(path.display()))
}

/// Reads a header.
pub(super) fn parse(bytes: &[u8]) -> Result<Header, Failure> {
    let bad = |message: &str| Failure::new(FailureKind::BadBackup, message);
    if bytes.is_empty() {
        return Err(bad("the file is empty").hint("look at the job that writes the backup"));
    }
    if !bytes.starts_with(MAGIC) {
        return Err(foreign(bytes));
    }
    if bytes.len() < LEN {
        return Err(bad("the file is cut off within its header"));
    }
    let be16 = |at: usize| u64::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
    let be32 =
        |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let page_size = if be16(16) == 1 { 65_536 } else { be16(16) };
    if !page_size.is_power_of_two() || !(512..=65_536).contains(&page_size) {
        return Err(bad(
            "the header's page size is not valid: the file is damaged",
        ));
    }
    let valid = be32(24) == be32(92) && be32(28) > 0;
    Ok(Header {
        page_size,
        wal_mode: bytes[18] == 2 || bytes[19] == 2,
        change_counter: be32(24),
        pages: valid.then(|| u64::from(be32(28))),
    })
}

fn foreign(bytes: &[u8]) -> Failure {
    let packed = [
        (&[0x1f, 0x8b][..], "gzip", "gunzip"),
        (&[0x28, 0xb5, 0x2f, 0xfd], "zstd", "unzstd"),
        (&[0xfd, b'7', b'z', b'X', b'Z'], "xz", "unxz"),
        (b"PK\x03\x04", "zip", "unzip"),
    ];
    if let Some((_, name, tool)) = packed.iter().find(|(magic, ..)| bytes.starts_with(magic)) {
        return Failure::new(
            FailureKind::Invalid,
            format!("the file is packed with {name}"),
        )
        .hint(format!(
            "unpack it first, with `{tool}`, and name the unpacked file"
        ));
    }
    let printable = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    if bytes.iter().all(printable) {
        return Failure::new(FailureKind::Invalid, "the file is text, not a database")
            .hint("load an SQL dump with `sqlite3 new.db < dump.sql` and name the new file");
    }
    Failure::new(FailureKind::BadBackup, "the file is not an SQLite database")
        .hint("it may be encrypted (SQLCipher, SEE), which cannot be read without its key")
}

/// Whether the main file is as long as its header says.
pub(super) fn check_length(header: &Header, len: u64) -> Result<(), Failure> {
    let cut = |message: String| {
        Failure::new(FailureKind::BadBackup, message)
            .hint("the copy was cut off, or was made while the database was being written")
    };
    if !len.is_multiple_of(header.page_size) {
        let size = header.page_size;
        return Err(cut(format!(
            "the file is truncated: {len} bytes is no multiple of {size}"
        )));
    }
    match header.pages {
        Some(pages) if pages * header.page_size > len => {
            let has = len / header.page_size;
            Err(cut(format!(
                "the file is truncated: {has} of {pages} pages are there"
            )))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_database_is_told_apart() {
        let kind = |bytes: &[u8]| parse(bytes).unwrap_err();
        assert_eq!(kind(b"").kind, FailureKind::BadBackup);
        assert!(kind(&[0x1f, 0x8b, 8]).message.contains("gzip"));
        assert!(kind(b"PRAGMA foreign_keys=OFF;").message.contains("text"));
        assert!(kind(&[0x9c; 100]).hint.unwrap().contains("encrypted"));
        assert!(kind(MAGIC).message.contains("cut off"));
    }

    #[test]
    fn a_short_file_is_truncated() {
        let header = Header {
            page_size: 4096,
            wal_mode: false,
            change_counter: 1,
            pages: Some(3),
        };
        assert!(check_length(&header, 3 * 4096).is_ok());
        assert!(check_length(&header, 2 * 4096).is_err());
        assert!(check_length(&header, 3 * 4096 - 1).is_err());
    }
}
