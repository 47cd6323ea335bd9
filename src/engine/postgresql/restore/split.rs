//! Splits a script into statements, as far as `pg_dump` writes scripts.
//!
//! The rules are those of psql's own scanner (`psqlscan.l`): a semicolon ends
//! a statement outside of quotes, comments, parentheses and the bodies of SQL
//! functions (`BEGIN ATOMIC … END`).

/// Where the scanner is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum State {
    #[default]
    Plain,
    /// Within `'…'`; whether a backslash escapes.
    Literal(bool),
    Identifier,
    /// Within `$tag$…$tag$`, with the whole delimiter.
    Dollar(String),
    /// Within nested `/* … */`.
    Comment(u32),
}

/// What one line brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Split {
    /// Statements that ended on it.
    pub statements: Vec<String>,
    /// The psql command (`\name …`) it ended with.
    pub command: Option<String>,
}

/// Takes lines and gives statements.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    state: State,
    statement: String,
    /// The words of the statement, lower case, as many as tell its kind.
    words: Vec<String>,
    parentheses: u32,
    /// How deep in `BEGIN ATOMIC` or `CASE`.
    bodies: u32,
    /// Whether `standard_conforming_strings` is off.
    pub escapes: bool,
}

impl Splitter {
    /// Whether no statement is open.
    pub(super) fn is_between(&self) -> bool {
        self.state == State::Plain && self.statement.trim().is_empty()
    }

    /// What follows the last statement, if anything does.
    pub(super) fn rest(self) -> Option<String> {
        (!self.statement.trim().is_empty()).then_some(self.statement)
    }

    /// Takes a line with its end.
    pub(super) fn line(&mut self, line: &str) -> Split {
        let mut split = Split::default();
        let mut rest = line;
        while let Some(c) = rest.chars().next() {
            let taken = match self.state {
                State::Plain => {
                    if c == '\\' {
                        split.command = Some(rest.trim_end().to_owned());
                        break;
                    }
                    if rest.starts_with("--") {
                        self.statement.push('\n');
                        break;
                    }
                    self.plain(rest, c)
                }
                _ => self.inside(rest, c),
            };
            self.statement.push_str(&rest[..taken]);
            rest = &rest[taken..];
            if c == ';' && taken == 1 && self.ends() {
                split.statements.push(std::mem::take(&mut self.statement));
                self.words.clear();
            }
        }
        split
    }

    fn ends(&self) -> bool {
        self.state == State::Plain && self.parentheses == 0 && self.bodies == 0
    }

    /// How many bytes belong together, outside of everything quoted.
    fn plain(&mut self, rest: &str, c: char) -> usize {
        match c {
            '\'' => {
                let before = self.statement.as_bytes();
                let marked = matches!(before.last(), Some(b'E' | b'e'))
                    && before
                        .len()
                        .checked_sub(2)
                        .is_none_or(|at| !is_word(char::from(before[at])));
                self.state = State::Literal(self.escapes || marked);
            }
            '"' => self.state = State::Identifier,
            '(' => self.parentheses += 1,
            ')' => self.parentheses = self.parentheses.saturating_sub(1),
            '/' if rest.starts_with("/*") => {
                self.state = State::Comment(1);
                return 2;
            }
            '$' => {
                if let Some(delimiter) = dollar(rest) {
                    let length = delimiter.len();
                    self.state = State::Dollar(delimiter.to_owned());
                    return length;
                }
            }
            c if is_word(c) => {
                let end = rest.find(|c| !is_word(c) && c != '$').unwrap_or(rest.len());
                // The mark of a literal is looked at when its quote comes.
                self.word(&rest[..end]);
                return end;
            }
            _ => {}
        }
        c.len_utf8()
    }

    fn word(&mut self, word: &str) {
        let word = word.to_ascii_lowercase();
        if self.words.len() < 4 {
            self.words.push(word.clone());
        }
        let mut words = self
            .words
            .iter()
            .map(String::as_str)
            .filter(|w| !matches!(*w, "or" | "replace"));
        let routine = words.next() == Some("create")
            && matches!(words.next(), Some("function" | "procedure"));
        if !routine || self.parentheses > 0 {
            return;
        }
        match word.as_str() {
            "begin" => self.bodies += 1,
            "case" if self.bodies > 0 => self.bodies += 1,
            "end" => self.bodies = self.bodies.saturating_sub(1),
            _ => {}
        }
    }

    /// How many bytes belong together, inside of something.
    fn inside(&mut self, rest: &str, c: char) -> usize {
        match &mut self.state {
            State::Literal(true) if c == '\\' => {
                return 1 + rest[1..].chars().next().map_or(0, char::len_utf8);
            }
            // A doubled quote ends one literal and begins another of the kind.
            State::Literal(_) if rest.starts_with("''") => return 2,
            State::Literal(_) if c == '\'' => self.state = State::Plain,
            State::Identifier if c == '"' => self.state = State::Plain,
            State::Dollar(delimiter) if rest.starts_with(delimiter.as_str()) => {
                let length = delimiter.len();
                self.state = State::Plain;
                return length;
            }
            State::Comment(depth) if rest.starts_with("/*") => {
                *depth += 1;
                return 2;
            }
            State::Comment(depth) if rest.starts_with("*/") => {
                *depth -= 1;
                if *depth == 0 {
                    self.state = State::Plain;
                }
                return 2;
            }
            _ => {}
        }
        c.len_utf8()
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The delimiter `$tag$` that a text begins with.
fn dollar(text: &str) -> Option<&str> {
    let end = text[1..].find('$')? + 1;
    let tag = &text[1..end];
    let named = tag.chars().all(is_word) && !tag.starts_with(|c: char| c.is_ascii_digit());
    named.then_some(&text[..=end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> (Vec<String>, Vec<String>) {
        let mut splitter = Splitter::default();
        let (mut statements, mut commands) = (Vec::new(), Vec::new());
        for line in text.split_inclusive('\n') {
            let split = splitter.line(line);
            statements.extend(split.statements.iter().map(|s| s.trim().to_owned()));
            commands.extend(split.command);
        }
        assert_eq!(splitter.rest(), None);
        (statements, commands)
    }

    #[test]
    fn semicolons_in_quotes_and_bodies_do_not_split() {
        let text = "select 'a;''b', E'\\';', \"x;y\" /* ; /* ; */ ; */;\n-- c;\n\
                    create function f() returns int language sql begin atomic\n\
                    select case when true then 1 end; select 2; end;\n\
                    create function g() as $x$ a; $$ b; $x$;\n\
                    create rule r as on insert to a do (delete from b; delete from c);\n";
        let (statements, commands) = split(text);
        assert_eq!(statements.len(), 4, "{statements:#?}");
        assert!(commands.is_empty());
    }

    #[test]
    fn commands_are_seen_wherever_psql_would_see_them() {
        let (_, commands) = split("\\restrict abc\nselect '\\! no' ; \\! ls\n");
        assert_eq!(commands, ["\\restrict abc", "\\! ls"]);
    }
}
