//! Records that can never be stored, among good ones.

use super::Case;

/// All of them.
pub(super) const ALL: &[Case] = &[];
