//! Floor 6: HTTP events become exchanges: pairing, bodies, content coding, messages inside bodies.

mod body;
pub mod coding;
pub mod connection;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod messages;
pub mod model;
mod tracker;

pub use connection::{Connection, ConnectionId, Ending, QuicFacts, TransportFacts};
pub use model::{
    Body, BodyEnd, Exchange, Informational, Kept, Outcome, Request, Response, StreamMessage, StreamMessageKind,
};
pub use tracker::{KeepBodies, Tracker};
