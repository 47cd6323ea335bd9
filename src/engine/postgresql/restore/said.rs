//! What `pg_restore --verbose` said, read from its output.

use std::collections::BTreeSet;

use super::errors::{LoadError, Problem, redacted, subject};

/// How many errors are kept; the rest is counted.
const KEPT: usize = 500;

/// Everything of it that matters.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// Each with the number of its entry in the table of contents.
    pub errors: Vec<(Option<i64>, LoadError)>,
    pub count: usize,
    /// "errors ignored on restore", its last word.
    pub ignored: Option<usize>,
    /// An error that ends the load, in a line that another worker has written
    /// into: they share one output, and write piece by piece.
    pub torn: Option<String>,
    /// The entries that failed by a deadlock or after one.
    pub deadlocked: BTreeSet<i64>,
    /// The entry that the next error is about.
    entry: Option<(i64, String)>,
    deadlock: bool,
}

impl Said {
    /// Details and contexts are passed over, and all but the first words of
    /// commands: they may show data. Gives what else `pg_restore` tells of
    /// its work.
    pub(super) fn line<'a>(&mut self, line: &'a str) -> Option<&'a str> {
        if let Some(command) = line.strip_prefix("Command was: ") {
            // It has the schema, which the entry's name lacks.
            if self.count == self.errors.len()
                && let Some((_, last)) = self.errors.last_mut()
            {
                last.subject = subject(command);
            }
            return None;
        }
        let whole = line.starts_with("pg_restore: ");
        if !whole && Problem::of(line).failure(line).is_some() {
            self.torn = Some(redacted(line));
        }
        let line = line.strip_prefix("pg_restore: ")?;
        if let Some(entry) = line.strip_prefix("from TOC entry ") {
            self.entry = numbered(entry);
        } else if let Some(count) = line.strip_prefix("warning: errors ignored on restore: ") {
            self.ignored = count.trim().parse().ok();
        } else if let Some(error) = line.strip_prefix("error: ") {
            self.error(error);
        } else {
            return Some(line);
        }
        None
    }

    /// How many errors there were. `pg_restore` counts those of its workers
    /// twice, so its own number only counts where it told none.
    pub(super) fn total(&self) -> usize {
        match self.count {
            0 => self.ignored.unwrap_or(0),
            told => told,
        }
    }

    fn error(&mut self, error: &str) {
        self.count += 1;
        let error = error
            .strip_prefix("could not execute query: ")
            .unwrap_or(error);
        let error = error.strip_prefix("ERROR:  ").unwrap_or(error);
        let id = self.entry.as_ref().map(|(id, _)| *id);
        self.deadlock |= Problem::of(error) == Problem::Deadlock;
        if self.deadlock {
            self.deadlocked.extend(id);
        }
        if self.errors.len() < KEPT {
            let name = self.entry.as_ref().map(|(_, name)| name.clone());
            let subject = name.unwrap_or_else(|| "archive".to_owned());
            let message = redacted(error);
            self.errors.push((id, LoadError { subject, message }));
        }
    }

    /// Both together.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.errors.extend(other.errors);
        self.torn = self.torn.or(other.torn);
        self.count += other.count;
        self.ignored = match (self.ignored, other.ignored) {
            (Some(one), Some(two)) => Some(one + two),
            (one, two) => one.or(two),
        };
        self.deadlocked.extend(other.deadlocked);
        self
    }

    /// What it comes to after the entries that met a deadlock were tried again:
    /// of these the new errors count, unless all that is wrong with an object
    /// is that the first attempt made it.
    pub(super) fn after(mut self, again: Self) -> Self {
        let made: BTreeSet<_> = again
            .errors
            .iter()
            .filter(|(_, error)| Problem::of(&error.message) == Problem::AlreadyExists)
            .filter_map(|(id, _)| *id)
            .collect();
        let settled = |id: &Option<i64>| {
            id.is_some_and(|id| self.deadlocked.contains(&id) && !made.contains(&id))
        };
        let before = self.errors.len();
        self.errors.retain(|(id, _)| !settled(id));
        let gone = before - self.errors.len();
        let fresh: Vec<_> = again
            .errors
            .into_iter()
            .filter(|(id, _)| id.is_none_or(|id| !made.contains(&id)))
            .collect();
        self.count = self.count.saturating_sub(gone) + fresh.len();
        self.ignored = Some(self.count);
        self.errors.extend(fresh);
        self
    }
}

