//! What hostile traffic may cost: one plain value, passed at construction.

use super::stamp::Stamp;

/// Upper bounds of everything that traffic could make grow. Sizes in bytes, times in nanoseconds of capture time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// All buffered bytes of the engine together; beyond it the oldest idle state is evicted.
    pub memory: usize,
    /// Bytes of finished entries that wait in memory for their turn; more go to the temporary file.
    pub waiting: usize,
    /// One captured frame. Wireshark's own bound is 256 KiB for most links; USB and reassembled captures reach more.
    pub frame: usize,
    /// One pcapng block; a larger one ends the reading of that file.
    pub capture_block: usize,
    /// Interfaces described in one pcapng section; packets of more are skipped.
    pub capture_interfaces: usize,
    /// Frames of a pipe or a compressed file that are held back to bring them in order.
    pub order_frames: usize,
    /// How long they are held back at most.
    pub order_age: u64,
    /// The same while packets come live, and somebody waits for them.
    pub order_age_live: u64,
    /// Bytes of frames that are held back; bytes of the index of a file that is out of order, more of which goes to a temporary file;
    /// and bytes of pieces of that file.
    pub order_memory: usize,
    /// Fragments held back by all unfinished IP datagrams.
    pub fragment_memory: usize,
    /// Age at which an unfinished IP datagram is given up ([RFC 791 §3.2] suggests 15 s, RFC 8200 60 s).
    pub fragment_age: u64,
    /// Tunnels inside one another.
    pub tunnel_depth: usize,
    /// Open TCP connections; beyond it the one that was idle longest is closed.
    pub connections: usize,
    /// Bytes that one direction of a TCP connection holds back behind a hole.
    pub tcp_hole: usize,
    /// Segments that one direction of a TCP connection holds back behind a hole.
    pub tcp_hole_segments: usize,
    /// Time to wait for the bytes of a hole that the receiver has not acknowledged.
    pub tcp_hole_age: u64,
    /// Distance from its stream at which a segment is no longer believed. The largest scaled window is 1 GiB (RFC 7323 §2.3),
    /// real ones stay below 16 MiB.
    pub tcp_window: u64,
    /// Packets of a connection to wait, once the receiver has acknowledged bytes, for a capture that shows them late.
    pub tcp_patience_packets: u32,
    /// Time to wait, where that counts: when [`Self::tcp_patience_frames`] of the capture have come meanwhile.
    pub tcp_patience: u64,
    /// Frames after which times count.
    pub tcp_patience_frames: u64,
    /// Time after which they count in any case: somebody may wait for what a silent network brings.
    pub tcp_patience_longest: u64,
    /// Closed TCP connections remembered, so that late segments do not look like new connections.
    pub tcp_closed: usize,
    /// Time without a packet after which a connection is taken as over when memory is needed.
    pub idle: u64,
    /// Time without a packet after which a TCP connection is taken as over in any case: as long as a NAT must remember it
    /// ([RFC 5382 §5](https://www.rfc-editor.org/rfc/rfc5382#section-5)).
    pub idle_tcp: u64,
    /// The same for a QUIC connection, whose ends agree on far less (RFC 9000 §10.1).
    pub idle_quic: u64,
    /// Secrets of key logs and Decryption Secrets Blocks; a browser writes five for each connection.
    pub secrets: usize,
    /// Encrypted bytes that one TLS session holds back while its secrets may still come later in the capture.
    pub tls_held: usize,
    /// One TLS handshake message (RFC 8446 §4 allows 16 MiB); certificate chains have a few KiB.
    pub tls_message: usize,
    /// Streams open at once on one QUIC connection; servers allow about 100 (RFC 9114 §6.1), lost ends leave more behind.
    pub quic_streams: usize,
    /// Encrypted packets that one QUIC connection holds back while their keys may still come.
    pub quic_held: usize,
    /// Bytes of a direction looked at before its protocol is given up as unknown.
    pub detect: usize,
    /// Bytes of one HTTP/1 head, or of one HTTP/2 or HTTP/3 field section after decoding (RFC 9113 §6.5.2).
    pub head: usize,
    /// Header fields in one head.
    pub header_fields: usize,
    /// Octets of one HPACK or QPACK dynamic table (RFC 7541 §4.2); of a larger one the newest entries are kept.
    pub header_table: usize,
    /// Bytes of the streams of one HTTP/3 connection held back until their header blocks can be decoded (RFC 9204 §2.1.2).
    pub blocked: usize,
    /// Exchanges that may be open at once on one connection (pipelined, or streams).
    pub open_exchanges: usize,
    /// Decoded bytes of one body that are kept; the rest is counted, not kept.
    pub body: u64,
    /// Decoded bytes that one coded byte may become before a body is taken for a decompression bomb, once past 4 MiB. Text shrinks
    /// to a tenth or less; deflate can do 1:1032.
    pub body_ratio: u64,
    /// Content codings stacked on one body.
    pub codings: usize,
    /// One WebSocket message after inflation.
    pub message: usize,
    /// Messages and events (WebSocket, SSE, gRPC) kept in one entry.
    pub messages: usize,
    /// DNS lookups remembered.
    pub lookups: usize,
    /// Bytes that remembered DNS lookups may take.
    pub lookup_memory: usize,
    /// Age at which a DNS query counts as unanswered: stub resolvers try again for 15 to 30 s before they give up.
    pub lookup_age: u64,
    /// Anomalies of one kind kept with their stamp; more are only counted.
    pub anomalies_kept: usize,
}

