//! One connection: its datagrams become stream events and facts.

use super::crypto::{Crypto, Learned};
use super::event::{CloseReason, Facts, QuicEvent};
use super::frame::{Ack, Frame, Frames};
use super::header::{self, ConnectionId, Header, Long};
use super::held::Held;
use super::ids::Ids;
use super::keys::{KeyRing, Opened, Sealed};
use super::numbers::{Arrival, Numbers};
use super::params::TransportParameters;
use super::protection::{Level, initial_keys};
use super::retry;
use super::streams::{StreamFrame, Streams};
use super::version::{LongKind, Version};
use crate::base::anomaly::AnomalyKind;
use crate::base::{Anomalies, Budget, Lease, Limits, Span, Stamp, Timestamp};
use crate::net::{Endpoint, FlowKey};
use crate::tcp::{Loss, Side};
use crate::tls::{Decryption, KeyLog, SecretSource, TlsInfo};

/// Characters of a CONNECTION_CLOSE reason that are kept.
const REASON_KEPT: usize = 256;
/// Ciphers and their key schedules, as allocated behind their boxes.
const KEYS_COST: usize = 8 << 10;

/// Where events go.
pub(super) type Out<'o> = dyn FnMut(&Facts, QuicEvent<'_>) + 'o;

/// What all connections share while a datagram passes.
pub(super) struct Shared<'s> {
    pub limits: &'s Limits,
    pub budget: &'s Budget,
    pub keys: &'s KeyLog,
    /// Where packets are decrypted.
    pub scratch: &'s mut Vec<u8>,
}

/// One datagram, or what remains of it.
#[derive(Clone, Copy)]
pub(super) struct Datagram<'a> {
    pub stamp: Stamp,
    pub selected: bool,
    /// Who sent it.
    pub side: Side,
    pub bytes: &'a [u8],
    /// Bytes that follow on the wire but not in the capture.
    pub cut: usize,
}

/// An id that a side issued, for the table of all connections; or one that is forgotten.
pub(super) enum IdNews {
    New(ConnectionId, Side),
    Old(ConnectionId),
}

/// One QUIC connection.
pub(super) struct Connection {
    pub facts: Facts,
    /// Connection ids that each side issued.
    pub ids: [Ids; 2],
    pub id_news: Vec<IdNews>,
    /// Address pairs it was seen on.
    pub flows: Vec<FlowKey>,
    /// Why and since when it is closing; packets may still come.
    pub closing: Option<(CloseReason, Stamp)>,
    /// None for Google's QUIC, which is only counted.
    version: Option<Version>,
    keys: KeyRing,
    crypto: Crypto,
    numbers: [[Numbers; 2]; 3],
    streams: Streams,
    parameters: [TransportParameters; 2],
    held: Held,
    /// Smoothed time from a packet of a side to its answer, as seen at the place of the capture.
    answers: [Option<u64>; 2],
    /// The server sent something.
    answered: bool,
    /// A packet opened with keys from secrets.
    opened: bool,
    /// A packet did not open with keys from secrets.
    failed: bool,
    keys_changed: bool,
    /// State of the key log when it was last asked.
    revision: Option<u64>,
    /// Times the client began anew, after a Retry or a version negotiation. Each one tries held packets again, and real
    /// connections have one or two.
    restarts: u8,
    lease: Lease,
}

/// Restarts of one connection that are followed.
const RESTARTS_KEPT: u8 = 4;

impl Connection {
    /// When the oldest packet came that waits for its keys.
    pub fn pending_since(&self) -> Option<Timestamp> {
        self.held.since()
    }

