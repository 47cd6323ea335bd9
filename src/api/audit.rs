//! Who asked for what, and what came of it: a line of the log for each request
//! that would change something.

use std::net::SocketAddr;

use axum::{
    http::{HeaderMap, Method, header, request::Parts},
    response::Response,
};

use super::{PREFIX, auth::Asker, connections::Peer};
use crate::domain::ids::RunId;

/// What the log calls these lines.
pub const TARGET: &str = "audit";

/// A request of which is told once it is answered, or never will be.
pub struct Entry {
    method: Method,
    path: String,
    peer: Option<SocketAddr>,
    who: Option<String>,
    role: Option<&'static str>,
    answered: bool,
}

impl Entry {
    /// The request with this head; who asks is not known yet.
    pub fn new(head: &Parts) -> Self {
        Self {
            method: head.method.clone(),
            path: cut(path(head)),
            peer: head.extensions.get::<Peer>().map(|peer| peer.0),
            who: None,
            role: None,
            answered: false,
        }
    }

    /// Who asks, whether they may or not.
    pub fn asked_by(&mut self, asker: &Asker) {
        self.who = Some(asker.name.clone());
        self.role = Some(asker.role_name());
    }

    /// Tells what came of it.
    pub fn answered(mut self, response: &Response) {
        self.answered = true;
        let run = run_of(&self.path, response.headers());
        self.tell(Some(response.status().as_u16()), run, "answered");
    }

    fn tell(&self, status: Option<u16>, run: Option<RunId>, said: &str) {
        tracing::info!(
            target: TARGET,
            who = self.who.as_deref(),
            role = self.role,
            method = %self.method,
            path = self.path,
            status,
            peer = self.peer.map(tracing::field::display),
            run = run.map(tracing::field::display),
            "{said}"
        );
    }
}

/// Whoever goes away early may have changed something all the same.
impl Drop for Entry {
    fn drop(&mut self) {
        if !self.answered {
            let run = run_of(&self.path, &HeaderMap::new());
            let said = "not answered: the client went away, or the service stopped";
            self.tell(None, run, said);
        }
    }
}

/// What is longer is nobody's to ask for, and somebody's who would fill the log.
const LONGEST: usize = 512;

/// The whole path: what is nested knows its own part only.
pub fn path(head: &Parts) -> String {
    format!("{PREFIX}{}", head.uri.path())
}

fn cut(mut path: String) -> String {
    path.truncate(path.floor_char_boundary(LONGEST));
    path
}

/// The run that the answer says where to find, or else the one that was named.
fn run_of(path: &str, answer: &HeaderMap) -> Option<RunId> {
    let place = answer.get(header::LOCATION);
    let place = place.and_then(|place| place.to_str().ok()).unwrap_or(path);
    let (_, rest) = place.split_once("/runs/")?;
    rest.split('/').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Seek},
        sync::Arc,
    };

    use axum::{
        body::Body,
        http::{Request, StatusCode},
        response::IntoResponse,
    };

    use super::*;
    use crate::api::{Role, scope::Scope};

    const RUN: &str = "01a21558-0d12-76be-b87c-308650d063a2";

    /// What is logged meanwhile.
    fn logged(meanwhile: impl FnOnce()) -> String {
        let (mut page, mut text) = (tempfile::tempfile().unwrap(), String::new());
        let log = tracing_subscriber::fmt()
            .with_writer(Arc::new(page.try_clone().unwrap()))
            .with_ansi(false)
            .finish();
        tracing::subscriber::with_default(log, meanwhile);
        page.rewind().unwrap();
        page.read_to_string(&mut text).unwrap();
        text
    }

    fn entry(path: &str) -> Entry {
        let request = Request::post(path).body(Body::empty()).unwrap();
        let (mut head, _) = request.into_parts();
        head.extensions
            .insert(Peer("192.0.2.7:4711".parse().unwrap()));
        let mut entry = Entry::new(&head);
        entry.asked_by(&Asker {
            name: "shop".to_owned(),
            role: Some(Role::Operator),
            client: None,
            scope: Scope::default(),
            may: true,
        });
        entry
    }

    #[test]
    fn an_answer_is_told_with_who_asked_and_the_run() {
        let place = [(header::LOCATION, format!("/api/v1/runs/{RUN}"))];
        let answer = (StatusCode::ACCEPTED, place).into_response();
        let line = logged(|| entry("/drills/app/runs").answered(&answer));
        for part in [
            "audit: answered",
            "who=\"shop\"",
            "role=\"operator\"",
            "method=POST",
            "path=\"/api/v1/drills/app/runs\"",
            "status=202",
            "peer=192.0.2.7:4711",
            &format!("run={RUN}"),
        ] {
            assert!(line.contains(part), "{part}: {line}");
        }
        assert_eq!(line.lines().count(), 1, "{line}");
    }

    #[test]
    fn a_client_that_goes_away_is_told_once() {
        let line = logged(|| drop(entry(&format!("/runs/{RUN}/cancel"))));
        assert!(line.contains("the client went away"), "{line}");
        assert!(line.contains("who=\"shop\""), "{line}");
        assert!(line.contains(&format!("run={RUN}")), "{line}");
        assert!(!line.contains("status="), "{line}");
        assert_eq!(line.lines().count(), 1, "{line}");
    }

    /// Whoever decides about it sees all of it.
    #[test]
    fn a_long_path_is_cut_in_the_log_alone() {
        let long = format!("/drills/{}/runs", "ä".repeat(LONGEST));
        let request = Request::post(long.replace('ä', "a").as_str());
        let (head, ()) = request.body(()).unwrap().into_parts();
        assert!(path(&head).ends_with("/runs"));
        assert_eq!(
            (cut(path(&head)).len(), cut(long).len()),
            (LONGEST, LONGEST)
        );
        let line = logged(|| drop(Entry::new(&head)));
        assert!(line.contains("aaa") && !line.contains("/runs"), "{line}");
    }

    #[test]
    fn what_is_no_run_is_not_taken_for_one() {
        let none = HeaderMap::new();
        for path in ["/api/v1/sweep", "/api/v1/drills/runs/runs", "/runs/x/y"] {
            assert_eq!(run_of(path, &none), None, "{path}");
        }
    }
}
