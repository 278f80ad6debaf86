//! A page in a real browser: it shows what it should, asks for nothing, and runs nothing but itself.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]
#![allow(missing_docs)]

mod browser;
mod recorded;

use browser::{Browser, Doorbell};
use recorded::Recorded;

const VIEWS: [&str; 7] = ["overview", "flame", "time", "sandwich", "trace", "errors", "heatmap"];

#[test]
fn a_page_opens_and_no_name_of_it_becomes_markup() {
    let Some(browser) = Browser::find() else { return };
    let bell = Doorbell::new();
    let recorded = Recorded::new(&bell.address());
    recorded.report(&[]);
    for view in VIEWS {
        let seen = browser.open(&recorded.page(), &format!("view={view}"));
        assert!(seen.dom.contains(&format!("data-ready=\"{view}\"")), "{view} did not open");
        assert!(!seen.dom.contains("data-failed"), "{view}");
        assert_eq!(seen.console, [""; 0], "{view}");
        for element in ["<img", "<iframe", "<object", "<link", " onerror=\"", "data-pwned="] {
            assert!(!seen.dom.contains(element), "{view} has {element}");
        }
        assert_eq!(seen.dom.matches("<script").count(), 2, "{view}");
        assert!(!seen.dom.contains('\u{1b}'), "{view} holds a control character");
        assert!(!bell.rang(), "{view} asked for something");
    }
    // What was to become markup is there as text, in the table.
    let seen = browser.open(&recorded.page(), "view=overview");
    assert!(seen.dom.contains("&lt;/script&gt;&lt;/title&gt;&lt;img src=x onerror="));
    assert!(seen.dom.contains("⟨U+202E⟩⟨U+2066⟩␛[2J&amp;lt;b&amp;gt;"));
}

#[test]
fn the_doorbell_rings_when_a_page_does_ask() {
    let Some(browser) = Browser::find() else { return };
    let bell = Doorbell::new();
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("asks.html");
    let text = format!("<!doctype html><img src={}/x onerror=console.error(this)>", bell.address());
    std::fs::write(&page, text).unwrap();
    let seen = browser.open_once(&page, "");
    assert!(seen.dom.contains("<img"));
    assert!(bell.rang(), "a request would not be noticed");
}

#[test]
fn a_large_page_is_packed_and_unpacked() {
    let Some(browser) = Browser::find() else { return };
    let recorded = Recorded::large();
    let page = recorded.report(&["-n", "100"]);
    assert!(page.contains("data-encoding=\"deflate\""));
    assert!(page.len() < 3_000_000, "{} bytes", page.len());
    let seen = browser.open(&recorded.page(), "view=trace");
    assert!(seen.dom.contains("data-ready=\"trace\""));
    assert_eq!(seen.dom.matches("class=\"length\"").count(), 100, "each trace is listed");
    assert_eq!(seen.console, [""; 0]);
}

#[test]
fn an_address_holds_what_is_zoomed_to_and_which_span_is_meant() {
    let Some(browser) = Browser::find() else { return };
    let recorded = Recorded::new("http://localhost:1");
    let page = recorded.report(&[]);
    let open = |hash: &str| browser.open(&recorded.page(), hash).dom;
    let hidden = "hidden=\"\">zoom out (Esc)</button>";
    for view in ["flame", "time"] {
        let shown = |dom: String| {
            let from = dom.find(&format!("id=\"view-{view}\"")).unwrap();
            let view = &dom[from..];
            let end = view[1..].find("id=\"view-").map_or(view.len(), |end| end + 1);
            !view[..end].contains(hidden)
        };
        assert!(!shown(open(&format!("view={view}"))), "{view}");
        assert!(shown(open(&format!("view={view}&zoom=0.25-0.5"))), "{view}");
        // What is no part of a chart is all of it.
        assert!(!shown(open(&format!("view={view}&zoom=0.5-0.25"))), "{view}");
    }
    let document = recorded::document(&page);
    let failure = &document["failures"][0];
    let (trace, span) = (failure["trace"].as_str().unwrap(), failure["span"].as_str().unwrap());
    let dom = open(&format!("view=trace&id={trace}&span={span}"));
    assert!(dom.contains(&format!("<dt>id</dt><dd><bdi>{span}</bdi></dd>")), "{span}");
    let errors = open("view=errors");
    assert!(errors.contains("it failed") && errors.contains(&format!("span={span}")));
}

#[test]
fn losses_stand_on_top_of_each_view() {
    let Some(browser) = Browser::find() else { return };
    let recorded = Recorded::with_losses();
    recorded.report(&[]);
    for view in VIEWS {
        let seen = browser.open(&recorded.page(), &format!("view={view}"));
        let banner = seen.dom.find("were lost (").unwrap_or_else(|| panic!("{view} says nothing"));
        assert!(banner < seen.dom.find("<nav").unwrap(), "{view}");
        assert!(seen.dom.contains("ring_full"), "{view}");
    }
}

#[test]
fn light_and_dark_follow_the_system_and_can_be_chosen() {
    let Some(browser) = Browser::find() else { return };
    let recorded = Recorded::new("http://localhost:1");
    recorded.report(&[]);
    let shade = |browser: &Browser, hash: &str| corner(&browser.picture(&recorded.page(), hash));
    assert!(shade(&browser, "view=flame") > 240, "light at first");
    assert!(shade(&browser, "view=flame&theme=dark") < 40, "dark if chosen");
    let dark = browser.dark();
    assert!(shade(&dark, "view=flame") < 40, "dark as the system");
    assert!(shade(&dark, "view=flame&theme=light") > 240, "light if chosen");
}

/// How bright the first pixel of a PNG is.
fn corner(png: &[u8]) -> u8 {
    let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut pixels).unwrap();
    pixels[..3].iter().copied().max().unwrap()
}
