//! Every code the checker can say, with its title. A code is never used again for something else.

/// Code and title, in order.
pub const CODES: &[(&str, &str)] = &[
    ("E0101", "braces that do not meet"),
    ("E0102", "a statement this block does not know"),
    ("E0103", "a statement that cannot be read"),
    ("E0104", "a text in quotes that is not closed or not well written"),
    ("E0105", "a word of the language as a name"),
    ("E0106", "no edition, or one that is not known"),
    ("E0107", "`and` and `or` mixed without parentheses"),
    ("E0108", "`for` after a compound condition without parentheses"),
    ("E0109", "too many errors to report"),
    ("E0110", "a comparison the language has not"),
    ("E0201", "an unknown metric"),
    ("E0202", "an unknown alarm"),
    ("E0203", "an unknown event"),
    ("E0204", "an unknown rule"),
    ("E0205", "an unknown group"),
    ("E0206", "an unknown launch configuration"),
    ("E0207", "an unknown time zone"),
    ("E0208", "an unknown constant"),
    ("E0209", "an unknown freeze"),
    ("E0210", "an unknown guard"),
    ("E0211", "a name declared twice"),
    ("E0212", "a statement given twice"),
    ("E0301", "units that do not meet"),
    ("E0302", "bounds that do not meet"),
    ("E0303", "windows that overlap with nothing in common"),
    ("E0305", "a cron expression that cannot be run"),
    ("E0306", "step arms out of order, or on the wrong side"),
    ("E0307", "`missing` in a rule that can remove"),
    ("E0308", "a rule without exactly one trigger and one action"),
    ("E0309", "an action that does not go with its trigger"),
    ("E0310", "over a limit of size or cost"),
    ("E0311", "`per server` of a metric that is not shared"),
    ("E0312", "a number of servers for a shared alarm or metric"),
    ("E0313", "a statement that has to be there"),
    ("E0314", "a value out of its range"),
    ("E0315", "a local time that does not exist"),
    ("E0316", "a statement that has no meaning under this trigger"),
    ("W0411", "a schedule whose wall time falls in a daylight-saving gap or fold"),
];

/// The title of a code.
#[must_use]
pub fn title(code: &str) -> Option<&'static str> {
    CODES.iter().find(|(known, _)| *known == code).map(|(_, title)| *title)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_in_order() {
        assert!(CODES.is_sorted_by(|a, b| a.0 < b.0), "each code once, in order");
        assert_eq!(title("E0301"), Some("units that do not meet"));
        assert_eq!(title("E9999"), None);
    }
}
