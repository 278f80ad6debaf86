//! Secrets do not reach the file by default: neither those on the command line nor those in fields,
//! whichever way a field comes. The list of names can be changed.

use serde_json::json;
use spandrel::Arguments;
use spandrel_tests::asking;
use spandrel_tests::prelude::*;

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
    let (scratch, profiler) = recording_for(60);
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
    let cut = db.span("long").fields.cut();
    assert_eq!((cut["clientSecret"], cut["token"]), (None, None), "not even how long");
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
fn passwords_and_tokens_in_urls_do_not_reach_the_file() {
    let (scratch, profiler) = recording_for(60);
    let url = format!("postgres://me:{SECRET}@db:5432/prod");
    let long = format!("{}postgres://me:{}", " ".repeat(200), SECRET.repeat(1_000));
    let open = within(&dispatch(&profiler), || {
        drop(info_span!("connect", url = url.as_str(), n = 1));
        drop(info_span!("shown", config = ?Some(&url), error = %format!("{url}: no route")));
        drop(info_span!("bytes", url = url.as_bytes()));
        drop(info_span!("request", uri = %format!("/login?a=1&access_token={SECRET}#top")));
        drop(info_span!("asked", url.query = %format!("q=a b&api_key={SECRET}")));
        drop(info_span!("signed", to = %format!("https://h/x?X-Amz-Signature={SECRET}&y=2")));
        drop(info_span!("pairs", db.dsn = %format!("host=db password={SECRET} user=me")));
        drop(info_span!("cut", text = long.as_str()));
        let late = info_span!("late", endpoint = field::Empty);
        late.record("endpoint", format!("redis://:{SECRET}@cache").as_str());
        drop(late);
        info!(n = 4, "said {url}");
        info_span!("open", url = url.as_str())
    });
    let fields = json!({ "at": url, "uri": format!("/?token={SECRET}") });
    asking::ask(scratch.db(), "mark", &json!({ "label": "deploy", "fields": fields }));
    profiler.flush(Duration::from_secs(60)).unwrap();
    assert_no_secret(scratch.db());
    let report = profiler.close().unwrap();
    within(&dispatch(&profiler), || drop(open));
    let db = ledger::check_complete(scratch.db(), &report);
    assert_no_secret(scratch.db());
    let safe = "postgres://me:[redacted]@db:5432/prod";
    for (span, field, wanted) in [
        ("connect", "url", safe.to_owned()),
        ("shown", "config", format!("Some({safe:?})")),
        ("shown", "error", format!("{safe}: no route")),
        ("bytes", "url", "[redacted]".to_owned()),
        ("request", "uri", "/login?a=1&access_token=[redacted]#top".to_owned()),
        ("asked", "url.query", "q=a b&api_key=[redacted]".to_owned()),
        ("signed", "to", "https://h/x?X-Amz-Signature=[redacted]&y=2".to_owned()),
        ("pairs", "db.dsn", "host=db password=[redacted] user=me".to_owned()),
        ("cut", "text", format!("{}postgres://me:[redacted]", " ".repeat(200))),
        ("late", "endpoint", "redis://:[redacted]@cache".to_owned()),
        ("open", "url", safe.to_owned()),
    ] {
        assert_eq!(db.span(span).fields.text(field), wanted, "{span}");
    }
    assert_eq!(db.events()[0].message.as_deref(), Some(format!("said {safe}").as_str()));
    let mark: String = db.value("SELECT fields FROM mark");
    let mark: serde_json::Value = serde_json::from_str(&mark).unwrap();
    assert_eq!(mark, json!({ "at": safe, "uri": "/?token=[redacted]" }));
}

#[test]
fn the_list_of_names_can_be_changed() {
    let scratch = scratch_for(60);
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
        child::plan(role)
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
