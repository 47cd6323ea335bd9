//! Near misses: what the writer may have meant.

/// The candidate that `word` is most probably a misspelling of.
pub(super) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let allowed = match word.chars().count() {
        0..=2 => 1,
        3..=7 => 2,
        _ => 3,
    };
    let plain = |text: &str| text.to_lowercase().replace(['_', '-'], "");
    candidates
        .into_iter()
        .map(|candidate| (distance(&plain(word), &plain(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= allowed && *distance < candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance in characters.
fn distance(left: &str, right: &str) -> usize {
    // Nothing that long is a misspelling, and the cost is the product.
    if left.len().max(right.len()) > 64 {
        return usize::MAX;
    }
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, r) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(l != *r);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_misspellings_and_nothing_else() {
        let fields = ["objectives", "rowCounts", "rto", "rpo"];
        assert_eq!(nearest("objectvies", fields), Some("objectives"));
        assert_eq!(nearest("row_counts", fields), Some("rowCounts"));
        assert_eq!(nearest("RTO", fields), Some("rto"));
        assert_eq!(nearest("schedule", fields), None);
        assert_eq!(nearest("", fields), None);
    }
}
