//! The page: template, style, script and data in one file that needs no other.
//!
//! The browser is told to load nothing and to run nothing but this script and this style, by their
//! hashes: were a span's name ever taken for markup, it still could do nothing.

use super::bounds;
use super::data::Document;
use super::embed::{embed, escape_html, policy_hash};
use crate::output::text;

const TEMPLATE: &str = include_str!("web/template.html");

/// One after the other, a script each, in one scope.
const SCRIPTS: [&str; 21] = [
    include_str!("web/format.js"),
    include_str!("web/dom.js"),
    include_str!("web/theme.js"),
    include_str!("web/route.js"),
    include_str!("web/names.js"),
    include_str!("web/tooltip.js"),
    include_str!("web/icicle.js"),
    include_str!("web/icicle_input.js"),
    include_str!("web/flame.js"),
    include_str!("web/sandwich.js"),
    include_str!("web/timeline.js"),
    include_str!("web/table.js"),
    include_str!("web/gauges.js"),
    include_str!("web/overview.js"),
    include_str!("web/errors.js"),
    include_str!("web/trace_detail.js"),
    include_str!("web/meanwhile.js"),
    include_str!("web/waterfall.js"),
    include_str!("web/heatmap.js"),
    include_str!("web/diff.js"),
    include_str!("web/main.js"),
];

const STYLES: [&str; 2] = [include_str!("web/report.css"), include_str!("web/charts.css")];

/// The whole page.
///
/// # Errors
///
/// When the document cannot be JSON.
pub(crate) fn page(document: &Document) -> Result<String, serde_json::Error> {
    let script = format!("(() => {{\n\"use strict\";\n{}}})();\n", lines(&SCRIPTS));
    let style = lines(&STYLES);
    let data = embed(document, bounds::PLAIN_BYTES)?;
    let policy = format!(
        "default-src 'none'; script-src {}; style-src {}; img-src data:; base-uri 'none'; \
         form-action 'none'",
        policy_hash(&script),
        policy_hash(&style)
    );
    Ok(fill(&[
        ("policy", &policy),
        ("title", &escape_html(&text::clean(&document.title))),
        ("generator", &escape_html(&document.generator)),
        ("style", &style),
        ("encoding", data.encoding),
        ("data", &data.text),
        ("script", &script),
    ]))
}

/// Texts one after the other, with the ends of lines that a browser hashes.
fn lines(texts: &[&str]) -> String {
    texts.concat().replace("\r\n", "\n")
}

/// Puts values into the places `{{name}}` of the template. What a value holds is not looked at, so that
/// no value can name a place.
fn fill(values: &[(&str, &str)]) -> String {
    let template = lines(&[TEMPLATE]);
    let mut page = String::with_capacity(values.iter().map(|value| value.1.len()).sum());
    let mut rest = template.as_str();
    while let Some((before, after)) = rest.split_once("{{") {
        page.push_str(before);
        let Some((name, after)) = after.split_once("}}") else {
            break;
        };
        let value = values.iter().find(|value| value.0 == name);
        page.push_str(value.map_or("", |value| value.1));
        rest = after;
    }
    page.push_str(rest);
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between<'a>(page: &'a str, from: &str, until: &str) -> &'a str {
        page.split_once(from).unwrap().1.split_once(until).unwrap().0
    }

    #[test]
    fn the_policy_names_what_stands_in_the_page() {
        let page = page(&Document::default()).unwrap();
        let style = between(&page, "<style>", "</style>");
        let script = between(&page, "<script>", "</script>");
        assert!(page.contains(&policy_hash(style)) && page.contains(&policy_hash(script)));
        assert!(!page.contains("{{"), "a place was not filled");
    }

    #[test]
    fn a_page_names_no_other_file() {
        let page = page(&Document::default()).unwrap();
        for bad in ["http://", "https://", "src=", "@import", "url(", "innerHTML", "eval("] {
            assert!(!page.contains(bad), "{bad}");
        }
    }

    #[test]
    fn a_title_is_text_and_cannot_name_a_place() {
        let title = "{{script}}</title><script>alert(1)</script>".to_owned();
        let page = page(&Document { title, ..Document::default() }).unwrap();
        assert!(page.contains("<title>{{script}}&lt;/title&gt;&lt;script&gt;alert(1)"));
        assert_eq!(page.matches("<script").count(), 2);
    }
}
