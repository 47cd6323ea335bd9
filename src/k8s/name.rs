//! Names in addresses.

use crate::domain::failure::{Failure, FailureKind};

/// A name that stays where it is put in an address: it neither ends a segment
/// of a path nor leads out of it. Names come from drill files and from objects
/// that others have written.
pub(super) fn checked(name: &str) -> Result<&str, Failure> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    if !name.is_empty() && name.chars().all(allowed) && name != "." && name != ".." {
        return Ok(name);
    }
    let shown: String = name.chars().take(80).collect();
    let message = format!("`{}` is no name of an object", shown.escape_debug());
    Err(Failure::new(FailureKind::Invalid, message)
        .hint("names are made of letters, digits, hyphens and dots"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_elsewhere() {
        for name in ["db", "db-0", "db.shop", "system:node", "Db_1"] {
            assert_eq!(checked(name).unwrap(), name);
        }
        for name in [
            "",
            ".",
            "..",
            "a/b",
            "../secrets/x",
            "a?b=c",
            "a%2fb",
            "a#b",
            "a b",
            "ä",
        ] {
            assert!(checked(name).is_err(), "{name}");
        }
    }
}
