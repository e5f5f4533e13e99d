use super::frame::{PREFACE, flag, kind};
use super::*;
use crate::base::anomaly::AnomalyKind;
use crate::base::{Budget, FrameNumber, Limits, Span, Stamp, Timestamp};
use crate::http::huffman::tests::encode as huffman;
use crate::http::{Abort, Headers, HttpEvent, HttpEventKind, StreamId};
use crate::tcp::{Chunk, Position, Side, StreamEvent};

const C: Side = Side::Client;
const S: Side = Side::Server;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Fields as literals without indexing, every second value Huffman coded.
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (nth, (name, value)) in fields.iter().enumerate() {
        bytes.extend([0, name.len() as u8]);
        bytes.extend(name.as_bytes());
        let coded = huffman(value.as_bytes());
        if nth % 2 == 1 && coded.len() < 127 {
            bytes.push(0x80 | coded.len() as u8);
            bytes.extend(coded);
        } else {
            bytes.push(value.len() as u8);
            bytes.extend(value.as_bytes());
        }
    }
    bytes
}

fn request(path: &str) -> Vec<u8> {
    block(&[(":method", "GET"), (":scheme", "https"), (":authority", "a.example"), (":path", path), ("accept", "*/*")])
}

fn post(path: &str) -> Vec<u8> {
    block(&[(":method", "POST"), (":scheme", "https"), (":authority", "a.example"), (":path", path)])
}

fn response(status: &str, more: &[(&str, &str)]) -> Vec<u8> {
    block(&[&[(":status", status)], more].concat())
}

const BOTH: u8 = flag::END_HEADERS | flag::END_STREAM;

fn preface() -> Vec<u8> {
    [PREFACE, &frame(kind::SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100])].concat()
}

fn stamp(at: i64) -> Stamp {
    Stamp { frame: FrameNumber(at as u64), time: Timestamp(at * 1000) }
}

/// Lines that say what came out; content of one message that came in pieces is one line.
#[derive(Default)]
struct Log {
    lines: Vec<String>,
    body: Option<(StreamId, Side, Vec<u8>)>,
}

fn fields(headers: &Headers) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    headers.iter().map(|(name, value)| format!(" {}={}", text(name), text(value))).collect()
}

impl Log {
    fn flush(&mut self) {
        if let Some((StreamId(id), side, bytes)) = self.body.take() {
            let text = String::from_utf8_lossy(&bytes);
            let text = if text.len() > 40 { format!("[{}]", bytes.len()) } else { text.into_owned() };
            self.lines.push(format!("{id} {} body {text}", mark(side)));
        }
    }

    fn take(&mut self, event: HttpEvent<'_>) {
        if let HttpEventKind::Body(side, chunk) = &event.kind {
            if !matches!(&self.body, Some((id, of, _)) if *id == event.stream && of == side) {
                self.flush();
                self.body = Some((event.stream, *side, Vec::new()));
            }
            self.body.as_mut().unwrap().2.extend_from_slice(chunk.data);
            return;
        }
        self.flush();
        let StreamId(id) = event.stream;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let optional = |bytes: &Option<Vec<u8>>| bytes.as_deref().map_or("-".into(), text);
        let head = |head: &crate::http::RequestHead| {
            let protocol = head.protocol.as_deref().map(|name| format!(" ({})", text(name))).unwrap_or_default();
            let priority = head.priority.map(|it| format!(" w{} d{}", it.weight, it.dependency)).unwrap_or_default();
            format!(
                "{} {}://{}{}{protocol}{priority} {}B{}",
                text(&head.method),
                optional(&head.scheme),
                optional(&head.authority),
                text(&head.target),
                head.size,
                fields(&head.headers)
            )
        };
        self.lines.push(match event.kind {
            HttpEventKind::Request(it) => format!("{id} > {}", head(&it)),
            HttpEventKind::Push(it) => format!("{id} push on {} > {}", it.parent.0, head(&it.head)),
            HttpEventKind::Response(it) => format!("{id} < {} {}B{}", it.status, it.size, fields(&it.headers)),
            HttpEventKind::Lost(side, len, _) => format!("{id} {} lost {len}", mark(side)),
            HttpEventKind::Trailers(side, headers) => format!("{id} {} trailers{}", mark(side), fields(&headers)),
            HttpEventKind::Upgrade(upgrade) => format!("{id} = {upgrade:?}"),
            HttpEventKind::End { side, wire_size, .. } => format!("{id} {} end {wire_size}B", mark(side)),
            HttpEventKind::Abort { side, reason, wire_size, .. } => {
                format!("{id} {} abort {reason:?} {wire_size}B", mark(side))
            }
            HttpEventKind::Anomaly(kind, _) => format!("{id} ! {}", kind.code()),
            HttpEventKind::Body(..) => unreachable!(),
        });
    }
}

