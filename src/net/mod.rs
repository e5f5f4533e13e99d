//! Floor 2: link layers, tunnels and IP become transport packets.

pub mod packet;

pub use packet::{Endpoint, FlowKey, Packet, TcpFlags, TcpHeader, Transport};
