//! The formats, and what can be chosen.

use spandrel_query::stacks::Weight;

/// Defines the formats in one table, so that no list of formats can be incomplete.
macro_rules! formats {
    ($(
        $(#[$about:meta])*
        $Format:ident {
            name: $name:literal,
            endings: $endings:expr,
            content: $content:ident,
            opened_by: $opened_by:literal,
        }
    )*) => {
        /// What a profile can be exported as.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Format {
            $($(#[$about])* $Format,)*
        }

        impl Format {
            /// All of them, those for viewers first.
            pub const ALL: [Self; [$(Self::$Format),*].len()] = [$(Self::$Format),*];

            /// Its name on command lines.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$Format => $name,)*
                }
            }

            /// How the names of its files end; the first one is usual. None: it is sent, and is no file.
            pub const fn endings(self) -> &'static [&'static str] {
                match self {
                    $(Self::$Format => &$endings,)*
                }
            }

            const fn content(self) -> Content {
                match self {
                    $(Self::$Format => Content::$content,)*
                }
            }

            /// What opens it.
            pub const fn opened_by(self) -> &'static str {
                match self {
                    $(Self::$Format => $opened_by,)*
                }
            }
        }
    };
}

/// What the bytes of a format are.
#[derive(Clone, Copy)]
enum Content {
    Binary,
    Json,
    /// Lines that are no JSON.
    Text,
}

formats! {
    /// Protocol buffers of Perfetto: slices, instants, flows and counters, for <https://ui.perfetto.dev>.
    Perfetto {
        name: "perfetto",
        endings: [".pftrace", ".perfetto-trace", ".perfetto"],
        content: Binary,
        opened_by: "https://ui.perfetto.dev (runs in your browser; nothing is uploaded)",
    }
    /// The Trace Event Format of Chrome, JSON.
    Chrome {
        name: "chrome",
        // Not `.chrome.json`: speedscope takes that for something else.
        endings: [".trace.json", ".json"],
        content: Json,
        opened_by: "https://ui.perfetto.dev or chrome://tracing (nothing is uploaded)",
    }
    /// JSON for <https://www.speedscope.app>: slices only.
    Speedscope {
        name: "speedscope",
        endings: [".speedscope.json", ".speedscope"],
        content: Json,
        opened_by: "https://www.speedscope.app (runs in your browser; nothing is uploaded)",
    }
    /// A line for each path of names with the time in it, for flame graphs.
    Folded {
        name: "folded",
        endings: [".folded", ".collapsed"],
        content: Text,
        opened_by: "inferno-flamegraph, flamegraph.pl or https://www.speedscope.app",
    }
    /// Stacks with spans, self time and busy time for pprof, compressed protocol buffers.
    Pprof {
        name: "pprof",
        endings: [".pb.gz", ".pprof"],
        content: Binary,
        opened_by: "go tool pprof -http=: FILE, https://www.speedscope.app or Pyroscope",
    }
    /// The processed profile format of <https://profiler.firefox.com>, JSON: spans are markers.
    Firefox {
        name: "firefox",
        endings: [".profile.json", ".firefox.json"],
        content: Json,
        opened_by: "https://profiler.firefox.com (runs in your browser until you choose to upload)",
    }
    /// OpenTelemetry's OTLP as protocol buffers: requests to be sent, and no file; see
    /// [`otlp_requests`](super::otlp_requests).
    Otlp {
        name: "otlp",
        endings: [],
        content: Binary,
        opened_by: "a collector, Jaeger, Tempo and others, to which it is sent",
    }
    /// OpenTelemetry's OTLP as JSON, one request of at most a thousand spans a line.
    OtlpJson {
        name: "otlp-json",
        endings: [".otlp.jsonl", ".otlp.json", ".otlp"],
        content: Json,
        opened_by: "the collector's otlpjsonfile receiver; a line is a request body",
    }
    /// Spans as comma-separated values, with a header line.
    Csv {
        name: "csv",
        endings: [".csv"],
        content: Text,
        opened_by: "a spreadsheet, DuckDB or pandas",
    }
    /// Spans as JSON objects, one a line.
    Ndjson {
        name: "ndjson",
        endings: [".ndjson", ".jsonl"],
        content: Json,
        opened_by: "jq, DuckDB or pandas",
    }
    /// A profile with a part of the spans.
    Sqlite {
        name: "sqlite",
        endings: [".db", ".sqlite", ".sqlite3"],
        content: Binary,
        opened_by: "spandrel --db, sqlite3 or Datasette",
    }
}

