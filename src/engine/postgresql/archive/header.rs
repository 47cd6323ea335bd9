//! The head and table of contents of an archive that `pg_dump` wrote in its
//! custom, directory or tar format.
//!
//! Layout: `ReadHead`, `ReadToc` and the formats' `ReadExtraToc` in
//! PostgreSQL's `pg_backup_archiver.c`, archive versions 1.12 (PostgreSQL 9.0)
//! to 1.16 (18). An integer is a sign byte and `int_size` bytes, lowest first;
//! a text is its length (-1 for none) and its bytes.

use std::io::{Error, ErrorKind, Read, Result};

use jiff::civil::DateTime;

/// No text of a table of contents is longer: what claims so is not one.
const LONGEST_TEXT: usize = 1 << 30;

/// An archive's head and table of contents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Header {
    /// Of the archive format, such as `(1, 14)`.
    pub version: (u8, u8),
    /// When the dump began, on the dumping machine's clock and in its zone,
    /// which the archive does not tell.
    pub created: Option<DateTime>,
    pub database: Option<String>,
    pub server_version: Option<String>,
    pub dump_version: Option<String>,
    pub entries: Vec<Entry>,
}

/// One entry of the table of contents, without what is not needed here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// Its number in the archive.
    pub id: i64,
    /// `TABLE`, `TABLE DATA`, `INDEX`, …
    pub kind: String,
    pub schema: Option<String>,
    pub tag: String,
    /// The entries that have to be there first, by their numbers.
    pub depends_on: Vec<i64>,
    pub owner: Option<String>,
    /// The data file's name, in directory and tar archives.
    pub file: Option<String>,
    /// Whether its data is rows as `COPY` reads them.
    pub rows: bool,
    /// Kept of the database and its encoding only.
    pub definition: Option<String>,
    /// Whether it is a table that has rows of its own.
    pub ordinary: bool,
}

/// The encoding of an archive's head after its magic.
struct Reader<R> {
    input: R,
    int_size: u8,
    offset_size: u8,
    version: (u8, u8),
    custom: bool,
}

impl Header {
    /// Reads it from the archive's begin.
    ///
    /// # Errors
    /// `InvalidData` if it is none or of an unknown version, `UnexpectedEof`
    /// if it is cut off, else what reading gave.
    pub fn read(mut input: impl Read) -> Result<Self> {
        let mut start = [0_u8; 11];
        input.read_exact(&mut start)?;
        let [
            b'P',
            b'G',
            b'D',
            b'M',
            b'P',
            major,
            minor,
            _,
            int_size,
            offset_size,
            format,
        ] = start
        else {
            return Err(invalid("no archive of pg_dump"));
        };
        let version = (major, minor);
        if !((1, 12)..=(1, 16)).contains(&version) {
            return Err(invalid(&format!(
                "archive version {major}.{minor} is not supported"
            )));
        }
        if !(1..=8).contains(&int_size) || !(1..=8).contains(&offset_size) {
            return Err(invalid("impossible size of integers"));
        }
        let mut reader = Reader {
            input,
            int_size,
            offset_size,
            version,
            custom: format == 1,
        };
        reader.header()
    }

    /// The definition of the database, as `CREATE DATABASE` text.
    #[must_use]
    pub fn database_entry(&self) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.kind == "DATABASE")
    }

    /// The encoding of the archive's texts.
    #[must_use]
    pub fn encoding(&self) -> Option<&str> {
        let entry = self.entries.iter().find(|entry| entry.kind == "ENCODING")?;
        entry.definition.as_deref()?.split('\'').nth(1)
    }

    /// The entry that a message of `pg_restore` is about, by its data file or
    /// its number.
    #[must_use]
    pub fn entry_of(&self, message: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| {
            let file = entry.file.as_ref().map(|file| format!("/{file}"));
            file.is_some_and(|file| message.contains(&file))
                || message.contains(&format!("block ID {} ", entry.id))
        })
    }

    /// Whether planner statistics come along, as they do from version 18.
    #[must_use]
    pub fn brings_statistics(&self) -> bool {
        self.entries
            .iter()
            .any(|entry| entry.kind == "STATISTICS DATA")
    }
}

impl<R: Read> Reader<R> {
    fn header(&mut self) -> Result<Header> {
        // The compression: its level up to 1.14, its method since 1.15.
        if self.version >= (1, 15) {
            self.byte()?;
        } else {
            self.int()?;
        }
        let created = self.time()?;
        let mut header = Header {
            version: self.version,
            created,
            database: self.text()?,
            server_version: self.text()?,
            dump_version: self.text()?,
            entries: Vec::new(),
        };
        for _ in 0..self.int()? {
            header.entries.push(self.entry()?);
        }
        Ok(header)
    }

    /// Seconds first; months from 0, years from 1900, then a summer time flag.
    fn time(&mut self) -> Result<Option<DateTime>> {
        let mut parts = [0_i64; 7];
        for part in &mut parts {
            *part = self.int()?;
        }
        let [second, minute, hour, day, month, year, _] = parts;
        let small = |value: i64| i8::try_from(value).unwrap_or(-1);
        let year = i16::try_from(year + 1900).unwrap_or(i16::MIN);
        // A leap second is written as 60.
        let second = small(second.min(59));
        let date = DateTime::new(
            year,
            small(month + 1),
            small(day),
            small(hour),
            small(minute),
            second,
            0,
        );
        Ok(date.ok())
    }

