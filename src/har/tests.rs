//! Whole HARs from exchanges made by hand.

use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::check::check;
use super::samples::*;
use super::timings::Moments;
use super::*;
use crate::base::anomaly::AnomalyKind;
use crate::base::{FrameNumber, Limits, Spool, Stamp, Timestamp};
use crate::dns::Lookup;
use crate::exchange::{
    BodyEnd, Connection, Exchange, Informational, Outcome, QuicFacts, StreamMessage, StreamMessageKind, TransportFacts,
};
use crate::http::{Abort, Completeness, StreamId, StreamPriority, Upgrade, Version};
use crate::tcp::Side;
use crate::tls::info::Decryption;

struct Run {
    maker: Maker,
    writer: Writer,
    news: News,
    spool: Spool,
}

impl Run {
    fn new(options: Options) -> Self {
        Self::within(options, Limits::default())
    }

    fn within(options: Options, limits: Limits) -> Self {
        Self {
            maker: Maker::new(&options, &limits),
            writer: Writer::new(&options, &limits, None),
            news: News::default(),
            spool: Spool::new(None),
        }
    }

    fn with(mut self, exchange: Exchange, connection: &Connection) -> Self {
        self.exchange(exchange, connection);
        self
    }

    fn exchange(&mut self, exchange: Exchange, connection: &Connection) {
        if let Some(entry) = self.maker.exchange(Box::new(exchange), connection, FrameNumber(1), &mut self.spool) {
            self.news.enter(entry, 1 << 20, &mut self.spool);
        }
    }

    fn lookup(&mut self, lookup: Lookup) {
        self.news.look_up(lookup, 1 << 20);
    }

    fn tcp_opened(&mut self, first: FrameNumber) {
        self.news.tcp.push(first);
    }

    fn closed(&mut self, connection: &Connection) {
        self.news.closed.push(self.maker.closed(connection, FrameNumber(1)));
    }

    fn take(&mut self) {
        self.writer.take(std::slice::from_mut(&mut self.news)).unwrap();
    }

    fn finish(mut self) -> (Value, Summary) {
        self.take();
        let mut out = Vec::new();
        let summary = self.writer.write(&capture(), self.maker.totals().clone(), &mut out).unwrap();
        assert_eq!(summary.bytes, out.len() as u64);
        let har = serde_json::from_slice(&out).unwrap();
        check(&har);
        (har, summary)
    }

    fn entry(self) -> Value {
        self.finish().0["log"]["entries"][0].clone()
    }
}

fn capture() -> CaptureFacts {
    CaptureFacts { file: "x.pcap".into(), packets: 9, first: Some(at(0).time), ..CaptureFacts::default() }
}

/// A place to write to that can be looked at.
#[derive(Clone, Default)]
struct Shown(Arc<Mutex<Vec<u8>>>);

