//! Values and conditions in words: how `why`, decisions and tests name what was seen.

use weir_grammar::{
    policy::{Action, AlarmState, AlarmTest, Amount, Change, Counted, Func, Op, Policy, Quorum, Unit},
    policy::{Aggregate, CountTest, MissingTest},
    quantity::{Millis, Percent, Quantity},
};

/// A metric's value with its unit and at most one decimal, rounded half away from zero: `70.4 %`, `250 ms`, `61`.
#[must_use]
pub fn value(unit: Unit, value: Quantity) -> String {
    match unit {
        Unit::Percent => format!("{} %", tenths(value.0)),
        Unit::Number => tenths(value.0),
        Unit::Duration if value.0.abs() < Quantity::SCALE => format!("{} ms", tenths(value.0.saturating_mul(1_000))),
        Unit::Duration => format!("{} s", tenths(value.0)),
        Unit::Bytes => {
            let units = ["B", "KiB", "MiB", "GiB", "TiB"];
            let mut scaled = value.0;
            let mut at = 0;
            while scaled.abs() >= 1_024 * Quantity::SCALE && at + 1 < units.len() {
                scaled /= 1_024;
                at += 1;
            }
            format!("{} {}", tenths(scaled), units.get(at).copied().unwrap_or("B"))
        }
    }
}

/// A share with a blank before its sign, as values have it: `10 %`.
#[must_use]
pub fn percent(share: Percent) -> String {
    value(Unit::Percent, Quantity(share.0.saturating_mul(Quantity::SCALE / 1_000)))
}

/// Millionths, to one decimal; a whole number without one.
fn tenths(millionths: i64) -> String {
    let step = Quantity::SCALE / 10;
    let half = if millionths < 0 { -step / 2 } else { step / 2 };
    let tenths = millionths.saturating_add(half) / step;
    let sign = if tenths < 0 { "-" } else { "" };
    let (whole, tenth) = (tenths.unsigned_abs() / 10, tenths.unsigned_abs() % 10);
    if tenth == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{tenth}") }
}

/// `avg(cpu.usage over 5m)`, as the policy writes it.
#[must_use]
pub fn aggregate(policy: &Policy, aggregate: &Aggregate) -> String {
    let metric = policy.metrics.get(aggregate.metric).map_or("?", |metric| metric.name.as_str());
    let per_server = if aggregate.per_server { " per server" } else { "" };
    format!("{}({metric}{per_server} over {})", func(aggregate.func), aggregate.over)
}

/// `avg`, `p95`.
#[must_use]
pub fn func(func: Func) -> String {
    match func {
        Func::Avg => "avg".into(),
        Func::Sum => "sum".into(),
        Func::Min => "min".into(),
        Func::Max => "max".into(),
        Func::Last => "last".into(),
        Func::Percentile(rank) => format!("p{rank}"),
    }
}

/// `over`, `at or over`, `under`, `at or under`.
#[must_use]
pub fn op(op: Op) -> &'static str {
    match op {
        Op::Above => "over",
        Op::AtLeast => "at or over",
        Op::Under => "under",
        Op::AtMost => "at or under",
    }
}

/// `critical`.
#[must_use]
pub fn state(state: AlarmState) -> &'static str {
    match state {
        AlarmState::Ok => "ok",
        AlarmState::Warning => "warning",
        AlarmState::Critical => "critical",
        AlarmState::Unknown => "unknown",
    }
}

/// `web_5xx is critical on 2 servers`.
#[must_use]
pub fn alarm_test(policy: &Policy, test: &AlarmTest) -> String {
    let name = policy.alarms.get(test.alarm).map_or("?", |alarm| alarm.name.as_str());
    let negated = if test.negated { "not " } else { "" };
    let quorum = match test.quorum {
        Quorum::Any => String::new(),
        Quorum::Servers(servers) => format!(" on {servers} servers"),
        Quorum::Share(share) => format!(" on {} of servers", percent(share)),
    };
    format!("{name} is {negated}{}{quorum}", state(test.state))
}

/// `server.lost`, `deploy.done`.
#[must_use]
pub fn counted(policy: &Policy, counted: Counted) -> String {
    match counted {
        Counted::ServerReady => "server.ready".into(),
        Counted::ServerFailed => "server.failed".into(),
        Counted::ServerLost => "server.lost".into(),
        Counted::Declared(index) => policy.events.get(index).map_or_else(|| "?".into(), |event| event.name.clone()),
    }
}

/// `count(server.lost over 10m)`.
#[must_use]
pub fn count_test(policy: &Policy, test: &CountTest) -> String {
    format!("count({} over {})", counted(policy, test.counted), test.over)
}

/// `missing(cpu.usage for 10m)`.
#[must_use]
pub fn missing_test(policy: &Policy, test: &MissingTest) -> String {
    let metric = policy.metrics.get(test.metric).map_or("?", |metric| metric.name.as_str());
    format!("missing({metric} for {})", test.hold)
}

/// `add 25%, at most 8`, `raise to 12`.
#[must_use]
pub fn action(action: &Action) -> String {
    let change = |word: &str, change: &Change| {
        let amount = match change.amount {
            Amount::Servers(servers) => servers.to_string(),
            Amount::Share(share) => share.to_string(),
        };
        let least = change.least.map_or_else(String::new, |least| format!(", at least {least}"));
        let most = change.most.map_or_else(String::new, |most| format!(", at most {most}"));
        format!("{word} {amount}{least}{most}")
    };
    match action {
        Action::Add(amount) => change("add", amount),
        Action::Remove(amount) => change("remove", amount),
        Action::RaiseTo(size) => format!("raise to {size}"),
        Action::LowerTo(size) => format!("lower to {size}"),
        Action::Set(size) => format!("set {size}"),
    }
}

/// A length of time, or nothing for none: ` for 90s`.
#[must_use]
pub fn hold(hold: Option<Millis>) -> String {
    hold.map_or_else(String::new, |hold| format!(" (for {hold})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_units_and_one_decimal() {
        let percent = |micro| value(Unit::Percent, Quantity(micro));
        assert_eq!(percent(70_400_000), "70.4 %");
        assert_eq!(percent(70_449_999), "70.4 %");
        assert_eq!(percent(70_450_000), "70.5 %");
        assert_eq!(percent(-50_000), "-0.1 %");
        assert_eq!(value(Unit::Duration, Quantity(250_000)), "250 ms");
        assert_eq!(value(Unit::Duration, Quantity(2_500_000)), "2.5 s");
        assert_eq!(value(Unit::Bytes, Quantity(536_870_912 * Quantity::SCALE)), "512 MiB");
        assert_eq!(value(Unit::Number, Quantity(61_000_000)), "61");
    }
}