fn mark(side: Side) -> char {
    if side == C { '>' } else { '<' }
}

/// What one direction sends next.
#[derive(Clone)]
enum Sent {
    Bytes(Side, Vec<u8>),
    Gap(Side, u64),
    Fin(Side),
}

use Sent::{Bytes, Fin, Gap};

struct Told {
    lines: Vec<String>,
    connection: Connection,
}

fn limits() -> Limits {
    Limits { head: 4096, header_fields: 50, open_exchanges: 20, ..Limits::default() }
}

fn play(sent: &[Sent], split: &mut dyn FnMut(usize) -> usize) -> Told {
    play_on(Connection::new(&limits(), &Budget::new(1 << 20)), sent, split)
}

fn play_on(mut connection: Connection, sent: &[Sent], split: &mut dyn FnMut(usize) -> usize) -> Told {
    let mut log = Log::default();
    let mut offsets = [0u64; 2];
    let mut now = 0;
    for sent in sent {
        now += 1;
        let at = stamp(now);
        match sent {
            Bytes(side, bytes) => {
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    let (data, tail) = rest.split_at(split(rest.len()).clamp(1, rest.len()));
                    let chunk = Chunk {
                        data,
                        span: Span::of(at, false),
                        offset: offsets[side.index()],
                        position: Position::default(),
                    };
                    offsets[side.index()] += data.len() as u64;
                    connection.push(*side, StreamEvent::Data(chunk), &mut |event| log.take(event));
                    rest = tail;
                }
            }
            Gap(side, len) => {
                offsets[side.index()] += len;
                connection.push(*side, StreamEvent::Gap { len: *len, stamp: at }, &mut |event| log.take(event));
            }
            Fin(side) => connection.push(*side, StreamEvent::Fin(at), &mut |event| log.take(event)),
        }
    }
    connection.finish(Abort::CaptureEnd, stamp(now + 1), &mut |event| log.take(event));
    log.flush();
    Told { lines: log.lines, connection }
}

fn whole(sent: &[Sent]) -> Vec<String> {
    play(sent, &mut |len| len).lines
}

/// Deterministic noise.
struct Noise(u64);

impl Noise {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % bound.max(1)
    }
}

/// A connection with a little of everything.
fn conversation() -> Vec<Sent> {
    let big: Vec<u8> = (0..30_000u32).map(|nth| (nth * 7 % 251) as u8).collect();
    let padded = [&[3u8][..], b"padded", &[0; 3]].concat();
    let prioritised = [&[0x80, 0, 0, 3, 15][..], &request("/priority")].concat();
    let long = response("200", &[("content-type", "text/plain"), ("server", "test")]);
    let (first, rest) = long.split_at(7);
    let promise = [&[0, 0, 0, 2][..], &request("/pushed")].concat();
    vec![
        Bytes(C, preface()),
        Bytes(S, frame(kind::SETTINGS, 0, 0, &[])),
        Bytes(C, frame(kind::SETTINGS, flag::ACK, 0, &[])),
        Bytes(S, frame(kind::SETTINGS, flag::ACK, 0, &[])),
        Bytes(C, frame(kind::HEADERS, BOTH, 1, &request("/one"))),
        Bytes(C, frame(kind::HEADERS, flag::END_HEADERS, 3, &post("/three"))),
        Bytes(C, frame(kind::DATA, flag::PADDED, 3, &padded)),
        Bytes(S, frame(kind::HEADERS, flag::END_HEADERS, 3, &response("103", &[("link", "</a>")]))),
        Bytes(C, frame(kind::DATA, flag::END_STREAM, 3, b" and more")),
        Bytes(S, frame(kind::PUSH_PROMISE, flag::END_HEADERS, 1, &promise)),
        Bytes(S, frame(kind::HEADERS, 0, 1, first)),
        Bytes(S, frame(kind::CONTINUATION, flag::END_HEADERS, 1, rest)),
        Bytes(S, frame(kind::DATA, 0, 1, &big[..16_000])),
        Bytes(S, frame(kind::HEADERS, flag::END_HEADERS, 3, &response("200", &[("content-length", "5")]))),
        Bytes(S, frame(kind::DATA, 0, 3, b"three")),
        Bytes(S, frame(kind::HEADERS, flag::END_HEADERS, 2, &response("200", &[]))),
        Bytes(S, frame(kind::DATA, flag::END_STREAM, 1, &big[16_000..])),
        Bytes(S, frame(kind::DATA, flag::END_STREAM, 2, b"pushed")),
        Bytes(S, frame(kind::HEADERS, BOTH, 3, &block(&[("grpc-status", "0")]))),
        Bytes(C, frame(kind::HEADERS, BOTH | flag::PRIORITY, 5, &prioritised)),
        Bytes(C, frame(kind::HEADERS, BOTH, 7, &request("/seven"))),
        Bytes(S, frame(kind::WINDOW_UPDATE, 0, 5, &[0, 0, 1, 0])),
        Bytes(S, frame(0xaa, 0xff, 5, b"grease")),
        Bytes(S, frame(kind::RST_STREAM, 0, 5, &[0, 0, 0, 7])),
        Bytes(S, frame(kind::GOAWAY, 0, 0, &[0, 0, 0, 5, 0, 0, 0, 0])),
        Fin(S),
        Fin(C),
    ]
}

