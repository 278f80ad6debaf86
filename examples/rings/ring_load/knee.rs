//! Up to which rate everybody keeps up.

use crate::arguments::Load;
use crate::outcome::Outcome;

/// Less is below the knee, in per cent of the rate.
const HELD: f64 = 95.0;
const DOUBLINGS: u32 = 24;
const HALVINGS: u32 = 4;

pub fn is_held(outcome: &Outcome) -> bool {
    let (writers, readers) = outcome.percents();
    writers >= HELD && readers >= HELD
}

/// Doubles the rate until somebody does not hold it, and then looks in between. The highest rate that was held; none if not
/// even the first one was. `try_rate` says whether a rate is.
pub fn find<E>(
    load: &Load,
    mut try_rate: impl FnMut(&Load) -> Result<bool, E>,
) -> Result<Option<f64>, E> {
    let mut holds = |rate: f64| try_rate(&Load { per_second: Some(rate), ..load.clone() });
    let mut rate = load.per_second.unwrap_or(1.0);
    let mut held = None;
    for _ in 0..DOUBLINGS {
        if !holds(rate)? {
            break;
        }
        held = Some(rate);
        rate *= 2.0;
    }
    let Some(mut low) = held else { return Ok(None) };
    let mut high = rate;
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if holds(middle)? { low = middle } else { high = middle }
    }
    Ok(Some(low))
}

#[test]
fn the_knee_is_found_within_a_sixteenth() {
    let load = Load { per_second: Some(100.0), ..Load::default() };
    let found = |knee: f64| {
        let holds = |load: &Load| Ok::<bool, ()>(load.per_second.is_some_and(|rate| rate <= knee));
        find(&load, holds).unwrap()
    };
    assert_eq!(found(99.0), None);
    for knee in [100.0, 777.0, 12_345.0] {
        let at = found(knee).unwrap();
        assert!(at <= knee && at >= knee * 15.0 / 17.0, "{at} of {knee}");
    }
}
