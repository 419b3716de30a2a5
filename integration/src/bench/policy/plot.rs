//! The growth of a policy as a picture: an SVG without scripts or fonts of its own, names to the right (each tenfold is
//! as wide as the next), times and memory upwards. Pure.

use std::fmt::Write as _;

/// One line of a chart.
#[derive(Debug, Clone)]
pub struct Line {
    /// What it shows.
    pub text: String,
    /// Names, and what was measured with so many.
    pub points: Vec<(usize, f64)>,
}

/// One chart.
#[derive(Debug, Clone)]
pub struct Chart {
    /// Its title, with the unit.
    pub title: String,
    /// Its lines, at most as many as there are colours.
    pub lines: Vec<Line>,
    /// Bars that must not be crossed: names and value.
    pub bars: Vec<(usize, f64)>,
}

/// Told apart also by those who see no red or green (Okabe and Ito's colours).
const COLOURS: [&str; 4] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"];
const BAR: &str = "#777777";
const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 400.0;
/// Room around a chart's frame: left, right, above, below.
const LEFT: f64 = 64.0;
const RIGHT: f64 = 24.0;
const ABOVE: f64 = 44.0;
const BELOW: f64 = 112.0;

/// Charts side by side.
pub fn svg(charts: &[Chart]) -> String {
    #[allow(clippy::cast_precision_loss)]
    let width = WIDTH * charts.len() as f64;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {HEIGHT}\" width=\"{width}\" \
         height=\"{HEIGHT}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (number, chart) in charts.iter().enumerate() {
        #[allow(clippy::cast_precision_loss)]
        let x = WIDTH * number as f64;
        let _ = writeln!(text, "<g transform=\"translate({x} 0)\">");
        draw(&mut text, chart);
        text.push_str("</g>\n");
    }
    text.push_str("</svg>\n");
    text
}

fn draw(text: &mut String, chart: &Chart) {
    let values = chart.lines.iter().flat_map(|line| &line.points).chain(&chart.bars);
    let highest = values.clone().map(|(_, value)| *value).fold(0.0, f64::max);
    let names: Vec<usize> = values.map(|(names, _)| *names).collect();
    let (Some(first), Some(last)) = (names.iter().min(), names.iter().max()) else { return };
    let step = step(highest);
    let top = (highest / step).ceil() * step;
    let (frame_width, frame_height) = (WIDTH - LEFT - RIGHT, HEIGHT - ABOVE - BELOW);
    let (low, high) = (log(*first), log(*last));
    let x = |names: usize| LEFT + 12.0 + (frame_width - 24.0) * (log(names) - low) / (high - low).max(1e-9);
    let y = |value: f64| ABOVE + frame_height * (1.0 - value / top);
    let _ = writeln!(
        text,
        "<text x=\"{LEFT}\" y=\"24\" font-size=\"15\" font-weight=\"bold\">{}</text>",
        escaped(&chart.title)
    );
    let mut value = 0.0;
    while value <= top + step / 2.0 {
        let (at, right) = (y(value), LEFT + frame_width);
        let _ = writeln!(
            text,
            "<line x1=\"{LEFT}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#dddddd\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{value}</text>",
            LEFT - 8.0,
            at + 4.5
        );
        value += step;
    }
    let mut marks: Vec<usize> = names;
    marks.sort_unstable();
    marks.dedup();
    let foot = ABOVE + frame_height;
    for mark in marks {
        let _ = writeln!(
            text,
            "<line x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"{foot}\" y2=\"{1}\" stroke=\"black\"/>\
             <text x=\"{0:.1}\" y=\"{2}\" text-anchor=\"middle\">{3}</text>",
            x(mark),
            foot + 5.0,
            foot + 19.0,
            grouped(mark)
        );
    }
    let _ = writeln!(
        text,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">names in the policy</text>",
        LEFT + frame_width / 2.0,
        foot + 37.0
    );
    for (names, value) in &chart.bars {
        let (at, y) = (x(*names), y(*value));
        let _ = writeln!(
            text,
            "<line x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"{BAR}\" stroke-width=\"3\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"{BAR}\">bar {value}</text>",
            at - 26.0,
            at + 12.0,
            at + 12.0,
            y - 6.0
        );
    }
    for (number, (line, colour)) in chart.lines.iter().zip(COLOURS).enumerate() {
        let points: Vec<String> =
            line.points.iter().map(|(names, value)| format!("{:.1},{:.1}", x(*names), y(*value))).collect();
        let _ = writeln!(
            text,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            points.join(" ")
        );
        for point in points.iter().filter_map(|point| point.split_once(',')) {
            let _ =
                writeln!(text, "<circle cx=\"{}\" cy=\"{}\" r=\"4\" fill=\"{colour}\"/>", point.0, point.1);
        }
        #[allow(clippy::cast_precision_loss)]
        let at = foot + 54.0 + 16.0 * number as f64;
        let _ = writeln!(
            text,
            "<rect x=\"{LEFT}\" y=\"{}\" width=\"18\" height=\"4\" fill=\"{colour}\"/>\
             <text x=\"{}\" y=\"{at}\">{}</text>",
            at - 6.0,
            LEFT + 26.0,
            escaped(&line.text)
        );
    }
}

fn log(names: usize) -> f64 {
    #[allow(clippy::cast_precision_loss)]
    let names = names.max(1) as f64;
    names.log10()
}

/// A round number, of which at most six fit below the highest value.
fn step(highest: f64) -> f64 {
    let ten = 10f64.powf((highest.max(1e-3) / 6.0).log10().floor());
    let fits = |times: &f64| highest / (ten * times) <= 6.0;
    ten * [1.0, 2.0, 5.0, 10.0].into_iter().find(fits).unwrap_or(10.0)
}

/// With a comma between thousands.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn higher_values_stand_higher_and_all_within_the_frame() {
        let points = vec![(10, 5.0), (1_000, 70.0), (10_000, 130.0)];
        let line = Line { text: "a <b> & c".to_owned(), points };
        let text = svg(&[Chart { title: "t".to_owned(), lines: vec![line], bars: vec![(10_000, 150.0)] }]);
        let heights: Vec<f64> = text
            .lines()
            .filter_map(|line| {
                line.strip_prefix("<circle ")?.split("cy=\"").nth(1)?.split('"').next()?.parse().ok()
            })
            .collect();
        assert!(heights.len() == 3 && heights.is_sorted_by(|a, b| a > b), "{heights:?}");
        assert!(heights.iter().all(|y| (ABOVE..=HEIGHT - BELOW).contains(y)), "{heights:?}");
        assert!(text.contains("10,000") && text.contains("a &lt;b&gt; &amp; c") && text.contains("bar 150"));
    }

    #[test]
    fn steps_are_round_and_few() {
        for (highest, expected) in [(130.0, 50.0), (1_000.0, 200.0), (6.0, 1.0), (0.5, 0.1), (61.0, 20.0)] {
            assert!((step(highest) - expected).abs() < 1e-9, "{highest}: {}", step(highest));
        }
        assert_eq!([grouped(7), grouped(1_000), grouped(1_234_567)], ["7", "1,000", "1,234,567"]);
    }
}
