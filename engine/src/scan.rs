//! A scanner for the hot kinds of events: samples, alarms and ticks, read without a copy from the canonical line.
//!
//! Parsing is nearly all of what a decision costs once its rules are compiled. The log holds lines that only our door wrote, in
//! one form, so this reads that form and nothing else: whatever differs by a byte (another kind, an escape in a string,
//! a field it does not know) is left to the full parser. It never reads a line differently than that one; a property
//! test holds the two together.

mod instant;

use crate::names::{NAMES_MAX, Names};
use weir_grammar::{policy::AlarmState, quantity::Quantity};

/// A line in its parts, borrowed from it.
#[derive(Clone, Debug)]
pub struct Scanned<'a> {
    /// The event's time, epoch milliseconds.
    pub time: i64,
    /// Whose fact it is.
    pub tenant: &'a str,
    /// What happened.
    pub fact: Hot<'a>,
}

/// A fact of a hot kind.
#[derive(Clone, Debug)]
pub enum Hot<'a> {
    /// Nothing but the time.
    Tick,
    /// An alarm's state.
    Alarm(AlarmRef<'a>),
    /// Samples, still to be read one after the other.
    Samples(Samples<'a>),
}

/// Whom a fact is about.
#[derive(Clone, Copy, Debug, Default)]
pub struct AboutRef<'a> {
    /// What the sender calls the server.
    pub server: Names<'a>,
    /// The group's name.
    pub group: Option<&'a str>,
}

/// An alarm's state, as far as a decision reads it.
#[derive(Clone, Copy, Debug)]
pub struct AlarmRef<'a> {
    /// What the sender calls it.
    pub name: &'a str,
    /// The state.
    pub state: AlarmState,
    /// The sender's time.
    pub at: i64,
    /// On whom.
    pub about: AboutRef<'a>,
}

/// A measured value.
#[derive(Clone, Copy, Debug)]
pub struct SampleRef<'a> {
    /// What the sender calls the metric.
    pub metric: &'a str,
    /// Millionths of the metric's unit.
    pub value: Quantity,
    /// The sender's time.
    pub at: i64,
    /// Of whom.
    pub about: AboutRef<'a>,
}

/// The samples of one event. Checked whole when the line was scanned, so reading on in them cannot fail.
#[derive(Clone, Debug)]
pub struct Samples<'a> {
    /// Kept from the check: most events have one sample, which is so read once.
    next: Option<SampleRef<'a>>,
    rest: Cursor<'a>,
}

/// Scans a line; `None` where the full parser must read it.
#[must_use]
pub fn event(line: &[u8]) -> Option<Scanned<'_>> {
    let mut at = Cursor { line: std::str::from_utf8(line).ok()?, at: 0 };
    at.eat(b"{\"specversion\":\"1.0\",\"id\":")?;
    at.string()?;
    at.eat(b",\"source\":")?;
    at.string()?;
    at.eat(b",\"time\":")?;
    let time = at.instant()?;
    at.eat(b",\"tenant\":")?;
    let tenant = at.string()?;
    at.eat(b",\"type\":\"weir.")?;
    let fact = match at.rest().first()? {
        b's' => {
            at.eat(b"samples\",\"data\":[")?;
            let next = at.sample_or_end()?;
            let samples = Samples { next, rest: at };
            // Once through, so that nothing is applied of a line that turns out to be another's business.
            if next.is_some() {
                while at.sample_or_end()?.is_some() {}
            }
            Hot::Samples(samples)
        }
        b'a' => {
            at.eat(b"alarm\",\"data\":")?;
            Hot::Alarm(at.alarm()?)
        }
        b't' => {
            at.eat(b"tick\",\"data\":{}")?;
            Hot::Tick
        }
        _ => return None,
    };
    (at.rest() == b"}").then_some(Scanned { time, tenant, fact })
}

impl<'a> Samples<'a> {
    /// The next one, which stays the next.
    #[must_use]
    pub fn first(&self) -> Option<&SampleRef<'a>> {
        self.next.as_ref()
    }
}

impl<'a> Iterator for Samples<'a> {
    type Item = SampleRef<'a>;

    fn next(&mut self) -> Option<SampleRef<'a>> {
        let sample = self.next.take()?;
        self.next = self.rest.sample_or_end().flatten();
        Some(sample)
    }
}

