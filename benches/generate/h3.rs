//! HTTP/3 over QUIC: streams side by side on each connection, each second packet acknowledged.

use std::collections::VecDeque;
use std::io;

use super::content::{Contents, Exchange, host};
use super::crypto::{PacketSealer, Secrets, TAG_LEN, initial_secrets};
use super::fields::qpack;
use super::hello::{Hello, finished};
use super::wire::Flow;
use super::{Conversation, Random};

/// Streams that are open at once.
const STREAMS: usize = 4;
/// Stream data in a packet, so that a datagram fits into any usual path.
const PIECE: usize = 1280;
/// Packets of one stream before the next has its turn.
const TURN: usize = 4;
/// Largest DATA frame.
const DATA: usize = 1 << 14;
/// Smallest first datagram ([RFC 9000 §14.1](https://www.rfc-editor.org/rfc/rfc9000#section-14.1)), less header and tag.
const INITIAL_FRAMES: usize = 1200 - 30;
const INITIAL: u8 = 0xc0;
const HANDSHAKE: u8 = 0xe0;
/// A number that no window is ever too small for.
const PLENTY: u64 = 1 << 40;

/// One side: its connection id and the peer's, and what it sealed so far.
struct End {
    id: [u8; 8],
    peer: [u8; 8],
    sealer: PacketSealer,
    /// Packets since the peer's last acknowledgement.
    unanswered: u64,
}

/// A connection with its session.
pub struct Connection {
    flow: Flow,
    queue: VecDeque<Vec<u8>>,
    datagrams: u16,
    ends: [End; 2],
    requests: u64,
}

impl Connection {
    /// Opens the connection of that number: its handshake and both control streams wait.
    pub fn new(number: usize, secrets: &Secrets, random: &mut Random) -> io::Result<Self> {
        let (first, ours, theirs): ([u8; 8], [u8; 8], [u8; 8]) = (random.bytes(), random.bytes(), random.bytes());
        let end = |id, peer, secret| PacketSealer::new(secret).map(|sealer| End { id, peer, sealer, unanswered: 0 });
        let [client, server] = &secrets.application;
        let ends = [end(ours, theirs, client)?, end(theirs, ours, server)?];
        let mut new = Self { flow: Flow::new(number, 443), queue: VecDeque::new(), datagrams: 0, ends, requests: 0 };
        new.handshake(first, secrets, random)?;
        // SETTINGS without a dynamic table, the default: nothing of QPACK's streams is needed.
        new.send(true, vec![(2, vec![0, 4, 0])], false)?;
        new.send(false, vec![(3, vec![0, 4, 0])], false)?;
        Ok(new)
    }

    /// Three datagrams: both hellos, both flights.
    fn handshake(&mut self, first: [u8; 8], secrets: &Secrets, random: &mut Random) -> io::Result<()> {
        let [ours, theirs] = [self.ends[0].id, self.ends[1].id];
        let host = host(self.flow.client_port);
        let parameters = Some([parameters(ours, None), parameters(theirs, Some(first))]);
        let hello = Hello { host: &host, protocol: b"h3", parameters };
        let [client, server] = initial_secrets(&first)?;
        let (mut client, mut server) = (PacketSealer::new(&client)?, PacketSealer::new(&server)?);
        let mut frames = crypto(&hello.client(&secrets.client_random, random));
        frames.resize(frames.len().max(INITIAL_FRAMES), 0);
        let packet = client.seal(long_header(INITIAL, first, ours, frames.len()), &frames)?;
        self.datagram(true, &packet);

        let frames = [ack(0), crypto(&hello.server(random))].concat();
        let mut packets = server.seal(long_header(INITIAL, ours, theirs, frames.len()), &frames)?;
        let [client_secret, server_secret] = &secrets.handshake;
        let frames = crypto(&hello.server_flight(random));
        let header = long_header(HANDSHAKE, ours, theirs, frames.len());
        packets.append(&mut PacketSealer::new(server_secret)?.seal(header, &frames)?);
        self.datagram(false, &packets);

        let mut packets = client.seal(long_header(INITIAL, theirs, ours, ack(0).len()), &ack(0))?;
        let frames = [ack(0), crypto(&finished(random))].concat();
        let header = long_header(HANDSHAKE, theirs, ours, frames.len());
        packets.append(&mut PacketSealer::new(client_secret)?.seal(header, &frames)?);
        self.datagram(true, &packets);
        Ok(())
    }

    fn datagram(&mut self, up: bool, payload: &[u8]) {
        self.datagrams = self.datagrams.wrapping_add(1);
        self.queue.push_back(self.flow.datagram(up, self.datagrams, payload));
    }

    /// Seals frames into a packet with a short header.
    pub fn packet_of(&mut self, up: bool, frames: &[u8]) -> io::Result<()> {
        let end = &mut self.ends[usize::from(!up)];
        let packet = end.sealer.seal([&[0x40][..], &end.peer].concat(), frames)?;
        self.datagram(up, &packet);
        Ok(())
    }

