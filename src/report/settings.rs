//! Settings, as a table.

use comfy_table::Cell;

use super::text::{Look, clean, plain_table, trimmed};

/// The table of `lifeboat config show`: name, value and where that is from.
#[must_use]
pub fn table<'a>(settings: impl Iterator<Item = [&'a str; 3]>, look: Look) -> String {
    let mut table = plain_table(look);
    table.set_header(["SETTING", "VALUE", "FROM"]);
    table.add_rows(settings.map(|setting| setting.map(|text| Cell::new(clean(text)))));
    trimmed(&table)
}
