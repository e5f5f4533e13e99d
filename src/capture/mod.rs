//! Floor 1: capture files, pipes and compressed files become frames.
//!
//! [`Captures`] reads one or many sources, [`Reader`] exactly one; both lend one [`Item`] at a time out of their read
//! buffer. What a source is, is told by its content, never by its name:
//!
//! ```text
//! path, pipe, FIFO, `-` ─► coding (gzip, zstd, lz4) ─► window ─► pcap | pcapng ─► reader ─► captures
//! ```
//!
//! [`Captures::restore_order`] puts frames in order of time: files that can be read anywhere are read by an index, of the others a
//! [`Shelf`] holds frames back for a while.
//!
//! A source holds its read buffer (at most 256 KiB, and those [`Block`]s that somebody keeps), one record that is larger than it (at most
//! [`Limits::capture_block`](crate::base::Limits::capture_block)), the interfaces of one section and a decompressor;
//! nothing else grows with the input.
//!
//! The record readers are our own. pcap-parser reads the same formats and is the yardstick of the tests here, but its
//! stream readers cannot be resumed on a live pipe, it allocates a list of options for each packet that has any, gives up a
//! packet whose options are broken, and computes neither `if_tsresol` in powers of two nor a big-endian `if_tsoffset`.

pub mod ahead;
pub mod block;
pub mod captures;
pub mod causality;
pub mod dropped;
pub mod error;
pub mod facts;
pub mod feed;
pub mod frame;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod link_type;
pub mod reader;
pub mod shelf;

mod clock;
mod coding;
mod index;
mod looks;
mod order;
mod ordered;
mod pcap;
mod pcapng;
mod record;
mod records;
mod source;
mod window;

#[cfg(test)]
pub mod build;
#[cfg(test)]
mod tests;

pub use ahead::{Ahead, look_ahead, secrets_ahead};
pub use block::Block;
pub use captures::Captures;
pub use causality::{Segment, Segments};
pub use dropped::Dropped;
pub use error::{CaptureError, Damage};
pub use facts::{Disorder, Facts, Progress};
pub use feed::Feed;
pub use frame::{Frame, LinkType, Secrets, SecretsKind};
pub use link_type::link_type_name;
pub use reader::{Item, Reader};
pub use shelf::Shelf;
pub use source::{Idle, Open, Opener, Stopped};
