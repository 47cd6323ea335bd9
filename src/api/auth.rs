//! Who may do what.

use std::{path::Path, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest, Sha256};

use super::{
    Api, PATIENCE,
    audit::{self, path},
    crowd::{Client, Place, Shares},
    problem::{self, Problem},
    reviews::Review,
    scope::Scope,
};
use crate::domain::failure::{Failure, FailureKind};

/// What somebody may do; each may do what those before it may.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// See everything.
    Viewer,
    /// Start and cancel runs.
    Operator,
    /// Sweep.
    Admin,
}

/// Whom a token belongs to. The token itself is stored nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Token {
    name: String,
    role: Role,
    /// Which drills are shown; all where absent.
    #[serde(default, deserialize_with = "said")]
    scope: Option<Scope>,
    /// SHA-256 of the token, in hexadecimal digits.
    sha256: String,
}

/// What is left empty is not absent.
fn said<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Scope>, D::Error> {
    Scope::deserialize(from).map(Some)
}

/// All tokens that are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens(Vec<Token>);

impl Tokens {
    /// Reads a file with a list of them, in YAML.
    ///
    /// # Errors
    /// If it cannot be read, or holds something else.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let failed = |message: String| {
            let message = format!("cannot use the tokens in {}: {message}", path.display());
            Failure::new(FailureKind::Invalid, message)
                .hint("`lifeboat token NAME --role viewer` prints an entry for it")
        };
        let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        // The parser's message would show a part of the text.
        let tokens: Vec<Token> = serde_saphyr::from_str(&text).map_err(|_| {
            failed("it is no list of name, role, sha256 and perhaps scope".to_owned())
        })?;
        let is_hash = |token: &Token| {
            token.sha256.len() == 64 && token.sha256.bytes().all(|b| b.is_ascii_hexdigit())
        };
        if let Some(token) = tokens.iter().find(|token| !is_hash(token)) {
            return Err(failed(format!("sha256 of {} is no SHA-256", token.name)));
        }
        // What was meant as a list of some must not turn out to be all.
        let says_nothing = |token: &&Token| token.scope.as_ref().is_some_and(Scope::is_all);
        if let Some(token) = tokens.iter().find(says_nothing) {
            return Err(failed(format!("the scope of {} says nothing", token.name)));
        }
        if tokens.is_empty() {
            return Err(failed("it holds none".to_owned()));
        }
        Ok(Self(tokens))
    }

    fn of(&self, token: &str) -> Option<&Token> {
        let hash = hash(token);
        self.0
            .iter()
            .find(|known| known.sha256.eq_ignore_ascii_case(&hash))
    }
}

/// A token that nobody can guess.
///
/// # Errors
/// If the system gives no random bytes.
pub fn new_token() -> std::io::Result<String> {
    use std::io::Read as _;
    let mut bytes = [0; 24];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("lifeboat_{}", hex(&bytes)))
}

