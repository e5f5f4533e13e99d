//! Floor 4: UDP datagrams become QUIC connections with decrypted streams.
//!
//! ```text
//! datagram ─► connections ─► connection: header ─► keys, protection ─► frame ─► crypto ─► TLS facts
//!             which one?                                                  └───► streams ─► StreamEvent
//! ```

mod connection;
pub mod connections;
mod crypto;
pub mod event;
pub mod frame;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod header;
mod held;
mod ids;
mod keys;
mod numbers;
mod params;
mod protection;
mod ranges;
mod retry;
mod streams;
pub mod version;

pub use connections::{Connections, Slot};
pub use event::{CloseReason, Facts, QuicEvent};

#[cfg(test)]
mod tests;