/// Of `3352; 1259 16385 TABLE a bob` the number and the part after the
/// catalog's numbers.
fn numbered(entry: &str) -> Option<(i64, String)> {
    let (id, name) = entry.split_once("; ")?;
    let words: Vec<_> = name.split(' ').collect();
    let numbers = words
        .iter()
        .take(2)
        .take_while(|word| word.parse::<u64>().is_ok())
        .count();
    Some((id.parse().ok()?, words[numbers..].join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(lines: &[&str]) -> Said {
        let mut said = Said::default();
        for line in lines {
            said.line(line);
        }
        said
    }

    #[test]
    fn an_error_that_another_worker_has_written_into_is_seen() {
        let mut said = Said::default();
        for line in [
            "pg_restore: error: pg_restore: processing data for table \"public.a\"",
            "could not read from input file: end of file",
            "pg_restore: error: a worker process died unexpectedly",
        ] {
            said.line(line);
        }
        assert!(said.torn.is_some_and(|torn| torn.contains("end of file")));
    }

    #[test]
    fn reads_blocks_of_errors() {
        let said = said(&[
            "pg_restore: creating TABLE \"public.a\"",
            "pg_restore: while PROCESSING TOC:",
            "pg_restore: from TOC entry 3352; 1259 16385 TABLE a bob",
            "pg_restore: error: could not execute query: ERROR:  role \"bob\" does not exist",
            "Command was: ALTER TABLE public.a OWNER TO bob;",
            "",
            "pg_restore: from TOC entry 3400; 0 16385 TABLE DATA a bob",
            "pg_restore: error: COPY failed for table \"a\": ERROR:  extra data after last column",
            "pg_restore: warning: errors ignored on restore: 3",
        ]);
        assert_eq!(said.ignored, Some(3));
        assert_eq!(said.total(), 2);
        let (id, error) = &said.errors[0];
        assert_eq!(*id, Some(3352));
        assert_eq!(error.subject, "ALTER TABLE public.a OWNER");
        assert_eq!(error.message, "role \"bob\" does not exist");
        assert_eq!(said.errors[1].1.subject, "TABLE DATA a bob");
        assert!(said.deadlocked.is_empty());
    }

    #[test]
    fn what_a_second_attempt_makes_good_is_forgotten() {
        let first = said(&[
            "pg_restore: from TOC entry 1; 0 0 TABLE a bob",
            "pg_restore: error: could not execute query: ERROR:  role \"bob\" does not exist",
            "pg_restore: from TOC entry 2; 0 0 INDEX i bob",
            "pg_restore: error: could not execute query: ERROR:  deadlock detected",
            "pg_restore: from TOC entry 3; 0 0 CONSTRAINT c bob",
            "pg_restore: error: could not execute query: ERROR:  there is no unique constraint",
            "pg_restore: from TOC entry 4; 0 0 INDEX j bob",
            "pg_restore: error: could not execute query: ERROR:  could not create unique index \"j\"",
            "pg_restore: from TOC entry 5; 0 0 FUNCTION f bob",
            "pg_restore: error: could not execute query: ERROR:  role \"bob\" does not exist",
            "pg_restore: warning: errors ignored on restore: 5",
        ]);
        assert_eq!(first.deadlocked, [2, 3, 4, 5].into());
        let again = said(&[
            "pg_restore: from TOC entry 4; 0 0 INDEX j bob",
            "pg_restore: error: could not execute query: ERROR:  could not create unique index \"j\"",
            "pg_restore: from TOC entry 5; 0 0 FUNCTION f bob",
            "pg_restore: error: could not execute query: ERROR:  function \"f\" already exists",
            "pg_restore: warning: errors ignored on restore: 2",
        ]);
        let told = first.after(again);
        let left: Vec<_> = told.errors.iter().map(|(id, _)| id.unwrap()).collect();
        assert_eq!(left, [1, 5, 4]);
        assert_eq!((told.count, told.ignored), (3, Some(3)));
    }
}
