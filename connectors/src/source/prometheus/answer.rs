//! The answer to an instant query: a vector of series or one scalar, with their values now, into samples.
//!
//! Values are text in the protocol and read as such, never through a float. `NaN` and the infinities are no measurement:
//! Prometheus says `NaN` where a ratio has nothing below its line, and a rule must not act on that.

use crate::source::{self, json, labels::Labels};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use weir_engine::{
    event::{About, Sample},
    grammar::quantity::Quantity,
};

/// The longest answer that is read, bytes: a thousand servers with many labels each.
pub const ANSWER_BYTES_MAX: usize = 4 << 20;

/// What an answer came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// A sample a series.
    pub samples: Vec<Sample>,
    /// Series that name no server where the metric wants one.
    pub unnamed: usize,
    /// Series whose value is `NaN`, infinite, a histogram, or beyond what a metric can hold.
    pub unmeasured: usize,
}

/// Why an answer is of no use to a metric.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is no JSON, or not Prometheus's.
    #[error("the answer cannot be read: {0}")]
    Unreadable(#[from] source::Error),
    /// Prometheus's own words.
    #[error("{0}")]
    Failed(String),
    /// A range or a string.
    #[error("the query gives a {0}; a metric needs a vector or a scalar, one value a series")]
    Kind(String),
    /// One was wanted.
    #[error("the query gives {0} series where a shared metric has one; aggregate them, as in sum(…)")]
    Many(usize),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    status: String,
    #[serde(borrow, default)]
    data: Option<Data<'a>>,
    #[serde(default)]
    error: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    result_type: String,
    #[serde(borrow)]
    result: &'a RawValue,
}

#[derive(Deserialize)]
struct Series<'a> {
    #[serde(default)]
    metric: BTreeMap<String, String>,
    // Absent from a native histogram, which has a `histogram` instead.
    #[serde(borrow, default)]
    value: Option<Value<'a>>,
}

/// Seconds since 1970 with a fraction, and the value as text.
#[derive(Deserialize)]
struct Value<'a>(#[serde(borrow)] &'a RawValue, String);

impl Value<'_> {
    /// Epoch milliseconds and the value, where it is one.
    fn measured(&self) -> Option<(i64, Quantity)> {
        // A millionth of a second is a thousandth of a millisecond.
        Some((Quantity::parse(self.0.get())?.0 / 1_000, Quantity::parse(&self.1)?))
    }
}

/// Reads an answer. `shared` metrics have one series, others one a server, named by its labels.
///
/// # Errors
/// [`Error`].
pub fn read(bytes: &[u8], metric: &str, shared: bool, labels: Labels<'_>) -> Result<Reading, Error> {
    let Answer { status, data, error } = json::read(bytes)?;
    let Some(Data { result_type, result }) = data.filter(|_| status == "success") else {
        return Err(Error::Failed(source::beginning(error.unwrap_or_else(|| format!("its status is `{status}`")))));
    };
    let series: Vec<Series<'_>> = match result_type.as_str() {
        "vector" => json::read(result.get().as_bytes())?,
        "scalar" => vec![Series { metric: BTreeMap::new(), value: Some(json::read(result.get().as_bytes())?) }],
        other => return Err(Error::Kind(source::beginning(other.to_owned()))),
    };
    if shared && series.len() > 1 {
        return Err(Error::Many(series.len()));
    }
    let mut reading = Reading::default();
    for one in series {
        let about = match shared {
            true => About::default(),
            false => labels.about(&one.metric).unwrap_or_default(),
        };
        if !shared && about.server.is_empty() {
            reading.unnamed += 1;
            continue;
        }
        match one.value.and_then(|value| value.measured()) {
            Some((at, value)) => reading.samples.push(Sample { metric: metric.to_owned(), value, at, about }),
            None => reading.unmeasured += 1,
        }
    }
    Ok(reading)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    fn reading(shared: bool, kind: &str, result: &str) -> Result<Reading, Error> {
        let text = format!(r#"{{"status":"success","data":{{"resultType":"{kind}","result":{result}}}}}"#);
        let (server, group) = (["server".to_owned(), "instance".to_owned()], ["weir_group".to_owned()]);
        read(text.as_bytes(), "cpu", shared, Labels { server: &server, group: &group })
    }

    #[test]
    fn a_vector_is_a_sample_a_server_and_its_times_and_values_are_exact() {
        let result = r#"[{"metric":{"instance":"web-3:9100","weir_group":"web"},"value":[1774000000.781,"9007199254.740993"]},
            {"metric":{"server":"web-4","instance":"10.0.0.4:9100"},"value":[1774000000,"6.84e+01"]}]"#;
        let read = reading(false, "vector", result).unwrap();
        let about = |sample: usize| read.samples[sample].about.clone();
        assert_eq!(about(0), About { server: vec!["web-3:9100".into(), "web-3".into()], group: Some("web".into()) });
        assert_eq!(about(1).server, ["web-4", "10.0.0.4:9100", "10.0.0.4"]);
        assert_eq!((read.samples[0].at, read.samples[0].value.0), (1_774_000_000_781, 9_007_199_254_740_993));
        assert_eq!((read.samples[1].at, read.samples[1].value.0), (1_774_000_000_000, 68_400_000));
    }

    #[test]
    fn a_shared_metric_has_one_series_and_nobody_s_name() {
        let one = reading(true, "vector", r#"[{"metric":{"instance":"mq-1"},"value":[1,"61"]}]"#).unwrap();
        assert_eq!(one.samples[0].about, About::default());
        assert_eq!(reading(true, "scalar", r#"[1774000000.5,"61"]"#).unwrap().samples[0].at, 1_774_000_000_500);
        assert_eq!(reading(true, "vector", "[]").unwrap(), Reading::default(), "silence is no error");
        let two = r#"[{"metric":{"a":"1"},"value":[1,"1"]},{"metric":{"a":"2"},"value":[1,"1"]}]"#;
        assert_eq!(reading(true, "vector", two), Err(Error::Many(2)));
    }

    #[test]
    fn what_is_no_measurement_is_counted_and_never_a_number() {
        for value in ["NaN", "+Inf", "-Inf", "1e13", ""] {
            let result = format!(r#"[{{"metric":{{"server":"a"}},"value":[1,"{value}"]}}]"#);
            let read = reading(false, "vector", &result).unwrap();
            assert_eq!((read.samples.len(), read.unmeasured), (0, 1), "{value}");
        }
        let histogram = r#"[{"metric":{"server":"a"},"histogram":[1,{"count":"3","sum":"4"}]}]"#;
        assert_eq!(reading(false, "vector", histogram).unwrap().unmeasured, 1);
        assert_eq!(reading(false, "vector", r#"[{"metric":{"job":"a"},"value":[1,"2"]}]"#).unwrap().unnamed, 1);
    }

    #[test]
    fn other_answers_are_refused_in_words() {
        let said = |text: &str| {
            let none = Labels { server: &[], group: &[] };
            read(text.as_bytes(), "cpu", true, none).unwrap_err().to_string()
        };
        assert!(reading(true, "matrix", "[]").unwrap_err().to_string().contains("gives a matrix"));
        assert_eq!(said(r#"{"status":"error","errorType":"bad_data","error":"parse error: no"}"#), "parse error: no");
        assert!(said("<html>").starts_with("the answer cannot be read: line 1"));
        assert!(said(r#"{"status":"success"}"#).contains("its status is `success`"));
    }
}
