//! Two sizes over time, drawn with blocks: one above the other on the same scale, so that neither needs a colour.

use super::Comparison;
use weir_engine::backtest::Course;

/// Columns of a plot; with the scale at its left a line has fewer than 100.
const COLUMNS: usize = 84;
/// Lines of a plot.
const LINES: usize = 6;
/// Eighths of a character.
const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Both sizes, where they differ, and the time.
#[must_use]
pub fn chart(comparison: &Comparison, old: &Course, new: &Course, clock: &dyn Fn(i64) -> String) -> String {
    let span = Span::of(old, new);
    let top = old.figures.peak.max(new.figures.peak).max(1);
    let (before, after) = (span.columns(old), span.columns(new));
    let mut text = String::new();
    for (name, course, columns) in [(&comparison.old.name, old, &before), (&comparison.new.name, new, &after)] {
        text.push_str(&format!("  {name}\n"));
        text.push_str(&plot(columns, top));
        text.push_str(&format!("{:8}{}\n", "", span.marks(course)));
    }
    let differs = |(old, new): (&Option<u32>, &Option<u32>)| match (old, new) {
        (Some(old), Some(new)) if new > old => '+',
        (Some(old), Some(new)) if new < old => '-',
        _ => '·',
    };
    let difference: String = before.iter().zip(&after).map(differs).collect();
    text.push_str(&format!("  {} has more servers +, fewer -\n", comparison.new.name));
    text.push_str(&format!("{:8}{difference}\n", ""));
    text.push_str(&format!("{:8}{}\n", "", span.axis(clock)));
    text
}

struct Span {
    from_ms: i64,
    until_ms: i64,
}

impl Span {
    fn of(old: &Course, new: &Course) -> Self {
        let from_ms = old.began_ms.min(new.began_ms);
        Self { from_ms, until_ms: old.ended_ms.max(new.ended_ms).max(from_ms + 1) }
    }

    /// When a column begins.
    fn at(&self, column: usize) -> i64 {
        let length = i128::from(self.until_ms - self.from_ms) * column as i128 / COLUMNS as i128;
        self.from_ms + i64::try_from(length).unwrap_or(0)
    }

    fn column(&self, at_ms: i64) -> usize {
        let place = i128::from(at_ms - self.from_ms) * COLUMNS as i128 / i128::from(self.until_ms - self.from_ms);
        usize::try_from(place).unwrap_or(0).min(COLUMNS - 1)
    }

    /// The largest size within each column.
    fn columns(&self, course: &Course) -> Vec<Option<u32>> {
        (0..COLUMNS)
            .map(|column| {
                let (from, until) = (self.at(column), self.at(column + 1));
                let before = course.targets.iter().rfind(|(at, _)| *at <= from).map(|(_, size)| *size);
                let within = course.targets.iter().filter(|(at, _)| (from..until).contains(at)).map(|(_, size)| *size);
                within.chain(before).max()
            })
            .collect()
    }

    /// Where the size changed: up, down, or both within a column.
    fn marks(&self, course: &Course) -> String {
        let mut marks = vec![' '; COLUMNS];
        for why in &course.decisions {
            let (from, to) = (why.decision.from, why.decision.to);
            if from == to {
                continue;
            }
            if let Some(mark) = marks.get_mut(self.column(why.decision.at)) {
                let direction = if to > from { '↑' } else { '↓' };
                *mark = if *mark == ' ' || *mark == direction { direction } else { '↕' };
            }
        }
        marks.into_iter().collect::<String>().trim_end().to_owned()
    }

    /// Round instants, each beginning under its column.
    fn axis(&self, clock: &dyn Fn(i64) -> String) -> String {
        const MINUTE_MS: i64 = 60_000;
        let span = self.until_ms - self.from_ms;
        let steps =
            [1, 2, 5, 10, 15, 30, 60, 120, 240, 360, 720, 1_440, 2_880, 10_080].map(|minutes| minutes * MINUTE_MS);
        let step = steps.into_iter().find(|step| span / step <= 6).unwrap_or(span.max(1));
        let mut axis = String::new();
        let mut at_ms = (self.from_ms + step - 1).div_euclid(step) * step;
        while at_ms < self.until_ms {
            let (label, column) = (clock(at_ms), self.column(at_ms));
            let used = axis.chars().count();
            if column >= used + usize::from(used > 0) && column + label.chars().count() <= COLUMNS {
                axis.push_str(&" ".repeat(column - used));
                axis.push_str(&label);
            }
            at_ms += step;
        }
        axis
    }
}

fn plot(columns: &[Option<u32>], top: u32) -> String {
    let mut text = String::new();
    for line in (0..LINES).rev() {
        let scale = match line {
            _ if line + 1 == LINES => format!("{top:>5} ┤"),
            0 => format!("{:>5} ┤", 0),
            _ => format!("{:>5} │", ""),
        };
        let cells = columns.iter().map(|size| cell(*size, top, line)).collect::<String>();
        text.push_str(format!("{scale} {cells}").trim_end());
        text.push('\n');
    }
    text
}

/// What of a size is in one line of the plot. A group with servers has at least a sliver.
fn cell(size: Option<u32>, top: u32, line: usize) -> char {
    let Some(size) = size else { return ' ' };
    let eighths = u64::from(size) * (LINES as u64) * 8 / u64::from(top);
    let eighths = if size > 0 { eighths.max(1) } else { 0 };
    let here = usize::try_from(eighths).unwrap_or(0).saturating_sub(line * 8).min(8);
    BLOCKS.get(here).copied().unwrap_or('█')
}
