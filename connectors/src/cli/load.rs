//! The load of a simulated day: what a shop's monitoring would have said. A pure function of the minute of the day and
//! of how many servers share it; nothing here knows what was decided.

use std::f64::consts::PI;

/// Minutes of a day.
pub const DAY: u32 = 24 * 60;
/// The group that shoppers load, and the one that works off orders.
pub const WEB: &str = "web";

/// Work of the web servers at a minute, percent of one server: shoppers come before noon, after work, and for a sale at
/// eight in the evening.
#[must_use]
pub fn web(minute: u32) -> f64 {
    let hour = f64::from(minute) / 60.0;
    let wave = |height: f64, middle: f64, width: f64| height * (-((hour - middle) / width).powi(2)).exp();
    95.0 + wave(330.0, 10.2, 1.9) + wave(260.0, 13.1, 1.2) + wave(300.0, 16.0, 2.2) + wave(1_060.0, 20.4, 1.2)
}

/// The share of one of `servers` in that work, percent: no two servers are quite alike, and none is over 100.
#[must_use]
pub fn cpu(minute: u32, server: usize, servers: usize) -> f64 {
    let even = web(minute) / servers.max(1) as f64;
    let apart = 1.0 + 0.03 * ((server as f64) * 2.4 + f64::from(minute) * PI / 7.0).sin();
    (even * apart).clamp(1.0, 100.0)
}

/// Orders that wait: the night's, which come at two, and those of the sale.
#[must_use]
pub fn queue(minute: u32) -> f64 {
    let hour = f64::from(minute) / 60.0;
    let batch = |size: f64, at: f64, lasts: f64| if hour < at { 0.0 } else { size * (-(hour - at) / lasts).exp() };
    let rise = |size: f64, middle: f64, width: f64| size * (-((hour - middle) / width).powi(2)).exp();
    20.0 + batch(1_500.0, 2.0, 1.2) + rise(160.0, 13.5, 1.5) + rise(700.0, 20.8, 1.0)
}

/// How many web servers answer with errors: a release at ten past two in the afternoon that was taken back.
#[must_use]
pub fn failing(minute: u32) -> usize {
    if (14 * 60 + 10..14 * 60 + 21).contains(&minute) { 3 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_has_a_night_and_an_evening() {
        assert!(web(4 * 60) < 110.0, "the night fits three servers");
        assert!(web(20 * 60 + 24) > 900.0, "the sale needs many");
        assert!((1..=24).all(|servers| (0..servers).all(|server| cpu(720, server, servers) <= 100.0)));
        assert!(queue(0) < 25.0 && queue(121) > 1_000.0 && queue(12 * 60 + 600) > 100.0);
    }
}
