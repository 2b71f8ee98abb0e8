//! Groups of horizontal bars, as SVG that is readable on light and dark pages.
//!
//! Plotting libraries (plotters among them) write a colour into each element, which no style can change by what a
//! reader prefers. So the crate `svg` writes the elements, with classes, and this file lays them out.

use svg::{
    Document,
    node::element::{self, Rectangle, Style, Text, Title},
};

use super::figures::Figure;

const STYLE: &str = "
  .page { fill: #ffffff; }
  text { font: 13px system-ui, sans-serif; fill: #1f2328; dominant-baseline: central; }
  .title { font-size: 15px; font-weight: bold; }
  .label { text-anchor: end; }
  .source { font-size: 11px; fill: #59636e; }
  .ours { fill: #0969da; } .node { fill: #bc4c00; } .axum { fill: #6e7781; } .tcp { fill: #afb8c1; }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117; }
    text { fill: #e6edf3; }
    .source { fill: #9198a1; }
    .ours { fill: #4493f8; } .node { fill: #f0883e; } .axum { fill: #9198a1; } .tcp { fill: #59636e; }
  }
";

/// Lengths in pixels.
const WIDTH: usize = 860;
const MARGIN: usize = 20;
const BAR: usize = 14;
const GAP: usize = 10;
const LINE: usize = 26;
/// What a letter takes at the most, and a figure behind its bar.
const LETTER: usize = 7;
const FIGURE: usize = 60;

#[derive(Debug)]
pub(super) struct Bars<'a> {
    pub(super) title: &'a str,
    /// What a longer bar means: better or worse.
    pub(super) longer_is: &'a str,
    /// Whose bar each of a group is.
    pub(super) series: &'a [Series],
    pub(super) groups: Vec<Group<'a>>,
    /// Where the figures are from.
    pub(super) source: &'a str,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Series {
    pub(super) name: &'static str,
    /// One of those in the style, so that a server has one colour in all plots.
    pub(super) class: &'static str,
}

#[derive(Debug)]
pub(super) struct Group<'a> {
    pub(super) label: String,
    /// One for each of the series, where there is a figure.
    pub(super) bars: Vec<Option<Figure<'a>>>,
}

impl Bars<'_> {
    pub(super) fn svg(&self) -> String {
        let letters = self.groups.iter().map(|group| group.label.chars().count()).max().unwrap_or(0);
        let left = MARGIN + letters * LETTER + GAP;
        let figures = || self.groups.iter().flat_map(|group| group.bars.iter().flatten());
        let greatest = figures().map(|figure| figure.value).fold(f64::MIN_POSITIVE, f64::max);
        let longest = WIDTH.saturating_sub(left + FIGURE + MARGIN) as f64;
        let mut shapes = element::Group::new().add(text(MARGIN, MARGIN + LINE / 2, "title", self.title));

        let mut y = MARGIN + LINE;
        let mut x = MARGIN;
        for Series { name, class } in self.series {
            shapes = shapes.add(bar(x, y + (LINE - BAR) / 2, BAR, class));
            shapes = shapes.add(text(x + BAR + GAP / 2, y + LINE / 2, "", name));
            x += BAR + name.chars().count() * LETTER + 3 * GAP;
        }
        y += LINE + GAP;
        for group in &self.groups {
            let there = || {
                self.series.iter().zip(&group.bars).filter_map(|(series, bar)| Some((series, bar.as_ref()?)))
            };
            let height = there().count() * BAR;
            shapes = shapes.add(text(left - GAP, y + height / 2, "label", &group.label));
            for (series, figure) in there() {
                let width = (figure.value / greatest * longest).round() as usize;
                shapes = shapes.add(bar(left, y, width, series.class));
                shapes = shapes.add(text(left + width + GAP / 2, y + BAR / 2, "", figure.text));
                y += BAR;
            }
            y += GAP;
        }
        let source = format!("A longer bar is {}. {}", self.longer_is, self.source);
        shapes = shapes.add(text(MARGIN, y + LINE / 2, "source", &source));
        y += LINE + GAP;

        let page = Rectangle::new().set("class", "page").set("width", WIDTH).set("height", y);
        let document = Document::new()
            .set("viewBox", (0, 0, WIDTH, y))
            .set("role", "img")
            .add(Title::new(self.title))
            .add(Style::new(STYLE))
            .add(page)
            .add(shapes);
        format!("{document}\n")
    }
}

fn bar(x: usize, y: usize, width: usize, class: &str) -> Rectangle {
    // A hair of the page between two bars.
    let height = BAR - 1;
    let shape = Rectangle::new().set("class", class);
    shape.set("x", x).set("y", y).set("width", width).set("height", height)
}

fn text(x: usize, y: usize, class: &str, content: &str) -> Text {
    let text = Text::new(content).set("x", x).set("y", y);
    if class.is_empty() { text } else { text.set("class", class) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(value: f64, text: &str) -> Option<Figure<'_>> {
        Some(Figure { value, text })
    }

    #[test]
    fn a_bar_is_as_long_as_its_figure() {
        let groups = vec![
            Group { label: "<one> & two".to_owned(), bars: vec![figure(100.0, "100"), figure(25.0, "25 k")] },
            Group { label: "three".to_owned(), bars: vec![None, figure(50.0, "50")] },
        ];
        let series = [Series { name: "us", class: "ours" }, Series { name: "them", class: "node" }];
        let bars = Bars { title: "Rates", longer_is: "better", series: &series, groups, source: "Measured." };
        let svg = bars.svg();
        assert!(svg.contains("&lt;one&gt; &amp; two"), "{svg}");
        let widths = |class: &str| -> Vec<usize> {
            let bars = svg.lines().filter(|line| line.contains(&format!("class=\"{class}\"")));
            let width = |line: &str| line.split_once(" width=\"")?.1.split_once('"')?.0.parse().ok();
            bars.map(|line| width(line).expect("a width")).collect()
        };
        let longest = WIDTH - MARGIN - "<one> & two".len() * LETTER - GAP - FIGURE - MARGIN;
        let part = |part: f64| (longest as f64 * part).round() as usize;
        // The first of each is the legend's.
        assert_eq!(widths("ours"), [BAR, longest]);
        assert_eq!(widths("node"), [BAR, part(0.25), part(0.5)]);
        // Each colour is there for light and for dark pages, and no element has one of its own.
        let (light, dark) = svg.split_once("prefers-color-scheme: dark").expect("a style for dark pages");
        for class in [".page", "text", ".ours", ".node", ".axum", ".tcp", ".source"] {
            assert!(
                light.contains(&format!("{class} {{")) && dark.contains(&format!("{class} {{")),
                "{class}"
            );
        }
        assert!(!svg.contains("fill=\""));
        assert!(svg.contains("A longer bar is better. Measured."));
    }
}
