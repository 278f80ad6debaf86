//! A flame graph as a picture that needs nothing but something that shows SVG: no script, no font, no
//! network. Every frame has its path and figures as a tooltip.

use std::fmt::Write as _;

use spandrel_query::StackTree;

use super::Width;
use super::layout::{FlameFrame, Layout};
use crate::output::text;

/// Sizes in pixels.
const WIDTH: f64 = 1200.0;
const ROW: f64 = 18.0;
const TOP: f64 = 44.0;
const LETTER: f64 = 7.0;
/// Frames narrower than this are not drawn: nobody would see them.
const NARROWEST: f64 = 0.3;

/// The picture; `headline` is what the header of the view says.
pub(super) fn draw(
    tree: &StackTree,
    layout: &Layout,
    weight: Width,
    headline: &[String],
) -> String {
    let height = TOP + ROW * f64::from(layout.levels()) + 8.0;
    let mut svg = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\" font-family=\"ui-monospace, Menlo, Consolas, \
         monospace\" font-size=\"11.5\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"4\" y=\"16\" font-weight=\"bold\">{}</text>\n\
         <text x=\"4\" y=\"33\" fill=\"#555\">width: {}, {} in all; children beneath</text>\n",
        escape(&headline.join("  ")),
        weight.in_words(),
        escape(&weight.text(layout.total)),
    );
    for cell in &layout.cells {
        if cell.width * WIDTH >= NARROWEST {
            frame(&mut svg, tree, cell, weight);
        }
    }
    svg.push_str("</svg>\n");
    svg
}

fn frame(svg: &mut String, tree: &StackTree, cell: &FlameFrame, weight: Width) {
    let Some(node) = tree.nodes().get(cell.node) else { return };
    let path: Vec<&str> = tree.path(cell.node).iter().map(|frame| frame.name()).collect();
    let (x, width) = (cell.start * WIDTH, cell.width * WIDTH);
    let y = TOP + ROW * f64::from(cell.depth);
    let name = text::clean(node.frame.name());
    let title = format!(
        "{}\n{} ({}), {}, self {}",
        path.join(" > "),
        weight.text(cell.weight),
        text::share(cell.width),
        text::counted(node.sums.calls, "call"),
        text::duration_in_words(node.sums.self_ns),
    );
    let (hue, light) = colour(&name);
    let drawn = write!(
        svg,
        "<g><title>{}</title><rect x=\"{x:.2}\" y=\"{y}\" width=\"{width:.2}\" height=\"{}\" \
         fill=\"hsl({hue},75%,{light}%)\" stroke=\"#fff\" stroke-width=\"0.6\"/>",
        escape(&title),
        ROW - 1.0
    );
    let room = ((width - 6.0) / LETTER).max(0.0) as usize;
    let label: String = if name.chars().count() <= room {
        name
    } else if room >= 3 {
        name.chars().take(room - 1).chain(['…']).collect()
    } else {
        String::new()
    };
    let labelled = match label.is_empty() {
        true => Ok(()),
        false => {
            write!(svg, "<text x=\"{:.2}\" y=\"{}\">{}</text>", x + 3.0, y + 12.5, escape(&label))
        }
    };
    // A String takes everything that is written.
    debug_assert!(drawn.is_ok() && labelled.is_ok());
    svg.push_str("</g>\n");
}

/// A warm colour for a name: hue and lightness.
fn colour(name: &str) -> (u32, u32) {
    let hash = text::hash(name);
    (hash % 55, 68 + hash / 64 % 12)
}

/// Text as XML; characters that it does not allow are replaced.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            character if character.is_control() => escaped.push('\u{fffd}'),
            character => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use spandrel_query::Weight;

    use super::super::layout::tests::tree;
    use super::*;

    #[test]
    fn frames_are_drawn_with_their_paths() {
        let tree = tree();
        let layout = Layout::new(&tree, &tree.widths(Weight::SelfTime), 0, 0.0);
        let svg = draw(&tree, &layout, Width::SelfTime, &["run 1".into()]);
        assert_eq!(svg.matches("<rect x=").count(), 4);
        assert!(svg.contains("<title>root &gt; a &gt; c&#10;0.02 µs (20.0%), 1 call"), "{svg}");
        assert!(svg.contains("x=\"720.00\" y=\"62\" width=\"360.00\""), "{svg}");
    }

    #[test]
    fn nothing_in_a_name_gets_out_of_its_element() {
        let nasty = "</title><script>alert(1)</script>\u{0}\u{1b}\"&\u{ffff}";
        let escaped = escape(nasty);
        assert!(!escaped.contains(['<', '>', '"', '\u{0}', '\u{1b}', '\u{ffff}']), "{escaped}");
    }
}
