//! `lifeboat config`: what a service would be like.

use crate::{
    app::Shared,
    catalog::Catalog,
    cli::{
        args::{ConfigCommand, Global, Output, ServeArgs},
        commands::serve,
        config::{Layer, Parsed, Setting},
        exit::Exit,
        output,
    },
    report::{self, text::Look},
};

/// Shows or checks the settings of a service.
///
/// # Errors
/// If something is wrong with them.
pub fn run(command: &ConfigCommand, parsed: &Parsed) -> anyhow::Result<Exit> {
    match command {
        ConfigCommand::Show(_) => {
            show(parsed);
            Ok(Exit::Ok)
        }
        ConfigCommand::Check(args) => check(args, &parsed.cli.global),
    }
}

fn show(parsed: &Parsed) {
    let settings: Vec<Setting> = parsed.settings().into_iter().map(redacted).collect();
    if parsed.cli.global.output == Output::Json {
        output::result(&serde_json::json!(settings).to_string());
        return;
    }
    let lines = settings.iter().map(|setting| {
        let from = match setting.from {
            Layer::Default => "default",
            Layer::File => "file",
            Layer::Environment => "environment",
            Layer::CommandLine => "command line",
        };
        [setting.name.as_str(), setting.value.as_str(), from]
    });
    output::result(&report::settings::table(lines, Look::stdout()));
}

/// Without what is secret in it.
fn redacted(mut setting: Setting) -> Setting {
    if setting.name == "history" && !setting.value.is_empty() {
        let claim = std::time::Duration::ZERO;
        setting.value = Shared {
            url: setting.value,
            claim,
        }
        .shown();
    }
    setting
}

/// Reads all that the settings name, and refuses what `serve` would refuse.
fn check(args: &ServeArgs, global: &Global) -> anyhow::Result<Exit> {
    serve::options(args)?.check()?;
    if let Some(shared) = global.shared() {
        shared.check()?;
    }
    let catalog = Catalog::default().read(&args.drills);
    for (file, error) in catalog.broken() {
        output::note(&format!("error: {}: {error}", file.display()));
    }
    if !catalog.broken().is_empty() {
        return Ok(Exit::Usage);
    }
    output::result(&format!("good, with {} drills", catalog.drills().len()));
    Ok(Exit::Ok)
}
