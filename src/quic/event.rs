//! What the QUIC floor hands on, and what is known about one connection.

use crate::base::{Anomalies, Stamp};
use crate::net::Endpoint;
use crate::tcp::{Loss, Side, StreamEvent};
use crate::tls::TlsInfo;

/// What happened on a connection.
#[derive(Debug, Clone)]
pub enum QuicEvent<'a> {
    /// Its first packet.
    Open,
    /// What a side sent on a stream, with the stream's QUIC identifier. [`StreamEvent::Reset`] says that the stream was given
    /// up here, not there.
    Stream(u64, Side, StreamEvent<'a>),
    /// A side ended its direction of a stream without finishing it (RESET_STREAM), or was asked to and nothing more came
    /// (STOP_SENDING).
    StreamReset {
        /// QUIC stream identifier.
        stream: u64,
        /// Whose bytes end.
        side: Side,
        /// Application error code.
        code: u64,
        /// Where that was said.
        stamp: Stamp,
    },
    /// It is over; its slot will be used again.
    Close(CloseReason),
}

/// Why a connection is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloseReason {
    /// CONNECTION_CLOSE.
    Closed {
        /// Who closed.
        side: Side,
        /// True when the application closed it, false when QUIC or TLS did.
        application: bool,
        /// Error code ([RFC 9000 §20](https://www.rfc-editor.org/rfc/rfc9000#section-20), or the application's).
        code: u64,
        /// Text that came with it, fit to be shown.
        reason: String,
        /// Where that was said.
        stamp: Stamp,
    },
    /// An endpoint had lost all state of it ([RFC 9000 §10.3](https://www.rfc-editor.org/rfc/rfc9000#section-10.3)).
    StatelessReset(Stamp),
    /// No packet for a long time.
    Idle,
    /// Given up because memory ran out.
    Evicted,
    /// The capture ended first.
    CaptureEnd,
}

/// Facts of one QUIC connection, kept up to date while it lives.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The end that opened it, at its current address.
    pub client: Endpoint,
    /// The other end, at its current address.
    pub server: Endpoint,
    /// True when the client's first Initial told who is who.
    pub roles_known: bool,
    /// First packet.
    pub first: Stamp,
    /// Last packet so far.
    pub last: Stamp,
    /// The client's first Initial.
    pub opened: Option<Stamp>,
    /// Handshake complete: the client's Finished, else its first packet after the handshake.
    pub established: Option<Stamp>,
    /// Version of the last packet with long header; four characters (`Q043`) for Google's own.
    pub version: u32,
    /// The TLS session inside.
    pub tls: TlsInfo,
    /// Loss on each side's path: `[client to server, server to client]`.
    pub loss: [Loss; 2],
    /// Bytes of UDP payload of each side: `[client to server, server to client]`.
    pub bytes: [u64; 2],
    /// Round-trip time in nanoseconds, smoothed as in [RFC 9002 §5.3](https://www.rfc-editor.org/rfc/rfc9002#section-5.3).
    pub rtt: Option<u64>,
    /// True when the client sent 0-RTT packets.
    pub early_data: bool,
    /// Times an end was seen at another address.
    pub migrations: u32,
    /// Key updates of each side.
    pub key_updates: [u64; 2],
    /// Faults of the connection.
    pub anomalies: Anomalies,
}