impl Shown {
    fn text(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
}

impl std::io::Write for Shown {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn lookup(query_type: u16, query: i64, answer: i64, addresses: &[&str]) -> Lookup {
    Lookup {
        client: end("10.0.0.2", 0).address,
        resolver: end("10.0.0.53", 53),
        name: "Example.COM.".into(),
        query_type,
        query: at(query),
        answer: Some(at(answer)),
        response_code: 0,
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        aliases: vec![],
    }
}

#[test]
fn an_empty_capture_is_a_valid_har() {
    let (har, summary) = Run::new(Options::default()).finish();
    assert_eq!(har["log"]["entries"], json!([]));
    assert_eq!(har["log"]["pages"][0]["title"], "x.pcap");
    assert_eq!(summary.entries, 0);
}

#[test]
fn the_first_request_pays_for_lookup_and_handshakes() {
    let mut run = Run::new(Options::default());
    run.lookup(lookup(28, 12, 38, &[]));
    run.lookup(lookup(1, 10, 35, &["93.184.216.34"]));
    run.lookup(lookup(1, 41, 42, &["93.184.216.34"]));
    run.tcp_opened(at(40).frame);
    run.tcp_opened(at(5).frame);
    let mut secure = later(exchange("/", &[("User-Agent", "curl/8.1")], &[], b"hi"), 30, 0);
    secure.secure = true;
    let second = later(exchange("/2", &[("Referer", "https://example.com/")], &[], b""), 300, 1);
    let connection = tls_connection();
    // In the order of completion, not of start.
    let (har, summary) = run.with(second, &connection).with(secure, &connection).finish();
    let entries = &har["log"]["entries"];
    assert_eq!(entries[0]["startedDateTime"], "2026-11-23T00:00:00.010000Z");
    let expected = json!({"blocked": 2, "dns": 30, "connect": 50, "ssl": 29, "send": 1, "wait": 100, "receive": 10});
    assert_eq!(entries[0]["timings"], expected);
    assert_eq!(entries[0]["time"], 193);
    assert_eq!(
        entries[0]["_dns"],
        json!({"query": "Example.COM.", "answers": ["93.184.216.34"], "server": "10.0.0.53", "frame": 36})
    );
    assert_eq!(entries[0]["_packet"]["tcpStream"], 1);
    assert_eq!(entries[0]["_packet"]["filter"], "tcp.stream eq 1");
    assert_eq!(entries[0]["_packet"]["requestFrames"], json!([93, 94]));
    assert_eq!(entries[0]["_ssl_start"], 51);
    assert_eq!(entries[0]["_connect_end"], 51);
    assert_eq!(entries[0]["_all_end"], 193);
    assert_eq!(entries[0]["_securityDetails"]["cipher"], "AES_128_GCM");
    assert_eq!(entries[0]["_decrypted"], "keylog");
    assert_eq!(entries[0]["_tcp"]["retransmissions"], json!({"in": 2, "out": 0}));
    let reused = json!({"blocked": -1, "dns": -1, "connect": -1, "ssl": -1, "send": 1, "wait": 100, "receive": 10});
    assert_eq!(entries[1]["timings"], reused);
    assert!(entries[1].get("_dns").is_none());
    assert_eq!(har["log"]["browser"], json!({"name": "curl", "version": "8.1"}));
    assert_eq!(summary.entries, 2);
}

#[test]
fn only_the_first_that_waited_gets_a_lookup() {
    let mut run = Run::new(Options::default());
    run.lookup(lookup(1, 10, 35, &["93.184.216.34"]));
    let other = Connection { id: crate::exchange::ConnectionId(FrameNumber(50)), ..connection() };
    let late = later(exchange("/late", &[], &[], b""), 1, 0);
    let (har, _) = run.with(late, &other).with(exchange("/first", &[], &[], b""), &connection()).finish();
    let shown: Vec<_> = har["log"]["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (&entry["request"]["url"], &entry["timings"]["dns"]))
        .collect();
    assert_eq!(
        shown,
        [(&json!("http://example.com/first"), &json!(30)), (&json!("http://example.com/late"), &json!(-1))]
    );
}

#[test]
fn lookups_of_others_are_not_taken() {
    for change in [
        |lookup: &mut Lookup| lookup.client = "10.0.0.3".parse().unwrap(),
        |lookup: &mut Lookup| lookup.name = "other.com".into(),
        |lookup: &mut Lookup| lookup.addresses = vec!["1.2.3.4".parse().unwrap()],
        |lookup: &mut Lookup| lookup.answer = Some(at(41)),
        |lookup: &mut Lookup| lookup.answer = None,
        |lookup: &mut Lookup| (lookup.query, lookup.answer) = (at(-1000), Some(at(-999))),
    ] {
        let mut run = Run::new(Options::default());
        let mut lookup = lookup(1, 10, 35, &["93.184.216.34"]);
        change(&mut lookup);
        run.lookup(lookup);
        assert_eq!(run.with(exchange("/", &[], &[], b""), &connection()).entry()["timings"]["dns"], -1);
    }
    let mut run = Run::new(Options::default());
    let aliased =
        Lookup { name: "cdn.net".into(), aliases: vec!["example.com".into()], ..lookup(1, 10, 35, &["93.184.216.34"]) };
    run.lookup(aliased);
    assert_eq!(run.with(exchange("/", &[], &[], b""), &connection()).entry()["timings"]["dns"], 30);
}

#[test]
fn a_spare_connection_is_not_charged() {
    let spare = Run::new(Options::default()).with(later(exchange("/", &[], &[], b""), 500, 0), &connection()).entry();
    assert_eq!(spare["timings"]["connect"], -1);
    assert_eq!(spare["startedDateTime"], "2026-11-23T00:00:00.562000Z");
    let near = Run::new(Options::default()).with(later(exchange("/", &[], &[], b""), 10, 0), &connection()).entry();
    assert_eq!((&near["timings"]["connect"], &near["timings"]["blocked"]), (&json!(20), &json!(12)));
}

proptest! {
    #[test]
    fn phases_add_up_for_any_moments(times in proptest::array::uniform10(-3_000_000_000i64..3_000_000_000), known in any::<u8>(), quic in any::<bool>()) {
        let stamp = |time: i64| Stamp { frame: FrameNumber(1), time: Timestamp(time) };
        let some = |bit: u8, time: i64| (known >> bit & 1 == 1).then(|| stamp(time));
        let mut connection = tls_connection();
        connection.opened = some(0, times[0]);
        connection.established = some(1, times[1]);
        connection.last = stamp(times[9]);
        if quic {
            connection.transport = TransportFacts::Quic(QuicFacts::default());
        }
        if let Some(tls) = &mut connection.tls {
            (tls.start, tls.end) = (some(2, times[2]), some(3, times[3]));
        }
        let mut exchange = exchange("/", &[], &[], b"");
        exchange.secure = known >> 4 & 1 == 1;
        (exchange.request.start, exchange.request.end) = (stamp(times[4]), stamp(times[5]));
        match &mut exchange.response {
            Some(response) if known >> 5 & 1 == 1 => (response.start, response.end) = (stamp(times[6]), stamp(times[7])),
            _ => (exchange.response, exchange.unanswered) = (None, Some((Abort::Closed, stamp(times[6])))),
        }
        let (moments, _) = Moments::of(&exchange, &connection);
        for dns in [None, Some((times[8], times[9])), Some((times[0] - 100, times[0] - 50))] {
            let phases = moments.phases(dns);
            prop_assert_eq!(phases.sum(), phases.total);
            let all = [phases.send, phases.wait, phases.receive, phases.total];
            prop_assert!(all.into_iter().chain([phases.blocked, phases.dns, phases.connect, phases.ssl].into_iter().flatten()).all(|phase| phase >= 0));
            prop_assert!(phases.ssl <= phases.connect);
        }
        let (har, _) = Run::new(Options::default()).with(exchange, &connection).finish();
        prop_assert_eq!(har["log"]["entries"].as_array().unwrap().len(), 1);
    }
}

#[test]
fn an_early_response_is_told() {
    let mut early = exchange("/", &[], &[], b"");
    early.request.end = at(170);
    let entry = Run::new(Options::default()).with(early, &connection()).entry();
    assert_eq!(entry["timings"]["send"], 101);
    assert_eq!(entry["timings"]["wait"], 0);
    assert_eq!(entry["_anomalies"][0]["code"], AnomalyKind::ResponseEarly.code());
}

#[test]
fn requests_without_response_keep_the_form() {
    let mut lonely = exchange("/", &[], &[], b"");
    lonely.response = None;
    lonely.unanswered = Some((Abort::Reset, at(900)));
    let entry = Run::new(Options::default()).with(lonely, &connection()).entry();
    let expected = json!({
        "status": 0, "statusText": "", "httpVersion": "unknown", "headers": [], "cookies": [],
        "content": {"size": 0, "mimeType": "x-unknown"}, "redirectURL": "", "headersSize": -1, "bodySize": -1,
        "_transferSize": 0, "_error": "connection reset",
    });
    assert_eq!(entry["response"], expected);
    assert_eq!(entry["timings"]["wait"], 837);
    let mut lonely = exchange("/", &[], &[], b"");
    lonely.response = None;
    let (har, summary) =
        Run::new(Options { unanswered: false, ..Options::default() }).with(lonely, &connection()).finish();
    assert_eq!((har["log"]["entries"].as_array().unwrap().len(), summary.unanswered), (0, 1));
}

#[test]
fn a_whole_entry() {
    let mut full = exchange(
        "/p%20a?x=1&x=%C3%A9+b#frag",
        &[("Cookie", "a=1; b=2"), ("X-Bin", "caf\u{e9}\r\n"), ("content-type", "application/x-www-form-urlencoded")],
        &[("Content-Type", "text/plain; charset=iso-8859-1"), ("Set-Cookie", "s=1; Path=/"), ("Location", "/new")],
        b"caf\xe9",
    );
    full.request.head.method = b"POST".into();
    full.request.body = body(b"a=1&b=%C3%A9");
    full.informational = vec![Informational { status: 103, headers: fields(&[("Link", "</x>")]), stamp: at(100) }];
    full.comments = vec!["first".into(), "second".into()];
    let entry = Run::new(Options::default()).with(full, &connection()).entry();
    let request = json!({
        "method": "POST", "url": "http://example.com/p%20a?x=1&x=%C3%A9+b", "httpVersion": "HTTP/1.1",
        "headers": [
            {"name": "Host", "value": "example.com"}, {"name": "Cookie", "value": "a=1; b=2"}, {"name": "X-Bin", "value": "café  "},
            {"name": "content-type", "value": "application/x-www-form-urlencoded"},
        ],
        "queryString": [{"name": "x", "value": "1"}, {"name": "x", "value": "é b"}],
        "cookies": [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}],
        "headersSize": 120, "bodySize": 12,
        "postData": {
            "mimeType": "application/x-www-form-urlencoded", "text": "a=1&b=%C3%A9",
            "params": [{"name": "a", "value": "1"}, {"name": "b", "value": "é"}],
        },
    });
    assert_eq!(entry["request"], request);
    let response = json!({
        "status": 200, "statusText": "OK", "httpVersion": "HTTP/1.1",
        "headers": [
            {"name": "Content-Type", "value": "text/plain; charset=iso-8859-1"}, {"name": "Set-Cookie", "value": "s=1; Path=/"},
            {"name": "Location", "value": "/new"},
        ],
        "cookies": [{"name": "s", "value": "1", "path": "/", "expires": null, "httpOnly": false, "secure": false}],
        "content": {"size": 4, "compression": 0, "mimeType": "text/plain; charset=iso-8859-1", "text": "Y2Fm6Q==", "encoding": "base64"},
        "redirectURL": "/new", "headersSize": 80, "bodySize": 4, "_transferSize": 84,
        "_informational": [{"status": 103, "headers": [{"name": "Link", "value": "</x>"}], "time": 1795392000.1}],
    });
    assert_eq!(entry["response"], response);
    assert_eq!(entry["comment"], "first\nsecond");
    assert_eq!(entry["_resourceType"], "other");
    assert_eq!(entry["_chunks"], json!([{"ts": 123, "bytes": 50}, {"ts": 133, "bytes": 30}]));
}

#[test]
fn missing_bodies_say_why() {
    let content = |change: fn(&mut crate::exchange::Body)| {
        let mut exchange = exchange("/", &[], &[], b"abc");
        let body = &mut exchange.response.as_mut().unwrap().body;
        change(body);
        Run::new(Options::default()).with(exchange, &connection()).entry()["response"]["content"].clone()
    };
    let dropped = content(|body| (body.end, body.kept.tail) = (BodyEnd::Dropped, Vec::new()));
    assert_eq!(
        dropped,
        json!({"size": 3, "compression": 0, "mimeType": "x-unknown", "comment": "bodies were not asked for"})
    );
    let cut = content(|body| (body.end, body.has_gap, body.lost) = (BodyEnd::Cut, true, 7));
    let expected = json!({
        "size": 3, "mimeType": "x-unknown", "text": "abc", "_truncated": true, "comment": "7 bytes are missing in the capture",
    });
    assert_eq!(cut, expected);
    let unknown = content(|body| body.end = BodyEnd::CodingUnknown("aws-chunked".into()));
    assert!(unknown["comment"].as_str().unwrap().contains("aws-chunked"));
}

#[test]
fn large_bodies_come_from_the_spool() {
    let mut run = Run::new(Options::default());
    let content: Vec<u8> = "grüße\n\"".as_bytes().repeat(100_000);
    let mut large = exchange("/", &[], &[("Content-Type", "text/html")], b"");
    let body = &mut large.response.as_mut().unwrap().body;
    body.kept.spooled = vec![run.spool.append(&content[..333_335]), run.spool.append(&content[333_335..700_000])];
    body.kept.tail = content[700_000..].to_vec();
    (body.size, body.wire_size) = (content.len() as u64, 9);
    let entry = run.with(large, &connection()).entry();
    assert_eq!(entry["response"]["content"]["text"].as_str().unwrap().as_bytes(), content);
    assert_eq!(entry["response"]["content"]["compression"], content.len() - 9);
}

#[test]
fn messages_have_chromes_shapes() {
    let message =
        |side, kind| StreamMessage { side, stamp: at(200), wire_size: 9, completeness: Completeness::Whole, kind };
    let mut socket = exchange("/chat", &[], &[], b"");
    socket.upgrade = Some(Upgrade::WebSocket);
    socket.messages = vec![
        message(Side::Client, StreamMessageKind::WebSocket { opcode: 1, data: b"hi".into() }),
        message(Side::Server, StreamMessageKind::WebSocket { opcode: 2, data: b"\xff".into() }),
    ];
    let entry = Run::new(Options::default()).with(socket, &connection()).entry();
    assert_eq!(entry["request"]["url"], "ws://example.com/chat");
    let expected = json!([
        {"type": "send", "opcode": 1, "_size": 9, "time": 1795392000.2, "_frame": 201, "data": "hi"},
        {"type": "receive", "opcode": 2, "_size": 9, "time": 1795392000.2, "_frame": 201, "data": "/w=="},
    ]);
    assert_eq!(entry["_webSocketMessages"], expected);
    assert!(entry.get("_unreadMessageBytes").is_none());

    let mut call = exchange("/a.B/C", &[("content-type", "application/grpc+proto")], &[], b"");
    call.messages = vec![message(Side::Client, StreamMessageKind::Grpc { compressed: false, data: b"abc".into() })];
    call.response.as_mut().unwrap().trailers = fields(&[("grpc-status", "5"), ("grpc-message", "not%20found")]);
    (call.request.head.version, call.stream, call.secure) = (Version::Http2, StreamId(3), true);
    call.request.head.priority = Some(StreamPriority { weight: 256, dependency: 0, exclusive: true });
    call.response.as_mut().unwrap().head.version = Version::Http2;
    let entry = Run::new(Options { pseudo_headers: true, ..Options::default() }).with(call, &tls_connection()).entry();
    assert_eq!(entry["_grpc"], json!({"service": "a.B", "method": "C", "status": 5, "message": "not found"}));
    assert_eq!(entry["_grpcMessages"][0]["data"], "YWJj");
    assert_eq!(entry["_http2_stream_weight"], 256);
    assert_eq!(entry["request"]["_pseudoHeaders"][0], json!({"name": ":method", "value": "GET"}));
    assert_eq!(entry["request"]["httpVersion"], "http/2.0");
}

#[test]
fn messages_that_are_not_whole_say_so() {
    let message =
        |completeness, kind| StreamMessage { side: Side::Server, stamp: at(200), wire_size: 9, completeness, kind };
    let mut socket = exchange("/chat", &[], &[], b"");
    socket.upgrade = Some(Upgrade::WebSocket);
    socket.unread = [0, 7];
    socket.messages = vec![
        message(Completeness::Cut, StreamMessageKind::WebSocket { opcode: 1, data: b"caf\xc3".into() }),
        message(Completeness::Undecodable, StreamMessageKind::WebSocket { opcode: 1, data: Vec::new() }),
        message(Completeness::Cut, StreamMessageKind::Grpc { compressed: true, data: Vec::new() }),
    ];
    let entry = Run::new(Options::default()).with(socket, &connection()).entry();
    let expected = json!([
        {"type": "receive", "opcode": 1, "_size": 9, "time": 1795392000.2, "_frame": 201, "_truncated": true, "data": "caf"},
        {"type": "receive", "opcode": 1, "_size": 9, "time": 1795392000.2, "_frame": 201, "_undecodable": true, "data": ""},
    ]);
    assert_eq!(entry["_webSocketMessages"], expected);
    let call = &entry["_grpcMessages"][0];
    assert_eq!((&call["size"], &call["data"], &call["_truncated"]), (&json!(4), &json!(""), &json!(true)));
    assert_eq!(entry["_unreadMessageBytes"], json!({"send": 0, "receive": 7}));
}

#[test]
fn strict_sanitising_leaves_no_secret() {
    const SECRET: &str = "S3cr3tValue";
    let pair = |name: &str| format!("{name}={SECRET}");
    let mut leaky = exchange(
        &format!("/p?token={SECRET}&q=1"),
        &[
            ("Cookie", &pair("sid")),
            ("Authorization", SECRET),
            ("X-Api-Key", SECRET),
            ("Proxy-Authorization", SECRET),
            ("Referer", &format!("http://u:{SECRET}@example.com/?code={SECRET}")),
            ("Content-Type", "application/x-www-form-urlencoded"),
        ],
        &[
            ("Set-Cookie", &pair("sid")),
            ("Content-Type", "application/json"),
            ("Location", &format!("/x?access_token={SECRET}")),
        ],
        format!(r#"{{"password":"{SECRET}"}}"#).as_bytes(),
    );
    leaky.request.body = body(pair("password").as_bytes());
    leaky.comments = vec![SECRET.into()];
    leaky.messages = [
        StreamMessageKind::WebSocket { opcode: 1, data: SECRET.into() },
        StreamMessageKind::WebSocket { opcode: 2, data: SECRET.into() },
        StreamMessageKind::Grpc { compressed: false, data: SECRET.into() },
        StreamMessageKind::Event { name: "e".into(), id: "1".into(), data: SECRET.into() },
    ]
    .into_iter()
    .map(|kind| StreamMessage {
        side: Side::Client,
        stamp: at(1),
        wire_size: 1,
        completeness: Completeness::Whole,
        kind,
    })
    .collect();
    let options = Options { sanitise: Level::Strict, hide_addresses: true, ..Options::default() };
    let mut run = Run::new(options);
    let mut closed = tls_connection();
    closed.tls.as_mut().unwrap().decryption = Decryption::Failed("no secrets".into());
    closed.tls.as_mut().unwrap().sni = Some("hidden.example".into());
    run.closed(&closed);
    run.lookup(lookup(1, 10, 35, &["93.184.216.34"]));
    let (har, summary) = run.with(leaky, &connection()).finish();
    let text = har.to_string();
    for secret in [SECRET, &base64_simd::STANDARD.encode_to_string(SECRET), "hidden.example", "10.0.0.", "93.184."] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    assert_eq!(har["log"]["entries"][0]["request"]["queryString"][0]["value"], "[token redacted]");
    assert_eq!(summary.without_entry["no secrets"], 1);
}

#[test]
fn basic_sanitising_is_chromes() {
    let mut exchange =
        exchange("/?token=1", &[("cookie", "a=1"), ("AUTHORIZATION", "b")], &[("set-cookie", "c=1")], b"password=1");
    exchange.messages = vec![StreamMessage {
        side: Side::Server,
        stamp: at(1),
        wire_size: 1,
        completeness: Completeness::Whole,
        kind: StreamMessageKind::Event { name: "e".into(), id: String::new(), data: "d".into() },
    }];
    let entry =
        Run::new(Options { sanitise: Level::Basic, ..Options::default() }).with(exchange, &connection()).entry();
    assert_eq!(entry["request"]["headers"], json!([{"name": "Host", "value": "example.com"}]));
    assert_eq!(entry["response"]["headers"], json!([]));
    assert_eq!((&entry["request"]["cookies"], &entry["response"]["cookies"]), (&json!([]), &json!([])));
    assert!(entry["_eventSourceMessages"][0].get("data").is_none());
    assert_eq!(entry["request"]["url"], "http://example.com/?token=1");
    assert_eq!(entry["response"]["content"]["text"], "password=1");
}

#[test]
fn mitmproxy_gets_no_coding_it_cannot_apply() {
    let shown = |safe: bool, coding: &str| {
        let exchange = exchange("/", &[], &[("Content-Encoding", coding)], b"x");
        let options = Options { mitmproxy_safe: safe, ..Options::default() };
        Run::new(options).with(exchange, &connection()).entry()["response"]["headers"][0]["name"].clone()
    };
    assert_eq!(shown(true, "gzip, br"), "x-original-content-encoding");
    assert_eq!(shown(true, "gzip"), "Content-Encoding");
    assert_eq!(shown(false, "aws-chunked"), "Content-Encoding");
}

#[test]
fn lines_are_entries_written_at_once() {
    let (mut run, out) = (Run::new(Options::default()), Shown::default());
    run.writer.lines(Box::new(out.clone()));
    run.tcp_opened(at(40).frame);
    run.lookup(lookup(1, 10, 35, &["93.184.216.34"]));
    for number in 0..3 {
        run.exchange(later(exchange("/", &[], &[], b"x"), i64::from(number) * 200, number), &connection());
        run.take();
        assert_eq!(out.text().iter().filter(|&&byte| byte == b'\n').count(), number as usize + 1);
    }
    let out = out.text();
    let first: Value = serde_json::from_slice(out.split(|&byte| byte == b'\n').next().unwrap()).unwrap();
    assert_eq!(
        (&first["timings"]["dns"], &first["_packet"]["tcpStream"], &first["pageref"]),
        (&json!(30), &json!(0), &json!("page_0"))
    );
    assert_eq!(run.writer.finish(&capture(), run.maker.totals().clone()).unwrap().entries, 3);
}

#[test]
fn order_of_arrival_and_indentation_change_nothing() {
    let run = |order: &[u32], pretty: bool| {
        let mut run = Run::new(Options { pretty, ..Options::default() });
        for &number in order {
            run = run.with(
                later(exchange(&format!("/{number}"), &[], &[], b"x"), i64::from(number / 2) * 7, number),
                &connection(),
            );
        }
        run.finish().0
    };
    let expected = run(&[0, 1, 2, 3, 4, 5], false);
    assert_eq!(run(&[3, 5, 0, 2, 1, 4], false), expected);
    assert_eq!(run(&[5, 4, 3, 2, 1, 0], true), expected);
}

/// What is written while entries come is what is written at the end, wherever entries wait.
#[test]
fn entries_written_early_are_the_same() {
    let har = |waiting: usize, is_streamed: bool| {
        let mut run = Run::within(Options::default(), Limits { waiting, ..Limits::default() });
        let out = Shown::default();
        if is_streamed {
            run.writer.stream("x.pcap", Box::new(out.clone()));
        }
        let (mut early, mut last) = (0, 0);
        for round in 0..60i64 {
            for number in [2, 0, 1] {
                let id = at(round * 1000 + 40).frame;
                let mut one =
                    later(exchange(&format!("/{round}/{number}"), &[], &[], &[b'x'; 2000]), round * 1000, number);
                // The first request of every third connection is over late, and waited for a lookup.
                let mut connection = Connection { id: crate::exchange::ConnectionId(id), ..connection() };
                for stamp in [&mut connection.opened, &mut connection.established].into_iter().flatten() {
                    stamp.time.0 += round * 1_000_000_000;
                }
                if number > 0 {
                    one = later(one, i64::from(number) * 200, number);
                }
                run.exchange(one, &connection);
            }
            run.tcp_opened(at(round * 1000 + 40).frame);
            if round % 3 == 0 {
                run.lookup(lookup(1, round * 1000 - 300, round * 1000 + 35, &["93.184.216.34"]));
            }
            // What is to come starts with the next round, or with the lookup for it.
            run.news.horizon = Horizon { entries: at(round * 1000 + 1000).time, lookups: at(round * 1000 + 700).time };
            run.take();
            let written = out.text().len();
            early += usize::from(written > last);
            last = written;
        }
        let totals = run.maker.totals().clone();
        let (har, summary) = if is_streamed {
            let summary = run.writer.finish(&capture(), totals).unwrap();
            (out.text(), summary)
        } else {
            let mut out = Vec::new();
            let summary = run.writer.write(&capture(), totals, &mut out).unwrap();
            (out, summary)
        };
        assert_eq!(summary.bytes, har.len() as u64);
        check(&serde_json::from_slice(&har).unwrap());
        (String::from_utf8(har).unwrap(), early)
    };
    let (expected, _) = har(1 << 30, false);
    assert_eq!(har(0, false).0, expected);
    assert_eq!(har(1 << 30, true), (expected.clone(), 0));
    for waiting in [0, 10_000, 100_000] {
        let (streamed, early) = har(waiting, true);
        assert_eq!(streamed, expected, "with {waiting} bytes");
        assert!(waiting == 0 || early > 10, "{early} of 60 rounds wrote with {waiting} bytes");
    }
}

#[test]
fn a_full_disk_is_told() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut run = Run::new(Options::default()).with(exchange("/", &[], &[], b""), &connection());
    run.take();
    let failed = run.writer.write(&CaptureFacts::default(), Totals::default(), &mut Full);
    assert!(matches!(failed, Err(WriteError::Output(_))));
    let mut run = Run::within(Options::default(), Limits { waiting: 0, ..Limits::default() });
    run.writer =
        Writer::new(&Options::default(), &Limits { waiting: 0, ..Limits::default() }, Some("/nonexistent".into()));
    let mut large = exchange("/", &[], &[], b"");
    large.response.as_mut().unwrap().body.kept.tail = vec![b'a'; 300_000];
    large.response.as_mut().unwrap().body.size = 300_000;
    run.exchange(large, &connection());
    assert!(matches!(run.writer.take(std::slice::from_mut(&mut run.news)), Err(WriteError::Spool(_))));
}

fn next<'a, 'c>(
    all: &'a mut Vec<(Exchange, &'c Connection)>,
    target: &str,
    request: &[(&str, &str)],
    response: &[(&str, &str)],
    content: &[u8],
    connection: &'c Connection,
) -> &'a mut Exchange {
    let number = all.len() as u32;
    all.push((later(exchange(target, request, response, content), i64::from(number) * 40, number), connection));
    &mut all.last_mut().unwrap().0
}

