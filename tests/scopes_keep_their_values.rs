//! Values of all kinds that a scope can have are in its row as those of a span are, however it is recorded.

use std::borrow::Cow;
use std::error::Error;
use std::num::NonZero;
use std::sync::Arc;

use spandrel::scope;
use spandrel_tests::prelude::*;

/// The same fields, by each of the macros.
macro_rules! fields {
    ($make:ident, $name:literal) => {{
        let (n, path, empty) = (7_u64, String::from("a/b"), "");
        let (text, error) = ("more than there is room for in a word", "x".parse::<u8>().unwrap_err());
        let error: &(dyn Error + 'static) = &error;
        [
            fields!($make, $name, n, small = -3_i8, large = u64::MAX, low = i64::MIN),
            fields!($make, $name, half = 0.5_f32, not_a_number = f64::NAN, yes = true, size = 9_usize),
            fields!($make, $name, huge = u128::MAX, negative = i128::MIN, non_zero = NonZero::new(5_u32)),
            fields!($make, $name, %path, shown = ?Some(1), text, empty, short = "short"),
            fields!($make, $name, error, owned = path.as_str(), none = None::<u8>, some = Some("some")),
            fields!($make, $name, a.dotted.name = 1, args = format_args!("{n} of {n}"), boxed = Box::new(3)),
            fields!($make, $name, many = n, more = text, still = text, yet = text, last = "x".repeat(200).as_str()),
        ]
    }};
    (scope, $name:literal, $($fields:tt)*) => { scope!($name, $($fields)*) };
    (span, $name:literal, $($fields:tt)*) => {
        tracing::span!(Level::INFO, $name, $($fields)*).entered()
    };
}

fn make() {
    for _ in 0..2 {
        drop(fields!(scope, "scope"));
        drop(fields!(span, "span"));
    }
    // Those that a span cannot have.
    let cow: Cow<'_, str> = "cow".into();
    drop(scope!(
        "others",
        cow,
        shared = Arc::new(4_u8),
        text = String::from("owned"),
        trailing = 1,
    ));
}

#[test]
fn values_are_those_of_spans() {
    alone!();
    let _limit = time_limit(60);
    let Some(role) = child::role() else {
        for front in ["subscriber", "layer", "filter", "thread"] {
            child::plan(front).start().succeed();
        }
        return;
    };
    let (scratch, profiler) = recording();
    let all = tracing_subscriber::filter::dynamic_filter_fn(|_, _| true);
    match role.as_str() {
        "subscriber" => profiler.subscriber().init().unwrap(),
        "layer" => tracing_subscriber::registry().with(profiler.layer()).init(),
        "filter" => tracing_subscriber::registry().with(profiler.layer().with_filter(all)).init(),
        _ => {}
    }
    match role.as_str() {
        "thread" => tracing::subscriber::with_default(profiler.subscriber(), make),
        _ => make(),
    }
    let db = ledger::check_complete(scratch.db(), &profiler.close().unwrap());
    let of = |name: &str| {
        let sql = "SELECT fields FROM spans WHERE name = ?1 ORDER BY start_ns, id";
        db.rows(sql, [name], |row| row.get::<_, String>(0))
    };
    let (scopes, spans) = (of("scope"), of("span"));
    assert_eq!((scopes.len(), spans.len()), (14, 14));
    for (scope, span) in scopes.iter().zip(&spans) {
        assert_eq!(scope, span, "{role}");
    }
    let others = r#"{"cow":"cow","shared":4,"text":"owned","trailing":1}"#;
    assert_eq!(of("others"), [others]);
    let parents =
        db.count("SELECT count(*) FROM spans WHERE name = 'scope' AND parent_id IS NOT NULL");
    assert_eq!(parents, 12, "they are in each other");
}
