//! What is known about the connection that carried an exchange.

use crate::base::{Anomalies, FrameNumber, Stamp};
use crate::http::Abort;
use crate::net::Endpoint;
use crate::tcp::{Loss, Side};
use crate::tls::TlsInfo;

/// Identity of a connection within one run: the frame it began with. Two connections never begin with the same frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub FrameNumber);

/// Facts of one connection, as known when one of its exchanges is handed on.
#[derive(Debug, Clone)]
pub struct Connection {
    /// Its identity.
    pub id: ConnectionId,
    /// The end that opened it; told by SYN, else by content.
    pub client: Endpoint,
    /// The other end.
    pub server: Endpoint,
    /// First packet.
    pub first: Stamp,
    /// Last packet so far.
    pub last: Stamp,
    /// Start of the handshake: the first SYN (TCP) or Initial (QUIC); `None` when the capture starts later.
    pub opened: Option<Stamp>,
    /// End of the transport handshake: the client's first ACK (TCP), or handshake complete (QUIC).
    pub established: Option<Stamp>,
    /// Smoothed round-trip time in nanoseconds, when it could be measured.
    pub rtt: Option<u64>,
    /// TCP or QUIC facts.
    pub transport: TransportFacts,
    /// TLS facts, also for QUIC.
    pub tls: Option<TlsInfo>,
    /// What went wrong on each side's path: `[client to server, server to client]`.
    pub loss: [Loss; 2],
    /// Payload bytes of each side: `[client to server, server to client]`.
    pub bytes: [u64; 2],
    /// Faults that belong to the connection, not to one exchange.
    pub anomalies: Anomalies,
    /// What the connection carries, as far as it is known ("HTTP/1.1", "TLS", "unknown protocol", …).
    pub protocol: String,
    /// Exchanges handed on so far.
    pub exchanges: u32,
    /// Entries that came of them; options may leave some out.
    pub entries: u32,
    /// Of which sides there are packets in the capture: `[client, server]`.
    pub seen: [bool; 2],
    /// Where it ended, when that is in the middle of a message head.
    pub ends_in_head: Option<Ending>,
}

/// How the bytes of a side ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// Whose bytes: the client's are those of requests.
    pub side: Side,
    /// Why nothing followed.
    pub reason: Abort,
}

/// Facts of the transport.
#[derive(Debug, Clone, PartialEq)]
pub enum TransportFacts {
    /// Wireshark's `tcp.stream` is the rank of the connection's first frame among all TCP connections; the writer knows it.
    Tcp,
    /// QUIC over UDP.
    Quic(QuicFacts),
}

/// Facts of a QUIC connection.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct QuicFacts {
    /// Version of the packets that carried the exchange.
    pub version: u32,
    /// True when requests went out in 0-RTT packets.
    pub early_data: bool,
}
