//! The engine alone: no log, no disk, one core.

use super::{each_second, fleet, rate, say};
use weir_engine::event::{Event, Record};

/// Facts of one round.
const FACTS: usize = 100_000;

/// Prints how many facts a second the engine takes.
pub fn run() {
    println!("engine: {} groups of {} servers, one core, {FACTS} facts a round", fleet::ALL_GROUPS, fleet::SERVERS);
    let standing = fleet::standing();
    type Make = fn(usize) -> Event;
    let mixes: [(&str, Make); 3] = [
        ("samples", fleet::sample),
        ("nine samples and one alarm", |number| {
            if number.is_multiple_of(10) { fleet::alarm(number) } else { fleet::sample(number) }
        }),
        ("alarms", fleet::alarm),
    ];
    for (name, make) in mixes {
        let events: Vec<Event> = (0..FACTS).map(make).collect();
        let lines: Vec<String> = events.iter().map(Event::to_line).collect();
        let read = rate(|| lines.iter().filter(|line| Event::from_line(line.as_bytes()).is_ok()).count());
        let records: Vec<Record> = (standing.next()..)
            .zip(events)
            .map(|(offset, event)| Record { offset, appended_ms: event.time, event })
            .collect();
        let (mut commands, mut decisions) = (0, 0);
        let step = rate(|| {
            let mut partition = standing.clone();
            (commands, decisions) = (0, 0);
            for record in &records {
                let effects = partition.step(record).expect("the records follow each other");
                commands += effects.commands.len();
                decisions += effects.decisions.len();
            }
            records.len()
        });
        let both = 1.0 / (1.0 / read + 1.0 / step);
        say(&format!("{name}: step"), &each_second(step), &format!("{commands} commands, {decisions} decisions"));
        say(
            &format!("{name}: line to event, then step"),
            &each_second(both),
            &format!("{:.2} of reading alone", both / read),
        );
    }
}