    pub fn new(
        version: Result<Version, u32>,
        client: Endpoint,
        server: Endpoint,
        stamp: Stamp,
        limits: &Limits,
        budget: &Budget,
    ) -> Self {
        let number = version.map_or_else(|google| google, Version::number);
        let facts = Facts {
            client,
            server,
            roles_known: false,
            first: stamp,
            last: stamp,
            opened: None,
            established: None,
            version: number,
            tls: TlsInfo {
                decryption: Decryption::Failed(match version {
                    Ok(_) => "the ClientHello is not in the capture".into(),
                    Err(google) => format!("Google QUIC {} is not supported", text_of(google)),
                }),
                ..TlsInfo::default()
            },
            loss: [Loss::default(); 2],
            bytes: [0; 2],
            rtt: None,
            early_data: false,
            migrations: 0,
            key_updates: [0; 2],
            anomalies: Anomalies::default(),
        };
        let mut connection = Self {
            facts,
            ids: Default::default(),
            id_news: Vec::new(),
            flows: Vec::new(),
            closing: None,
            version: version.ok(),
            keys: KeyRing::default(),
            crypto: Crypto::new(limits, budget),
            numbers: Default::default(),
            streams: Streams::default(),
            parameters: Default::default(),
            held: Held::new(budget),
            answers: [None; 2],
            answered: false,
            opened: false,
            failed: false,
            keys_changed: false,
            revision: None,
            restarts: 0,
            lease: budget.lease(),
        };
        if version.is_err() {
            connection.note(AnomalyKind::VersionUnsupported, stamp, limits);
        }
        connection
    }

    fn note(&mut self, kind: AnomalyKind, stamp: Stamp, limits: &Limits) {
        self.facts.anomalies.note(kind, Some(stamp), limits.anomalies_kept);
    }

    /// True for Google's QUIC.
    pub fn is_google(&self) -> bool {
        self.version.is_none()
    }

    /// True when the client's first Initial was seen.
    pub fn has_begun(&self) -> bool {
        self.keys.has(Level::Initial, Side::Client)
    }

    /// True when this may be the first Initial of the client that is known, or the first after a Retry that is not.
    pub fn may_begin(&self, has_token: bool) -> bool {
        !self.has_begun() || !self.answered && has_token && self.restarts < RESTARTS_KEPT
    }

    /// True when a short header may have its fixed bit unset.
    pub fn is_greased(&self) -> bool {
        self.parameters.iter().any(|parameters| parameters.grease_quic_bit)
    }

    /// Puts the ids that came from either end in their places: the sender of the first packet was the server.
    pub fn swap_roles(&mut self) {
        let facts = &mut self.facts;
        std::mem::swap(&mut facts.client, &mut facts.server);
        facts.bytes.reverse();
        facts.loss.reverse();
        self.ids.reverse();
        for (side, ids) in Side::BOTH.into_iter().zip(&self.ids) {
            self.id_news.extend(ids.iter().map(|&id| IdNews::New(id, side)));
        }
    }

    /// The client's first Initial, or its first after a Retry: keys follow from its destination connection id.
    pub fn begin(&mut self, version: Version, dcid: ConnectionId, scid: ConnectionId, stamp: Stamp) {
        self.keys.set_initial(version, dcid);
        self.facts.roles_known = true;
        self.facts.opened.get_or_insert(stamp);
        self.add_id(Side::Server, dcid, None);
        self.add_id(Side::Client, scid, None);
        self.restarts = self.restarts.saturating_add(1);
        self.keys_changed = true;
    }

    /// Adds an id that `side` issued.
    pub fn add_id(&mut self, side: Side, id: ConnectionId, token: Option<[u8; 16]>) {
        let (is_new, old) = self.ids[side.index()].add(id, token);
        if is_new && !id.is_empty() {
            self.id_news.push(IdNews::New(id, side));
        }
        if let Some(old) = old {
            self.id_news.push(IdNews::Old(old));
        }
    }

    /// Takes a datagram that belongs to this connection.
    pub fn push(&mut self, datagram: Datagram<'_>, shared: &mut Shared<'_>, out: &mut Out<'_>) {
        let Datagram { stamp, side, bytes, cut, .. } = datagram;
        if stamp.time >= self.facts.last.time {
            self.facts.last = stamp;
        }
        let total = &mut self.facts.bytes[side.index()];
        *total = total.saturating_add((bytes.len() + cut) as u64);
        self.answered |= side == Side::Server;
        if self.is_google() {
            return;
        }
        if cut > 0 {
            self.note(AnomalyKind::PacketCut, stamp, shared.limits);
        }
        if self.revision != Some(shared.keys.revision()) {
            self.look_up(shared);
        }
        self.drain(shared, out);
        let mut rest = datagram;
        while let Some(packet) = take_packet(&mut rest) {
            self.packet(packet, shared, out);
            self.drain(shared, out);
        }
        if self.streams.is_due(stamp) {
            let Self { streams, numbers: [_, _, numbers], facts, .. } = self;
            streams.check(numbers, facts.rtt, stamp, shared.limits, &mut |event| out(facts, event));
        }
        self.settle(stamp, shared.limits);
    }

