//! Floor 2: link layers, tunnels and IP become transport packets.

mod decoder;
mod fragments;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod ip;
mod link;
pub mod packet;
mod repeats;
#[cfg(test)]
mod tests;
mod transport;
mod tunnel;
mod wifi;
mod wire;

pub use decoder::Decoder;
pub use packet::{Endpoint, FlowKey, Packet, TcpFlags, TcpHeader, Transport};
