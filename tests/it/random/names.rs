//! Names that need quoting in every way.

use fastrand::Rng;

const ODD: &[&str] = &[
    "plain",
    "Mixed Case",
    "quo\"te",
    "apo'strophe",
    "dot.ted",
    "semi;colon",
    "select",
    "user",
    "größe",
    "日本語",
    "emoji🎉",
    "back\\slash",
    "per%I%s cent",
    "dollar$1$$",
    " leading",
    "trailing ",
    "--comment",
    "/* no */",
    "new\nline",
    "tab\there",
    "{{since|1|a|b}}",
    "a,b",
    "(paren)",
    "e\u{301}",
    "=equals",
    "pgx_toast",
    "long_name_that_goes_on_and_on_and_on_until_nearly_the_limit",
];

/// A name, not quoted, that no other one with another number is equal to.
pub fn odd(rng: &mut Rng, number: usize) -> String {
    format!("{}{number}", rng.choice(ODD).unwrap())
}

/// A name as SQL wants it.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A string constant.
pub fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
