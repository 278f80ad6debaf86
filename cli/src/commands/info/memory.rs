//! The memory that a recording takes, by part, as it says so in its report.

use serde_json::{Value, json};

use crate::output::text;

/// A line names only parts of at least this many bytes.
const NAMED_MIN: u64 = 50 << 10;
/// What the columns of the table mean.
const MEANING: [&str; 3] = [
    "  in use: it holds something; of open spans what was ever touched",
    "  at most: the most in use at one moment (of each part at a moment of its own, so they are no sum); with \
     code and stack that is below 24 MiB at default settings, up to 64 MiB more in a burst, up to 4 KiB more for each \
     long-lived span",
    "  reserved: in use, and address space beyond that, which takes no memory before it is touched; no limit is \
     about it",
];
const MIB: f64 = (1 << 20) as f64;

/// Bytes of a part, or of all.
#[derive(Debug, Clone, Copy)]
struct Bytes {
    reserved: u64,
    used: u64,
    peak: u64,
}

/// What a report says of memory.
#[derive(Debug)]
pub(super) struct Memory {
    all: Bytes,
    parts: Vec<(String, Bytes)>,
}

impl Bytes {
    fn of(value: &Value) -> Option<Self> {
        let bytes = |name| value.get(name).and_then(Value::as_u64);
        Some(Self {
            reserved: bytes("reserved_bytes")?,
            used: bytes("used_bytes")?,
            peak: bytes("peak_bytes")?,
        })
    }

    fn json(self) -> Value {
        json!({ "reserved_bytes": self.reserved, "used_bytes": self.used, "peak_bytes": self.peak })
    }
}

impl Memory {
    /// `None` where the report does not say, or it is of a run that was recovered: nobody knows what that took.
    pub(super) fn of(report: &Value) -> Option<Self> {
        let memory = report.get("memory")?;
        let part = |part: &Value| Some((part.get("part")?.as_str()?.to_owned(), Bytes::of(part)?));
        let parts = memory.get("parts")?.as_array()?.iter().map(part).collect::<Option<_>>()?;
        let all = Bytes::of(memory)?;
        // Whoever records takes some.
        (all.reserved > 0).then_some(Self { all, parts })
    }

    pub(super) fn json(&self) -> Value {
        let part = |(name, bytes): &(String, Bytes)| {
            let mut part = bytes.json();
            part["part"] = json!(name);
            part
        };
        let mut all = self.all.json();
        all["parts"] = self.parts.iter().map(part).collect();
        all
    }

    /// One line with the larger parts; or a table of all of them, with the settings that change them.
    pub(super) fn lines(&self, is_table: bool) -> Vec<String> {
        if is_table {
            let head =
                format!("memory, MiB{:>9}{:>9}{:>10}   set by", "in use", "at most", "reserved");
            let parts = self.parts.iter().map(|(part, bytes)| row(part, *bytes));
            let all = [head].into_iter().chain(parts).chain([row("all", self.all)]);
            return all.chain(MEANING.map(str::to_owned)).collect();
        }
        let named = self.parts.iter().filter(|(_, bytes)| bytes.used >= NAMED_MIN);
        let named: Vec<_> =
            named.map(|(part, bytes)| format!("{} {}", words(part), mib(bytes.used))).collect();
        let parts = if named.is_empty() { "" } else { &format!(" ({})", named.join(", ")) };
        let Bytes { reserved, used, peak } = self.all;
        let all = format!("memory: {} MiB in use{parts}, at most {}", mib(used), mib(peak));
        // Address space beyond what is in use: only where there is some.
        let more = reserved.saturating_sub(used);
        vec![match more < NAMED_MIN {
            true => all,
            false => format!("{all}; {} more are reserved, and hold nothing", mib(more)),
        }]
    }
}

fn mib(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / MIB)
}

/// `open_spans` as people see it.
fn words(part: &str) -> String {
    text::clean(part).replace('_', " ")
}

fn row(part: &str, Bytes { reserved, used, peak }: Bytes) -> String {
    let numbers = format!("{:>8}{:>9}{:>10}", mib(used), mib(peak), mib(reserved));
    let line = format!("  {:<10}{numbers}   {}", words(part), set_by(part));
    line.trim_end().to_owned()
}

/// The settings that a part depends on.
fn set_by(part: &str) -> &'static str {
    match part {
        "ring" => "ring_capacity",
        "open_spans" => "max_open_spans, max_field_bytes",
        "drained" => "ring_capacity",
        "rows" | "image" => "batch_size",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_said_as_the_report_says_it() {
        let report = json!({ "memory": {
            "reserved_bytes": 31 << 20, "used_bytes": 5 << 20, "peak_bytes": 19 << 20,
            "parts": [
                { "part": "ring", "reserved_bytes": 4 << 20, "used_bytes": 4 << 20, "peak_bytes": 4 << 20 },
                { "part": "open_spans", "reserved_bytes": 27 << 20, "used_bytes": 1 << 20, "peak_bytes": 1 << 20 },
                { "part": "drained", "reserved_bytes": 0, "used_bytes": 0, "peak_bytes": 14 << 20 },
            ],
        } });
        let memory = Memory::of(&report).unwrap();
        assert_eq!(
            memory.lines(false),
            [
                "memory: 5.0 MiB in use (ring 4.0, open spans 1.0), at most 19.0; 26.0 more are reserved, and \
              hold nothing"
            ]
        );
        let lines = memory.lines(true);
        let (table, meaning) = lines.split_at(lines.len() - MEANING.len());
        assert_eq!(meaning, MEANING);
        assert_eq!(
            table,
            [
                "memory, MiB   in use  at most  reserved   set by",
                "  ring           4.0      4.0       4.0   ring_capacity",
                "  open spans     1.0      1.0      27.0   max_open_spans, max_field_bytes",
                "  drained        0.0     14.0       0.0   ring_capacity",
                "  all            5.0     19.0      31.0",
            ]
        );
        assert_eq!(memory.json(), report["memory"]);
    }

    #[test]
    fn what_is_no_memory_is_not_said() {
        for memory in [
            json!(null),
            json!(7),
            json!({ "reserved_bytes": 1, "used_bytes": 1, "peak_bytes": 1 }),
        ] {
            assert!(Memory::of(&json!({ "memory": memory })).is_none());
        }
        let parts =
            json!([{ "part": "ring", "reserved_bytes": -1, "used_bytes": 1, "peak_bytes": 1 }]);
        let memory =
            json!({ "reserved_bytes": 1, "used_bytes": 1, "peak_bytes": 1, "parts": parts });
        assert!(Memory::of(&json!({ "memory": memory })).is_none());
        // As a recovery writes it.
        let parts =
            json!([{ "part": "ring", "reserved_bytes": 0, "used_bytes": 0, "peak_bytes": 0 }]);
        let memory =
            json!({ "reserved_bytes": 0, "used_bytes": 0, "peak_bytes": 0, "parts": parts });
        assert!(Memory::of(&json!({ "memory": memory })).is_none());
    }
}
