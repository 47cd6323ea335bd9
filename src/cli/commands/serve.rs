//! `lifeboat serve`, and tokens for it.

use super::run::cancel_on_signal;
use crate::{
    api::{self, Role},
    app::{App, serve},
    cli::{
        args::{ServeArgs, TokenArgs},
        exit::Exit,
        output,
    },
    domain::{
        budget::Limits,
        failure::{Failure, FailureKind},
    },
};

/// Serves until it is asked to stop.
///
/// # Errors
/// If the service cannot begin or go on.
pub async fn run(app: App, args: &ServeArgs) -> anyhow::Result<Exit> {
    let options = options(args)?;
    let stop = cancel_on_signal("stopping; once more to stop at once");
    serve::serve(app, options, stop).await?;
    Ok(Exit::Ok)
}

/// How the service is to be.
///
/// # Errors
/// If something is missing.
pub fn options(args: &ServeArgs) -> Result<serve::Options, Failure> {
    if args.drills.is_empty() {
        let failure = Failure::new(FailureKind::Invalid, "no drill files are named");
        return Err(failure.hint("name files or folders: `lifeboat serve drills/`"));
    }
    if args.tls_cert.is_some() != args.tls_key.is_some() {
        let message = "--tls-cert and --tls-key belong together";
        return Err(Failure::new(FailureKind::Invalid, message));
    }
    Ok(serve::Options {
        drills: args.drills.clone(),
        listen: args.listen,
        tokens: args.tokens.clone(),
        kubernetes_auth: args.kubernetes_auth,
        notify: args.notify.clone(),
        tls: args
            .tls_cert
            .clone()
            .zip(args.tls_key.clone())
            .map(Into::into),
        limits: Limits {
            runs: args.max_runs,
            per_source: args.max_runs_per_source,
            per_namespace: args.max_runs_per_namespace,
            per_storage_class: args.max_runs_per_storage_class,
        },
        grace: args.grace,
        park: args.park,
        sweep_every: args.sweep_every,
        keep: (!args.keep.is_zero()).then_some(args.keep),
    })
}

/// Prints a new token, and what to put into the file of `--tokens`.
///
/// # Errors
/// If the system gives no random bytes.
pub fn token(args: &TokenArgs) -> anyhow::Result<Exit> {
    let token = api::new_token()?;
    let role = match args.role {
        Role::Viewer => "viewer",
        Role::Operator => "operator",
        Role::Admin => "admin",
    };
    output::note(&format!("the token, which is shown only now: {token}"));
    let name = serde_json::to_string(&args.name)?;
    let scope = api::Scope {
        namespaces: args.namespace.iter().cloned().collect(),
        labels: args.label.iter().cloned().collect(),
    };
    if scope.labels.len() < args.label.len() {
        let message = "--label names a label twice, and a drill has one value of each";
        return Err(Failure::new(FailureKind::Invalid, message).into());
    }
    // JSON is YAML, too.
    let scope = if scope.is_all() {
        String::new()
    } else {
        format!(", scope: {}", serde_json::to_string(&scope)?)
    };
    output::result(&format!(
        "- {{ name: {name}, role: {role}, sha256: {}{scope} }}",
        api::hash(&token)
    ));
    Ok(Exit::Ok)
}
