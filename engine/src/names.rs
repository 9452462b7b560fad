//! What a sender calls a server, borrowed from where it was read: a list of names, read one after the other when somebody
//! asks. Most facts have one, and to take several apart beforehand would cost more than to look them up.

/// Names of one server that a fact may carry.
pub const NAMES_MAX: usize = 8;

/// Some names of one server.
#[derive(Clone, Copy, Debug, Default)]
pub struct Names<'a> {
    /// Quoted and parted by commas, without any escape.
    scanned: &'a str,
    parsed: &'a [String],
}

impl<'a> Names<'a> {
    /// Of a canonical line: what stands between the brackets, plain strings alone.
    pub(crate) fn scanned(scanned: &'a str) -> Self {
        Self { scanned, parsed: &[] }
    }

    /// The names in their order; those beyond [`NAMES_MAX`] are not looked at.
    pub fn iter(self) -> impl Iterator<Item = &'a str> {
        let mut rest = self.scanned;
        let scanned = std::iter::from_fn(move || {
            let (name, behind) = rest.strip_prefix('"')?.split_once('"')?;
            rest = behind.strip_prefix(',').unwrap_or(behind);
            Some(name)
        });
        scanned.chain(self.parsed.iter().map(String::as_str)).take(NAMES_MAX)
    }
}

impl<'a> From<&'a [String]> for Names<'a> {
    fn from(parsed: &'a [String]) -> Self {
        Self { scanned: "", parsed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_their_order_and_not_without_end() {
        let many: Vec<String> = (0..12).map(|number| format!("web, {number}")).collect();
        let quoted = many.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(",");
        for names in [Names::scanned(&quoted), Names::from(many.as_slice())] {
            assert_eq!(names.iter().collect::<Vec<_>>(), many[..NAMES_MAX]);
        }
        assert_eq!(Names::scanned("\"\",\"a\"").iter().collect::<Vec<_>>(), ["", "a"]);
        assert_eq!(Names::default().iter().count(), 0);
    }
}