    /// Takes over what the streams counted, and tells the budget what is allocated.
    fn settle(&mut self, stamp: Stamp, limits: &Limits) {
        for side in Side::BOTH {
            let tally = self.streams.take_tally(side);
            let loss = &mut self.facts.loss[side.index()];
            loss.retransmissions = loss.retransmissions.saturating_add(tally.retransmissions);
            loss.lost_bytes = loss.lost_bytes.saturating_add(tally.lost);
            if tally.gaps > 0 {
                let keep = limits.anomalies_kept;
                self.facts.anomalies.note_bytes(AnomalyKind::BytesLost, tally.lost, Some(stamp), keep);
            }
            for (count, kind) in [
                (tally.gaps.saturating_sub(1), AnomalyKind::BytesLost),
                (tally.differs, AnomalyKind::OverlapDiffers),
                (tally.malformed, AnomalyKind::FrameMalformed),
                (tally.evicted, AnomalyKind::TooManyExchanges),
            ] {
                (0..count).for_each(|_| self.facts.anomalies.note(kind, Some(stamp), limits.anomalies_kept));
            }
        }
        let numbers = self.numbers.iter().flatten().map(Numbers::allocated).sum::<usize>();
        let ids = self.ids.iter().map(Ids::allocated).sum::<usize>();
        let flows = self.flows.capacity() * size_of::<FlowKey>();
        self.lease.set(size_of::<Self>() + KEYS_COST + self.streams.allocated() + numbers + ids + flows);
    }

    /// Hands on all that waited: the connection is over. `shared` allows a last try with the secrets there are.
    pub fn finish(&mut self, stamp: Stamp, shared: Option<&mut Shared<'_>>, limits: &Limits, out: &mut Out<'_>) {
        if let Some(shared) = shared {
            self.look_up(shared);
            self.drain(shared, out);
        }
        let Self { streams, facts, .. } = self;
        streams.finish(stamp, &mut |event| out(facts, event));
        if self.held.forget() > 0 && !self.opened {
            self.note(AnomalyKind::KeysMissing, stamp, limits);
        }
        self.settle(stamp, limits);
    }

    /// Asks the key log when there is something new to ask for.
    fn look_up(&mut self, shared: &Shared<'_>) {
        self.revision = Some(shared.keys.revision());
        let handshake = self.crypto.handshake();
        let (Some(random), Some(version)) = (handshake.client_random, self.version) else { return };
        let cipher = self.crypto.cipher().and_then(Result::ok);
        if self.keys.look_up(shared.keys, &random, cipher, version) {
            self.keys_changed = true;
            self.tell_decryption();
        }
    }

    /// States how content is read, as far as it is known now.
    fn tell_decryption(&mut self) {
        self.facts.tls.decryption = match (self.keys.source, self.crypto.cipher()) {
            (Some(SecretSource::InCapture), _) if self.opened => Decryption::InCapture,
            (Some(SecretSource::KeyLog), _) if self.opened => Decryption::KeyLog,
            (_, Some(Err(number))) => {
                Decryption::Failed(format!("cipher suite 0x{number:04x} is not supported in QUIC"))
            }
            (Some(_), _) if self.failed => Decryption::Failed("the secrets of this session do not decrypt it".into()),
            (Some(_), _) => Decryption::Pending,
            (None, _) => match self.crypto.handshake().client_random {
                Some(random) => {
                    let random: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
                    Decryption::Failed(format!("no secrets for this client random in any key log: {random}"))
                }
                None => Decryption::Failed("the ClientHello is not in the capture".into()),
            },
        };
    }

    /// Tries held packets again as long as new keys come.
    fn drain(&mut self, shared: &mut Shared<'_>, out: &mut Out<'_>) {
        while std::mem::take(&mut self.keys_changed) {
            let mut held = self.held.take();
            while let Some(packet) = held.pop_front() {
                let datagram = packet.datagram(&self.facts);
                self.packet(datagram, shared, out);
            }
        }
    }

