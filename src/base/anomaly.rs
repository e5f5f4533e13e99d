//! Faults of the traffic: they go beside the data as events, never back as errors.

use super::stamp::Stamp;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)*) => {
        /// What was wrong with the traffic.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum AnomalyKind { $(#[doc = $text] $(#[$doc])* $name,)* }

        impl AnomalyKind {
            /// Every kind there is.
            pub const ALL: &'static [AnomalyKind] = &[$(AnomalyKind::$name),*];

            /// Stable short name, as written to `_anomalies` and used in filters.
            pub fn code(self) -> &'static str {
                match self { $(AnomalyKind::$name => $code,)* }
            }

            /// One sentence for people.
            pub fn text(self) -> &'static str {
                match self { $(AnomalyKind::$name => $text,)* }
            }
        }
    };
}

kinds! {
    CaptureDamaged = "capture-damaged", "The capture file is damaged or ends in the middle of a record";
    PacketCut = "packet-cut", "Packets were cut by the snapshot length of the capture";
    LinkUnsupported = "link-unsupported", "Frames of a link type that is not read";
    PacketMalformed = "packet-malformed", "A packet's headers contradict its length";
    FragmentsLost = "fragments-lost", "An IP datagram never became whole";
    FragmentsOverlap = "fragments-overlap", "Fragments of an IP datagram overlap";
    TunnelTooDeep = "tunnel-too-deep", "More tunnels inside one another than are followed";
    BytesLost = "bytes-lost", "Bytes are missing from the capture, or could not be read because others are";
    OverlapDiffers = "overlap-differs", "A retransmission carries other bytes than the first transmission";
    StreamOutOfWindow = "stream-out-of-window", "A segment lies far outside its stream";
    HandshakeMissing = "handshake-missing", "A part of the TLS handshake is missing from the capture";
    StartMissing = "start-missing", "The capture begins in the middle of the connection";
    Evicted = "evicted", "State was given up because memory ran out";
    HeadMalformed = "head-malformed", "A message head breaks the rules of HTTP";
    HeadCut = "head-cut", "A message head is not whole: the connection or the capture ends in it";
    HeadTooLarge = "head-too-large", "A message head is larger than the limit";
    LengthConflict = "length-conflict", "Content-Length is repeated with other values, not a number, or stands beside Transfer-Encoding";
    ChunkMalformed = "chunk-malformed", "The chunked coding of a body is broken";
    BodyCutShort = "body-cut-short", "A body ended before its stated length";
    ResponseWithoutRequest = "response-without-request", "A response whose request is not in the capture";
    ResponseLost = "response-lost", "The response could not be read: bytes are missing from the capture";
    PairingUnsure = "pairing-unsure", "Bytes are missing: the response may belong to another request of the connection";
    ResponseEarly = "response-early", "The response began before the request was complete";
    GarbageSkipped = "garbage-skipped", "Bytes between messages that are no message";
    TooManyExchanges = "too-many-exchanges", "More exchanges open on one connection than are followed";
    CodingUnknown = "coding-unknown", "A content coding that cannot be undone";
    CodingBroken = "coding-broken", "A body or message could not be decoded to its end";
    BodyTooLarge = "body-too-large", "A body larger than is kept";
    BodyBomb = "body-bomb", "A body that grows beyond reason when decoded";
    MessageMalformed = "message-malformed", "A WebSocket, gRPC or event-stream message breaks its rules";
    MessagesUnread = "messages-unread", "Bytes of a message stream could not be read as messages";
    TooManyMessages = "too-many-messages", "More messages in one exchange than are kept";
    DnsMalformed = "dns-malformed", "A DNS message that cannot be read";
    RecordMalformed = "tls-record-malformed", "A TLS record or handshake message that cannot be read";
    DecryptFailed = "decrypt-failed", "Ciphertext that does not decrypt with the keys at hand";
    KeysMissing = "keys-missing", "No secrets for this encrypted connection";
    CipherUnsupported = "cipher-unsupported", "A cipher suite that is not supported";
    VersionUnsupported = "version-unsupported", "A protocol version that is not supported";
    FrameMalformed = "frame-malformed", "An HTTP/2, HTTP/3 or QUIC frame breaks its rules";
    HeaderStateLost = "header-state-lost", "Header fields are left out: they refer to header blocks that are missing";
    HeaderStateRecovered = "header-state-recovered", "Header fields were worked out from later header blocks, because earlier ones are missing";
    StreamError = "stream-error", "A stream was reset by an endpoint";
    TimeBackwards = "time-backwards", "Packets of this connection carry times that run backwards";
}

/// One fault, where it was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anomaly {
    /// What was wrong.
    pub kind: AnomalyKind,
    /// Where, when that is known.
    pub stamp: Option<Stamp>,
}

/// A count of faults by kind that remembers where the first few were.
#[derive(Debug, Clone, Default)]
pub struct Anomalies {
    seen: Vec<Seen>,
}

/// The faults of one kind.
#[derive(Debug, Clone)]
pub struct Seen {
    /// What was wrong.
    pub kind: AnomalyKind,
    /// How often.
    pub count: u64,
    /// Bytes it is about, where that is known.
    pub bytes: u64,
    /// Where the first few were.
    pub first: Vec<Stamp>,
}

