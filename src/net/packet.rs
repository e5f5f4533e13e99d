//! What the network floor hands on: one TCP segment or UDP datagram.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

use crate::base::Stamp;

/// Address and port of one end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// The innermost IP address.
    pub address: IpAddr,
    /// TCP or UDP port.
    pub port: u16,
}

impl Endpoint {
    /// An IPv4 address and its port as one number, in the order of the ends; 0 for IPv6.
    #[inline]
    fn packed(self) -> u64 {
        match self.address {
            IpAddr::V4(address) => u64::from(address.to_bits()) << 16 | u64::from(self.port),
            IpAddr::V6(_) => 0,
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::new(self.address, self.port).fmt(f)
    }
}

/// Both ends of a flow in an order that does not depend on direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FlowKey {
    /// The lesser end.
    pub low: Endpoint,
    /// The greater end.
    pub high: Endpoint,
}

impl FlowKey {
    /// The key of packets between these two, and whether `a` is the lesser.
    #[inline]
    pub fn new(a: Endpoint, b: Endpoint) -> (Self, bool) {
        let is_low = match (a.address, b.address) {
            // The same order in one comparison.
            (IpAddr::V4(_), IpAddr::V4(_)) => a.packed() <= b.packed(),
            _ => a <= b,
        };
        if is_low { (Self { low: a, high: b }, true) } else { (Self { low: b, high: a }, false) }
    }
}

/// Packets are looked up by this: few words instead of many fields.
impl Hash for FlowKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for end in [self.low, self.high] {
            match end.address {
                IpAddr::V4(_) => state.write_u64(end.packed()),
                IpAddr::V6(address) => {
                    state.write_u128(address.to_bits());
                    state.write_u16(end.port);
                }
            }
        }
    }
}

/// One transport packet, after link layers, tunnels and defragmentation.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a> {
    /// Frame and time; of the last fragment when it came in fragments.
    pub stamp: Stamp,
    /// True when the user selected the frame.
    pub selected: bool,
    /// Sender.
    pub source: Endpoint,
    /// Receiver.
    pub destination: Endpoint,
    /// TCP or UDP.
    pub transport: Transport,
    /// Payload bytes that are in the capture.
    pub payload: &'a [u8],
    /// Payload bytes that follow `payload` on the wire but were cut by the snapshot length.
    pub cut: usize,
}

/// Transport header facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// A TCP segment.
    Tcp(TcpHeader),
    /// A UDP datagram.
    Udp,
}

/// The fields of a TCP header that matter for following a stream (RFC 9293 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TcpHeader {
    /// Sequence number of the first payload byte (or of the SYN).
    pub sequence: u32,
    /// Acknowledgment number, valid with [`TcpFlags::ACK`].
    pub acknowledgment: u32,
    /// Control bits.
    pub flags: TcpFlags,
    /// Window field, unscaled.
    pub window: u16,
}

/// TCP control bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// No more data from sender.
    pub const FIN: Self = Self(0x01);
    /// Synchronise sequence numbers.
    pub const SYN: Self = Self(0x02);
    /// Reset the connection.
    pub const RST: Self = Self(0x04);
    /// Push.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgment field is valid.
    pub const ACK: Self = Self(0x10);

    /// True when all bits of `other` are set.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl std::ops::BitOr for TcpFlags {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
