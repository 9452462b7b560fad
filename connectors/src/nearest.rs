//! The name that somebody most likely meant, for messages about one that is not known.

/// The name most like `name`, where any is like enough to be meant by it.
#[must_use]
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = fold(name);
    let alike = known.into_iter().map(|known| (strsim::normalized_damerau_levenshtein(&folded, &fold(known)), known));
    let (likeness, known) = alike.max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    (likeness >= 0.6).then_some(known)
}

/// `web-5xx`, `web_5xx` and `Web 5xx` are one name to whoever types them.
fn fold(name: &str) -> String {
    name.chars().map(|c| if matches!(c, '-' | ' ' | '.') { '_' } else { c.to_ascii_lowercase() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_name_and_another_word_finds_none() {
        let known = ["web_5xx", "site_down"];
        assert_eq!(nearest("web-5x", known), Some("web_5xx"));
        assert_eq!(nearest("Site Down", known), Some("site_down"));
        assert_eq!(nearest("disk_full", known), None);
        assert_eq!(nearest("x", []), None);
    }
}
