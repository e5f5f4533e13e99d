//! Floor 3: one TCP connection, two halves: segments become ordered stream events.

mod connection;
pub mod connections;
mod ends;
pub mod event;
pub mod facts;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod half;
mod lineup;
mod padding;
pub mod reassembly;

pub use connections::{CloseReason, Connections, Sink, Slot, TcpEvent, TcpOptions};
pub use event::{Chunk, Position, Side, StreamEvent};
pub use facts::{Facts, Loss};
pub use reassembly::{Assembler, Stored};
