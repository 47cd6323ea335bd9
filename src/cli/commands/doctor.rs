//! `lifeboat doctor`.

use std::path::Path;

use super::{Style, check::lines_of};
use crate::{
    app::{App, kubernetes},
    cli::{
        args::{DoctorArgs, Output},
        exit::Exit,
        output,
    },
    domain::{
        check::{Finding, Severity},
        resource::ClusterRef,
    },
    engine::postgresql::tools::Tools,
    sandbox::local::free_bytes,
};

/// Looks at this machine, and at the cluster.
///
/// # Errors
/// If the result cannot be written.
pub async fn run(app: &App, args: &DoctorArgs, style: Style) -> anyhow::Result<Exit> {
    let mut findings = vec![history(app).await, scratch(app), account(app)];
    findings.extend(tools().await);
    findings.push(leftovers(app).await);
    findings.extend(cluster(app, args).await);
    output::result(&match style.output {
        Output::Json => serde_json::to_string_pretty(&findings)?,
        Output::Table => findings
            .iter()
            .flat_map(lines_of)
            .collect::<Vec<_>>()
            .join("\n"),
    });
    let failed = findings
        .iter()
        .any(|finding| finding.severity == Severity::Error);
    Ok(if failed { Exit::Failed } else { Exit::Ok })
}

async fn history(app: &App) -> Finding {
    match app.history.unfinished().await {
        Ok(runs) if runs.is_empty() => Finding::ok("history", app.kept_in()),
        Ok(runs) => Finding::warning("history", format!("{} runs are not finished", runs.len()))
            .hint("if none of them is going on, run `lifeboat sweep`"),
        Err(error) => Finding::error("history", error.to_string()),
    }
}

fn scratch(app: &App) -> Finding {
    let path = app.state.scratch();
    let existing = path
        .ancestors()
        .find(|folder| folder.exists())
        .unwrap_or(Path::new("/"));
    match free_bytes(existing) {
        Ok(free) => Finding::ok(
            "scratch place",
            format!("{}, {} MiB free", path.display(), free >> 20),
        ),
        Err(failure) => Finding::error("scratch place", failure.message),
    }
}

fn account(app: &App) -> Finding {
    match app.account {
        Some(account) => Finding::ok(
            "account",
            format!("scratch servers run as user id {}", account.uid),
        ),
        None => Finding::ok("account", "scratch servers run as the calling user"),
    }
}

async fn tools() -> Vec<Finding> {
    let tools = Tools::find(&[]).await;
    let found: Vec<Finding> = tools
        .all()
        .iter()
        .map(|set| {
            let kind = if set.has_server() {
                "server and clients"
            } else {
                "clients only"
            };
            let place = set.bin_directory.display();
            Finding::ok("PostgreSQL", format!("{} at {place}: {kind}", set.version))
        })
        .collect();
    if found.is_empty() {
        let hint = "install a PostgreSQL server with its clients, or name a directory under \
                    spec.workload.postgresql.tools";
        return vec![Finding::warning("PostgreSQL", "no tools found").hint(hint)];
    }
    found
}

/// A cluster that nobody has named need not be one for drills.
async fn cluster(app: &App, args: &DoctorArgs) -> Vec<Finding> {
    let named = args.kubeconfig.is_some() || args.context.is_some() || !args.namespace.is_empty();
    if !named && !kubernetes::is_at_hand() {
        return Vec::new();
    }
    let place = ClusterRef {
        kubeconfig: args.kubeconfig.clone(),
        context: args.context.clone(),
    };
    kubernetes::look(app, &place, &args.namespace).await
}

async fn leftovers(app: &App) -> Finding {
    match count_leftovers(app).await {
        Ok(0) => Finding::ok("leftovers", "none"),
        Ok(count) => Finding::warning("leftovers", format!("{count} scratch directories"))
            .hint("if no run is going on, `lifeboat sweep` removes them"),
        Err(error) => Finding::error("leftovers", format!("{error:#}")),
    }
}

async fn count_leftovers(app: &App) -> anyhow::Result<usize> {
    let mut count = 0;
    for place in app.directories().await? {
        count += place.find().await?.len();
    }
    Ok(count)
}
