//! The stories of the golden logs, each with a policy of its own. Told by subject: what is measured, what the clock does, what
//! people order, what becomes of servers.

mod clock;
mod orders;
mod senses;
mod servers;

/// A story: it makes its file.
pub type Story = fn() -> String;

/// All of them, by the name of their file.
pub const STORIES: &[(&str, Story)] = &[
    ("alarms-and-cooldowns", senses::alarms_and_cooldowns),
    ("samples-and-track", senses::samples_and_track),
    ("step-and-stabilize", senses::step_and_stabilize),
    ("gaps-in-the-log", senses::gaps_in_the_log),
    ("windows-in-autumn", clock::windows_in_autumn),
    ("schedules-in-spring", clock::schedules_in_spring),
    ("schedules-missed", clock::schedules_missed),
    ("holds", orders::holds),
    ("limits", orders::limits),
    ("forces", orders::forces),
    ("versions", orders::versions),
    ("servers-lost-and-failed", servers::lost_and_failed),
    ("two-groups-and-a-quota", servers::two_groups_and_a_quota),
];

/// A file that begins as all do: the edition, and a launch `small`.
fn policy(rest: &str) -> String {
    format!(
        "edition 2026\n\nlaunch small {{\n  image   \"debian-13\"\n  flavor  \"general1-1\"\n  network \"private\"\n}}\n{rest}"
    )
}
