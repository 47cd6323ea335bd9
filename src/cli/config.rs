//! The configuration file: a layer between the defaults and the environment.
//!
//! It says nothing that an option could not say. What it sets is given to the
//! parser of the command line as if it had been written there, unless it was,
//! or a variable says otherwise: so names, types and defaults are known in one
//! place, the options.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    path::{Path, PathBuf},
};

use clap::{ArgAction, ArgMatches, Command, CommandFactory, FromArgMatches, parser::ValueSource};
use serde_json::Value;

use super::args::Cli;
use crate::domain::failure::{Failure, FailureKind};

/// The command line with what the configuration file adds.
pub struct Parsed {
    pub cli: Cli,
    matches: ArgMatches,
    /// The options that the file has set.
    of_file: BTreeSet<String>,
}

impl Parsed {
    /// The settings of the command that is to be done, with those of every
    /// command.
    #[must_use]
    pub fn settings(&self) -> Vec<Setting> {
        let (command, last) = deepest(&self.matches);
        settings(&command, last, &self.of_file)
    }
}

/// An option as it stands.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Setting {
    /// As in the file.
    pub name: String,
    pub value: String,
    pub from: Layer,
}

/// What says what an option is. The later ones win.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    Default,
    File,
    Environment,
    CommandLine,
}

/// Reads the command line, and the file that it or the environment names. Ends
/// the process where the command line itself is wrong.
///
/// # Errors
/// If the file is wrong.
pub fn parse(mut line: Vec<OsString>) -> Result<Parsed, Failure> {
    let mut matches = Cli::command().get_matches_from(&line);
    let file: Option<PathBuf> = matches.get_one("config").cloned();
    let mut of_file = BTreeSet::new();
    if let Some(file) = &file {
        let given = read(file)?;
        let (words, ids) = words(&given, &matches).map_err(|message| wrong(file, &message))?;
        // What is behind `--` is no option.
        let end = line.iter().position(|word| word == "--");
        line.splice(end.unwrap_or(line.len())..end.unwrap_or(line.len()), words);
        of_file = ids;
        let again = Cli::command().try_get_matches_from(&line);
        matches = again.map_err(|error| wrong(file, said(&error.to_string())))?;
    }
    let cli = Cli::from_arg_matches(&matches)
        .map_err(|error| Failure::new(FailureKind::Invalid, error.to_string()))?;
    Ok(Parsed {
        cli,
        matches,
        of_file,
    })
}

fn read(file: &Path) -> Result<BTreeMap<String, Value>, Failure> {
    let text = std::fs::read_to_string(file).map_err(|error| wrong(file, &error.to_string()))?;
    // The rest of the parser's message would show a part of the text.
    serde_saphyr::from_str(&text).map_err(|error| {
        let message = error.to_string();
        wrong(file, message.lines().next().unwrap_or_default())
    })
}

fn wrong(file: &Path, message: &str) -> Failure {
    let message = format!("cannot use the configuration {}: {message}", file.display());
    Failure::new(FailureKind::Invalid, message)
        .hint("`lifeboat config show` lists what can be set, and what it is now")
}

/// What is wrong, without how to use the command line.
fn said(message: &str) -> &str {
    let first = message.split("\n\n").next().unwrap_or(message);
    first.strip_prefix("error: ").unwrap_or(first)
}

/// The innermost command that is asked for.
fn deepest(matches: &ArgMatches) -> (Command, &ArgMatches) {
    // Options of every command are known to each only once it is built.
    let mut root = Cli::command();
    root.build();
    let (mut command, mut last) = (root, matches);
    while let Some((name, inner)) = last.subcommand() {
        let Some(found) = command.find_subcommand(name) else {
            break;
        };
        (command, last) = (found.clone(), inner);
    }
    (command, last)
}

