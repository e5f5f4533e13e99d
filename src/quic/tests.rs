//! Tests of the whole room: a writer of packets, published samples, and simulated connections.

mod hostile;
mod lifecycle;
mod loss;
mod vectors;
mod writer;

use std::collections::BTreeMap;

use writer::{End, Session, ack, crypto};

use super::version::Version;
use super::{CloseReason, Connections, Facts, QuicEvent, Slot};
use crate::base::{Budget, FrameNumber, Limits, Stamp, Timestamp};
use crate::net::{Endpoint, Packet, Transport};
use crate::tcp::{Side, StreamEvent};
use crate::tls::KeyLog;

const MILLI: i64 = 1_000_000;

fn endpoint(last: u8, port: u16) -> Endpoint {
    Endpoint { address: std::net::IpAddr::from([10, 0, 0, last]), port }
}

fn client() -> Endpoint {
    endpoint(1, 50_000)
}

fn server() -> Endpoint {
    endpoint(2, 443)
}

/// One datagram of a test.
#[derive(Clone, Debug)]
struct Sent {
    from: Endpoint,
    to: Endpoint,
    time: i64,
    bytes: Vec<u8>,
    cut: usize,
}

impl Sent {
    fn by(side: Side, time: i64, bytes: Vec<u8>) -> Self {
        let (from, to) = if side == Side::Client { (client(), server()) } else { (server(), client()) };
        Self { from, to, time, bytes, cut: 0 }
    }
}

/// What became of one direction of a stream.
#[derive(Debug, Default, PartialEq, Eq, Clone)]
struct Half {
    /// Bytes in order; lost ones are zero.
    bytes: Vec<u8>,
    gaps: Vec<(u64, u64)>,
    finished: bool,
    reset: Option<u64>,
    given_up: bool,
}

/// Everything that came out.
#[derive(Debug, Default)]
struct Seen {
    streams: BTreeMap<(Slot, u64, usize), Half>,
    opened: Vec<Slot>,
    closed: Vec<(Slot, CloseReason, Facts)>,
    /// Time of the last data of each half: must not run backwards.
    clocks: BTreeMap<(Slot, u64, usize), Timestamp>,
}

impl Seen {
    fn take(&mut self, slot: Slot, facts: &Facts, event: QuicEvent<'_>) {
        match event {
            QuicEvent::Open => self.opened.push(slot),
            QuicEvent::Stream(id, side, event) => {
                let key = (slot, id, side.index());
                let half = self.streams.entry(key).or_default();
                assert!(!half.finished && half.reset.is_none() && !half.given_up, "event behind the end");
                match event {
                    StreamEvent::Data(chunk) => {
                        assert_eq!(chunk.offset, half.bytes.len() as u64);
                        assert!(!chunk.data.is_empty());
                        half.bytes.extend_from_slice(chunk.data);
                        let clock = self.clocks.entry(key).or_insert(chunk.span.first.time);
                        assert!(chunk.span.first.time >= *clock && chunk.span.last.time >= chunk.span.first.time);
                        *clock = chunk.span.last.time;
                    }
                    StreamEvent::Gap { len, .. } => {
                        half.gaps.push((half.bytes.len() as u64, len));
                        half.bytes.resize(half.bytes.len() + len as usize, 0);
                    }
                    StreamEvent::Fin(_) => half.finished = true,
                    StreamEvent::Reset(_) => half.given_up = true,
                }
            }
            QuicEvent::StreamReset { stream, side, code, .. } => {
                let half = self.streams.entry((slot, stream, side.index())).or_default();
                assert!(!half.finished && half.reset.is_none(), "reset behind the end");
                half.reset = Some(code);
            }
            QuicEvent::Close(reason) => self.closed.push((slot, reason, facts.clone())),
        }
    }

    fn half(&self, slot: u32, id: u64, side: Side) -> &Half {
        self.streams.get(&(Slot(slot), id, side.index())).unwrap_or_else(|| panic!("stream {id} {side:?} of {slot}"))
    }

    fn facts(&self, slot: u32) -> &Facts {
        &self.closed.iter().find(|closed| closed.0 == Slot(slot)).unwrap().2
    }
}

fn packet(sent: &Sent, number: usize) -> Packet<'_> {
    Packet {
        stamp: Stamp { frame: FrameNumber(number as u64 + 1), time: Timestamp(sent.time) },
        selected: false,
        source: sent.from,
        destination: sent.to,
        transport: Transport::Udp,
        payload: &sent.bytes[..sent.bytes.len() - sent.cut],
        cut: sent.cut,
    }
}

/// Runs datagrams through; everything leased must come back.
fn run(sent: &[Sent], keys: &KeyLog) -> Seen {
    run_with(sent, keys, &Limits::default())
}

fn run_with(sent: &[Sent], keys: &KeyLog, limits: &Limits) -> Seen {
    let budget = Budget::new(limits.memory);
    let mut seen = Seen::default();
    {
        let mut connections = Connections::new(limits, &budget);
        for (number, one) in sent.iter().enumerate() {
            connections.push(&packet(one, number), keys, &mut |slot, facts, event| seen.take(slot, facts, event));
        }
        connections.finish(keys, &mut |slot, facts, event| seen.take(slot, facts, event));
        assert!(connections.is_empty());
    }
    assert_eq!(budget.used(), 0);
    seen
}

/// Ids of a usual connection.
const ODCID: &[u8] = b"original";
const CLIENT_ID: &[u8] = b"cl-1";
const SERVER_ID: &[u8] = b"server-id-1";

fn session(seed: u64) -> Session {
    Session::new(seed, Version::V1(1), 0x1301)
}

/// Both ends and their handshake: three datagrams, as a usual client and server send them.
fn handshake<'s>(
    session: &'s Session,
    client_id: &[u8],
    server_id: &[u8],
    parameters: [&[u8]; 2],
) -> (End<'s>, End<'s>, Vec<Sent>) {
    let mut ours = End::new(session, Side::Client, ODCID, client_id, ODCID);
    let mut theirs = End::new(session, Side::Server, client_id, server_id, ODCID);
    let hello = ours.initial(&crypto(0, &session.client_hello("Example.test", false, parameters[0])), 1160);
    let first = [ack(&[0]), crypto(0, &session.server_hello())].concat();
    let mut flight = theirs.initial(&first, 0);
    flight.extend(theirs.handshake(&crypto(0, &session.server_flight(parameters[1]))));
    ours.dcid = server_id.to_vec();
    let mut done = ours.initial(&ack(&[0]), 0);
    done.extend(ours.handshake(&[ack(&[0]), crypto(0, &session.client_finished())].concat()));
    let sent = vec![
        Sent::by(Side::Client, 0, hello),
        Sent::by(Side::Server, 20 * MILLI, flight),
        Sent::by(Side::Client, 30 * MILLI, done),
    ];
    (ours, theirs, sent)
}

fn usual(session: &Session) -> (End<'_>, End<'_>, Vec<Sent>) {
    handshake(session, CLIENT_ID, SERVER_ID, [&[], &[]])
}
