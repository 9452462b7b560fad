//! An instant in the one form in which our door writes it, `"2026-11-24T07:12:03.123Z"`, read from its bytes.
//!
//! Every line of the log has two or more of these, and the full parser's way through a calendar costs as much as the rest of
//! the line. Here it is three words of memory, whose digits are checked eight at a time, and one sum.

use super::{EACH, TOPS};

/// Its length, with its quotes.
pub(super) const QUOTED: usize = 26;

/// Epoch milliseconds; `None` where it is another form, or one that is the full parser's to judge.
pub(super) fn read(quoted: &[u8; QUOTED]) -> Option<i64> {
    let (words, tail) = quoted.split_first_chunk::<24>()?;
    let word = |at: usize| Some(u64::from_le_bytes(*words.get(at..)?.first_chunk()?));
    let date = Digits::of(word(0)?, b"\"xxxx-xx")?;
    let middle = Digits::of(word(8)?, b"-xxTxx:x")?;
    let end = Digits::of(word(16)?, b"x:xx.xxx")?;
    if tail != b"Z\"" {
        return None;
    }
    let (year, month) = (date.two(1) * 100 + date.two(3), date.two(6));
    let (day, hour) = (middle.two(1), middle.two(4));
    let (minute, second) = (middle.one(7) * 10 + end.one(0), end.two(2));
    let millis = end.one(5) * 100 + end.two(6);
    // Leap seconds are the full parser's to judge.
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    if !(1..=12).contains(&month) || !(1..=28).contains(&day) && !is_day(year, month, day) {
        return None;
    }
    let seconds = days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    Some(seconds * 1_000 + millis)
}

/// Eight bytes of a text, some of them digits.
#[derive(Clone, Copy)]
struct Digits([u8; 8]);

impl Digits {
    /// The bytes of a word that has a digit wherever `form` has an `x`, and else what stands there.
    #[inline]
    fn of(word: u64, form: &[u8; 8]) -> Option<Self> {
        const ZEROS: u64 = 0x3030_3030_3030_3030;
        let [mut digits, mut others] = [[0_u8; 8]; 2];
        for ((digit, other), byte) in digits.iter_mut().zip(&mut others).zip(form) {
            let is_digit = *byte == b'x';
            (*digit, *other) = if is_digit { (0xff, 0) } else { (0, *byte) };
        }
        let (mask, others) = (u64::from_le_bytes(digits), u64::from_le_bytes(others));
        let values = (word ^ ZEROS) & mask;
        // The sum sets the top bit of a value over nine, and of no other; none carries into its neighbour.
        let carried = (values & !TOPS).wrapping_add(EACH * (0x80 - 10)) | values;
        (word & !mask == others && carried & TOPS == 0).then(|| Self(values.to_le_bytes()))
    }

    fn one(self, at: usize) -> i64 {
        self.0.get(at).copied().unwrap_or_default().into()
    }

    fn two(self, at: usize) -> i64 {
        self.one(at) * 10 + self.one(at + 1)
    }
}

fn is_day(year: i64, month: i64, day: i64) -> bool {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    (1..=length).contains(&day)
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar, counted in years that begin in March.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}
