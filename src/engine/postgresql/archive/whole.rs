//! Whether all data of an archive is there, where `pg_restore` would not
//! notice that it is not.
//!
//! It takes a data file of a directory dump for complete wherever it ends, if
//! it is not compressed or by lz4 or zstd, and an empty one in any case. Of a
//! tar file that is cut off it reads the end for ever. A custom archive, and
//! the content of a gzip file, it does check.

use std::{
    fs::File,
    io::{Error, ErrorKind, Read, Result as IoResult, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use tokio::io::AsyncBufReadExt;

use super::{
    bad, cut_off,
    header::{Entry, Header},
    plain, unreadable,
};
use crate::domain::failure::Failure;

/// The suffixes that data files of a directory dump may wear.
const SUFFIXES: [&str; 4] = ["", ".gz", ".lz4", ".zst"];

/// What `pg_dump` puts after the rows of a table.
const END_OF_ROWS: &[u8] = b"\\.\n\n\n";

/// Size of a block of a tar file.
const BLOCK: u64 = 512;

/// Looks at what costs next to nothing: whether every file of a directory dump
/// is there and ends as it should, whether a tar file holds all its members.
///
/// # Errors
/// `BadBackup` with the file that is missing or cut off.
pub(super) fn directory(path: &Path, header: &Header) -> Result<(), Failure> {
    let mut missing = Vec::new();
    for (entry, file) in with_data(header) {
        match data_file(path, file) {
            Some(found) => ends_well(path, &found, entry)?,
            None => missing.push(named(entry, file)),
        }
        if entry.kind == "BLOBS" {
            large_objects(path, file, header, &mut missing)?;
        }
    }
    none_missing(path, "data files", &missing)
}

/// Looks whether every file of a directory dump is there, by their names.
///
/// # Errors
/// `BadBackup` with the files that are missing.
pub(super) fn listed(
    path: &Path,
    header: &Header,
    there: impl Fn(&str) -> bool,
) -> Result<(), Failure> {
    let missing: Vec<_> = with_data(header)
        .filter(|(_, file)| !names(file).any(|name| there(&name)))
        .map(|(entry, file)| named(entry, file))
        .collect();
    none_missing(path, "data files", &missing)
}

fn none_missing(path: &Path, what: &str, missing: &[String]) -> Result<(), Failure> {
    if missing.is_empty() {
        return Ok(());
    }
    let what = format!("{what} are missing: {}", missing.join(", "));
    Err(bad(path, &what))
}

/// A file, with what it holds.
fn named(entry: &Entry, file: &str) -> String {
    format!("{file} ({} {})", entry.kind, entry.tag)
}

/// Reads the data files whose compression `pg_restore` does not check.
///
/// # Errors
/// `BadBackup` with the file that is damaged or cut off.
pub(super) async fn compressed(path: &Path, header: &Header) -> Result<(), Failure> {
    for (entry, file) in with_data(header) {
        let Some(found) = data_file(path, file).filter(|found| unchecked(found)) else {
            continue;
        };
        let tail = tail_of_content(&found)
            .await
            .map_err(|failure| failure.context(path.display()))?;
        if entry.rows && !tail.ends_with(END_OF_ROWS) {
            return Err(incomplete(path, &found, entry));
        }
    }
    Ok(())
}

fn unchecked(file: &Path) -> bool {
    matches!(
        file.extension().and_then(|e| e.to_str()),
        Some("lz4" | "zst")
    )
}

async fn tail_of_content(file: &Path) -> Result<Vec<u8>, Failure> {
    let (mut content, _) = plain::open(file).await?;
    let mut tail = Vec::new();
    loop {
        let block = content.fill_buf().await;
        let block = block.map_err(|error| plain::damaged(file, &error))?;
        if block.is_empty() {
            return Ok(tail);
        }
        let length = block.len();
        tail.extend_from_slice(&block[length.saturating_sub(END_OF_ROWS.len())..]);
        tail.drain(..tail.len().saturating_sub(END_OF_ROWS.len()));
        content.consume(length);
    }
}

fn with_data(header: &Header) -> impl Iterator<Item = (&Entry, &str)> {
    let entries = header.entries.iter();
    entries.filter_map(|entry| Some((entry, entry.file.as_deref()?)))
}

/// What a data file may be called, by its compression.
fn names(file: &str) -> impl Iterator<Item = String> {
    SUFFIXES.iter().map(move |suffix| format!("{file}{suffix}"))
}

fn data_file(path: &Path, name: &str) -> Option<PathBuf> {
    names(name)
        .map(|name| path.join(name))
        .find(|file| file.exists())
}

fn ends_well(path: &Path, file: &Path, entry: &Entry) -> Result<(), Failure> {
    let (length, tail) = tail(file).map_err(|e| unreadable(file, &e))?;
    let whole = if file.extension().is_some_and(|suffix| suffix != "dat") {
        // No compressed file is empty, not even that of nothing.
        length > 0
    } else {
        !entry.rows || tail == END_OF_ROWS
    };
    if whole {
        return Ok(());
    }
    Err(incomplete(path, file, entry))
}

fn incomplete(path: &Path, file: &Path, entry: &Entry) -> Failure {
    let name = file.file_name().unwrap_or_default().display();
    let what = format!(
        "its file {} is not complete",
        named(entry, &name.to_string())
    );
    cut_off(path, &what)
}

/// The length of a file and its last bytes, as many as end the rows of a table.
fn tail(file: &Path) -> IoResult<(u64, Vec<u8>)> {
    let mut input = File::open(file)?;
    let length = input.metadata()?.len();
    let wanted = (END_OF_ROWS.len() as u64).min(length);
    input.seek(SeekFrom::Start(length - wanted))?;
    let mut tail = Vec::new();
    input.read_to_end(&mut tail)?;
    Ok((length, tail))
}

/// The list of large objects has a line for each, with its number and file.
fn large_objects(
    path: &Path,
    list: &str,
    header: &Header,
    missing: &mut Vec<String>,
) -> Result<(), Failure> {
    let file = path.join(list);
    let Ok(text) = std::fs::read_to_string(&file) else {
        // Told as missing already.
        return Ok(());
    };
    if !text.is_empty() && !text.ends_with('\n') {
        let what = format!("its list of large objects {list} is not complete");
        return Err(cut_off(path, &what));
    }
    let mut listed = std::collections::BTreeSet::new();
    for line in text.lines() {
        let Some((number, name)) = line.split_once(' ') else {
            return Err(bad(path, &format!("its list {list} is damaged")));
        };
        listed.insert(number);
        match data_file(path, name) {
            Some(found) if found.extension().is_some_and(|suffix| suffix != "dat") => {
                let length = std::fs::metadata(&found).map(|m| m.len());
                if length.map_err(|e| unreadable(&found, &e))? == 0 {
                    missing.push(format!("{name} (large object {number}, empty)"));
                }
            }
            Some(_) => {}
            None => missing.push(format!("{name} (large object {number})")),
        }
    }
    // Up to version 16 each object has an entry of its own.
    let entries = header.entries.iter().filter(|entry| entry.kind == "BLOB");
    for entry in entries.filter(|entry| !listed.contains(entry.tag.as_str())) {
        missing.push(format!("large object {} is not in {list}", entry.tag));
    }
    Ok(())
}

/// Whether a member is the data of an entry. Large objects have members of their
/// own in a tar file, and a list of these, whatever the entry calls its file.
fn holds(member: &str, entry: &Entry, file: &str) -> bool {
    if entry.kind == "BLOBS" {
        matches!(member.split_once('.'), Some((list, "toc")) if list.starts_with("blobs"))
    } else {
        member == file
    }
}

/// Goes from header to header.
///
/// # Errors
/// `BadBackup` with the member that is cut off or missing.
pub(super) fn tar(path: &Path, header: &Header) -> Result<(), Failure> {
    let members = members(path).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => cut_off(path, &error.to_string()),
        ErrorKind::InvalidData => bad(path, &error.to_string()),
        _ => unreadable(path, &error),
    })?;
    let missing: Vec<_> = with_data(header)
        .filter(|(entry, file)| !members.iter().any(|member| holds(member, entry, file)))
        .map(|(entry, file)| named(entry, file))
        .collect();
    none_missing(path, "members", &missing)
}