impl Limits {
    /// True when enough has come since a TCP connection began to wait for what the capture shows late: so many of its packets, or so much
    /// time.
    pub fn is_tcp_patience_over(&self, packets: u32, since: Stamp, now: Stamp) -> bool {
        packets >= self.tcp_patience_packets || self.has_passed(self.tcp_patience, since, now)
    }

    /// True when so much time has passed that nothing is waited for any more. Time alone says little: out of place are frames, and between
    /// two of them there may be seconds.
    pub fn has_passed(&self, time: u64, since: Stamp, now: Stamp) -> bool {
        let waited = now.time.nanos_since(since.time);
        let frames = now.frame.0.abs_diff(since.frame.0);
        waited >= time && (frames >= self.tcp_patience_frames || waited >= self.tcp_patience_longest)
    }

    /// Shares out the memory of a whole run: half to connections and what they hold back, three sixteenths to entries that wait for
    /// their turn; the rest is for buffers, tables and the program itself.
    pub fn share_memory(&mut self, total: usize) {
        self.memory = total / 2;
        self.waiting = total / 16 * 3;
        self.order_memory = total / 32;
    }
}

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const SECOND: u64 = 1_000_000_000;

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 64 * MIB,
            waiting: 24 * MIB,
            frame: MIB,
            capture_block: 16 * MIB,
            capture_interfaces: 65_536,
            order_frames: 512,
            order_age: 30 * SECOND,
            order_age_live: SECOND / 5,
            order_memory: 4 * MIB,
            fragment_memory: 4 * MIB,
            fragment_age: 60 * SECOND,
            tunnel_depth: 8,
            connections: 100_000,
            tcp_hole: 4 * MIB,
            tcp_hole_segments: 4096,
            tcp_hole_age: 5 * SECOND,
            tcp_window: 16 << 20,
            tcp_patience: SECOND / 2,
            tcp_patience_packets: 64,
            tcp_patience_frames: 128,
            tcp_patience_longest: 60 * SECOND,
            tcp_closed: 16_384,
            idle: 120 * SECOND,
            idle_tcp: 7440 * SECOND,
            idle_quic: 900 * SECOND,
            secrets: 1_000_000,
            tls_held: MIB,
            tls_message: 128 * KIB,
            quic_streams: 4096,
            quic_held: 256 * KIB,
            detect: 4 * KIB,
            head: 256 * KIB,
            header_fields: 1000,
            header_table: 128 * KIB,
            blocked: MIB,
            open_exchanges: 1000,
            body: 256 << 20,
            body_ratio: 200,
            codings: 5,
            message: 16 * MIB,
            messages: 100_000,
            lookups: 32_768,
            lookup_memory: 8 * MIB,
            lookup_age: 30 * SECOND,
            anomalies_kept: 5,
        }
    }
}
