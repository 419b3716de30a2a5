//! Figures of one measured thing, and the table in which they stand beside a peer and a bar.

use std::fmt::Write as _;
use std::time::Duration;

/// The measured times of one thing.
#[derive(Debug, Clone)]
pub struct Figures {
    sorted: Vec<Duration>,
}

impl Figures {
    /// Sorts the times. None for none: a benchmark that measured nothing has no figures.
    pub fn of(mut times: Vec<Duration>) -> Option<Self> {
        times.sort_unstable();
        (!times.is_empty()).then_some(Self { sorted: times })
    }

    fn at(&self, percent: usize) -> Duration {
        let index = (self.sorted.len() - 1) * percent / 100;
        self.sorted.get(index).copied().unwrap_or_default()
    }

    /// The smallest.
    pub fn min(&self) -> Duration {
        self.at(0)
    }

    /// The median.
    pub fn median(&self) -> Duration {
        self.at(50)
    }

    /// The 95th percentile.
    pub fn p95(&self) -> Duration {
        self.at(95)
    }

    /// The largest.
    pub fn max(&self) -> Duration {
        self.at(100)
    }

    /// How many times it was measured.
    pub fn count(&self) -> usize {
        self.sorted.len()
    }
}

/// One line of the table.
#[derive(Debug, Clone)]
pub struct Row {
    /// What was measured.
    pub what: String,
    /// The figures, as text.
    pub figures: [String; 4],
    /// The bar, as text.
    pub bar: String,
    /// Whether the bar is held; `None` for a peer, which has no bar.
    pub holds: Option<bool>,
}

impl Row {
    /// A row of times.
    pub fn times(what: &str, figures: &Figures, bar: &str, holds: Option<bool>) -> Self {
        Self {
            what: what.to_owned(),
            figures: [
                millis(figures.min()),
                millis(figures.median()),
                millis(figures.p95()),
                figures.count().to_string(),
            ],
            bar: bar.to_owned(),
            holds,
        }
    }

    /// A row with one value.
    pub fn value(what: &str, value: String, bar: &str, holds: Option<bool>) -> Self {
        Self {
            what: what.to_owned(),
            figures: [String::new(), value, String::new(), String::new()],
            bar: bar.to_owned(),
            holds,
        }
    }
}

/// Milliseconds with three digits.
pub fn millis(time: Duration) -> String {
    format!("{:.3} ms", time.as_secs_f64() * 1000.0)
}

/// The table as text.
pub fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "{:<58} {:>12} {:>12} {:>12} {:>6}  {:<18} {}\n",
        "what", "min", "median", "p95", "runs", "bar", "held"
    );
    for row in rows {
        let [min, median, p95, runs] = &row.figures;
        let held = match row.holds {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "",
        };
        let _ = writeln!(
            text,
            "{:<58} {min:>12} {median:>12} {p95:>12} {runs:>6}  {:<18} {held}",
            row.what, row.bar
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_order_statistics() {
        let times = (1..=100).rev().map(Duration::from_millis).collect();
        let figures = Figures::of(times).unwrap();
        assert_eq!(figures.min(), Duration::from_millis(1));
        assert_eq!(figures.median(), Duration::from_millis(50));
        assert_eq!(figures.p95(), Duration::from_millis(95));
        assert_eq!(figures.max(), Duration::from_millis(100));
        assert!(Figures::of(vec![]).is_none());
    }
}
