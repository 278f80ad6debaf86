//! Named moments and sections of the program's time, on their way to the profile.

/// A mark, or a section; the end of a section says all about it once more.
#[derive(Debug)]
pub(crate) struct Mark {
    pub(crate) id: u64,
    /// In ticks.
    pub(crate) at: u64,
    /// In ticks; `None` for a moment, and for a section that begins.
    pub(crate) until: Option<u64>,
    pub(crate) label: String,
}

/// Longest label, in bytes.
pub(crate) const LABEL_BYTES_MAX: usize = 256;

/// The part of a label that is stored, with no more memory than it needs.
pub(crate) fn cut(mut label: String) -> String {
    if label.len() > LABEL_BYTES_MAX {
        let fits = (0..=LABEL_BYTES_MAX).rev().find(|end| label.is_char_boundary(*end));
        label.truncate(fits.unwrap_or(0));
        label.shrink_to_fit();
    }
    label
}

/// The same of a text that is another's.
#[cfg(feature = "gauges")]
pub(crate) fn cut_str(label: &str) -> &str {
    let fits =
        (0..=label.len().min(LABEL_BYTES_MAX)).rev().find(|end| label.is_char_boundary(*end));
    &label[..fits.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_label_keeps_no_memory() {
        let label = cut("\u{e9}".repeat(1_000_000));
        assert!(label.len() == 256 && label.capacity() < 1_024, "{}", label.capacity());
        assert_eq!(cut(format!("a{}", "\u{e9}".repeat(200))).len(), 255, "no half of a character");
        assert_eq!(cut("short".to_owned()), "short");
    }
}