/// A line, and how far it is read.
#[derive(Clone, Copy, Debug)]
struct Cursor<'a> {
    line: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a [u8] {
        self.line.as_bytes().get(self.at..).unwrap_or_default()
    }

    /// Reads exactly this text. Its length is known where it is asked, so it is compared in words and not byte by byte.
    fn eat<const N: usize>(&mut self, text: &[u8; N]) -> Option<()> {
        (self.rest().first_chunk::<N>()? == text).then(|| self.at += N)
    }

    fn peek(&self, byte: u8) -> Option<()> {
        (self.rest().first() == Some(&byte)).then_some(())
    }

    /// A string without escapes; control characters may not stand in one at all.
    fn string(&mut self) -> Option<&'a str> {
        self.eat(b"\"")?;
        let rest = self.rest();
        let mut length = 0;
        while let Some(word) = rest.get(length..).and_then(<[u8]>::first_chunk::<8>) {
            match ends(u64::from_le_bytes(*word)) {
                8 => length += 8,
                within => {
                    length += within;
                    return self.close(length);
                }
            }
        }
        length += rest.get(length..)?.iter().position(|byte| *byte == b'"' || *byte == b'\\' || *byte < 0x20)?;
        self.close(length)
    }

    /// The next `length` bytes, where they end with a quote.
    fn close(&mut self, length: usize) -> Option<&'a str> {
        let text = self.line.get(self.at..self.at + length)?;
        self.at += length;
        self.eat(b"\"")?;
        Some(text)
    }

    /// An integer as the door writes it: no plus, no leading zeros, no fraction.
    fn integer(&mut self) -> Option<i64> {
        let rest = self.rest();
        let negative = rest.first() == Some(&b'-');
        let digits = rest.get(usize::from(negative)..)?;
        let (mut number, mut count) = (0_i64, 0_usize);
        // Towards the lesser end, which reaches one further.
        for digit in digits.iter().map_while(|byte| byte.is_ascii_digit().then(|| i64::from(byte & 0x0f))) {
            number = number.checked_mul(10)?.checked_sub(digit)?;
            count += 1;
        }
        let padded = digits.first() == Some(&b'0') && (count > 1 || negative);
        if padded || count == 0 {
            return None;
        }
        self.at += usize::from(negative) + count;
        if negative { Some(number) } else { number.checked_neg() }
    }

    /// An instant in our one form, quoted.
    fn instant(&mut self) -> Option<i64> {
        let quoted: &[u8; instant::QUOTED] = self.rest().first_chunk()?;
        let at_ms = instant::read(quoted)?;
        self.at += quoted.len();
        Some(at_ms)
    }

    fn about(&mut self) -> Option<AboutRef<'a>> {
        let mut about = AboutRef::default();
        if self.eat(b",\"server\":[").is_some() {
            let begins = self.at;
            self.string()?;
            let mut count = 1;
            while self.eat(b",").is_some() {
                self.string()?;
                count += 1;
            }
            about.server = Names::scanned(self.line.get(begins..self.at)?);
            self.eat(b"]")?;
            // More than are looked at are the full parser's.
            if count > NAMES_MAX {
                return None;
            }
        }
        if self.eat(b",\"group\":").is_some() {
            about.group = Some(self.string()?);
        }
        Some(about)
    }

    /// The next of some samples; `Some(None)` at the end, `None` where the form is another.
    fn sample_or_end(&mut self) -> Option<Option<SampleRef<'a>>> {
        if self.eat(b"]").is_some() {
            return Some(None);
        }
        let sample = self.sample()?;
        // A comma parts two samples, and the bracket that ends them is read next time.
        if self.eat(b",").is_some() {
            self.peek(b'{')?;
        } else {
            self.peek(b']')?;
        }
        Some(Some(sample))
    }

    fn sample(&mut self) -> Option<SampleRef<'a>> {
        self.eat(b"{\"metric\":")?;
        let metric = self.string()?;
        self.eat(b",\"value\":")?;
        let value = Quantity(self.integer()?);
        self.eat(b",\"at\":")?;
        let at = self.instant()?;
        let about = self.about()?;
        self.eat(b"}")?;
        Some(SampleRef { metric, value, at, about })
    }

    fn alarm(&mut self) -> Option<AlarmRef<'a>> {
        self.eat(b"{\"name\":")?;
        let name = self.string()?;
        self.eat(b",\"state\":")?;
        let state = match self.string()? {
            "ok" => AlarmState::Ok,
            "warning" => AlarmState::Warning,
            "critical" => AlarmState::Critical,
            "unknown" => AlarmState::Unknown,
            _ => return None,
        };
        self.eat(b",\"at\":")?;
        let at = self.instant()?;
        let about = self.about()?;
        // The sender's words are for people; numbers that rode along are left to the full parser.
        if self.eat(b",\"text\":").is_some() {
            self.string()?;
        }
        self.eat(b"}")?;
        Some(AlarmRef { name, state, at, about })
    }
}

/// One in each byte of a word.
const EACH: u64 = 0x0101_0101_0101_0101;
/// The top bit of each.
const TOPS: u64 = 0x8080_8080_8080_8080;