impl Seen {
    /// Keeps a stamp when it is among the first `keep`, in whatever order they come.
    fn keep(&mut self, stamp: Stamp, keep: usize) {
        if self.first.len() >= keep && self.first.last().is_none_or(|last| last.frame <= stamp.frame) {
            return;
        }
        let at = self.first.partition_point(|known| known.frame <= stamp.frame);
        self.first.insert(at, stamp);
        self.first.truncate(keep);
    }
}

impl Anomalies {
    /// Notes a fault; at most `keep` stamps of a kind are kept.
    pub fn note(&mut self, kind: AnomalyKind, stamp: Option<Stamp>, keep: usize) {
        self.note_bytes(kind, 0, stamp, keep);
    }

    /// Notes a fault that is about so many bytes; 0 when their number is unknown.
    pub fn note_bytes(&mut self, kind: AnomalyKind, bytes: u64, stamp: Option<Stamp>, keep: usize) {
        let seen = match self.seen.iter_mut().position(|seen| seen.kind == kind) {
            Some(at) => &mut self.seen[at],
            None => {
                self.seen.push(Seen { kind, count: 0, bytes: 0, first: Vec::new() });
                let last = self.seen.len() - 1;
                &mut self.seen[last]
            }
        };
        seen.count += 1;
        seen.bytes = seen.bytes.saturating_add(bytes);
        if let Some(stamp) = stamp {
            seen.keep(stamp, keep);
        }
    }

    /// Adds what another count holds.
    pub fn merge(&mut self, other: &Anomalies, keep: usize) {
        for theirs in &other.seen {
            for &stamp in &theirs.first {
                self.note(theirs.kind, Some(stamp), keep);
            }
            if let Some(ours) = self.seen.iter_mut().find(|seen| seen.kind == theirs.kind) {
                ours.count += theirs.count - theirs.first.len() as u64;
                ours.bytes = ours.bytes.saturating_add(theirs.bytes);
            } else {
                self.seen.push(theirs.clone());
            }
        }
    }

    /// Adds what another count holds, but for one kind: it has another owner, who counts it.
    pub fn merge_without(&mut self, kind: AnomalyKind, other: &Anomalies, keep: usize) {
        if other.count(kind) == 0 {
            return self.merge(other, keep);
        }
        let rest = other.seen.iter().filter(|seen| seen.kind != kind).cloned().collect();
        self.merge(&Anomalies { seen: rest }, keep);
    }

    /// Faults by kind, in the order of the kinds.
    pub fn sorted(&self) -> Vec<&Seen> {
        let mut all: Vec<&Seen> = self.seen.iter().collect();
        all.sort_by_key(|seen| seen.kind);
        all
    }

    /// True when nothing was wrong.
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// How often this kind was seen.
    pub fn count(&self, kind: AnomalyKind) -> u64 {
        self.seen.iter().find(|seen| seen.kind == kind).map_or(0, |seen| seen.count)
    }

    /// Bytes that faults of this kind are about.
    pub fn bytes(&self, kind: AnomalyKind) -> u64 {
        self.seen.iter().find(|seen| seen.kind == kind).map_or(0, |seen| seen.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_stamps_are_kept_in_whatever_order_they_come() {
        let mut seen = Anomalies::default();
        for frame in [5, 9, 1, 7, 3, 8] {
            let stamp = Stamp { frame: crate::base::FrameNumber(frame), ..Stamp::default() };
            seen.note(AnomalyKind::BytesLost, Some(stamp), 3);
        }
        let frames: Vec<u64> = seen.sorted()[0].first.iter().map(|stamp| stamp.frame.0).collect();
        assert_eq!((frames, seen.count(AnomalyKind::BytesLost)), (vec![1, 3, 5], 6));
    }

    #[test]
    fn counts_go_on_where_stamps_stop() {
        let mut ours = Anomalies::default();
        for frame in 0..10 {
            let stamp = Stamp { frame: crate::base::FrameNumber(frame), ..Stamp::default() };
            ours.note(AnomalyKind::BytesLost, Some(stamp), 3);
        }
        let mut sum = Anomalies::default();
        sum.merge(&ours, 3);
        sum.merge(&ours, 3);
        sum.note(AnomalyKind::PacketCut, None, 3);
        sum.merge_without(AnomalyKind::BytesLost, &ours, 3);
        assert_eq!(sum.count(AnomalyKind::BytesLost), 20);
        assert_eq!(sum.sorted()[0].kind, AnomalyKind::PacketCut);
        assert_eq!(sum.sorted()[1].first.len(), 3);
    }

    #[test]
    fn bytes_add_up() {
        let stamp = Some(Stamp::default());
        let mut ours = Anomalies::default();
        ours.note_bytes(AnomalyKind::BytesLost, 100, stamp, 1);
        ours.note_bytes(AnomalyKind::BytesLost, 20, stamp, 1);
        let mut sum = Anomalies::default();
        sum.merge(&ours, 1);
        sum.merge(&ours, 1);
        sum.note(AnomalyKind::BytesLost, stamp, 1);
        sum.note_bytes(AnomalyKind::ResponseLost, u64::MAX, None, 1);
        sum.note_bytes(AnomalyKind::ResponseLost, 7, None, 1);
        let amounts =
            [AnomalyKind::BytesLost, AnomalyKind::ResponseLost].map(|kind| (sum.count(kind), sum.bytes(kind)));
        assert_eq!(amounts, [(5, 240), (2, u64::MAX)]);
    }
}
