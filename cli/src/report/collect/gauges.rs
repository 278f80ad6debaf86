//! Values that the program has set, over the columns of the page.

use super::text::cut;
use crate::failure::Failure;
use crate::profile::Profile;
use crate::report::bounds;
use crate::report::data::{GaugeFact, Window};

/// Those that are drawn, and how many more there are.
pub(super) fn gauges(
    profile: &Profile,
    window: Window,
) -> Result<(Vec<GaugeFact>, usize), Failure> {
    let Window { from_ns, until_ns, columns } = window;
    let found = profile.reader.gauges(profile.run.id, from_ns, until_ns, columns as usize, None)?;
    let more = found.len().saturating_sub(bounds::GAUGES);
    let facts = found.into_iter().take(bounds::GAUGES).map(|gauge| GaugeFact {
        name: cut(&gauge.name, bounds::NAME_CHARS),
        samples: gauge.samples,
        updates: gauge.updates,
        last: gauge.last,
        min: gauge.min,
        mean: gauge.mean,
        max: gauge.max,
        values: gauge.trend,
    });
    Ok((facts.collect(), more))
}