    fn entry(&mut self) -> Result<Entry> {
        let id = self.int()?;
        self.int()?; // whether it has data
        self.text()?; // the catalog's id
        self.text()?; // the object's id
        let tag = self.text()?.unwrap_or_default();
        let kind = self.text()?.unwrap_or_default();
        self.int()?; // section
        let definition = self.text()?;
        self.text()?; // DROP
        let copy = self.text()?;
        let schema = self.text()?.filter(|schema| !schema.is_empty());
        self.text()?; // tablespace
        if self.version >= (1, 14) {
            self.text()?; // access method
        }
        if self.version >= (1, 16) {
            self.int()?; // kind of relation
        }
        let owner = self.text()?.filter(|owner| !owner.is_empty());
        self.text()?; // WITH OIDS
        let mut depends_on = Vec::new();
        while let Some(other) = self.text()? {
            depends_on.extend(other.parse::<i64>());
        }
        let file = self.data_location()?;
        // A partitioned table has none, and those of an unlogged one may be
        // left out on purpose, or for want of them on a standby.
        let ordinary = kind == "TABLE"
            && definition.as_deref().is_some_and(|text| {
                text.starts_with("CREATE TABLE ") && !text.contains("\nPARTITION BY ")
            });
        let keep = matches!(kind.as_str(), "DATABASE" | "ENCODING");
        Ok(Entry {
            id,
            definition: definition.filter(|_| keep),
            ordinary,
            depends_on,
            kind,
            tag,
            schema,
            owner,
            file,
            rows: copy.is_some_and(|statement| !statement.is_empty()),
        })
    }

    fn data_location(&mut self) -> Result<Option<String>> {
        if self.custom {
            for _ in 0..=self.offset_size {
                self.byte()?;
            }
            return Ok(None);
        }
        Ok(self.text()?.filter(|name| !name.is_empty()))
    }

    fn byte(&mut self) -> Result<u8> {
        let mut byte = [0];
        self.input.read_exact(&mut byte)?;
        Ok(byte[0])
    }

    fn int(&mut self) -> Result<i64> {
        let negative = self.byte()? != 0;
        let mut value: i64 = 0;
        for position in 0..self.int_size {
            value |= i64::from(self.byte()?) << (8 * u32::from(position));
        }
        Ok(if negative {
            value.wrapping_neg()
        } else {
            value
        })
    }

    fn text(&mut self) -> Result<Option<String>> {
        let length = self.int()?;
        if length < 0 {
            return Ok(None);
        }
        let length = usize::try_from(length)
            .ok()
            .filter(|length| *length <= LONGEST_TEXT)
            .ok_or_else(|| invalid("a text of impossible length"))?;
        let mut bytes = Vec::with_capacity(length.min(4096));
        let limit = u64::try_from(length).unwrap_or(u64::MAX);
        (&mut self.input).take(limit).read_to_end(&mut bytes)?;
        if bytes.len() < length {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }
}

fn invalid(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn int(out: &mut Vec<u8>, value: i32) {
        out.push(u8::from(value < 0));
        out.extend(value.unsigned_abs().to_le_bytes());
    }

    fn text(out: &mut Vec<u8>, text: &str) {
        int(out, i32::try_from(text.len()).unwrap());
        out.extend(text.as_bytes());
    }

    fn archive(minor: u8, format: u8) -> Vec<u8> {
        let mut out = b"PGDMP\x01".to_vec();
        out.extend([minor, 0, 4, 8, format]);
        if minor >= 15 {
            out.push(1);
        } else {
            int(&mut out, -1);
        }
        for part in [6, 43, 9, 23, 10, 126, 0] {
            int(&mut out, part);
        }
        for part in ["shop", "17.2", "17.4"] {
            text(&mut out, part);
        }
        int(&mut out, 1);
        int(&mut out, 7);
        int(&mut out, 1);
        for part in ["1262", "5", "shop", "DATABASE"] {
            text(&mut out, part);
        }
        int(&mut out, 2);
        for part in ["CREATE DATABASE shop", "", "", "", ""] {
            text(&mut out, part);
        }
        if minor >= 14 {
            text(&mut out, "");
        }
        if minor >= 16 {
            int(&mut out, 0);
        }
        text(&mut out, "nora");
        text(&mut out, "false");
        int(&mut out, -1);
        if format == 1 {
            out.extend([0; 9]);
        } else {
            text(&mut out, "7.dat");
        }
        out
    }

    #[test]
    fn every_version_of_the_format_reads() {
        for minor in 12..=16 {
            for format in [1, 3] {
                let header = Header::read(&archive(minor, format)[..]).unwrap();
                assert_eq!(header.database.as_deref(), Some("shop"));
                assert_eq!(header.server_version.as_deref(), Some("17.2"));
                let created = header.created.unwrap();
                assert_eq!(created.to_string(), "2026-11-23T09:43:06");
                let entry = header.database_entry().unwrap();
                assert_eq!(entry.owner.as_deref(), Some("nora"));
                assert_eq!(entry.file.is_some(), format == 3);
            }
        }
    }

    #[test]
    fn what_is_cut_off_or_unknown_is_told_apart() {
        let whole = archive(14, 1);
        for cut in 0..whole.len() {
            let error = Header::read(&whole[..cut]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "cut at {cut}");
        }
        let error = Header::read(&archive(99, 1)[..]).unwrap_err();
        assert!(error.to_string().contains("version 1.99"), "{error}");
    }
}