fn members(path: &Path) -> IoResult<Vec<String>> {
    let mut input = File::open(path)?;
    let length = input.metadata()?.len();
    let (mut at, mut members) = (0, Vec::new());
    loop {
        let mut block = [0_u8; 512];
        input.seek(SeekFrom::Start(at))?;
        input
            .read_exact(&mut block)
            .map_err(|error| match error.kind() {
                ErrorKind::UnexpectedEof => Error::new(
                    error.kind(),
                    match members.last() {
                        Some(last) => format!("it ends after its member {last}"),
                        None => "it ends within its first member".to_owned(),
                    },
                ),
                _ => error,
            })?;
        if block.iter().all(|byte| *byte == 0) {
            return Ok(members);
        }
        let Some((name, size)) = member(&block) else {
            let after = members.last().map_or("nothing", String::as_str);
            return Err(Error::new(
                ErrorKind::InvalidData,
                format!("what follows its member {after} is none"),
            ));
        };
        at += BLOCK + size.div_ceil(BLOCK) * BLOCK;
        if at > length {
            return Err(Error::new(
                ErrorKind::UnexpectedEof,
                format!("it ends within its member {name}"),
            ));
        }
        members.push(name);
    }
}

/// Name and size of a member, by its header; the checksum counts its own field
/// as spaces.
fn member(block: &[u8; 512]) -> Option<(String, u64)> {
    let sum: u64 = block
        .iter()
        .enumerate()
        .map(|(at, byte)| {
            u64::from(if (148..156).contains(&at) {
                b' '
            } else {
                *byte
            })
        })
        .sum();
    if number(&block[148..156])? != sum {
        return None;
    }
    let name: Vec<u8> = block[..100]
        .iter()
        .copied()
        .take_while(|b| *b != 0)
        .collect();
    Some((
        String::from_utf8_lossy(&name).into_owned(),
        number(&block[124..136])?,
    ))
}

