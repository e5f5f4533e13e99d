//! HTTP/2 over TLS 1.3 over TCP: streams side by side on each connection, their DATA frames mixed.

use std::io;

use super::content::{Contents, Exchange, host};
use super::crypto::{RecordSealer, Secrets};
use super::fields::hpack;
use super::hello::{Hello, finished};
use super::wire::{Flow, Tcp};
use super::{Conversation, Random};

/// Streams that are open at once.
const STREAMS: usize = 4;
/// Largest payload of a frame unless SETTINGS say more.
const FRAME: usize = 1 << 14;
/// Flow control window of each stream; all of them fit into the connection's.
const WINDOW: u32 = 1 << 21;
const CHANGE_CIPHER_SPEC: [u8; 6] = [20, 3, 3, 0, 1, 1];

/// Types and flags of frames ([RFC 9113 §6](https://www.rfc-editor.org/rfc/rfc9113#section-6)).
mod frame {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const SETTINGS: u8 = 4;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const ACK: u8 = 1;
    pub const END_STREAM: u8 = 1;
    pub const END_HEADERS: u8 = 4;
}

/// A connection with its session.
pub struct Connection {
    tcp: Tcp,
    sealers: [RecordSealer; 2],
    requests: u64,
}

impl Connection {
    /// Opens the connection of that number: its handshake and both prefaces wait.
    pub fn new(number: usize, secrets: &Secrets, random: &mut Random) -> io::Result<Self> {
        let mut tcp = Tcp::open(Flow::new(number, 443), random);
        let host = host(tcp.flow.client_port);
        let hello = Hello { host: &host, protocol: b"h2", parameters: None };
        tcp.send(true, &plain_record(1, &hello.client(&secrets.client_random, random)));
        let mut flight = [plain_record(3, &hello.server(random)), CHANGE_CIPHER_SPEC.to_vec()].concat();
        let [client, server] = &secrets.handshake;
        RecordSealer::new(server)?.seal(22, &hello.server_flight(random), &mut flight)?;
        tcp.send(false, &flight);
        let mut flight = CHANGE_CIPHER_SPEC.to_vec();
        RecordSealer::new(client)?.seal(22, &finished(random), &mut flight)?;
        tcp.send(true, &flight);
        let [client, server] = &secrets.application;
        let sealers = [RecordSealer::new(client)?, RecordSealer::new(server)?];
        let mut new = Self { tcp, sealers, requests: 0 };
        let mut preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        settings(&mut preface);
        new.send(true, &preface)?;
        let mut preface = Vec::new();
        settings(&mut preface);
        write_frame(frame::SETTINGS, frame::ACK, 0, &[], &mut preface);
        new.send(false, &preface)?;
        let mut answer = Vec::new();
        write_frame(frame::SETTINGS, frame::ACK, 0, &[], &mut answer);
        new.send(true, &answer)?;
        Ok(new)
    }

    /// Sends text as records.
    pub fn send(&mut self, up: bool, text: &[u8]) -> io::Result<()> {
        let mut records = Vec::with_capacity(text.len() + text.len() / 256 + 64);
        self.sealers[usize::from(!up)].seal(23, text, &mut records)?;
        self.tcp.send(up, &records);
        Ok(())
    }
}

impl Conversation for Connection {
    fn talk(&mut self, contents: &Contents, random: &mut Random) -> io::Result<u64> {
        let mut exchanges = Vec::with_capacity(STREAMS);
        for _ in 0..STREAMS {
            // Clients count odd streams from 1 on.
            let stream = 2 * self.requests as u32 + 1;
            self.requests += 1;
            exchanges.push((stream, Exchange::draw(self.tcp.flow.client_port, self.requests, contents, random)?));
        }
        let (mut up, mut down) = (Vec::new(), Vec::new());
        let mut bodies = Vec::with_capacity(STREAMS);
        for (stream, exchange) in &exchanges {
            let end = if exchange.upload.is_empty() { frame::END_STREAM } else { 0 };
            write_frame(frame::HEADERS, frame::END_HEADERS | end, *stream, &hpack(&exchange.request()), &mut up);
            write_frame(frame::HEADERS, frame::END_HEADERS, *stream, &hpack(&exchange.response()), &mut down);
            bodies.push((*stream, exchange.body.as_slice()));
        }
        let uploads = exchanges.iter().map(|(stream, exchange)| (*stream, exchange.upload));
        let sent_up = write_bodies(uploads.filter(|upload| !upload.1.is_empty()).collect(), &mut up);
        let sent_down = write_bodies(bodies, &mut down);
        if sent_up > 0 {
            write_frame(frame::WINDOW_UPDATE, 0, 0, &sent_up.to_be_bytes(), &mut down);
        }
        self.send(true, &up)?;
        self.send(false, &down)?;
        let mut update = Vec::new();
        write_frame(frame::WINDOW_UPDATE, 0, 0, &sent_down.to_be_bytes(), &mut update);
        self.send(true, &update)?;
        Ok(STREAMS as u64)
    }

    fn packet(&mut self) -> Option<Vec<u8>> {
        self.tcp.queue.pop_front()
    }
}

/// DATA frames of all bodies in turns; gives the bytes of content.
fn write_bodies(mut bodies: Vec<(u32, &[u8])>, out: &mut Vec<u8>) -> u32 {
    let total = bodies.iter().map(|body| body.1.len() as u32).sum();
    while !bodies.is_empty() {
        bodies.retain_mut(|(stream, body)| {
            let (part, rest) = body.split_at(body.len().min(FRAME));
            *body = rest;
            let end = if rest.is_empty() { frame::END_STREAM } else { 0 };
            write_frame(frame::DATA, end, *stream, part, out);
            !rest.is_empty()
        });
    }
    total
}

/// What each side opens with: a window for each stream, and one for the connection.
fn settings(out: &mut Vec<u8>) {
    write_frame(frame::SETTINGS, 0, 0, &[&[0, 4][..], &WINDOW.to_be_bytes()].concat(), out);
    write_frame(frame::WINDOW_UPDATE, 0, 0, &(WINDOW * STREAMS as u32).to_be_bytes(), out);
}

/// A frame ([RFC 9113 §4.1](https://www.rfc-editor.org/rfc/rfc9113#section-4.1)).
///
/// ```text
/// +-------------+-----------+-----------+---------------+---------+
/// | length (24) | type (8)  | flags (8) | 0, stream (31)| payload |
/// +-------------+-----------+-----------+---------------+---------+
/// ```
fn write_frame(kind: u8, flags: u8, stream: u32, payload: &[u8], out: &mut Vec<u8>) {
    let [_, len @ ..] = (payload.len() as u32).to_be_bytes();
    out.extend_from_slice(&len);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// A handshake record in the clear; the first one of a connection bears the number of TLS 1.0.
fn plain_record(minor: u8, message: &[u8]) -> Vec<u8> {
    [&[22, 3, minor][..], &(message.len() as u16).to_be_bytes(), message].concat()
}
