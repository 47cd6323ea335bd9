//! Choosing the user that copies run as where Lifeboat itself is root.

use nix::unistd::{User, geteuid};

use super::Account;
use crate::domain::failure::{Failure, FailureKind};

/// The users that are tried where none is configured. `PostgreSQL` refuses to
/// run as root, and `postgres` is whom its packages make.
const CANDIDATES: [&str; 2] = ["postgres", "nobody"];

/// The unprivileged user to become: `None` where Lifeboat is not root, and so
/// has no rights to drop.
///
/// # Errors
/// `Invalid` if the configured user is root; `NotFound` if there is no such
/// user, or none of the usual ones.
pub fn unprivileged(configured: Option<&str>) -> Result<Option<Account>, Failure> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    if let Some(name) = configured {
        let account = look_up(name)?.ok_or_else(|| {
            Failure::new(
                FailureKind::NotFound,
                format!("there is no user `{name}` to run copies as"),
            )
        })?;
        return Ok(Some(account));
    }
    for name in CANDIDATES {
        if let Some(account) = look_up(name)? {
            return Ok(Some(account));
        }
    }
    Err(Failure::new(
        FailureKind::NotFound,
        "there is no unprivileged user to run copies as",
    )
    .hint("name one in the configuration, or run lifeboat as an ordinary user"))
}

fn look_up(name: &str) -> Result<Option<Account>, Failure> {
    let user = User::from_name(name).map_err(|error| {
        Failure::new(
            FailureKind::Unavailable,
            format!("cannot look up the user `{name}`: {error}"),
        )
    })?;
    let Some(user) = user else { return Ok(None) };
    if user.uid.is_root() {
        return Err(Failure::new(
            FailureKind::Invalid,
            format!("the user `{name}` is root: copies never run as root"),
        ));
    }
    Ok(Some(Account {
        uid: user.uid.as_raw(),
        gid: user.gid.as_raw(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_never_chosen() {
        if geteuid().is_root() {
            assert_eq!(
                unprivileged(Some("root")).unwrap_err().kind,
                FailureKind::Invalid
            );
            assert_ne!(unprivileged(None).unwrap().unwrap().uid, 0);
        } else {
            assert_eq!(unprivileged(None).unwrap(), None);
        }
    }
}