    /// Takes one packet: the first, and only, one of `datagram`.
    fn packet(&mut self, datagram: Datagram<'_>, shared: &mut Shared<'_>, out: &mut Out<'_>) {
        let Datagram { stamp, side, bytes, cut, .. } = datagram;
        let sealed = match header::parse(bytes, cut) {
            Ok(Header::Long(long)) if long.kind == LongKind::Retry => return self.retry(&long, side),
            Ok(Header::Long(long)) => self.long(&long, side, stamp),
            Ok(Header::Short) => {
                if side == Side::Client && self.answered {
                    // Nothing else tells the end of a handshake that cannot be read. A client's Finished comes before.
                    self.facts.established.get_or_insert(stamp);
                }
                match self.ids[side.other().index()].matching(bytes.get(1..).unwrap_or_default()) {
                    Some(id) => Sealed { level: Level::OneRtt, side, version: None, bytes, number_at: 1 + id.len() },
                    None => return self.unopened(datagram, shared, true),
                }
            }
            Ok(Header::VersionNegotiation { .. }) => return self.negotiate(side, shared),
            Ok(Header::UnknownVersion(_)) => return,
            Err(_) => return self.note(AnomalyKind::PacketMalformed, stamp, shared.limits),
        };
        if cut > 0 {
            return;
        }
        let largest = self.numbers[sealed.level.space()][side.index()].largest();
        match self.keys.open(&sealed, largest, shared.scratch) {
            Opened::NoKeys => self.unopened(datagram, shared, true),
            Opened::Failed => {
                if sealed.level != Level::Initial && !self.opened && !self.failed {
                    self.failed = true;
                    self.tell_decryption();
                }
                self.unopened(datagram, shared, false);
            }
            Opened::Plain { number, payload } => {
                if sealed.level != Level::Initial && !self.opened {
                    self.opened = true;
                    self.tell_decryption();
                }
                let Sealed { level, .. } = sealed;
                let packet = Packet { level, side, number, stamp, selected: datagram.selected };
                // The plaintext lies in the scratch buffer, which nothing else uses while the frames are read.
                let scratch = std::mem::take(shared.scratch);
                self.frames(packet, scratch.get(payload).unwrap_or_default(), shared, out);
                *shared.scratch = scratch;
                if level == Level::OneRtt {
                    self.facts.key_updates[side.index()] = self.keys.updates(side);
                }
            }
        }
    }

