//! Samples pushed as JSON: `{"samples": [{"metric": "cpu.usage", "value": 68.4, "server": "web-3"}]}`.
//!
//! A value is read from its text, never through a float: sums in the engine are exact, and the door must not be where
//! a digit is lost. A sample too far from our clock cannot move anything any more (rule 1); the sender hears which.

use super::{Error, Names, json, name, server_names};
use serde::Deserialize;
use serde_json::value::RawValue;
use weir_engine::{
    event::{About, SAMPLES_MAX, Sample},
    grammar::quantity::Quantity,
    time,
};

/// The source of its events.
pub const SOURCE: &str = "/samples";

/// How far from our clock a sample's time may be, milliseconds (rule 1).
pub const SKEW_MAX_MS: i64 = 30_000;

/// What one request says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Samples of about now.
    pub samples: Vec<Sample>,
    /// Where in the request the others stand, with their times, epoch milliseconds.
    pub off: Vec<(usize, i64)>,
}

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    samples: Vec<Pushed<'a>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pushed<'a> {
    metric: String,
    #[serde(borrow)]
    value: &'a RawValue,
    #[serde(default)]
    server: Option<Names>,
    #[serde(default)]
    group: Option<String>,
    #[serde(borrow, default)]
    at: Option<&'a RawValue>,
}

/// Reads one request. `now_ms` is the time of samples that name none.
///
/// # Errors
/// Where it is no list of samples, has none or more than [`SAMPLES_MAX`], or one is of no metric or no number.
pub fn read(bytes: &[u8], now_ms: i64) -> Result<Reading, Error> {
    let Request { samples } = json::read(bytes)?;
    match samples.len() {
        0 => return Err(Error::field("samples", "is empty")),
        count if count > SAMPLES_MAX => {
            return Err(Error::field("samples", format!("has {count} of them; at most {SAMPLES_MAX} in one request")));
        }
        _ => {}
    }
    let mut reading = Reading { samples: Vec::with_capacity(samples.len()), off: Vec::new() };
    for (index, pushed) in samples.into_iter().enumerate() {
        let sample = read_sample(index, pushed, now_ms)?;
        if (sample.at.saturating_sub(now_ms)).saturating_abs() > SKEW_MAX_MS {
            reading.off.push((index, sample.at));
        } else {
            reading.samples.push(sample);
        }
    }
    Ok(reading)
}

fn read_sample(index: usize, pushed: Pushed<'_>, now_ms: i64) -> Result<Sample, Error> {
    let field = |name: &str| format!("samples[{index}].{name}");
    let text = pushed.value.get();
    let value = Quantity::parse(text).ok_or_else(|| {
        let text = if text.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
            "is out of range; at most about 9.2e12 either way"
        } else {
            "is no number; write 68.4, without quotes"
        };
        Error::field(field("value"), text)
    })?;
    let at = match pushed.at {
        Some(at) => instant(at.get()).ok_or_else(|| {
            Error::field(field("at"), "is no time; write RFC 3339, or milliseconds since 1970 as a whole number")
        })?,
        None => now_ms,
    };
    Ok(Sample {
        metric: name(field("metric"), pushed.metric)?,
        value,
        at,
        about: About {
            server: server_names(pushed.server.map_or_else(Vec::new, Names::all)),
            group: pushed.group.map(|group| name(field("group"), group)).transpose()?,
        },
    })
}

/// RFC 3339 in quotes, or epoch milliseconds.
fn instant(text: &str) -> Option<i64> {
    match text.strip_prefix('"') {
        Some(_) => time::parse_rfc3339(&serde_json::from_str::<String>(text).ok()?).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
    use super::*;

    const NOW: i64 = 1_774_000_000_000;

    fn one(fields: &str) -> Result<Reading, Error> {
        read(format!(r#"{{"samples":[{{"metric":"cpu.usage",{fields}}}]}}"#).as_bytes(), NOW)
    }

    #[test]
    fn values_are_read_from_their_text() {
        // Through a float this would be 9007199254.740992.
        assert_eq!(one(r#""value":9007199254.740993"#).unwrap().samples[0].value, Quantity(9_007_199_254_740_993));
        assert_eq!(one(r#""value":6.84e1"#).unwrap().samples[0].value, Quantity(68_400_000));
        for (value, said) in
            [("\"68\"", "no number"), ("null", "no number"), ("1e13", "out of range"), ("[1]", "no number")]
        {
            let error = one(&format!(r#""value":{value}"#)).unwrap_err().to_string();
            assert!(error.starts_with("`samples[0].value`") && error.contains(said), "{error}");
        }
    }

    #[test]
    fn a_sample_is_of_now_unless_it_says_otherwise_and_half_a_minute_is_the_most() {
        assert_eq!(one(r#""value":1"#).unwrap().samples[0].at, NOW);
        for (off, taken) in [(30_000, true), (30_001, false), (-30_000, true), (-30_001, false)] {
            let at = NOW + off;
            for written in [at.to_string(), format!("\"{}\"", time::rfc3339(at))] {
                let reading = one(&format!(r#""value":1,"at":{written}"#)).unwrap();
                assert_eq!((reading.samples.len() == 1, reading.off.is_empty()), (taken, taken), "{off}");
            }
        }
        assert!(one(r#""value":1,"at":"yesterday""#).unwrap_err().to_string().contains("`samples[0].at` is no time"));
        assert_eq!(one(r#""value":1,"at":-9223372036854775808"#).unwrap().off.len(), 1);
    }

    #[test]
    fn a_server_has_one_name_or_several() {
        assert_eq!(one(r#""value":1,"server":"a""#).unwrap().samples[0].about.server, ["a"]);
        let several = one(r#""value":1,"server":["a","b","a",""],"group":"web""#).unwrap();
        assert_eq!(several.samples[0].about, About { server: vec!["a".into(), "b".into()], group: Some("web".into()) });
        assert!(one(r#""value":1,"host":"a""#).unwrap_err().to_string().contains("unknown field `host`"));
    }

    #[test]
    fn a_request_has_one_to_a_thousand_samples() {
        let many = |count: usize| {
            let all = vec![r#"{"metric":"m","value":1}"#; count].join(",");
            read(format!(r#"{{"samples":[{all}]}}"#).as_bytes(), NOW)
        };
        assert!(many(0).is_err());
        assert_eq!(many(999).unwrap().samples.len(), 999);
        assert_eq!(many(1_000).unwrap().samples.len(), 1_000);
        assert!(many(1_001).unwrap_err().to_string().contains("at most 1000"));
    }
}