/// One entry of each kind. With `HAR_SAMPLE` set the file is written there, for tools outside this house.
#[test]
fn one_of_each_kind_in_one_file() {
    let mut run = Run::new(Options { mitmproxy_safe: true, ..Options::default() });
    run.lookup(lookup(1, 10, 35, &["93.184.216.34"]));
    run.tcp_opened(at(40).frame);
    let (clear, secure) = (connection(), tls_connection());
    let html = [("Content-Type", "text/html; charset=utf-8"), ("Set-Cookie", "a=1; Path=/; Max-Age=60")];
    let agent = [("User-Agent", "Mozilla/5.0 Firefox/140.0"), ("Accept", "text/html,*/*")];
    let mut all = vec![(exchange("/", &agent, &html, "<p>ü</p>".as_bytes()), &clear)];
    next(
        &mut all,
        "/p.png",
        &[("Referer", "http://example.com/")],
        &[("Content-Type", "image/png")],
        b"\x89PNG\xff",
        &clear,
    );
    next(&mut all, "/old?a=%20b&a=2", &[], &[("Location", "/new")], b"", &clear)
        .response
        .as_mut()
        .unwrap()
        .head
        .status = 302;
    next(&mut all, "/gone", &[], &[], b"", &clear).response = None;
    let post = next(&mut all, "/form?x", &[("Content-Type", "multipart/form-data; boundary=B")], &[], b"{}", &clear);
    post.request.head.method = b"POST".into();
    post.request.body = body(b"--B\r\nContent-Disposition: form-data; name=a; filename=b\r\n\r\n\xff\r\n--B--");
    let socket = next(&mut all, "/chat", &[("Upgrade", "websocket")], &[], b"", &clear);
    socket.upgrade = Some(Upgrade::WebSocket);
    socket.response.as_mut().unwrap().head.status = 101;
    let text = StreamMessageKind::WebSocket { opcode: 1, data: b"hi".into() };
    socket.messages = vec![StreamMessage {
        side: Side::Client,
        stamp: at(700),
        wire_size: 8,
        completeness: Completeness::Whole,
        kind: text,
    }];
    let two = next(
        &mut all,
        "/two",
        &[("Accept", "text/event-stream")],
        &[("Content-Type", "text/event-stream")],
        b"data: x\n\n",
        &secure,
    );
    (two.secure, two.request.head.version) = (true, Version::Http2);
    two.response.as_mut().unwrap().head.version = Version::Http2;
    let event = StreamMessageKind::Event { name: "message".into(), id: String::new(), data: "x".into() };
    two.messages = vec![StreamMessage {
        side: Side::Server,
        stamp: at(800),
        wire_size: 9,
        completeness: Completeness::Whole,
        kind: event,
    }];
    let cut = next(&mut all, "/cut", &[], &[("Content-Encoding", "aws-chunked")], b"abc", &secure);
    let response = cut.response.as_mut().unwrap();
    (response.body.end, response.body.has_gap, response.outcome) = (BodyEnd::Cut, true, Outcome::Aborted(Abort::Lost));
    let not_modified = next(&mut all, "/p.png", &[("Referer", "http://example.com/")], &[], b"", &clear);
    not_modified.response.as_mut().unwrap().head.status = 304;
    for (exchange, connection) in all {
        run = run.with(exchange, connection);
    }
    run.closed(&tls_connection());
    let (har, summary) = run.finish();
    assert_eq!((summary.entries, summary.refused, har["log"]["_connections"].as_array().unwrap().len()), (9, 0, 1));
    if let Some(path) = std::env::var_os("HAR_SAMPLE") {
        std::fs::write(path, har.to_string()).unwrap();
    }
}

