//! The tables of `docs/src/json.md`, and JSON held against them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Map, Value};

/// A table: types and unit by member.
type Members = BTreeMap<String, (String, String)>;

/// The tables of the page, by chapter (such as `tree`) and section (such as `rows`; none: directly
/// under the heading of the chapter).
pub struct Page {
    tables: BTreeMap<(String, String), Members>,
    visited: BTreeSet<(String, String)>,
}

impl Page {
    pub fn read() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/json.md");
        let page = std::fs::read_to_string(path).unwrap();
        let mut this = Self { tables: BTreeMap::new(), visited: BTreeSet::new() };
        let (mut chapter, mut sections) = (String::new(), vec![String::new()]);
        for line in page.lines() {
            if let Some(heading) = line.strip_prefix("## ") {
                (chapter, sections) = (heading.replace('`', ""), vec![String::new()]);
            } else if let Some(heading) = line.strip_prefix("### ") {
                let names = heading.split(',').map(|name| name.trim().replace('`', ""));
                sections = names.collect();
            }
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let Some(name) = cells.get(1).and_then(|c| c.strip_prefix('`')?.strip_suffix('`'))
            else {
                continue;
            };
            let ["", _, types, unit, .., ""] = cells.as_slice() else {
                panic!("{chapter}: {line}");
            };
            for section in &sections {
                let table = this.tables.entry((chapter.clone(), section.clone())).or_default();
                let entry = ((*types).to_owned(), (*unit).to_owned());
                assert!(table.insert(name.into(), entry).is_none(), "{chapter}: {name} twice");
            }
        }
        this
    }

    fn table(&mut self, chapter: &str, section: &str) -> Option<Members> {
        let key = (chapter.to_owned(), section.to_owned());
        let table = self.tables.get(&key)?.clone();
        self.visited.insert(key);
        Some(table)
    }

    /// An object has exactly the members of these tables, each of a type that is documented.
    pub fn check(&mut self, object: &Map<String, Value>, tables: &[(&str, &str)]) {
        let mut documented: BTreeMap<String, (&str, String)> = BTreeMap::new();
        for (chapter, section) in tables {
            let Some(table) = self.table(chapter, section) else { continue };
            let members = table.into_iter().map(|(name, (types, _))| (name, (*chapter, types)));
            documented.extend(members);
        }
        assert!(!documented.is_empty(), "there is no table of {tables:?}");
        for (member, (chapter, types)) in &documented {
            let value = object.get(member).unwrap_or_else(|| panic!("{tables:?}: no {member}"));
            let fits =
                types.split(" or ").any(|name| self.is_of_type(value, name, chapter, member));
            assert!(fits, "{tables:?}: {member} is {value}, and not {types}");
        }
        for member in object.keys() {
            assert!(documented.contains_key(member), "{tables:?}: {member} is not documented");
        }
    }

    fn is_of_type(&mut self, value: &Value, name: &str, chapter: &str, member: &str) -> bool {
        if let Some(of) = name.strip_prefix("array of ") {
            return value.as_array().is_some_and(|values| {
                // What is in rows is documented by who knows the command.
                member == "rows" || values.iter().all(|v| self.is_of_type(v, of, chapter, member))
            });
        }
        match name {
            "null" => value.is_null(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "map" => value.is_object(),
            "any" => true,
            "object" => {
                let Some(object) = value.as_object() else { return false };
                self.check(object, &[(chapter, member)]);
                true
            }
            other => panic!("{other:?} is no type"),
        }
    }

    /// Tables that nothing printed was compared with.
    pub fn unvisited(&self) -> Vec<&(String, String)> {
        self.tables.keys().filter(|key| !self.visited.contains(key)).collect()
    }

    /// The words of the chapters.
    pub fn chapters(&self) -> BTreeSet<&str> {
        self.tables.keys().map(|(chapter, _)| chapter.as_str()).collect()
    }

    /// All members: where, name, types and unit.
    pub fn members(&self) -> impl Iterator<Item = (&(String, String), &str, &str, &str)> {
        self.tables.iter().flat_map(|(key, table)| {
            table.iter().map(move |(name, (types, unit))| {
                (key, name.as_str(), types.as_str(), unit.as_str())
            })
        })
    }
}