    /// Takes note of what a long header says in clear.
    fn long<'p>(&mut self, long: &Long<'p>, side: Side, stamp: Stamp) -> Sealed<'p> {
        let level = match long.kind {
            LongKind::Initial | LongKind::Retry => Level::Initial,
            LongKind::ZeroRtt => Level::ZeroRtt,
            LongKind::Handshake => Level::Handshake,
        };
        self.facts.early_data |= level == Level::ZeroRtt;
        // The server decides on the version; the client's first one holds until then.
        if (side == Side::Server || !self.answered) && self.version != Some(long.version) {
            self.revision = None;
            self.version = Some(long.version);
            self.facts.version = long.version.number();
        }
        self.add_id(side, long.scid, None);
        if level == Level::Handshake {
            self.add_id(side.other(), long.dcid, None);
        }
        if side == Side::Client && level == Level::Initial {
            self.facts.opened.get_or_insert(stamp);
        }
        Sealed { level, side, version: Some(long.version), bytes: long.packet, number_at: long.number_at }
    }

    /// A packet that did not open: is it a stateless reset, or may keys come for it?
    fn unopened(&mut self, datagram: Datagram<'_>, shared: &mut Shared<'_>, may_open: bool) {
        let Datagram { stamp, side, bytes, cut, .. } = datagram;
        let is_short = bytes.first().is_some_and(|first| first & 0x80 == 0);
        if is_short && cut == 0 && self.ids[side.index()].is_reset(bytes) {
            self.closing.get_or_insert((CloseReason::StatelessReset(stamp), stamp));
        } else if !may_open {
            self.note(AnomalyKind::DecryptFailed, stamp, shared.limits);
        } else if cut == 0 && !self.held.push(&datagram, &self.facts, shared.limits, shared.budget) && !self.opened {
            self.note(AnomalyKind::KeysMissing, stamp, shared.limits);
        }
    }

    /// The server asks for a token: the client begins again, and keys follow from the id that the server chose.
    fn retry(&mut self, retry: &Long<'_>, side: Side) {
        if side == Side::Server
            && self.restarts < RESTARTS_KEPT
            && let Some(original) = self.keys.initial_id()
            && retry::is_genuine(retry, &original)
        {
            self.answered = false;
            self.keys.set_initial(retry.version, retry.scid);
            self.add_id(Side::Server, retry.scid, None);
            self.restarts += 1;
            self.keys_changed = true;
        }
    }

    /// The server speaks another version: what the client says next is a new handshake.
    fn negotiate(&mut self, side: Side, shared: &Shared<'_>) {
        let is_open = self.crypto.handshake().server_random.is_some();
        if side == Side::Server && !is_open && self.restarts < RESTARTS_KEPT {
            self.crypto = Crypto::new(shared.limits, shared.budget);
            self.numbers = Default::default();
            self.keys = KeyRing::default();
            self.answered = false;
        }
    }

    /// True when a packet with short header from this side opens: it came from another address, but it is of this connection.
    pub fn recognises(&mut self, bytes: &[u8], side: Side, id: &ConnectionId, scratch: &mut Vec<u8>) -> Option<bool> {
        let sealed = Sealed { level: Level::OneRtt, side, version: None, bytes, number_at: 1 + id.len() };
        let largest = self.numbers[Level::OneRtt.space()][side.index()].largest();
        match self.keys.open(&sealed, largest, scratch) {
            Opened::Plain { .. } => Some(true),
            Opened::Failed => Some(false),
            Opened::NoKeys => None,
        }
    }

    fn frames(&mut self, packet: Packet, payload: &[u8], shared: &mut Shared<'_>, out: &mut Out<'_>) {
        let Packet { level, side, number, stamp, selected } = packet;
        let numbers = &mut self.numbers[level.space()][side.index()];
        match numbers.note(number) {
            Arrival::Newest => {}
            Arrival::Late => self.facts.loss[side.index()].out_of_order += 1,
            Arrival::Again => return,
        }
        let span = Span::of(stamp, selected);
        let mut is_eliciting = false;
        for frame in Frames::new(payload) {
            is_eliciting |= !matches!(frame, Ok(Frame::Padding | Frame::Ack(_) | Frame::Close(_)));
            match frame {
                Ok(Frame::Padding | Frame::Ping | Frame::RetireConnectionId(_) | Frame::Datagram(_) | Frame::Other) => {
                }
                Ok(Frame::Ack(ack)) => self.ack(&ack, packet),
                Ok(Frame::Crypto { offset, data }) => {
                    if level != Level::ZeroRtt {
                        let learned = self.crypto.push(level, side, offset, data, span, shared.limits);
                        self.learn(learned, packet, shared);
                    }
                }
                Ok(Frame::Stream { stream, offset, fin, data }) => {
                    let frame = StreamFrame { stream, side, offset, fin, data, number, span };
                    let Self { streams, facts, .. } = self;
                    streams.push(frame, shared.limits, shared.budget, &mut |event| out(facts, event));
                }
                Ok(Frame::ResetStream { stream, code, reliable_size, .. }) => {
                    let Self { streams, facts, .. } = self;
                    streams.reset(stream, side, code, reliable_size, stamp, &mut |event| out(facts, event));
                }
                Ok(Frame::StopSending { stream, code }) => self.streams.stop(stream, side.other(), code, stamp),
                Ok(Frame::NewConnectionId { id, token, .. }) => {
                    if let Some(id) = ConnectionId::new(id) {
                        self.add_id(side, id, Some(token));
                    }
                }
                Ok(Frame::Close(close)) => {
                    let text = String::from_utf8_lossy(close.reason);
                    let reason = text.chars().filter(|letter| !letter.is_control()).take(REASON_KEPT).collect();
                    let (application, code) = (close.application, close.code);
                    let reason = CloseReason::Closed { side, application, code, reason, stamp };
                    self.closing.get_or_insert((reason, stamp));
                }
                Ok(Frame::HandshakeDone) => {
                    self.facts.established.get_or_insert(stamp);
                }
                Err(_) => self.note(AnomalyKind::FrameMalformed, stamp, shared.limits),
            }
        }
        if is_eliciting {
            self.numbers[level.space()][side.index()].note_eliciting(number, stamp.time);
        }
    }

    /// An acknowledgment tells what the peer got, and how long the way is.
    fn ack(&mut self, ack: &Ack<'_>, packet: Packet) {
        let Packet { level, side, stamp, .. } = packet;
        let exponent = if level == Level::OneRtt { self.parameters[side.index()].ack_delay_exponent } else { 3 };
        let delay = ack.delay.saturating_mul(1 << exponent.min(20)).saturating_mul(1000);
        let acked_side = side.other().index();
        let acked = self.numbers[level.space()][acked_side].note_ack(ack, delay, stamp.time);
        if acked.lost > 0 {
            self.streams.note_loss();
        }
        if let Some(sample) = acked.sample {
            let answer = &mut self.answers[acked_side];
            *answer = Some(answer.map_or(sample, |answer| answer - answer / 8 + sample / 8));
            // Both halves of the way, before and behind the place of the capture.
            self.facts.rtt = Some(self.answers.iter().flatten().fold(0, |sum, answer| sum.saturating_add(*answer)));
        }
    }

    /// Takes over what the handshake told.
    fn learn(&mut self, learned: Learned, packet: Packet, shared: &Shared<'_>) {
        let Learned { any, parameters, complete, malformed } = learned;
        (0..malformed).for_each(|_| self.note(AnomalyKind::RecordMalformed, packet.stamp, shared.limits));
        if let Some((side, parameters)) = parameters {
            self.parameters[side.index()] = parameters;
            if let Some(token) = parameters.stateless_reset_token {
                self.ids[side.index()].set_token(token);
            }
            if let Some((id, token)) = parameters.preferred {
                self.add_id(side, id, Some(token));
            }
        }
        // Short headers were only a guess.
        if let Some(stamp) = complete
            && self.facts.established.is_none_or(|guess| guess.frame > stamp.frame)
        {
            self.facts.established = Some(stamp);
        }
        if any {
            let decryption = std::mem::take(&mut self.facts.tls.decryption);
            self.facts.tls.clone_from(&self.crypto.handshake().info);
            self.facts.tls.decryption = decryption;
            self.look_up(shared);
            self.tell_decryption();
            if let Some(Err(_)) = self.crypto.cipher() {
                self.note(AnomalyKind::CipherUnsupported, packet.stamp, shared.limits);
            }
        }
    }
}

