//! The results as tables, and the document that they stand in. Pure.

use std::fmt::Write as _;
use std::time::Duration;

use super::growth::Growth;
use super::plot::{Chart, Line, grouped};
use super::ways::{Results, Way, What};

/// The document, with places for what was measured.
const PAGE: &str = include_str!("page.md");

/// A policy's bar for one more rule, where there is one.
pub fn bar(names: usize) -> Option<Duration> {
    match names {
        1_000 => Some(Duration::from_millis(500)),
        10_000 => Some(Duration::from_secs(1)),
        _ => None,
    }
}

fn ms(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1000.0;
    if ms < 10.0 { format!("{ms:.1}") } else { format!("{ms:.0}") }
}

fn mb(kilobytes: u64) -> String {
    format!("{}.{}", kilobytes / 1024, kilobytes % 1024 * 10 / 1024)
}

/// What a growing policy costs.
pub fn growth(all: &[Growth]) -> String {
    let mut text = String::from(
        "| names | from rules to files, ms | `firewall reload` of all, ms | `firewall add` of one more, ms: min / median / max | bar for the median | CoreDNS answers, ms | Envoy lets it through, ms | CoreDNS, MiB | Envoy, MiB |\n|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for one in all {
        let bar = bar(one.names).map_or(String::new(), |bar| {
            format!("<= {}: {}", ms(bar), if one.add.median() <= bar { "held" } else { "NOT held" })
        });
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} / {} / {} | {bar} | {} | {} | {} | {} |",
            grouped(one.names),
            ms(one.generation.median()),
            ms(one.reload),
            ms(one.add.min()),
            ms(one.add.median()),
            ms(one.add.max()),
            ms(one.coredns.median()),
            ms(one.envoy.median()),
            mb(one.coredns_kb),
            mb(one.envoy_kb),
        );
    }
    text
}

/// The ways beside each other. The ratios are of what one connection or question takes, and of rates.
pub fn ways(names: usize, results: &Results) -> String {
    let mut text = format!(
        "| {} names | at once | direct | bare | clawker | clawker to bare | clawker to direct |\n|---|---:|---:|---:|---:|---:|---:|\n",
        grouped(names)
    );
    let rows: std::collections::BTreeSet<(What, usize)> =
        results.keys().map(|(what, lanes, _)| (*what, *lanes)).collect();
    for (what, lanes) in rows {
        let of = |way: Way| results.get(&(what, lanes, way));
        let is_rate = lanes > 1 || what == What::Body;
        let cell = |way: Way| {
            of(way).map_or(String::new(), |one| match what {
                What::Body => format!("{:.0} MB/s", one.rate / 1e6),
                _ if is_rate => format!("{:.0}/s", one.rate),
                _ => format!("{} us (p95 {})", one.median_us, one.p95_us),
            })
        };
        #[allow(clippy::cast_precision_loss)]
        let ratio = |other: Way| match (of(Way::Ours), of(other)) {
            (Some(ours), Some(other)) if is_rate => format!("{:.2}x", ours.rate / other.rate),
            (Some(ours), Some(other)) => format!("{:.2}x", ours.median_us as f64 / other.median_us as f64),
            _ => String::new(),
        };
        let _ = writeln!(
            text,
            "| {}{} | {lanes} | {} | {} | {} | {} | {} |",
            what.text(),
            if is_rate { ", rate" } else { ", time" },
            cell(Way::Direct),
            cell(Way::Bare),
            cell(Way::Ours),
            ratio(Way::Bare),
            ratio(Way::Direct),
        );
    }
    text
}

/// The charts.
#[allow(clippy::cast_precision_loss)]
pub fn charts(all: &[Growth]) -> [Chart; 2] {
    let line = |text: &str, value: &dyn Fn(&Growth) -> f64| Line {
        text: text.to_owned(),
        points: all.iter().map(|one| (one.names, value(one))).collect(),
    };
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    let bars = all.iter().filter_map(|one| Some((one.names, ms(bar(one.names)?)))).collect();
    let times = Chart {
        title: "One more rule: milliseconds".to_owned(),
        lines: vec![
            line("clawker firewall add, as a process (median)", &|one| ms(one.add.median())),
            line("until Envoy lets it through", &|one| ms(one.envoy.median())),
            line("until CoreDNS answers", &|one| ms(one.coredns.median())),
            line("of it: from rules to files", &|one| ms(one.generation.median())),
        ],
        bars,
    };
    let memory = Chart {
        title: "Resident memory: MiB".to_owned(),
        lines: vec![
            line("CoreDNS", &|one| one.coredns_kb as f64 / 1024.0),
            line("Envoy", &|one| one.envoy_kb as f64 / 1024.0),
        ],
        bars: Vec::new(),
    };
    [times, memory]
}

/// What a run was made on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conditions {
    /// Cores that this program may use.
    pub cores: usize,
    /// Linux's release.
    pub kernel: String,
    /// Docker's version.
    pub docker: String,
    /// Envoy's and CoreDNS's.
    pub parts: String,
    /// The machine's load average of a minute, before the first measurement.
    pub load: String,
}

/// The whole document.
pub fn page(conditions: &Conditions, grown: &[Growth], ways: &[String]) -> String {
    let Conditions { cores, kernel, docker, parts, load } = conditions;
    let run = format!(
        "{cores} cores of a virtual machine, Linux {kernel}, Docker {docker}, {parts}; load average at the beginning: {load}."
    );
    let parts = [("{run}", run), ("{growth}", growth(grown)), ("{ways}", ways.join("\n"))];
    parts.iter().fold(PAGE.to_owned(), |text, (place, with)| text.replace(place, with.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::policy::load::Outcome;

    #[test]
    fn a_page_has_all_in_its_place() {
        let text = |text: &str| text.to_owned();
        let conditions = Conditions {
            cores: 2,
            kernel: text("6.0"),
            docker: text("20.0"),
            parts: text("Envoy 1"),
            load: text("0.1"),
        };
        let page = page(&conditions, &[], &[text("| a |\n"), text("| b |\n")]);
        assert!(page.contains("2 cores of a virtual machine, Linux 6.0, Docker 20.0, Envoy 1;"), "{page}");
        assert!(
            page.contains("| names |") && page.contains("| a |\n\n| b |\n") && !page.contains('{'),
            "{page}"
        );
    }

    #[test]
    fn a_time_is_compared_as_a_time_and_a_rate_as_a_rate() {
        let outcome = |rate, median_us| Outcome { count: 9, errors: 0, rate, median_us, p95_us: median_us };
        let results = Results::from([
            ((What::SetUp, 1, Way::Bare), outcome(100.0, 1_000)),
            ((What::SetUp, 1, Way::Ours), outcome(50.0, 2_000)),
            ((What::SetUp, 8, Way::Bare), outcome(100.0, 1_000)),
            ((What::SetUp, 8, Way::Ours), outcome(50.0, 2_000)),
        ]);
        let text = ways(10, &results);
        assert!(text.contains("| 2.00x |") && text.contains("| 0.50x |"), "{text}");
    }
}
