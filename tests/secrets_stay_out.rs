//! Secrets do not reach the file by default: neither those on the command line nor those in fields,
//! whichever way a field comes. The list of names can be changed.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use spandrel::Arguments;
use spandrel_tests::{
    Database, asking, child, dispatch, ledger, scratch, small, time_limit, within,
};
use tracing::{field, info, info_span};

/// What no file of a recording may hold.
const SECRET: &str = "hunter2";

/// Looks through the profile and whatever lies beside it.
fn assert_no_secret(db: &Path) {
    let folder = db.parent().unwrap();
    let mut looked_at = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // What another process asks stands in a file of its own until the recording ends.
        if path.to_string_lossy().ends_with("-ctl") {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        looked_at += bytes.len();
        let found = bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
        assert!(!found, "{} has the secret", path.display());
    }
    assert!(looked_at > 0);
}

#[test]
fn secrets_in_fields_do_not_reach_the_file() {
    let _limit = time_limit(60);
    let scratch = scratch();
    let profiler = small(scratch.db()).build().unwrap();
    let long = SECRET.repeat(1_000);
    let open = within(&dispatch(&profiler), || {
        drop(info_span!("login", user = "me", password = SECRET));
        drop(info_span!("call", http.request.header.authorization = %format!("Bearer {SECRET}")));
        drop(info_span!("bytes", api_key = SECRET.as_bytes(), n = 1));
        drop(info_span!("long", clientSecret = long.as_str(), token = ?long, n = 2));
        let late = info_span!("late", session.cookie = field::Empty, n = 3);
        late.record("session.cookie", SECRET);
        drop(late);
        info!(password = SECRET, n = 4, "said");
        drop(info_span!(
            "counted",
            tokens = 512,
            token_count = "many",
            cache_key = "user:1",
            key = 7
        ));
        // Not closed: among the open spans, and unfinished in the end.
        info_span!("open", credentials = SECRET, n = 5)
    });
    asking::ask(
        scratch.db(),
        "mark",
        &json!({ "label": "deploy", "fields": { "token": SECRET, "by": "me" } }),
    );
    profiler.flush(Duration::from_secs(60)).unwrap();
    // A reader merges no log: what is in the log is looked at, too.
    assert_no_secret(scratch.db());
    let report = profiler.close().unwrap();
    within(&dispatch(&profiler), || drop(open));
    let db = ledger::check_complete(scratch.db(), &report);
    assert_no_secret(scratch.db());
    let text = |span: &str, name: &str| db.span(span).fields.text(name);
    assert_eq!(
        (text("login", "user"), text("login", "password")),
        ("me".into(), "[redacted]".into())
    );
    assert_eq!(text("call", "http.request.header.authorization"), "[redacted]");
    assert_eq!(text("bytes", "api_key"), "[redacted]");
    assert_eq!(text("long", "clientSecret"), "[redacted]");
    assert_eq!(db.span("long").fields.cut()["clientSecret"], Some(7_000), "how long, not what");
    assert_eq!(text("late", "session.cookie"), "[redacted]");
    assert_eq!(text("open", "credentials"), "[redacted]");
    assert_eq!(db.event("said").fields.text("password"), "[redacted]");
    let counted = db.span("counted").fields;
    assert_eq!((counted.number("tokens"), counted.number("key")), (512, 7));
    assert_eq!(
        (counted.text("token_count"), counted.text("cache_key")),
        ("many".into(), "user:1".into())
    );
    // In whichever order: that is a feature of serde_json, which any crate of a build can switch on.
    let mark: String = db.value("SELECT fields FROM mark");
    let mark: serde_json::Value = serde_json::from_str(&mark).unwrap();
    assert_eq!(mark, json!({ "by": "me", "token": "[redacted]" }));
}

#[test]
fn the_list_of_names_can_be_changed() {
    let _limit = time_limit(60);
    let scratch = scratch();
    let names = ["card_number", "message", "!key", "!token"];
    let profiler = small(scratch.db()).redact_fields(names).build().unwrap();
    within(&dispatch(&profiler), || {
        drop(info_span!(
            "pay",
            cardNumber = SECRET,
            key = "user:1",
            token = "public",
            password = SECRET
        ));
        info!("{SECRET}");
    });
    let db = ledger::check_complete(scratch.db(), &profiler.close().unwrap());
    assert_no_secret(scratch.db());
    let fields = db.span("pay").fields;
    assert_eq!((fields.text("key"), fields.text("token")), ("user:1".into(), "public".into()));
    assert_eq!(fields.text("cardNumber"), "[redacted]");
    assert_eq!(db.events()[0].message.as_deref(), Some("[redacted]"));
}

#[test]
fn secrets_on_the_command_line_do_not_reach_the_file() {
    const TEST: &str = "secrets_on_the_command_line_do_not_reach_the_file";
    let _limit = time_limit(60);
    if let Some(role) = child::role() {
        let builder = small(Path::new(&std::env::var_os("SPANDREL_TEST_DB").unwrap()));
        let builder = match role.as_str() {
            "whole" => builder.arguments(Arguments::Whole),
            "omitted" => builder.arguments(Arguments::Omitted),
            _ => builder,
        };
        let profiler = builder.build().unwrap();
        within(&dispatch(&profiler), || drop(info_span!("work")));
        profiler.close().unwrap();
        return;
    }
    for role in ["default", "omitted", "whole"] {
        let scratch = scratch();
        child::plan(TEST, role)
            .env("SPANDREL_TEST_DB", scratch.db())
            .arg("password=hunter2")
            .arg("postgres://admin:hunter2@db/prod")
            .arg(r#"{"api_key":"hunter2"}"#)
            .arg("plain")
            .start()
            .succeed();
        let args: String = Database::open(scratch.db()).value("SELECT args FROM run");
        let args: Vec<String> = serde_json::from_str(&args).unwrap();
        match role {
            "whole" => assert_eq!(args.join(" ").matches(SECRET).count(), 3, "{args:?}"),
            "omitted" => assert_eq!(args, [""; 0]),
            _ => {
                assert_no_secret(scratch.db());
                let last = &args[args.len() - 4..];
                assert_eq!(
                    last,
                    [
                        "password=[redacted]",
                        "postgres://admin:[redacted]@db/prod",
                        r#"{"api_key":"[redacted]"}"#,
                        "plain"
                    ]
                );
            }
        }
    }
}