impl Format {
    /// Whether a terminal can show it.
    pub const fn is_text(self) -> bool {
        !matches!(self.content(), Content::Binary)
    }

    /// Whether each line of it is JSON or a part of it.
    pub const fn is_json(self) -> bool {
        matches!(self.content(), Content::Json)
    }

    /// The format that the name of a file tells, by its longest ending.
    pub fn of_file_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let endings = Self::ALL
            .iter()
            .flat_map(|format| format.endings().iter().map(move |ending| (*ending, *format)));
        let fitting = endings.filter(|(ending, _)| name.ends_with(ending));
        fitting.max_by_key(|(ending, _)| ending.len()).map(|(_, format)| format)
    }
}

/// What to export as, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// The format.
    pub format: Format,
    /// `folded`: which time is added up; `pprof`: what is shown at first.
    pub weight: Weight,
    /// `csv`: a quotation mark before text that a spreadsheet would take for a formula.
    pub csv_safe: bool,
    /// `otlp`, `otlp-json`: the attribute `service.name`; `None`: the name of the program.
    pub service_name: Option<String>,
    /// `csv`, `ndjson`: a row for each entry that was recorded one by one, and none for spans.
    pub entries: bool,
}

impl Settings {
    /// The format, with the usual settings.
    pub fn new(format: Format) -> Self {
        let (csv_safe, entries) = (false, false);
        Self { format, weight: Weight::SelfTime, csv_safe, service_name: None, entries }
    }

    /// Which time `folded` adds up, and `pprof` shows at first.
    #[must_use]
    pub fn weight(self, weight: Weight) -> Self {
        Self { weight, ..self }
    }

    /// Whether `csv` keeps spreadsheets from taking text for formulas.
    #[must_use]
    pub fn csv_safe(self, csv_safe: bool) -> Self {
        Self { csv_safe, ..self }
    }

    /// What `otlp` and `otlp-json` call the service.
    #[must_use]
    pub fn service_name(self, service_name: Option<String>) -> Self {
        Self { service_name, ..self }
    }

    /// Whether rows of `csv` and `ndjson` are entries instead of spans.
    #[must_use]
    pub fn entries(self, entries: bool) -> Self {
        Self { entries, ..self }
    }

    pub(super) fn has_entries_alone(&self) -> bool {
        self.entries && matches!(self.format, Format::Csv | Format::Ndjson)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_ending_tells_the_format() {
        for (name, format) in [
            ("slow.pftrace", Some(Format::Perfetto)),
            ("a.json", Some(Format::Chrome)),
            ("A.SPEEDSCOPE.JSON", Some(Format::Speedscope)),
            ("a.profile.json", Some(Format::Firefox)),
            ("a.otlp.jsonl", Some(Format::OtlpJson)),
            ("a.jsonl", Some(Format::Ndjson)),
            ("cpu.PB.GZ", Some(Format::Pprof)),
            ("a.pprof", Some(Format::Pprof)),
            ("a.db", Some(Format::Sqlite)),
            ("a.txt", None),
            ("pftrace", None),
        ] {
            assert_eq!(Format::of_file_name(name), format, "{name}");
        }
        for format in Format::ALL {
            for ending in format.endings() {
                assert_eq!(Format::of_file_name(&format!("x{ending}")), Some(format));
            }
        }
    }
}
