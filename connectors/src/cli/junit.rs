//! Results of tests as JUnit's XML, which every build server reads.

use quick_xml::escape::escape;

/// The results of one file.
#[derive(Clone, Debug, Default)]
pub struct Suite {
    /// The file.
    pub name: String,
    /// Its tests: group, title, and what went wrong where something did.
    pub cases: Vec<(String, String, Option<String>)>,
}

/// The whole document.
#[must_use]
pub fn document(suites: &[Suite]) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for suite in suites {
        let failures = suite.cases.iter().filter(|(.., failure)| failure.is_some()).count();
        text.push_str(&format!(
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failures}\">\n",
            attribute(&suite.name),
            suite.cases.len()
        ));
        for (group, title, failure) in &suite.cases {
            let (group, title) = (attribute(group), attribute(title));
            text.push_str(&format!("    <testcase classname=\"{group}\" name=\"{title}\""));
            match failure {
                None => text.push_str("/>\n"),
                Some(failure) => {
                    let message = attribute(failure.lines().next().unwrap_or_default());
                    let body = escape(allowed(failure)).into_owned();
                    text.push_str(&format!(
                        ">\n      <failure message=\"{message}\">{body}</failure>\n    </testcase>\n"
                    ));
                }
            }
        }
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

fn attribute(text: &str) -> String {
    escape(allowed(text)).replace('\n', "&#10;")
}

/// XML 1.0 has no way to write most control characters.
fn allowed(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && !matches!(c, '\n' | '\t') { '\u{fffd}' } else { c }).collect()
}
