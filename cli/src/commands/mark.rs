//! `spandrel mark`: a named moment or section in a recording that goes on.

use std::time::Duration;

use serde_json::{Map, Value};
use spandrel_query::parse_duration_ns;
use spandrel_storage::AnswerState;

use super::prelude::*;
use crate::control_request::ask;

#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  \
    spandrel mark deploy-42\n  \
    spandrel mark warm-up --begin && ./warm-up.sh; spandrel mark warm-up --end\n  \
    spandrel mark deploy --field commit=e4f5a6b --field canary=true\n  \
    spandrel top --since mark:deploy-42\n\n\
Exit code 6: no program is recording into the profile, or it does not answer.")]
pub(crate) struct Arguments {
    /// Name of the moment or section
    label: String,
    /// Begin a section
    #[arg(long, conflicts_with = "end")]
    begin: bool,
    /// End the section
    #[arg(long)]
    end: bool,
    /// Add a field to the mark; numbers, true and false keep their type
    #[arg(long = "field", value_name = "KEY=VALUE", conflicts_with = "end")]
    fields: Vec<String>,
    /// How long to wait for the application
    #[arg(long, value_name = "TIME", default_value = "5s")]
    timeout: String,
    #[command(flatten)]
    pub(super) shared: Shared<{ group::DB | group::PAGE }>,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let timeout = parse_duration_ns(&arguments.timeout)
        .map_err(|error| Failure::usage(format!("--timeout: {error}")))?;
    let timeout = Duration::from_nanos(u64::try_from(timeout).unwrap_or_default());
    if arguments.label.trim().is_empty() {
        return Err(Failure::usage("the label is empty").hint("name the moment"));
    }
    let mut request = json!({"label": arguments.label, "fields": fields(&arguments.fields)?});
    let until = match (arguments.begin, arguments.end) {
        (true, _) => Some("begin"),
        (_, true) => Some("end"),
        _ => None,
    };
    if let (Some(until), Value::Object(request)) = (until, &mut request) {
        request.insert("until".into(), until.into());
    }
    let path = context.wanted.path()?;
    let answer = ask(&path, "mark", &request.to_string(), timeout)?;
    if answer.state != AnswerState::Done {
        let failure = Failure::usage(format!("{}: {}", answer.state.as_str(), answer.result));
        return Err(Failure { exit: Exit::NotAnswering, ..failure });
    }
    let what = match until {
        Some("begin") => "begun",
        Some(_) => "ended",
        None => "set",
    };
    let mut table = Table::new(vec![Column::left("label", "mark"), Column::left("state", "")]);
    table.push(vec![Cell::Text(arguments.label.clone()), Cell::Text(what.into())]);
    let mut view = View::new("mark", None, table);
    view.drawing = Some(format!("{} {what}\n", crate::output::text::clean(&arguments.label)));
    let answer = serde_json::from_str(&answer.result).unwrap_or(Value::Null);
    view.extra.insert("answer".into(), answer);
    context.output.show(view, 0)
}

/// `key=value` each; a value that is a number, `true` or `false` in JSON keeps its type.
fn fields(pairs: &[String]) -> Result<Map<String, Value>, Failure> {
    let mut fields = Map::new();
    for pair in pairs {
        let Some((key, value)) = pair.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            let failure = Failure::usage(format!("--field {pair:?} is no pair"));
            return Err(failure.hint("write KEY=VALUE, such as commit=e4f5a6b"));
        };
        let value = match serde_json::from_str(value) {
            Ok(plain @ (Value::Number(_) | Value::Bool(_))) => plain,
            _ => Value::from(value),
        };
        if fields.insert(key.to_owned(), value).is_some() {
            return Err(Failure::usage(format!("--field {key} is given twice")));
        }
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_types() {
        let pairs = ["a=1", "b=true", "c=x=y", "d=", "e=[1]", "f=\"1\""].map(String::from);
        let fields = Value::Object(fields(&pairs).unwrap());
        let expected = json!({"a": 1, "b": true, "c": "x=y", "d": "", "e": "[1]", "f": "\"1\""});
        assert_eq!(fields, expected);
        for wrong in [&["a"][..], &["=1"], &["a=1", "a=2"]] {
            let wrong: Vec<String> = wrong.iter().map(|pair| (*pair).to_owned()).collect();
            assert_eq!(super::fields(&wrong).unwrap_err().exit, Exit::Usage);
        }
    }
}
