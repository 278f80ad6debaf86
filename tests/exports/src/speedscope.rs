//! What speedscope's own importer makes of a file.

use std::path::Path;

use serde_json::Value;

use crate::node;

/// A profile of a file: one row of calls.
#[derive(Debug)]
pub struct Profile {
    pub name: String,
    pub unit: String,
    /// The sum of all times.
    pub weight: f64,
    /// Name, depth, from, until; in the order of their ends. Those without length are none.
    pub calls: Vec<(String, usize, f64, f64)>,
    pub frames: Vec<Frame>,
}

/// A function, as speedscope has it.
#[derive(Debug)]
pub struct Frame {
    pub name: String,
    /// Time of its own.
    pub own: f64,
    /// Time in all.
    pub total: f64,
    pub file: Option<String>,
    pub line: Option<u64>,
}

/// The profiles, if speedscope is installed, and which of them is shown first.
pub fn import(file: &Path) -> Option<(Vec<Profile>, usize)> {
    let page = node::file("speedscope/dist/release/index.html")?;
    let script = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/speedscope.cjs"));
    let arguments = [page.parent().unwrap(), file].map(|path| path.to_str().unwrap());
    let output = node::run(script, &arguments, file.parent().unwrap());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let shown = lines.next().unwrap()["shown"].as_u64().unwrap() as usize;
    Some((lines.map(|line| profile(&line)).collect(), shown))
}

fn profile(line: &Value) -> Profile {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let list = |name: &str| line[name].as_array().unwrap().clone();
    Profile {
        name: text(&line["name"]),
        unit: text(&line["unit"]),
        weight: line["weight"].as_f64().unwrap(),
        calls: list("calls")
            .iter()
            .map(|call| {
                let depth = call[1].as_u64().unwrap() as usize;
                (text(&call[0]), depth, call[2].as_f64().unwrap(), call[3].as_f64().unwrap())
            })
            .collect(),
        frames: list("frames")
            .iter()
            .map(|frame| {
                let number = |at: usize| frame[at].as_f64().unwrap();
                Frame {
                    name: text(&frame[0]),
                    own: number(1),
                    total: number(2),
                    file: frame[3].as_str().map(str::to_owned),
                    line: frame[4].as_u64(),
                }
            })
            .collect(),
    }
}
