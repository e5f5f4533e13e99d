//! Floor 7: exchanges become entries of a HAR: entry, page, timings, sanitise, writer.

mod agent;
mod brief;
mod community;
mod content;
mod cookies;
mod draft;
mod entry;
mod facts;
mod form;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod headers;
mod json;
mod late;
mod lookup;
mod messages;
pub mod options;
mod page;
mod pretty;
pub mod sanitise;
pub mod summary;
mod target;
mod timings;
pub mod writer;

#[cfg(any(test, fuzzing))]
pub mod check;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;

pub use brief::Brief;
pub use options::{Creator, Options};
pub use sanitise::Level;
pub use summary::Summary;
pub use timings::Phases;
pub use writer::{CaptureFacts, WriteError, Writer};
