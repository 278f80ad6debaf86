//! What a statement may do, asked by SQLite while it compiles it: <https://sqlite.org/c3ref/set_authorizer.html>.
//!
//! Reading is allowed and all else is refused, so what a later SQLite can do in addition is refused, too.
//! Of functions it is the other way around: SQLite has many, and those that are dangerous are known.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

/// Pragmas that tell something of the schema or of the file. Those with an argument take the name of
/// a table or of an index as it.
const PRAGMAS_OF_OBJECTS: [&str; 7] = [
    "table_info",
    "table_xinfo",
    "table_list",
    "index_list",
    "index_info",
    "index_xinfo",
    "foreign_key_list",
];
const PRAGMAS: [&str; 13] = [
    "application_id",
    "auto_vacuum",
    "collation_list",
    "compile_options",
    "database_list",
    "encoding",
    "freelist_count",
    "function_list",
    "journal_mode",
    "page_count",
    "page_size",
    "pragma_list",
    "user_version",
];

/// Functions that reach beyond the query: to files, to code, to the log of errors, or to pointers. Those
/// for files are of SQLite's shell and not built in; they are named in case that changes.
const FUNCTIONS: [&str; 8] =
    ["load_extension", "readfile", "writefile", "edit", "fsdir", "lsmode", "sqlite_log", "zipfile"];
/// Functions of full-text and spatial indexes, which a profile does not have: some take pointers, some
/// run statements of their own.
const FUNCTION_FAMILIES: [&str; 3] = ["fts", "rtree", "geopoly"];

/// Says what is refused, and remembers why.
#[derive(Debug, Clone, Default)]
pub(super) struct Guard {
    refused: Arc<Mutex<Option<String>>>,
}

impl Guard {
    pub(super) fn authorizer(
        &self,
    ) -> impl for<'r> FnMut(AuthContext<'r>) -> Authorization + Send + 'static + use<> {
        let refused = self.refused.clone();
        move |context| match refusal(&context.action) {
            None => Authorization::Allow,
            Some(why) => {
                *refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
                Authorization::Deny
            }
        }
    }

    /// What was refused last.
    pub(super) fn refused(&self) -> Option<String> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn forget(&self) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// What is refused of an action; nothing if it is allowed.
fn refusal(action: &AuthAction<'_>) -> Option<String> {
    match action {
        AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive => None,
        AuthAction::Function { function_name } => {
            let name = function_name.to_ascii_lowercase();
            let refused = FUNCTIONS.contains(&name.as_str())
                || FUNCTION_FAMILIES.iter().any(|family| name.starts_with(family));
            refused.then(|| format!("the function {name}"))
        }
        AuthAction::Pragma { pragma_name, pragma_value } => {
            let name = pragma_name.to_ascii_lowercase();
            let allowed = PRAGMAS_OF_OBJECTS.contains(&name.as_str())
                || pragma_value.is_none() && PRAGMAS.contains(&name.as_str());
            (!allowed).then(|| match pragma_value {
                Some(_) => format!("PRAGMA {name} with a value"),
                None => format!("PRAGMA {name}"),
            })
        }
        AuthAction::Attach { .. } => Some("ATTACH or VACUUM".into()),
        AuthAction::Detach { .. } => Some("DETACH".into()),
        AuthAction::Transaction { .. } | AuthAction::Savepoint { .. } => {
            Some("a transaction".into())
        }
        AuthAction::Insert { table_name } => Some(format!("writing to {table_name}")),
        AuthAction::Update { table_name, .. } => Some(format!("writing to {table_name}")),
        AuthAction::Delete { table_name } => Some(format!("deleting from {table_name}")),
        // Of all that is left, the name of the variant is what it does.
        other => {
            let name = format!("{other:?}");
            Some(name.split([' ', '{']).next().unwrap_or_default().to_owned())
        }
    }
}