    /// Sends the whole of these streams in turns, and ends them when told.
    fn send(&mut self, up: bool, streams: Vec<(u64, Vec<u8>)>, is_end: bool) -> io::Result<()> {
        let mut streams: Vec<(u64, usize, Vec<u8>)> = streams.into_iter().map(|(id, bytes)| (id, 0, bytes)).collect();
        while !streams.is_empty() {
            for (id, at, bytes) in &mut streams {
                for _ in 0..TURN {
                    let end = bytes.len().min(*at + PIECE);
                    let mut frames = Vec::with_capacity(PIECE + 16);
                    // A STREAM frame with offset and length.
                    let kind = 0x0e | u64::from(is_end && end == bytes.len());
                    for field in [kind, *id, *at as u64, (end - *at) as u64] {
                        varint(field, &mut frames);
                    }
                    frames.extend_from_slice(&bytes[*at..end]);
                    self.packet_of(up, &frames)?;
                    self.acknowledge(up)?;
                    *at = end;
                    if end == bytes.len() {
                        break;
                    }
                }
            }
            streams.retain(|(_, at, bytes)| *at < bytes.len());
        }
        Ok(())
    }

    /// The other side acknowledges each second packet.
    fn acknowledge(&mut self, up: bool) -> io::Result<()> {
        let end = &mut self.ends[usize::from(!up)];
        end.unanswered += 1;
        if end.unanswered < 2 {
            return Ok(());
        }
        end.unanswered = 0;
        let frames = ack(end.sealer.number - 1);
        self.packet_of(!up, &frames)
    }
}

impl Conversation for Connection {
    fn talk(&mut self, contents: &Contents, random: &mut Random) -> io::Result<u64> {
        let (mut up, mut down) = (Vec::with_capacity(STREAMS), Vec::with_capacity(STREAMS));
        for _ in 0..STREAMS {
            let id = 4 * self.requests;
            self.requests += 1;
            let exchange = Exchange::draw(self.flow.client_port, self.requests, contents, random)?;
            up.push((id, message(&qpack(&exchange.request()), exchange.upload)));
            down.push((id, message(&qpack(&exchange.response()), &exchange.body)));
        }
        self.send(true, up, true)?;
        self.send(false, down, true)?;
        Ok(STREAMS as u64)
    }

    fn packet(&mut self) -> Option<Vec<u8>> {
        self.queue.pop_front()
    }
}

/// A HEADERS frame and DATA frames ([RFC 9114 §7](https://www.rfc-editor.org/rfc/rfc9114#section-7)).
fn message(section: &[u8], body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(section.len() + body.len() + body.len() / 2048 + 16);
    let mut frame = |kind, payload: &[u8]| {
        varint(kind, &mut out);
        varint(payload.len() as u64, &mut out);
        out.extend_from_slice(payload);
    };
    frame(1, section);
    body.chunks(DATA).for_each(|part| frame(0, part));
    out
}

/// Transport parameters ([RFC 9000 §18.2](https://www.rfc-editor.org/rfc/rfc9000#section-18.2)): room for everything.
fn parameters(id: [u8; 8], first: Option<[u8; 8]>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut parameter = |number, value: &[u8]| {
        varint(number, &mut out);
        varint(value.len() as u64, &mut out);
        out.extend_from_slice(value);
    };
    if let Some(first) = first {
        parameter(0, &first);
    }
    let mut plenty = Vec::new();
    varint(PLENTY, &mut plenty);
    // Data of the connection and of streams of three kinds, streams of two kinds.
    (4..10).for_each(|number| parameter(number, &plenty));
    parameter(0x0f, &id);
    out
}

/// A CRYPTO frame with a whole flight.
fn crypto(messages: &[u8]) -> Vec<u8> {
    let mut out = vec![6, 0];
    varint(messages.len() as u64, &mut out);
    out.extend_from_slice(messages);
    out
}

/// An ACK frame of all packets up to that number.
fn ack(largest: u64) -> Vec<u8> {
    let mut out = Vec::new();
    for field in [2, largest, 0, 0, largest] {
        varint(field, &mut out);
    }
    out
}

/// A long header without its packet number ([RFC 9000 §17.2](https://www.rfc-editor.org/rfc/rfc9000#section-17.2)).
fn long_header(kind: u8, to: [u8; 8], from: [u8; 8], frames: usize) -> Vec<u8> {
    let mut out = vec![kind, 0, 0, 0, 1];
    for id in [to, from] {
        out.push(id.len() as u8);
        out.extend_from_slice(&id);
    }
    if kind == INITIAL {
        // No token.
        out.push(0);
    }
    varint((frames + PacketSealer::NUMBER_LEN + TAG_LEN) as u64, &mut out);
    out
}

/// A variable-length integer ([RFC 9000 §16](https://www.rfc-editor.org/rfc/rfc9000#section-16)).
fn varint(value: u64, out: &mut Vec<u8>) {
    match value {
        0..0x40 => out.push(value as u8),
        0x40..0x4000 => out.extend_from_slice(&(value as u16 | 0x4000).to_be_bytes()),
        0x4000..0x4000_0000 => out.extend_from_slice(&(value as u32 | 0x8000_0000).to_be_bytes()),
        _ => out.extend_from_slice(&(value | 0xc000_0000_0000_0000).to_be_bytes()),
    }
}
