//! The profiles of `said/rows.md`: the shop, after statements.

use std::path::Path;

use super::changed::changed;

pub fn write(folder: &Path) {
    let folder = folder.join("changed");
    std::fs::create_dir(&folder).unwrap();
    for (name, sql) in [
        ("as_it_was", ""),
        ("missing_span", "delete from span where id = (select max(id) - 1 from span)"),
        ("missing_events", "delete from event where run_id = 2"),
        ("negative", "update span set duration_ns = -5 where id = (select max(id) - 1 from span)"),
        ("own_above_whole", "update span set self_ns = duration_ns + 1 where run_id = 2"),
        ("longer", "update span set duration_ns = duration_ns + 1 where run_id = 2"),
        ("no_rollup", "delete from rollup where run_id = 2"),
        ("other_maximum", "update rollup set max_ns = max_ns + 1 where run_id = 2"),
        ("negative_total", "update run set spans = -1 where id = 2"),
        ("lost", "update run set dropped_spans = 7 where id = 2"),
        ("no_callsite", "delete from callsite where name = 'db.query'"),
    ] {
        changed(&folder.join(name).with_extension("db"), sql);
    }
}