#[test]
fn streams_are_told_apart() {
    let expected = [
        "1 > GET https://a.example/one 81B accept=*/*",
        "1 > end 81B",
        "3 > POST https://a.example/three 72B",
        "3 > body padded",
        "3 < 103 34B link=</a>",
        "3 > body  and more",
        "3 > end 109B",
        "2 push on 1 > GET https://a.example/pushed 87B accept=*/*",
        "2 > end 87B",
        "1 < 200 66B content-type=text/plain server=test",
        "1 < body [16000]",
        "3 < 200 40B content-length=5",
        "3 < body three",
        "2 < 200 22B",
        "1 < body [14000]",
        "1 < end 30084B",
        "2 < body pushed",
        "2 < end 37B",
        "3 < trailers grpc-status=0",
        "3 < end 78B",
        "5 > GET https://a.example/priority w16 d3 90B accept=*/*",
        "5 > end 90B",
        "7 > GET https://a.example/seven 83B accept=*/*",
        "7 > end 83B",
        "5 ! stream-error",
        "5 < abort StreamReset(7) 0B",
        "7 < abort Closed 0B",
    ];
    let told = play(&conversation(), &mut |len| len);
    assert_eq!(told.lines, expected);
    assert!(told.connection.anomalies().is_empty() && !told.connection.is_flipped());
}

#[test]
fn any_split_tells_the_same() {
    let sent = conversation();
    let expected = whole(&sent);
    assert_eq!(play(&sent, &mut |_| 1).lines, expected);
    for seed in 0..60 {
        let mut noise = Noise(seed);
        let most = [2, 5, 13, 100, 5000][seed as usize % 5];
        assert_eq!(play(&sent, &mut |_| 1 + noise.below(most)).lines, expected, "seed {seed}");
    }
}

/// Messages of one direction in one segment, as servers send them.
#[test]
fn many_frames_in_one_chunk() {
    let sent = conversation();
    let mut joined = Vec::new();
    for next in sent {
        match (joined.last_mut(), next) {
            (Some(Bytes(last, bytes)), Bytes(side, more)) if *last == side => bytes.extend(more),
            (_, next) => joined.push(next),
        }
    }
    assert_eq!(whole(&joined), whole(&conversation()));
}

#[test]
fn sides_are_told_by_content() {
    let flip = |sent: Vec<Sent>| -> Vec<Sent> {
        let flip = |sent| match sent {
            Bytes(side, bytes) => Bytes(side.other(), bytes),
            Gap(side, len) => Gap(side.other(), len),
            Fin(side) => Fin(side.other()),
        };
        sent.into_iter().map(flip).collect()
    };
    let told = play(&flip(conversation()), &mut |len| len);
    assert!(told.connection.is_flipped());
    assert_eq!(told.lines, whole(&conversation()));
    // Without the preface the heads tell.
    let midway = flip(conversation().split_off(4));
    let told = play(&midway, &mut |len| len);
    assert!(told.connection.is_flipped());
    assert_eq!(told.connection.anomalies().count(AnomalyKind::StartMissing), 2);
    assert_eq!(told.lines[0], "1 > GET https://a.example/one 81B accept=*/*");
}

