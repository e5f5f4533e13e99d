//! HTTP/1: heads without end, crumbs of chunks, requests nobody answers, messages by the thousand.

use std::io;

use super::Attack;
use super::packets::Lane;

pub(super) const ATTACKS: &[Attack] = &[
    Attack { name: "a head without end", units: 70, write: endless_head },
    Attack { name: "a head without end, one byte at a time", units: 1000, write: crumbs_of_head },
    Attack { name: "heads of many small fields", units: 10, write: many_fields },
    Attack { name: "chunks of one byte", units: 15_000, write: chunks },
    Attack { name: "chunk extensions without end", units: 100_000, write: extensions },
    Attack { name: "pipelined requests without answers", units: 2000, write: pipelined },
    Attack { name: "answers without requests", units: 2500, write: answers },
    Attack { name: "informational responses without end", units: 4000, write: informational },
    Attack { name: "line ends without end", units: 100_000, write: blank },
    Attack { name: "lines that are no HTTP", units: 8000, write: garbage },
    Attack { name: "CONNECT inside CONNECT", units: 800, write: nested },
    Attack { name: "WebSocket frames of no bytes", units: 15_000, write: websocket },
    Attack { name: "WebSocket fragments of one byte", units: 15_000, write: websocket_fragments },
    Attack { name: "events one byte at a time", units: 1000, write: events },
    Attack { name: "event lines without an event", units: 10_000, write: event_lines },
    Attack { name: "gRPC messages of no bytes", units: 15_000, write: grpc },
    Attack { name: "cookies by the thousand", units: 20, write: cookies },
    Attack { name: "queries of many pairs", units: 20, write: queries },
    Attack { name: "forms of many parts", units: 1500, write: parts },
];

fn endless_head(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    let mut connection = lane.connect(80)?;
    connection.send(lane, true, b"GET / HTTP/1.1\r\n")?;
    (0..units).try_for_each(|_| connection.send(lane, true, &[&[b'a'; 1398][..], b"\r\n"].concat()))
}

fn crumbs_of_head(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    let mut connection = lane.connect(80)?;
    connection.send(lane, true, b"GET / HTTP/1.1\r\nX: ")?;
    connection.send_by(lane, true, &vec![b'y'; units], 1)
}

fn many_fields(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    let mut connection = lane.connect(80)?;
    let head = format!("GET / HTTP/1.1\r\n{}\r\n", "a:\r\n".repeat(2500));
    for _ in 0..units {
        connection.send(lane, true, head.as_bytes())?;
        connection.send(lane, false, b"HTTP/1.1 204 N\r\n\r\n")?;
    }
    Ok(())
}

/// A request and the head of its response, whose body follows.
fn respond(lane: &mut Lane<'_>, head: &str, body: &[u8]) -> io::Result<()> {
    let mut connection = lane.connect(80)?;
    connection.send(lane, true, b"GET /attack HTTP/1.1\r\nHost: attack.example\r\n\r\n")?;
    connection.send(lane, false, format!("HTTP/1.1 200 OK\r\n{head}\r\n").as_bytes())?;
    connection.send(lane, false, body)?;
    connection.close(lane)
}

fn chunks(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    let body = [b"1\r\nx\r\n".repeat(units), b"0\r\n\r\n".to_vec()].concat();
    respond(lane, "Transfer-Encoding: chunked\r\nContent-Type: text/plain\r\n", &body)
}

fn extensions(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    respond(lane, "Transfer-Encoding: chunked\r\n", &[b"5;".to_vec(), vec![b'x'; units]].concat())
}

fn pipelined(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    let mut connection = lane.connect(80)?;
    connection.send(lane, true, &b"GET /p HTTP/1.1\r\nHost: attack.example\r\n\r\n".repeat(units))
}

fn answers(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    let mut connection = lane.connect(80)?;
    connection.send(lane, false, &b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".repeat(units))
}

fn informational(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    let mut connection = lane.connect(80)?;
    connection.send(lane, true, b"GET /wait HTTP/1.1\r\nHost: attack.example\r\n\r\n")?;
    connection.send(lane, false, &b"HTTP/1.1 102 Wait\r\n\r\n".repeat(units))
}

fn blank(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    let mut connection = lane.connect(80)?;
    connection.send(lane, true, &vec![b'\n'; units])
}

fn garbage(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    let mut connection = lane.connect(80)?;
    connection.send(lane, true, b"GET / HTTP/1.1\r\nHost: attack.example\r\n\r\n")?;
    connection.send(lane, true, &b"NOT A MESSAGE\n".repeat(units))
}

fn nested(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    let mut connection = lane.connect(80)?;
    for _ in 0..units {
        connection.send(lane, true, b"CONNECT a.example:80 HTTP/1.1\r\nHost: a\r\n\r\n")?;
        connection.send(lane, false, b"HTTP/1.1 200 OK\r\n\r\n")?;
    }
    Ok(())
}

fn upgraded(lane: &mut Lane<'_>, frames: &[u8]) -> io::Result<()> {
    let mut connection = lane.connect(80)?;
    let ask = b"GET /ws HTTP/1.1\r\nHost: attack.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    connection.send(lane, true, ask)?;
    let answer = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    connection.send(lane, false, answer)?;
    connection.send(lane, true, frames)?;
    connection.close(lane)
}

fn websocket(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    upgraded(lane, &[0x82, 0x80, 1, 2, 3, 4].repeat(units))
}

fn websocket_fragments(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    upgraded(lane, &[vec![0x02, 0x81, 1, 2, 3, 4, 5], [0x00, 0x81, 1, 2, 3, 4, 5].repeat(units)].concat())
}

fn events(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    let mut connection = lane.connect(80)?;
    connection.send(lane, true, b"GET /events HTTP/1.1\r\nHost: attack.example\r\n\r\n")?;
    connection.send(lane, false, b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")?;
    let text = b"data:x\n\n".repeat(units / 8 + 1);
    connection.send_by(lane, false, &text[..units], 1)?;
    connection.close(lane)
}

fn event_lines(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    respond(lane, "Content-Type: text/event-stream\r\n", &b"data: abc\n".repeat(units))
}

fn grpc(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    respond(lane, "Content-Type: application/grpc\r\n", &[0; 5].repeat(units))
}

fn cookies(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    let mut connection = lane.connect(80)?;
    let head = format!("GET / HTTP/1.1\r\nCookie: {}\r\n\r\n", "a=b;".repeat(1200));
    for _ in 0..units {
        connection.send(lane, true, head.as_bytes())?;
        connection.send(lane, false, b"HTTP/1.1 204 N\r\nSet-Cookie: a=b; Max-Age=1\r\n\r\n")?;
    }
    Ok(())
}

fn queries(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    let mut connection = lane.connect(80)?;
    let head = format!("GET /?{} HTTP/1.1\r\nHost: attack.example\r\n\r\n", "a=%41&".repeat(800));
    for _ in 0..units {
        connection.send(lane, true, head.as_bytes())?;
        connection.send(lane, false, b"HTTP/1.1 204 N\r\n\r\n")?;
    }
    Ok(())
}

fn parts(lane: &mut Lane<'_>, units: usize) -> io::Result<()> {
    let mut connection = lane.connect(80)?;
    let body = b"--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n".repeat(units);
    let head = format!(
        "POST /form HTTP/1.1\r\nHost: attack.example\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    connection.send(lane, true, head.as_bytes())?;
    connection.send(lane, true, &body)?;
    connection.send(lane, false, b"HTTP/1.1 204 N\r\n\r\n")
}