/// The place of the first byte of eight that no plain string has within it (a quote, a backslash, a control character);
/// 8 where there is none. A byte that is zero after a subtraction sets its top bit, as in any text on words as sets of
/// bytes; what a borrow sets wrongly lies above the first.
fn ends(word: u64) -> usize {
    let below = |word: u64, limit: u64| word.wrapping_sub(EACH * limit) & !word & TOPS;
    let is = |byte: u8| below(word ^ (EACH * u64::from(byte)), 1);
    ((below(word, 0x20) | is(b'"') | is(b'\\')).trailing_zeros() / 8) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{About, Alarm, Event, Fact, Sample, Tick, Version};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn text() -> impl Strategy<Value = String> {
        prop_oneof![8 => "[a-z0-9.:-]{0,12}", 1 => "[ -~]{0,8}", 1 => ".{0,6}"]
    }

    fn about() -> impl Strategy<Value = About> {
        (prop::collection::vec(text(), 0..4), prop::option::of(text()))
            .prop_map(|(server, group)| About { server, group })
    }

    fn instant() -> impl Strategy<Value = i64> {
        -62_135_596_800_000_i64..253_402_300_800_000
    }

    fn alarm() -> impl Strategy<Value = Alarm> {
        let state = prop_oneof![Just(AlarmState::Ok), Just(AlarmState::Critical), Just(AlarmState::Unknown)];
        (text(), state, instant(), about(), text()).prop_map(|(name, state, at, about, text)| Alarm {
            name,
            state,
            at,
            about,
            text,
            numbers: BTreeMap::new(),
        })
    }

    fn sample() -> impl Strategy<Value = Sample> {
        (text(), any::<i64>(), instant(), about()).prop_map(|(metric, value, at, about)| Sample {
            metric,
            value: Quantity(value),
            at,
            about,
        })
    }

    fn any_event() -> impl Strategy<Value = Event> {
        let fact = prop_oneof![
            alarm().prop_map(Fact::Alarm),
            prop::collection::vec(sample(), 0..4).prop_map(Fact::Samples),
            Just(Fact::Tick(Tick {})),
        ];
        (text(), text(), instant(), text(), fact).prop_map(|(id, source, time, tenant, fact)| Event {
            specversion: Version::V1,
            id,
            source,
            time,
            tenant,
            fact,
        })
    }

    fn same_about(scanned: AboutRef<'_>, parsed: &About) -> bool {
        scanned.server.iter().eq(parsed.server.iter().map(String::as_str)) && scanned.group == parsed.group.as_deref()
    }

    /// What was scanned is what the full parser reads.
    fn agree(scanned: &Scanned<'_>, parsed: &Event) -> bool {
        let fact = match (&scanned.fact, &parsed.fact) {
            (Hot::Tick, Fact::Tick(_)) => true,
            (Hot::Alarm(one), Fact::Alarm(other)) => {
                (one.name, one.state, one.at) == (other.name.as_str(), other.state, other.at)
                    && same_about(one.about, &other.about)
            }
            (Hot::Samples(samples), Fact::Samples(others)) => {
                let samples: Vec<_> = samples.clone().collect();
                samples.len() == others.len()
                    && samples.iter().zip(others).all(|(one, other)| {
                        (one.metric, one.value, one.at) == (other.metric.as_str(), other.value, other.at)
                            && same_about(one.about, &other.about)
                    })
            }
            _ => false,
        };
        fact && (scanned.time, scanned.tenant) == (parsed.time, parsed.tenant.as_str())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn it_reads_a_line_as_the_full_parser_does_or_not_at_all(event_ in any_event(), cut in any::<(u16, u8)>()) {
            let line = event_.to_line();
            if let Some(scanned) = event(line.as_bytes()) {
                prop_assert!(agree(&scanned, &event_), "{line}");
            }
            // A line spoiled at one byte is refused by both, or read alike.
            let mut spoiled = line.clone().into_bytes();
            let place = usize::from(cut.0) % spoiled.len();
            spoiled[place] = cut.1;
            if let Some(scanned) = event(&spoiled) {
                let parsed = Event::from_line(&spoiled);
                prop_assert!(parsed.is_ok_and(|parsed| agree(&scanned, &parsed)), "{}", String::from_utf8_lossy(&spoiled));
            }
        }
    }

    #[test]
    fn a_string_ends_where_its_bytes_say() {
        for place in 0..8 {
            for byte in 0..=u8::MAX {
                let mut bytes = *b"abcdefgh";
                bytes[place] = byte;
                let found = bytes.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).unwrap_or(8);
                assert_eq!(ends(u64::from_le_bytes(bytes)), found, "{bytes:?}");
            }
        }
    }

    #[test]
    fn what_the_door_writes_is_read() {
        let line = concat!(
            r#"{"specversion":"1.0","id":"7","source":"/samples","time":"2024-02-29T23:59:59.001Z","tenant":"acme","#,
            r#""type":"weir.samples","data":[{"metric":"cpu.usage","value":68400000,"at":"2024-02-29T23:59:58.000Z","#,
            r#""server":["s1","10.0.0.1"]}]}"#
        );
        let scanned = event(line.as_bytes()).unwrap();
        assert!(agree(&scanned, &Event::from_line(line.as_bytes()).unwrap()));
        assert_eq!(scanned.time, 1_709_251_199_001);
    }
}
