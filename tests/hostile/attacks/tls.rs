//! TLS: handshakes in crumbs or without end, records of one byte, sessions by the hundred.

use std::io;

use super::Attack;
use super::packets::Lane;
use crate::generate::Conversation;
use crate::generate::crypto::{all_secrets, key_log};
use crate::generate::h2::Connection;

pub(super) const ATTACKS: &[Attack] = &[
    Attack { name: "TLS handshake in records of one byte", units: 15_000, write: crumbs },
    Attack { name: "TLS handshake message without end", units: 100, write: endless },
    Attack { name: "TLS records of no bytes", units: 15_000, write: empty },
    Attack { name: "TLS sessions without secrets", units: 60, write: sealed },
    Attack { name: "TLS records of one byte, with secrets", units: 3000, write: tiny_records },
    Attack { name: "TLS records that do not decrypt", units: 3000, write: forged },
    Attack { name: "bytes that are no TLS records", units: 100, write: noise },
];

fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind, 3, 3][..], &(body.len() as u16).to_be_bytes(), body].concat()
}

/// A ClientHello of 64 KiB that comes byte by byte, again and again.
fn crumbs(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    let mut connection = lane.connect(443)?;
    let head = [1, 1, 0, 0, 3, 3];
    let bytes: Vec<u8> = (0..units).flat_map(|at| record(22, &[head.get(at % 65_540).copied().unwrap_or(0)])).collect();
    connection.send(lane, true, &bytes)
}

fn endless(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    let mut connection = lane.connect(443)?;
    connection.send(lane, true, &record(22, &[1, 0xff, 0xff, 0xff]))?;
    (0..units).try_for_each(|_| connection.send(lane, true, &record(22, &[0; 1395])))
}

fn empty(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    let mut connection = lane.connect(443)?;
    connection.send(lane, true, &record(22, &[1, 0, 0, 4]))?;
    connection.send(lane, true, &record(22, &[]).repeat(units))
}

/// A session of HTTP/2 whose packets go into the lane.
struct Session(Connection);

impl Session {
    fn open(lane: &mut Lane<'_>, number: usize, has_keys: bool) -> io::Result<Self> {
        let secrets = all_secrets(1, &mut lane.random);
        if has_keys {
            lane.key_log(&key_log(&secrets))?;
        }
        let mut new = Self(Connection::new(number, &secrets[0], &mut lane.random)?);
        new.flush(lane, |_| {})?;
        Ok(new)
    }

    fn flush(&mut self, lane: &mut Lane<'_>, mut change: impl FnMut(&mut Vec<u8>)) -> io::Result<()> {
        while let Some(mut packet) = self.0.packet() {
            change(&mut packet);
            lane.frame(&packet)?;
        }
        Ok(())
    }
}

fn sealed(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    for at in 0..units {
        let number = at % 4000 + lane.random.below(40_000);
        Session::open(lane, number, false)?;
    }
    Ok(())
}

fn tiny_records(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    let number = lane.random.below(10_000);
    let mut session = Session::open(lane, number, true)?;
    // A SETTINGS frame in single bytes, without end.
    let text = super::http2::frame(4, 0, 0, &[0, 3, 0, 0, 0, 9]);
    for at in 0..units {
        session.0.send(true, &text[at % text.len()..][..1])?;
        session.flush(lane, |_| {})?;
    }
    Ok(())
}

fn forged(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    let number = lane.random.below(10_000);
    let mut session = Session::open(lane, number, true)?;
    for _ in 0..units {
        session.0.send(true, b"x")?;
        session.flush(lane, |packet| {
            if let Some(last) = packet.last_mut() {
                *last ^= 1;
            }
        })?;
    }
    Ok(())
}

fn noise(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    let mut connection = lane.connect(443)?;
    connection.send(lane, true, &record(22, &[1, 0, 0, 4, 0, 0, 0, 0]))?;
    for _ in 0..units {
        let bytes: Vec<u8> = (0..1400).map(|_| lane.random.draw() as u8).collect();
        connection.send(lane, true, &bytes)?;
    }
    Ok(())
}
