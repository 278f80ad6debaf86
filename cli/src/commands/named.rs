//! Commands about spans of a name: what to say when there are none.

use spandrel_storage::query::nearest;

use crate::failure::Failure;
use crate::output::text;
use crate::profile::Profile;

/// Names that are proposed at most.
const PROPOSED_MAX: usize = 3;

/// Why no span of a name was found: perhaps the name is another one.
pub(super) fn unknown(profile: &Profile, name: &str) -> Result<Option<String>, Failure> {
    let top = profile.reader.top(profile.run.id, usize::MAX)?;
    let names: Vec<&str> = top.iter().map(|row| row.callsite.name.as_str()).collect();
    if names.contains(&name) {
        return Ok(None); // only none that was asked for
    }
    let shown = text::clean(name);
    let near = nearest(name, names.iter().copied(), PROPOSED_MAX);
    let near: Vec<String> = near.into_iter().map(text::clean).collect();
    Ok(Some(if near.is_empty() {
        format!("no closed span is named {shown:?}; `spandrel top -n 0` lists the names")
    } else {
        format!("no closed span is named {shown:?}; did you mean {}?", near.join(", or "))
    }))
}