/// Octal digits, or, from 8 GiB on, a big-endian number after a set bit.
fn number(field: &[u8]) -> Option<u64> {
    if field[0] & 0x80 != 0 {
        let low = &field[field.len() - 8..];
        return Some(u64::from_be_bytes(low.try_into().ok()?));
    }
    let text = std::str::from_utf8(field).ok()?;
    u64::from_str_radix(text.trim_matches([' ', '\0']), 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_octal_or_binary() {
        assert_eq!(number(b"00000003357 "), Some(0o3357));
        let mut large = [0_u8; 12];
        large[0] = 0x80;
        large[4..].copy_from_slice(&(9_u64 << 30).to_be_bytes());
        assert_eq!(number(&large), Some(9 << 30));
    }

    #[test]
    fn a_header_with_a_wrong_sum_is_none() {
        let mut block = [0_u8; 512];
        block[..7].copy_from_slice(b"toc.dat");
        block[124..136].copy_from_slice(b"00000000012 ");
        assert_eq!(member(&block), None);
        let sum: u64 = block.iter().map(|b| u64::from(*b)).sum::<u64>() + 8 * u64::from(b' ');
        block[148..156].copy_from_slice(format!("{sum:06o} \0").as_bytes());
        assert_eq!(member(&block), Some(("toc.dat".to_owned(), 10)));
    }
}
