//! A progress bar while a terminal watches.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

use crate::capture::Progress;

/// The bar; nothing when nobody watches.
pub(super) struct Bar(Option<ProgressBar>);

impl Bar {
    pub(super) fn new(quiet: bool) -> Self {
        Self((!quiet && std::io::stderr().is_terminal()).then(ProgressBar::no_length))
    }

    pub(super) fn show(&mut self, progress: Progress) {
        let Some(bar) = &self.0 else { return };
        if bar.length().is_none() {
            let template = match progress.total {
                Some(_) => "{bar:40} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
                None => "{spinner} {bytes} read, {bytes_per_sec}",
            };
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.set_length(progress.total.unwrap_or(u64::MAX));
        }
        bar.set_position(progress.read);
    }

    pub(super) fn clear(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