#[test]
fn the_lesser_version_is_shown() {
    for (asked, answered, shown) in [
        (Version::Http10, Version::Http11, "HTTP/1.0"),
        (Version::Http11, Version::Http10, "HTTP/1.0"),
        (Version::Http3, Version::Http3, "h3"),
    ] {
        let mut exchange = exchange("/", &[], &[], b"");
        exchange.request.head.version = asked;
        exchange.response.as_mut().unwrap().head.version = answered;
        assert_eq!(Run::new(Options::default()).with(exchange, &connection()).entry()["request"]["httpVersion"], shown);
    }
}

#[test]
fn handles_on_small_entries_tell_when_they_are_written() {
    let mut run = Run::new(Options::default());
    let out = Shown::default();
    run.writer.stream("x.pcap", Box::new(out.clone()));
    run = run.with(exchange("/small", &[], &[], b"text"), &connection());
    run = run.with(later(exchange("/large", &[], &[], &[b'x'; 100_000]), 1, 1), &connection());
    let handles: Vec<Handle> = run.news.handles().map(|(handle, _)| handle).collect();
    assert_eq!(handles.len(), 1);
    run.take();
    assert!(!handles[0].is_last());
    let totals = run.maker.totals().clone();
    run.writer.finish(&capture(), totals).unwrap();
    assert!(handles[0].is_last());
    let har: Value = serde_json::from_slice(&out.text()).unwrap();
    assert_eq!(har["log"]["entries"].as_array().unwrap().len(), 2);
}

