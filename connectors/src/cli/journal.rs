//! What a server says of itself: warnings on the standard error for a person, JSON lines on the standard output for
//! whoever collects logs.

use tracing_subscriber::filter::LevelFilter;
use weir_engine::{decision::Decision, time};

/// Begins. A process has one; a second beginning changes nothing.
pub fn begin(for_people: bool, verbose: bool, colour: bool) {
    let level = match (for_people, verbose) {
        (_, true) => LevelFilter::DEBUG,
        (true, false) => LevelFilter::WARN,
        (false, false) => LevelFilter::INFO,
    };
    let builder = tracing_subscriber::fmt().with_max_level(level);
    // An error says that there is one already, as in tests.
    let _ = if for_people {
        builder.with_writer(std::io::stderr).with_target(false).with_ansi(colour).compact().try_init()
    } else {
        builder.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
    };
}

/// A decision as a line of the log.
pub fn decision(decision: &Decision, reason: &str) {
    tracing::info!(
        tenant = decision.tenant,
        group = decision.group,
        position = %decision.position,
        at = time::rfc3339(decision.at),
        from = decision.from,
        to = decision.to,
        min = decision.min,
        max = decision.max,
        reason,
        "decision"
    );
}
