//! Exchanges made by hand, for tests.

use crate::base::{Anomalies, Budget, FrameNumber, Span, Stamp, Timestamp};
use crate::exchange::{
    Body, BodyEnd, Connection, ConnectionId, Exchange, Kept, Outcome, Request, Response, TransportFacts,
};
use crate::http::{Headers, RequestHead, ResponseHead, StreamId, Version};
use crate::net::Endpoint;
use crate::tcp::Loss;
use crate::tls::info::{Certificate, Decryption, TlsInfo};

/// Midnight of a day in 2026, in milliseconds since 1970.
pub const DAY: i64 = 1_795_392_000_000;

/// A moment `millis` into the day; the frame number is as many, plus 1.
pub fn at(millis: i64) -> Stamp {
    Stamp { frame: FrameNumber(millis.unsigned_abs() + 1), time: Timestamp((DAY + millis) * 1_000_000) }
}

pub fn end(address: &str, port: u16) -> Endpoint {
    Endpoint { address: address.parse().unwrap(), port }
}

pub fn fields(list: &[(&str, &str)]) -> Headers {
    let mut headers = Headers::default();
    for (name, value) in list {
        headers.push(name.as_bytes(), value.as_bytes());
    }
    headers
}

pub fn body(bytes: &[u8]) -> Body {
    Body {
        wire_size: bytes.len() as u64,
        size: bytes.len() as u64,
        lost: 0,
        has_gap: false,
        end: BodyEnd::Whole,
        kept: Kept { spooled: Vec::new(), tail: bytes.to_vec(), lease: Budget::new(0).lease() },
    }
}

/// A connection that opened 40 ms into the day and took 20 ms to.
pub fn connection() -> Connection {
    Connection {
        id: ConnectionId(at(40).frame),
        client: end("10.0.0.2", 50_000),
        server: end("93.184.216.34", 80),
        first: at(40),
        last: at(900),
        opened: Some(at(40)),
        established: Some(at(60)),
        rtt: Some(20_000_000),
        transport: TransportFacts::Tcp,
        tls: None,
        loss: [Loss::default(), Loss { retransmissions: 2, ..Loss::default() }],
        bytes: [100, 2000],
        anomalies: Anomalies::default(),
        protocol: "HTTP/1.1".into(),
        exchanges: 0,
        entries: 0,
        seen: [true; 2],
        ends_in_head: None,
    }
}

/// The same over TLS, done 30 ms later.
pub fn tls_connection() -> Connection {
    let tls = TlsInfo {
        version: Some(0x0304),
        cipher_suite: Some(0x1301),
        group: Some("X25519".into()),
        sni: Some("example.com".into()),
        alpn: Some("h2".into()),
        certificate: Some(Certificate { subject: "example.com".into(), ..Certificate::default() }),
        start: Some(at(61)),
        end: Some(at(90)),
        decryption: Decryption::KeyLog,
        ..TlsInfo::default()
    };
    Connection { tls: Some(tls), server: end("93.184.216.34", 443), ..connection() }
}

/// A GET at 62 ms, sent within a millisecond, answered 100 ms later over 10 ms.
pub fn exchange(target: &str, request: &[(&str, &str)], response: &[(&str, &str)], content: &[u8]) -> Exchange {
    Exchange {
        stream: StreamId(0),
        number: 0,
        request: Request {
            head: Box::new(RequestHead {
                method: b"GET".into(),
                target: target.into(),
                version: Version::Http11,
                scheme: None,
                authority: None,
                protocol: None,
                headers: fields(&[&[("Host", "example.com")], request].concat()),
                span: Span::of(at(62), false),
                size: 120,
                priority: None,
            }),
            body: body(b""),
            trailers: Headers::default(),
            start: at(62),
            end: at(63),
            outcome: Outcome::Complete,
            wire_size: 120,
        },
        response: Some(Response {
            head: Box::new(ResponseHead {
                status: 200,
                reason: b"OK".into(),
                version: Version::Http11,
                headers: fields(response),
                span: Span::of(at(163), false),
                size: 80,
            }),
            body: body(content),
            trailers: Headers::default(),
            start: at(163),
            end: at(173),
            outcome: Outcome::Complete,
            wire_size: 80 + content.len() as u64,
        }),
        informational: Vec::new(),
        upgrade: None,
        secure: false,
        messages: Vec::new(),
        unread: [0; 2],
        pushed_on: None,
        anomalies: Anomalies::default(),
        comments: Vec::new(),
        selected: false,
        arrivals: vec![(at(163), 50), (at(173), 30)],
        unanswered: None,
        leases: [Budget::new(0).lease(), Budget::new(0).lease()],
    }
}

/// Moves an exchange `millis` later on its connection.
pub fn later(mut exchange: Exchange, millis: i64, number: u32) -> Exchange {
    let moved = |stamp: Stamp| Stamp {
        frame: FrameNumber(stamp.frame.0 + millis.unsigned_abs()),
        time: Timestamp(stamp.time.0 + millis * 1_000_000),
    };
    exchange.number = number;
    exchange.request.start = moved(exchange.request.start);
    exchange.request.end = moved(exchange.request.end);
    if let Some(response) = &mut exchange.response {
        response.start = moved(response.start);
        response.end = moved(response.end);
    }
    exchange
}
