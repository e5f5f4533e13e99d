//! What is known about one TCP connection.

use crate::base::{Anomalies, Stamp};
use crate::net::Endpoint;

/// Facts of one TCP connection, kept up to date while it lives.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The end that opened it: sender of the SYN, else a guess that upper floors correct by content.
    pub client: Endpoint,
    /// The other end.
    pub server: Endpoint,
    /// True when a SYN told who is who.
    pub roles_known: bool,
    /// First packet of the connection; its identity, and what Wireshark's `tcp.stream` counts.
    pub first: Stamp,
    /// Last packet so far.
    pub last: Stamp,
    /// First SYN; `None` when the capture starts later.
    pub opened: Option<Stamp>,
    /// The ACK that completes the handshake.
    pub established: Option<Stamp>,
    /// Round-trip time in nanoseconds: the handshake's, then smoothed as in RFC 6298 where segments allow it.
    pub rtt: Option<u64>,
    /// Loss on each side's path: `[client to server, server to client]`.
    pub loss: [Loss; 2],
    /// Of which sides there are packets: `[client, server]`.
    pub seen: [bool; 2],
    /// Payload bytes delivered of each side: `[client to server, server to client]`.
    pub bytes: [u64; 2],
    /// True when it is counted already: an earlier part of the same connection was given up for lack of memory, or Wireshark takes
    /// it for a part of the one before.
    pub is_continued: bool,
    /// Faults of the connection.
    pub anomalies: Anomalies,
}

/// Loss on one side's path, as far as the capture shows it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Loss {
    /// Segments sent again.
    pub retransmissions: u32,
    /// Segments that arrived behind later ones.
    pub out_of_order: u32,
    /// Bytes missing in the capture.
    pub lost_bytes: u64,
    /// Acknowledgments repeated without data.
    pub duplicate_acks: u32,
    /// Times the side announced a window of zero.
    pub zero_windows: u32,
    /// Segments with bytes that have no place in the stream: far outside it, or behind its end.
    pub unusable: u32,
    /// Bytes in those.
    pub unusable_bytes: u64,
}