#[test]
fn faults_of_connections_with_entries_are_listed_beside_those_without() {
    let mut run = Run::new(Options::default());
    let hole = |connection: &mut Connection| {
        connection.anomalies.note_bytes(AnomalyKind::BytesLost, 1460, Some(at(70)), 8);
        connection.loss[1].lost_bytes = 1460;
    };
    let clean = Connection { exchanges: 1, entries: 1, ..connection() };
    let mut faulty = Connection { exchanges: 3, entries: 2, ..connection() };
    let mut barren = Connection { protocol: "unknown protocol".into(), ..connection() };
    hole(&mut faulty);
    hole(&mut barren);
    [&clean, &faulty, &barren].into_iter().for_each(|connection| run.closed(connection));
    let (har, summary) = run.finish();
    let listed = har["log"]["_connections"].as_array().unwrap();
    assert_eq!(listed.len(), 2);
    assert_eq!((&listed[0]["entries"], listed[0].get("reason")), (&json!(2), None));
    assert_eq!((&listed[1]["entries"], listed[1]["reason"].is_string()), (&json!(0), true));
    for connection in listed {
        let fault = &connection["_anomalies"][0];
        assert_eq!((&fault["code"], &fault["bytes"]), (&json!("bytes-lost"), &json!(1460)));
    }
    assert_eq!((summary.missing_bytes, summary.missing_connections, summary.without_entry.len()), (2920, 2, 1));
    assert_eq!(har["log"]["_capture"]["missing"], json!({"bytes": 2920, "connections": 2}));
}

/// A hole goes through the connection and each of its exchanges; the sum has it once.
#[test]
fn a_hole_is_counted_where_it_is() {
    let mut run = Run::new(Options::default());
    for number in 0..3 {
        let mut exchange = later(exchange("/", &[], &[], b"x"), i64::from(number), number);
        exchange.anomalies.note_bytes(AnomalyKind::BytesLost, 10, Some(at(170)), 8);
        exchange.anomalies.note(AnomalyKind::CodingBroken, Some(at(170)), 8);
        run.exchange(exchange, &connection());
    }
    let mut over = Connection { exchanges: 3, ..connection() };
    over.anomalies.note_bytes(AnomalyKind::BytesLost, 30, Some(at(170)), 8);
    run.closed(&over);
    let (har, summary) = run.finish();
    let count = |kind| (summary.anomalies.count(kind), summary.anomalies.bytes(kind));
    assert_eq!((count(AnomalyKind::BytesLost), count(AnomalyKind::CodingBroken)), ((1, 30), (3, 0)));
    assert_eq!(har["log"]["entries"][2]["_anomalies"][0]["bytes"], 10);
}
