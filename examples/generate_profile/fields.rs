//! The fields of a span, as JSON.

use std::fmt::Write;

use crate::callsites::{QUERY, REQUEST};

const ROUTES: [&str; 8] = [
    "/cart",
    "/",
    "/search",
    "/item/{id}",
    "/login",
    "/checkout",
    "/caf\u{e9}",
    "/report?q=\\\"all\\\"",
];
const TABLES: [&str; 5] = ["orders", "users", "items", "stock", "sessions"];

/// What the fields of one span are made of.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seed {
    pub bits: u32,
    pub route: u8,
    pub shard: u8,
}

pub const ROUTES_COUNT: u64 = ROUTES.len() as u64;

/// Writes the first `count` fields of a span; nothing for none.
pub fn write(text: &mut String, callsite: usize, seed: Seed, count: usize) {
    let bits = seed.bits;
    text.push(if count == 0 { return } else { '{' });
    for field in 0..count {
        if field > 0 {
            text.push(',');
        }
        // To a `String`: never an error.
        let _ = match (callsite, field) {
            (REQUEST, 0) => {
                write!(text, r#""route":"{}""#, ROUTES[usize::from(seed.route) % ROUTES.len()])
            }
            (REQUEST, 1) | (QUERY, 0) => write!(text, r#""shard":{}"#, seed.shard),
            (REQUEST, 2) => write!(text, r#""user":{}"#, bits % 100_000),
            (REQUEST, _) => write!(text, r#""bytes":{}"#, bits >> 12),
            (QUERY, 1) => write!(text, r#""table":"{}""#, TABLES[bits as usize % TABLES.len()]),
            (QUERY, 2) => write!(text, r#""rows":{}"#, bits >> 20),
            (QUERY, _) => write!(text, r#""prepared":{}"#, bits & 1 == 1),
            (_, 0) => write!(text, r#""key":"k{:x}""#, bits >> 16),
            (_, 1) => write!(text, r#""size":{}"#, bits >> 14),
            (_, 2) => write!(text, r#""hit":{}"#, bits & 1 == 0),
            // 64ths are written in full.
            (_, _) => write!(text, r#""ratio":{:?}"#, f64::from(bits >> 24) / 64.0),
        };
    }
    text.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_a_json_object_with_as_many_members() {
        for callsite in 0..9 {
            for route in 0..ROUTES_COUNT as u8 {
                for count in 0..=4 {
                    let mut text = String::new();
                    write(&mut text, callsite, Seed { bits: 0xDEAD_BEEF, route, shard: 7 }, count);
                    let members = match text.as_str() {
                        "" => 0,
                        text => serde_json::from_str::<serde_json::Value>(text)
                            .unwrap()
                            .as_object()
                            .unwrap()
                            .len(),
                    };
                    assert_eq!(members, count, "{text}");
                }
            }
        }
    }
}