/// How a token is stored.
#[must_use]
pub fn hash(token: &str) -> String {
    hex(&Sha256::digest(token.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a text cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Somebody who asks.
pub struct Asker {
    pub name: String,
    /// `None`: the API server says what they may.
    pub role: Option<Role>,
    /// Whose requests these are; `None`: anybody's on this machine.
    pub client: Option<Client>,
    /// Which drills they may know of.
    pub scope: Scope,
    /// Whether they may do what they ask for.
    pub may: bool,
}

impl Asker {
    /// What decides about what they may.
    #[must_use]
    pub fn role_name(&self) -> &'static str {
        match self.role {
            Some(Role::Viewer) => "viewer",
            Some(Role::Operator) => "operator",
            Some(Role::Admin) => "admin",
            None => "kubernetes",
        }
    }
}

/// Where who has a role may pass.
#[derive(Clone)]
pub struct Gate {
    pub api: Arc<Api>,
    pub needed: Role,
    /// How many requests each client has.
    pub shares: Arc<Shares>,
}

/// Lets pass who has the role. What would change something is logged with who
/// asked for it and what came of it.
pub async fn guard(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    // A body cannot be looked at by two threads: only the head is handed on.
    let (mut head, body) = request.into_parts();
    let changes = gate.needed > Role::Viewer;
    let mut entry = changes.then(|| audit::Entry::new(&head));
    let response = match gate.open(&mut head, entry.as_mut()).await {
        Ok(_place) => next.run(Request::from_parts(head, body)).await,
        Err(problem) => problem.into_response(),
    };
    if let Some(entry) = entry {
        entry.answered(&response);
    }
    response
}

impl Gate {
    /// Notes in the head what was found out about who asks, if they may; gives the place
    /// that the request takes of theirs.
    async fn open(
        &self,
        head: &mut Parts,
        entry: Option<&mut audit::Entry>,
    ) -> Result<Option<Place>, Problem> {
        let found = tokio::time::timeout(PATIENCE, who(&self.api, head, self.needed)).await;
        let asker = found.unwrap_or_else(|_| Err(problem::too_long()))?;
        if let Some(entry) = entry {
            entry.asked_by(&asker);
        }
        if !asker.may {
            let detail = format!("{} has no right to do this", asker.name);
            return Err(Problem::new(StatusCode::FORBIDDEN, detail));
        }
        head.extensions.insert(asker.scope);
        let Some(client) = asker.client else {
            return Ok(None);
        };
        let place = self.shares.place(client.clone())?;
        head.extensions.insert(client);
        Ok(Some(place))
    }
}

/// A browser on this machine asks for any page that it shows. It says for which
/// one, and by which name it has found this address.
fn is_local(headers: &HeaderMap) -> bool {
    let local = |url: &str| {
        let host = url.rsplit_once("//").map_or(url, |(_, host)| host);
        let host = host.strip_suffix('/').unwrap_or(host);
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => host,
        };
        let name = name.trim_matches(['[', ']']);
        let address = name.parse::<std::net::IpAddr>();
        name == "localhost" || address.is_ok_and(|address| address.is_loopback())
    };
    [header::HOST, header::ORIGIN].iter().all(|name| {
        let value = headers.get(name).map(|value| value.to_str().ok());
        value.is_none_or(|value| value.is_some_and(local))
    })
}

/// Who asks, if that is known, and whether they may.
pub async fn who(api: &Api, head: &Parts, needed: Role) -> Result<Asker, Problem> {
    if api.tokens.is_none() && api.reviews.is_none() {
        return local(&head.headers);
    }
    let token = bearer(&head.headers)?;
    let tokens = api.tokens.as_ref().map(|tokens| tokens.get());
    let known = tokens.as_ref().and_then(|tokens| tokens.of(token));
    if let Some(known) = known {
        return Ok(Asker {
            name: known.name.clone(),
            role: Some(known.role),
            client: Some(Client::Token(known.name.clone())),
            scope: known.scope.clone().unwrap_or_default(),
            may: known.role >= needed,
        });
    }
    let Some(reviews) = &api.reviews else {
        return Err(unknown());
    };
    let verb = head.method.as_str().to_ascii_lowercase();
    match reviews.review(token, &verb, &path(head)).await? {
        Review::Known { name, may } => Ok(Asker {
            client: Some(Client::Account(name.clone())),
            name,
            role: None,
            scope: Scope::default(),
            may,
        }),
        Review::Unknown => Err(unknown()),
    }
}

/// Anybody, of programs on this machine.
fn local(headers: &HeaderMap) -> Result<Asker, Problem> {
    if !is_local(headers) {
        let detail = "without tokens, only programs of this machine are answered";
        let problem = Problem::new(StatusCode::FORBIDDEN, detail);
        return Err(problem.hint("name the tokens that are taken with --tokens"));
    }
    Ok(Asker {
        name: "anybody on this machine".to_owned(),
        role: Some(Role::Admin),
        client: None,
        scope: Scope::default(),
        may: true,
    })
}

fn unknown() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "the token is not known")
}

fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let given = headers.get(header::AUTHORIZATION);
    let given = given.and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.split_once(' '));
    let token = given.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    token.map(|(_, token)| token.trim()).ok_or_else(|| {
        let problem = Problem::new(StatusCode::UNAUTHORIZED, "a bearer token is needed");
        problem.hint("send `Authorization: Bearer TOKEN`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_others_are_not_local() {
        for (host, origin, local) in [
            ("localhost:8650", None, true),
            ("127.0.0.1:8650", Some("http://localhost:3000"), true),
            ("[::1]:8650", None, true),
            ("127.0.0.1", None, true),
            ("lifeboat.example:8650", None, false),
            ("127.0.0.1.example:8650", None, false),
            ("localhost:8650", Some("https://page.example"), false),
            ("localhost:8650", Some("null"), false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().unwrap());
            }
            assert_eq!(is_local(&headers), local, "{host} {origin:?}");
        }
    }
}