/// What to add to the command line, and which options that are.
fn words(
    given: &BTreeMap<String, Value>,
    matches: &ArgMatches,
) -> Result<(Vec<OsString>, BTreeSet<String>), String> {
    let (command, last) = deepest(matches);
    let serve = known(&serve());
    let (mut words, mut places, mut ids) = (Vec::new(), Vec::new(), BTreeSet::new());
    for (name, value) in given {
        let Some(argument) = command
            .get_arguments()
            .find(|arg| setting(arg).as_deref() == Some(name))
        else {
            // Another command's.
            if serve.contains(name) {
                continue;
            }
            let all = serve.iter().cloned().collect::<Vec<_>>().join(", ");
            return Err(format!("there is no setting {name}; there are {all}"));
        };
        let texts =
            texts(value).ok_or_else(|| format!("{name} must be a value or a list of values"))?;
        let added = added(argument, name, &texts)?;
        let id = argument.get_id().as_str();
        let source = last.value_source(id);
        if matches!(
            source,
            Some(ValueSource::CommandLine | ValueSource::EnvVariable)
        ) {
            continue;
        }
        ids.insert(id.to_owned());
        if argument.is_positional() {
            places.extend(added);
        } else {
            words.extend(added);
        }
    }
    words.extend(places);
    Ok((words, ids))
}

/// An option with its values, as it would be written.
fn added(argument: &clap::Arg, name: &str, texts: &[String]) -> Result<Vec<OsString>, String> {
    let long = argument.get_long().unwrap_or_default();
    let added = if argument.is_positional() {
        texts.to_vec()
    } else if let ArgAction::SetTrue = argument.get_action() {
        match texts {
            [text] if text == "true" => vec![format!("--{long}")],
            [text] if text == "false" => Vec::new(),
            _ => return Err(format!("{name} must be true or false")),
        }
    } else {
        texts
            .iter()
            .map(|text| format!("--{long}={text}"))
            .collect()
    };
    Ok(added.into_iter().map(OsString::from).collect())
}

fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Array(values) => {
            let each = values
                .iter()
                .map(|value| texts(value).filter(|_| !value.is_array()));
            Some(each.collect::<Option<Vec<_>>>()?.concat())
        }
        Value::String(text) => Some(vec![text.clone()]),
        Value::Bool(_) | Value::Number(_) => Some(vec![value.to_string()]),
        Value::Null | Value::Object(_) => None,
    }
}

/// The command that a file is for.
fn serve() -> Command {
    let mut root = Cli::command();
    root.build();
    root.find_subcommand("serve").cloned().unwrap_or(root)
}

fn known(command: &Command) -> BTreeSet<String> {
    command.get_arguments().filter_map(setting).collect()
}

/// What an option is called in the file; none for what is no setting.
fn setting(argument: &clap::Arg) -> Option<String> {
    let id = argument.get_id().as_str();
    if matches!(id, "config" | "help" | "version") {
        return None;
    }
    let long = if argument.is_positional() {
        id
    } else {
        argument.get_long()?
    };
    let mut words = long.split('-');
    let first = words.next()?.to_owned();
    Some(words.fold(first, |name, word| {
        let (head, tail) = word.split_at(1.min(word.len()));
        name + &head.to_uppercase() + tail
    }))
}

fn settings(command: &Command, matches: &ArgMatches, of_file: &BTreeSet<String>) -> Vec<Setting> {
    let one = |argument: &clap::Arg| {
        let name = setting(argument)?;
        let id = argument.get_id().as_str();
        let values = matches.try_get_raw(id).ok().flatten();
        let values = values
            .into_iter()
            .flatten()
            .map(|value| value.to_string_lossy().into_owned());
        let from = match matches.value_source(id) {
            _ if of_file.contains(id) => Layer::File,
            Some(ValueSource::CommandLine) => Layer::CommandLine,
            Some(ValueSource::EnvVariable) => Layer::Environment,
            _ => Layer::Default,
        };
        Some(Setting {
            name,
            value: values.collect::<Vec<_>>().join(" "),
            from,
        })
    };
    let mut all: Vec<_> = command.get_arguments().filter_map(one).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}
