//! Floor 3: one TCP connection, two halves: segments become ordered stream events.

pub mod event;
pub mod facts;
pub mod reassembly;

pub use event::{Chunk, Side, StreamEvent};
pub use facts::{Facts, Loss};
pub use reassembly::{Assembler, Stored};