#[test]
fn a_tunnel_and_a_websocket_carry_bytes_both_ways() {
    let connect = block(&[(":method", "CONNECT"), (":authority", "b.example:443")]);
    let websocket = block(&[
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "https"),
        (":path", "/chat"),
        (":authority", "a.example"),
    ]);
    let sent = [
        Bytes(C, preface()),
        Bytes(S, frame(kind::SETTINGS, 0, 0, &[0, 8, 0, 0, 0, 1])),
        Bytes(C, frame(kind::HEADERS, flag::END_HEADERS, 1, &connect)),
        Bytes(C, frame(kind::HEADERS, flag::END_HEADERS, 3, &websocket)),
        Bytes(S, frame(kind::HEADERS, flag::END_HEADERS, 1, &response("200", &[]))),
        Bytes(S, frame(kind::HEADERS, flag::END_HEADERS, 3, &response("200", &[]))),
        Bytes(C, frame(kind::DATA, 0, 1, b"up")),
        Bytes(S, frame(kind::DATA, 0, 1, b"down")),
        Bytes(S, frame(kind::DATA, flag::END_STREAM, 3, b"\x88\0")),
        Bytes(C, frame(kind::DATA, flag::END_STREAM, 3, b"\x88\0")),
    ];
    let lines = whole(&sent);
    let expected = [
        "1 > CONNECT -://b.example:443 49B",
        "3 > CONNECT https://a.example/chat (websocket) 94B",
        "1 < 200 22B",
        "1 = Tunnel",
        "3 < 200 22B",
        "3 = WebSocket",
        "1 > body up",
        "1 < body down",
        "3 < body \u{fffd}\0",
        "3 < end 33B",
        "3 > body \u{fffd}\0",
        "3 > end 105B",
        "1 > abort CaptureEnd 60B",
        "1 < abort CaptureEnd 35B",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn an_upgraded_request_is_answered_on_stream_one() {
    let connection = || Connection::upgraded(&limits(), &Budget::new(1 << 20), StreamId(3), Some(b"AAMAAABk"));
    let sent = [
        Bytes(S, frame(kind::SETTINGS, 0, 0, &[])),
        Bytes(S, frame(kind::HEADERS, flag::END_HEADERS, 1, &response("200", &[]))),
        Bytes(C, preface()),
        Bytes(C, frame(kind::HEADERS, BOTH, 3, &request("/next"))),
        Bytes(S, frame(kind::DATA, flag::END_STREAM, 1, b"first")),
        Bytes(S, frame(kind::HEADERS, BOTH, 3, &response("404", &[]))),
    ];
    let expected = [
        "3 < 200 22B",
        "1 > GET https://a.example/next 82B accept=*/*",
        "1 > end 82B",
        "3 < body first",
        "3 < end 36B",
        "1 < 404 22B",
        "1 < end 22B",
    ];
    assert_eq!(play_on(connection(), &sent, &mut |len| len).lines, expected);
    assert_eq!(play_on(connection(), &sent, &mut |_| 1).lines, expected);
}

/// A response of three DATA frames on stream 1 beside one on stream 3, with `gap` octets missing from `at` on.
fn with_hole(at: usize, gap: usize) -> Vec<Sent> {
    let bytes = [
        frame(kind::SETTINGS, 0, 0, &[]),
        frame(kind::HEADERS, flag::END_HEADERS, 1, &response("200", &[("content-length", "300")])),
        frame(kind::DATA, 0, 1, &[b'a'; 100]),
        frame(kind::HEADERS, flag::END_HEADERS, 3, &response("200", &[])),
        frame(kind::DATA, flag::PADDED, 1, &[&[50u8][..], &[b'b'; 100], &[0; 50]].concat()),
        frame(kind::DATA, 0, 3, &[b'c'; 80]),
        frame(kind::DATA, flag::END_STREAM, 1, &[b'd'; 100]),
        frame(kind::DATA, flag::END_STREAM, 3, &[b'e'; 60]),
    ]
    .concat();
    vec![
        Bytes(C, preface()),
        Bytes(C, frame(kind::HEADERS, BOTH, 1, &request("/one"))),
        Bytes(C, frame(kind::HEADERS, BOTH, 3, &request("/three"))),
        Bytes(S, bytes[..at].to_vec()),
        Gap(S, gap as u64),
        Bytes(S, bytes[(at + gap).min(bytes.len())..].to_vec()),
        Fin(S),
    ]
}

#[test]
fn a_hole_in_content_costs_only_that() {
    // The first DATA frame's payload starts at 9 + 41 + 9.
    let lines = whole(&with_hole(9 + 41 + 9 + 10, 40));
    let answer: Vec<_> = lines.iter().filter(|line| line.contains('<')).map(String::as_str).collect();
    let expected = [
        "1 < 200 41B content-length=300",
        "1 < body aaaaaaaaaa",
        "1 < lost 40",
        "1 < body [50]",
        "3 < 200 22B",
        "1 < body [100]",
        "3 < body [80]",
        "1 < body [100]",
        "1 < end 419B",
        "3 < body [60]",
        "3 < end 180B",
    ];
    assert_eq!(answer, expected);
}

#[test]
fn a_hole_in_framing_is_overcome() {
    // From within the first DATA frame to within the padded one: the head of stream 3 is lost with it.
    let at = 9 + 41 + 9 + 10;
    let lines = whole(&with_hole(at, 90 + 22 + 30));
    let answer: Vec<_> = lines.iter().filter(|line| line.contains('<')).map(String::as_str).collect();
    let expected = [
        "1 < 200 41B content-length=300",
        "1 < body aaaaaaaaaa",
        "1 < lost 90",
        "1 < lost 0",
        "1 < body [100]",
        "1 < end 259B",
        "3 < abort Lost 0B",
    ];
    assert_eq!(answer, expected);
}

#[test]
fn holes_of_any_place_and_size_keep_the_order_of_events() {
    for at in 0..560 {
        for gap in [1, 8, 9, 60, 150, 400] {
            let sent = with_hole(at, gap);
            let lines = whole(&sent);
            check_order(&lines);
            assert_eq!(play(&sent, &mut |_| 1).lines, lines, "{gap} at {at}");
            // Nothing is made up: all content is of the right kind.
            for line in lines.iter().filter_map(|line| line.strip_prefix("1 < body ")) {
                assert!(!line.contains(['c', 'e']), "{line}");
            }
        }
    }
}

/// What [`HttpEventKind`] promises.
fn check_order(lines: &[String]) {
    use std::collections::BTreeMap;
    let mut over: BTreeMap<(&str, char), bool> = BTreeMap::new();
    for line in lines {
        let (id, rest) = line.split_once(' ').unwrap();
        if let Some(side) = rest.chars().next().filter(|side| "<>".contains(*side)) {
            let is_request = side == '>' && rest.contains("://");
            let is_known = over.contains_key(&(id, '>'));
            assert_eq!(is_request, !is_known, "{line} in {lines:#?}");
            let is_end = rest[1..].starts_with(" end") || rest[1..].starts_with(" abort");
            let was = over.insert((id, side), is_end);
            assert_ne!(was, Some(true), "{line} in {lines:#?}");
        } else if rest.starts_with("push") {
            assert!(over.insert((id, '>'), false).is_none());
        }
    }
    assert!(over.keys().all(|&(id, _)| over.get(&(id, '<')) == Some(&true) && over[&(id, '>')]), "{lines:#?}");
}

#[test]
fn lost_header_state_is_unknown() {
    // A request that puts fields in the table, and one that names them.
    let insert = [&[0x82, 0x87, 0x41, 3][..], b"a.b", &[0x44, 3], b"/in", &[0x40, 1, b'x', 1, b'y']].concat();
    let name = [0x82, 0x87, 0xc0, 0xbf, 0xbe];
    let first = frame(kind::HEADERS, BOTH, 1, &insert);
    let second = frame(kind::HEADERS, BOTH, 3, &name);
    let clean = [Bytes(C, preface()), Bytes(C, first.clone()), Bytes(C, second.clone())];
    assert_eq!(whole(&clean)[2], "3 > GET https://a.b/in 14B x=y");
    // The first one lies in a hole.
    let third = frame(kind::HEADERS, BOTH, 5, &insert);
    let fourth = frame(kind::HEADERS, BOTH, 7, &name);
    let sent = [Bytes(C, preface()), Gap(C, first.len() as u64), Bytes(C, second), Bytes(C, third), Bytes(C, fourth)];
    let lines: Vec<String> = whole(&sent).into_iter().filter(|line| !line.contains("abort")).collect();
    let expected = [
        "3 > GET https://- 14B",
        "3 ! header-state-lost",
        "3 > end 14B",
        "5 > GET https://a.b/in 26B x=y",
        "5 > end 26B",
        "7 > GET https://a.b/in 14B x=y",
        "7 > end 14B",
    ];
    assert_eq!(lines, expected);
    // A hole inside the block: its start is read.
    let cut = first[..first.len() - 4].to_vec();
    let lines = whole(&[Bytes(C, preface()), Bytes(C, cut), Gap(C, 4)]);
    assert_eq!(lines[..3], ["1 > GET https://a.b/in 26B", "1 ! header-state-lost", "1 > end 26B"]);
}

#[test]
fn bombs_are_cut() {
    // One large entry, named a thousand times in a block of 1 KB.
    let mut bomb = vec![0x40, 1, b'x', 0x7f, 0x81, 0x0e];
    bomb.extend([b'y'; 2000]);
    bomb.extend([0xbe; 1000]);
    let fields = [request("/"), bomb].concat();
    let sent = [Bytes(C, preface()), Bytes(C, frame(kind::HEADERS, BOTH, 1, &fields))];
    let lines = whole(&sent);
    assert!(lines[0].starts_with("1 > GET https://a.example/ "), "{lines:?}");
    assert_eq!(lines[1..3], ["1 ! head-too-large", &format!("1 > end {}B", fields.len() + 9)]);
    // CONTINUATION without end.
    let budget = Budget::new(1 << 20);
    let mut connection = Connection::new(&limits(), &budget);
    let mut feed = |bytes: &[u8]| {
        let chunk = Chunk { data: bytes, span: Span::default(), offset: 0, position: Position::default() };
        connection.push(C, StreamEvent::Data(chunk), &mut |_| {});
    };
    feed(&preface());
    feed(&frame(kind::HEADERS, 0, 1, &request("/")));
    let more = frame(kind::CONTINUATION, 0, 1, &[0x82; 1000]);
    for _ in 0..1000 {
        feed(&more);
    }
    assert!(budget.used() < 20_000, "{}", budget.used());
    // Streams without end.
    for nth in 0..1000u32 {
        feed(&frame(kind::HEADERS, flag::END_HEADERS, 3 + 2 * nth, &request("/")));
    }
    assert!(budget.used() < 40_000, "{}", budget.used());
    assert!(connection.anomalies().count(AnomalyKind::TooManyExchanges) > 900);
    drop(connection);
    assert_eq!(budget.used(), 0);
}

#[test]
fn mutations_do_no_harm() {
    let clean = conversation();
    for seed in 0..3000 {
        let mut noise = Noise(seed);
        let mut sent = clean.clone();
        for _ in 0..=noise.below(6) {
            let nth = noise.below(sent.len());
            match &mut sent[nth] {
                Bytes(side, bytes) => match noise.below(5) {
                    0 => sent[nth] = Gap(*side, noise.below(40) as u64),
                    1 => bytes.truncate(noise.below(40)),
                    _ => {
                        let at = noise.below(bytes.len().min(60));
                        if let Some(byte) = bytes.get_mut(at) {
                            *byte ^= 1 << noise.below(8);
                        }
                    }
                },
                _ => {
                    sent.remove(nth);
                }
            }
        }
        let budget = Budget::new(1 << 20);
        let told = play_on(Connection::new(&limits(), &budget), &sent, &mut |len| len);
        check_order(&told.lines);
        let most = budget.used();
        assert!(most < 200_000, "{most}");
        if seed % 8 == 0 {
            let told_again = play(&sent, &mut |_| 1 + noise.below(30));
            assert_eq!(told_again.lines, told.lines, "seed {seed}");
        }
    }
}

#[test]
fn noise_is_not_http2() {
    assert_eq!(probe(&preface()), Verdict::Yes);
    assert_eq!(probe(&PREFACE[..10]), Verdict::Maybe);
    assert_eq!(probe(&frame(kind::SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100])), Verdict::Yes);
    assert_eq!(probe(b"PRINT / HTTP/1.1\r\n"), Verdict::No);
    assert_eq!(probe(b"GET / HTTP/1.1\r\n"), Verdict::No);
    assert_eq!(probe(&[0; 100]), Verdict::No);
    assert_eq!(probe(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]), Verdict::No);
    let chain = [frame(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 1, 0]), frame(kind::PING, 0, 0, &[1; 8])].concat();
    assert_eq!(probe(&chain), Verdict::Yes);
    assert_eq!(probe(&chain[..20]), Verdict::Maybe);
    let mut noise = Noise(7);
    for _ in 0..20_000 {
        let bytes: Vec<u8> = (0..64).map(|_| noise.below(256) as u8).collect();
        assert_ne!(probe(&bytes), Verdict::Yes);
    }
}

mod holes;
