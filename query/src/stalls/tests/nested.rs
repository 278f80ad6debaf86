//! Futures within futures: who polls the one that blocks is not to blame.

use super::*;

/// Name, milliseconds of its own, and what was inside.
fn rows(found: &[Stall]) -> Vec<String> {
    let part = |one: &InnerSpan| {
        format!("{}{} {}", one.name, if one.is_certain { "" } else { "?" }, one.ns / MS)
    };
    let row = |stall: &Stall| {
        let inside: Vec<String> = stall.inside.iter().map(part).collect();
        let name = &stall.worst.callsite.name;
        format!("{name} {} [{}]", stall.self_ns / MS, inside.join(", "))
    };
    found.iter().map(row).collect()
}

#[test]
fn the_future_that_blocks_comes_before_those_that_poll_it() {
    let mut program = Program::new();
    let polls: Vec<i64> = (0..30).map(|at| if at == 17 { 50 } else { 1 }).collect();
    let handler = program.span("handler", WORKER, 0, &polls);
    let mid = program.child(handler, "mid", WORKER, 0, &polls);
    program.child(mid, "leaf", WORKER, 0, &polls);
    // Ranks by what it did itself, and before what only polled.
    program.span("other", WORKER, 100, &[12, 1]);
    let expected = ["leaf 50 []", "other 12 []", "mid 0 [leaf 50]", "handler 0 [mid 50]"];
    assert_eq!(rows(&program.found(&Scan::new(1))), expected);
}

#[test]
fn what_is_nearly_as_long_is_likely_to_be_inside_and_said_to_be_no_more() {
    let mut program = Program::new();
    // Two polls of about the same length: it is not known in which of them the other future blocked.
    let outer = program.span("outer", WORKER, 0, &[50, 49, 1]);
    program.child(outer, "inner", WORKER, 1, &[48, 1]);
    // Too short to be what the longest was spent in.
    program.child(outer, "short", WORKER, 1, &[40, 1]);
    let expected = ["inner 48 []", "short 40 []", "outer 2 [inner? 48]"];
    assert_eq!(rows(&program.found(&Scan::new(1))), expected);
}

#[test]
fn of_several_that_may_be_inside_one_is_said_to_be() {
    let mut program = Program::new();
    let conn = program.span("conn", WORKER, 0, &[50, 49, 48, 47]);
    for at in 0..4 {
        program.child(conn, "request", WORKER, at * 50, &[49 - at]);
    }
    let expected = ["request 49 []", "conn 1 [request? 49]"];
    assert_eq!(rows(&program.found(&Scan::new(1))), expected);
}

#[test]
fn entries_that_were_recorded_say_what_was_inside() {
    let mut program = Program::new();
    let outer = program.span("outer", WORKER, 0, &[50, 49, 48]);
    let inner = program.child(outer, "inner", WORKER, 0, &[47, 30, 20]);
    // The longest of the inner one was not in the longest of the outer.
    program.entry((outer, "outer"), 20, 50 * MS - 20, 0);
    program.entry((inner, "inner"), 30, 20 * MS, outer);
    program.entry((inner, "inner"), 80, 47 * MS, outer);
    // Of another tree, called there.
    let shared = program.span("shared", WORKER, 0, &[11, 2, 1]);
    program.entry((shared, "shared"), 51, 11 * MS, outer);
    program.entry((shared, "shared"), 63, 2 * MS, outer);
    let expected = ["inner 47 []", "outer 19 [inner 20, shared 13]", "shared 11 []"];
    assert_eq!(rows(&program.found(&Scan::new(1))), expected);
}

#[test]
fn a_child_that_seems_longer_by_nanoseconds_is_inside() {
    let mut program = Program::new();
    let outer = program.span("outer", WORKER, 0, &[50, 1]);
    let inner = program.row(outer, "inner", WORKER, 0, &[50, 1]);
    let longest_entry_ns = Some(50 * MS + 40);
    program.profile.add(SpanRow { longest_entry_ns, ..inner }, "");
    assert_eq!(rows(&program.found(&Scan::new(1))), ["inner 50 []", "outer 0 [inner 50]"]);
}