/// A packet that was opened.
#[derive(Clone, Copy)]
struct Packet {
    level: Level,
    side: Side,
    number: u64,
    stamp: Stamp,
    selected: bool,
}

/// Cuts the first packet off what remains of a datagram.
fn take_packet<'a>(rest: &mut Datagram<'a>) -> Option<Datagram<'a>> {
    let whole = *rest;
    let first = whole.bytes.first()?;
    // Zeros behind the last packet are padding of the datagram.
    if first & 0xc0 == 0 && whole.bytes.iter().all(|&byte| byte == 0) {
        return None;
    }
    match header::parse(whole.bytes, whole.cut) {
        Ok(Header::Long(long)) if long.cut == 0 => {
            rest.bytes = whole.bytes.get(long.packet.len()..).unwrap_or_default();
            Some(Datagram {
                bytes: long.packet,
                cut: if long.kind == LongKind::Retry { whole.cut } else { 0 },
                ..whole
            })
        }
        _ => {
            rest.bytes = &[];
            Some(whole)
        }
    }
}

/// True when this Initial packet was sent by a client to this id: the keys that follow from the id open it.
pub(super) fn is_first_flight(long: &Long<'_>, scratch: &mut Vec<u8>) -> bool {
    if long.kind != LongKind::Initial || long.cut > 0 {
        return false;
    }
    let Some([client, _]) = initial_keys(long.version, &long.dcid) else { return false };
    scratch.clear();
    scratch.extend_from_slice(long.packet);
    client.open(scratch, long.number_at, None).is_some()
}

/// The four characters of a version of Google's QUIC.
fn text_of(version: u32) -> String {
    version.to_be_bytes().iter().map(|&byte| char::from(byte)).filter(char::is_ascii_graphic).collect()
}
