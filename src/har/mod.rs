//! Floor 7: exchanges become entries of a HAR: entry, page, timings, sanitise, writer.

mod agent;
mod book;
mod brief;
mod community;
mod content;
mod cookies;
mod counted;
mod draft;
mod entry;
mod facts;
mod form;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod headers;
mod json;
mod late;
mod listing;
mod lookup;
mod maker;
mod messages;
pub mod options;
mod page;
mod pretty;
mod ranks;
mod reason;
pub mod sanitise;
mod side_list;
mod slip;
mod stream;
mod subject;
pub mod summary;
pub mod table;
mod target;
mod timings;
pub mod writer;

#[cfg(any(test, fuzzing))]
pub mod check;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;

pub use brief::{Brief, Briefs};
pub use maker::{Closed, Entry, Horizon, Maker, News, Totals};
pub use options::{Creator, Options, Shape};
pub use sanitise::Level;
pub use slip::Handle;
pub use stream::WriteError;
pub use summary::Summary;
pub use table::Table;
pub use timings::{Phases, handshake_deadline};
pub use writer::{CaptureFacts, Writer};
