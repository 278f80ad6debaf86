//! What other programs make of the exports, a format or a program a module. One program of tests: each of its own would be
//! linked with all readers once more, and wait for other programs alone.

mod chrome;
mod entries;
mod firefox;
mod folded;
mod left_out;
mod litestream;
mod open_query;
mod opentelemetry;
mod otlp;
mod otlp_sent;
mod pages;
mod perfetto;
mod pprof;
mod readers;
mod rows;
mod speedscope;
mod sqlite;
mod tracing_chrome;
