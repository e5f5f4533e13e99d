use super::framer::kind;
use super::*;
use crate::base::anomaly::AnomalyKind;
use crate::base::{Budget, FrameNumber, Limits, Span, Stamp, Timestamp};
use crate::http::{Abort, Headers, HttpEvent, HttpEventKind, RequestHead, StreamId};
use crate::tcp::{Chunk, Position, Side, StreamEvent};
use std::collections::BTreeMap;

const C: Side = Side::Client;
const S: Side = Side::Server;

fn varint(value: u64) -> Vec<u8> {
    match value {
        0..64 => vec![value as u8],
        64..16_384 => (value as u16 | 0x4000).to_be_bytes().to_vec(),
        16_384..0x4000_0000 => (value as u32 | 0x8000_0000).to_be_bytes().to_vec(),
        _ => (value | 0xc000_0000_0000_0000).to_be_bytes().to_vec(),
    }
}

fn frame(kind: u64, payload: &[u8]) -> Vec<u8> {
    [&varint(kind)[..], &varint(payload.len() as u64), payload].concat()
}

fn integer(flags: u8, bits: u32, value: usize) -> Vec<u8> {
    let most = (1usize << bits) - 1;
    if value < most {
        return vec![flags | value as u8];
    }
    let mut bytes = vec![flags | most as u8];
    let mut rest = value - most;
    while rest > 127 {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes
}

/// Fields as literals.
fn literals(fields: &[(&str, &str)]) -> Vec<u8> {
    let field = |(name, value): &(&str, &str)| {
        [integer(0x20, 3, name.len()), name.as_bytes().to_vec(), integer(0, 7, value.len()), value.as_bytes().to_vec()]
            .concat()
    };
    fields.iter().flat_map(field).collect()
}

fn section(fields: &[(&str, &str)]) -> Vec<u8> {
    [vec![0, 0], literals(fields)].concat()
}

fn request(path: &str) -> Vec<u8> {
    let fields = [(":method", "GET"), (":scheme", "https"), (":authority", "a.example"), (":path", path)];
    frame(kind::HEADERS, &section(&fields))
}

fn response(status: &str, more: &[(&str, &str)]) -> Vec<u8> {
    frame(kind::HEADERS, &section(&[&[(":status", status)], more].concat()))
}

/// A section that ends with the dynamic entry of the given absolute index, all inserts before it required (table of 4096 octets).
fn dynamic(fields: &[(&str, &str)], absolute: u64) -> Vec<u8> {
    let required = absolute + 1;
    let prefix = [integer(0, 8, (required % 256 + 1) as usize), vec![0]].concat();
    frame(kind::HEADERS, &[prefix, literals(fields), vec![0x80]].concat())
}

fn insert(name: &str, value: &str) -> Vec<u8> {
    [integer(0x40, 5, name.len()), name.as_bytes().to_vec(), integer(0, 7, value.len()), value.as_bytes().to_vec()]
        .concat()
}

/// What a side opens with: control stream with SETTINGS, encoder stream with the capacity.
fn opening(side: Side) -> Vec<Sent> {
    let id = if side == C { 2 } else { 3 };
    let settings = [varint(1), varint(4096), varint(7), varint(100)].concat();
    vec![
        Bytes(id, side, [varint(0), frame(kind::SETTINGS, &settings), frame(0xf0700, b"\0u=1")].concat()),
        Bytes(id + 4, side, [varint(2), integer(0x20, 5, 4096)].concat()),
        Bytes(id + 8, side, varint(3)),
    ]
}

/// What comes next on a direction of a stream.
#[derive(Clone, Debug)]
enum Sent {
    Bytes(u64, Side, Vec<u8>),
    Gap(u64, Side, u64),
    Fin(u64, Side),
    Reset(u64, Side, u64),
}

use Sent::{Bytes, Fin, Gap, Reset};

/// Lines that say what came out, by exchange; content that came in pieces is one line.
#[derive(Default)]
struct Log {
    lines: BTreeMap<u64, Vec<String>>,
    bodies: BTreeMap<(u64, Side), Vec<u8>>,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn fields(headers: &Headers) -> String {
    headers.iter().map(|(name, value)| format!(" {}={}", text(name), text(value))).collect()
}

fn mark(side: Side) -> char {
    if side == C { '>' } else { '<' }
}

impl Log {
    fn flush(&mut self, id: u64, side: Side) {
        if let Some(bytes) = self.bodies.remove(&(id, side)) {
            let text = if bytes.len() > 40 { format!("[{}]", bytes.len()) } else { text(&bytes) };
            self.lines.entry(id).or_default().push(format!("{} body {text}", mark(side)));
        }
    }

    fn take(&mut self, event: HttpEvent<'_>) {
        let StreamId(id) = event.stream;
        let head = |head: &RequestHead| {
            let optional = |bytes: &Option<Vec<u8>>| bytes.as_deref().map_or("-".into(), text);
            let (scheme, authority) = (optional(&head.scheme), optional(&head.authority));
            let protocol = head.protocol.as_deref().map(|name| format!(" ({})", text(name))).unwrap_or_default();
            let path = text(&head.target);
            format!(
                "{} {scheme}://{authority}{path}{protocol} {}B{}",
                text(&head.method),
                head.size,
                fields(&head.headers)
            )
        };
        let (side, line) = match event.kind {
            HttpEventKind::Body(side, chunk) => {
                return self.bodies.entry((id, side)).or_default().extend_from_slice(chunk.data);
            }
            HttpEventKind::Request(it) => (C, format!("> {}", head(&it))),
            HttpEventKind::Push(it) => (C, format!("push on {} > {}", it.parent.0, head(&it.head))),
            HttpEventKind::Response(it) => (S, format!("< {} {}B{}", it.status, it.size, fields(&it.headers))),
            HttpEventKind::Lost(side, len, _) => (side, format!("{} lost {len}", mark(side))),
            HttpEventKind::Trailers(side, headers) => (side, format!("{} trailers{}", mark(side), fields(&headers))),
            HttpEventKind::Upgrade(upgrade) => (S, format!("= {upgrade:?}")),
            HttpEventKind::End { side, wire_size, .. } => (side, format!("{} end {wire_size}B", mark(side))),
            HttpEventKind::Abort { side, reason, wire_size, .. } => {
                (side, format!("{} abort {reason:?} {wire_size}B", mark(side)))
            }
            HttpEventKind::Anomaly(kind, _) => (S, format!("! {}", kind.code())),
        };
        self.flush(id, side);
        self.lines.entry(id).or_default().push(line);
    }
}

fn limits() -> Limits {
    Limits { head: 4096, header_fields: 50, open_exchanges: 20, blocked: 20_000, ..Limits::default() }
}

struct Told {
    lines: BTreeMap<u64, Vec<String>>,
    anomalies: crate::base::Anomalies,
    most: usize,
}

fn play(sent: &[Sent], split: &mut dyn FnMut(usize) -> usize) -> Told {
    let budget = Budget::new(1 << 20);
    let mut connection = Connection::new(&limits(), &budget);
    let mut log = Log::default();
    let mut offsets: BTreeMap<(u64, Side), u64> = BTreeMap::new();
    let (mut now, mut most) = (0, 0);
    for sent in sent {
        now += 1;
        let stamp = Stamp { frame: FrameNumber(now), time: Timestamp(now as i64) };
        match sent {
            Bytes(id, side, bytes) => {
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    let (data, tail) = rest.split_at(split(rest.len()).clamp(1, rest.len()));
                    let offset = offsets.entry((*id, *side)).or_default();
                    let chunk =
                        Chunk { data, span: Span::of(stamp, false), offset: *offset, position: Position::default() };
                    *offset += data.len() as u64;
                    connection.push(*id, *side, StreamEvent::Data(chunk), &mut |event| log.take(event));
                    rest = tail;
                    most = most.max(budget.used());
                }
            }
            Gap(id, side, len) => {
                *offsets.entry((*id, *side)).or_default() += len;
                let gap = StreamEvent::Gap { len: *len, stamp };
                connection.push(*id, *side, gap, &mut |event| log.take(event));
            }
            Fin(id, side) => connection.push(*id, *side, StreamEvent::Fin(stamp), &mut |event| log.take(event)),
            Reset(id, side, code) => connection.reset(*id, *side, *code, stamp, &mut |event| log.take(event)),
        }
    }
    connection.finish(Abort::CaptureEnd, Stamp::default(), &mut |event| log.take(event));
    assert!(log.bodies.is_empty());
    let anomalies = connection.anomalies().clone();
    drop(connection);
    assert_eq!(budget.used(), 0);
    Told { lines: log.lines, anomalies, most }
}

fn whole(sent: &[Sent]) -> BTreeMap<u64, Vec<String>> {
    play(sent, &mut |len| len).lines
}

struct Noise(u64);

impl Noise {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % bound.max(1)
    }
}

/// A connection with a little of everything.
fn conversation() -> Vec<Sent> {
    let post = section(&[(":method", "POST"), (":scheme", "https"), (":authority", "a.example"), (":path", "/up")]);
    let get = [(":method", "GET"), (":scheme", "https"), (":authority", "a.example"), (":path", "/pushed")];
    let promise = [varint(7), section(&get)].concat();
    let websocket = section(&[
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "https"),
        (":authority", "a.example"),
        (":path", "/chat"),
    ]);
    let mut sent = opening(C);
    sent.extend(opening(S));
    sent.extend([
        Bytes(0, C, request("/zero")),
        Fin(0, C),
        Bytes(4, C, [frame(kind::HEADERS, &post), frame(kind::DATA, b"some "), frame(0x21, b"grease")].concat()),
        Bytes(8, C, dynamic(&[(":method", "GET"), (":scheme", "https"), (":path", "/late")], 0)),
        Fin(8, C),
        Bytes(0, S, response("103", &[("link", "</a>")])),
        Bytes(0, S, frame(kind::PUSH_PROMISE, &promise)),
        Bytes(4, C, [frame(kind::DATA, &[]), frame(kind::DATA, b"content")].concat()),
        Fin(4, C),
        Bytes(15, S, [varint(1), varint(7), response("200", &[]), frame(kind::DATA, b"pushed")].concat()),
        Fin(15, S),
        Bytes(0, S, [response("200", &[("content-length", "9000")]), frame(kind::DATA, &[b'x'; 9000])].concat()),
        Fin(0, S),
        Bytes(6, C, insert(":authority", "late.example")),
        Bytes(8, S, [response("200", &[]), frame(kind::DATA, b"body")].concat()),
        Bytes(8, S, frame(kind::HEADERS, &section(&[("checksum", "ok")]))),
        Fin(8, S),
        Bytes(4, S, [response("200", &[]), frame(kind::DATA, b"begun")].concat()),
        Reset(4, S, 0x102),
        Bytes(12, C, frame(kind::HEADERS, &websocket)),
        Bytes(12, S, response("200", &[])),
        Bytes(12, C, frame(kind::DATA, b"ping")),
        Bytes(12, S, frame(kind::DATA, b"pong")),
        Fin(12, C),
        Fin(12, S),
        Bytes(16, C, request("/refused")),
        Fin(16, C),
        Bytes(3, S, frame(kind::GOAWAY, &varint(16))),
        Bytes(20, C, [varint(0x41), varint(12), b"webtransport".to_vec()].concat()),
    ]);
    sent
}

#[test]
fn streams_become_exchanges() {
    let told = play(&conversation(), &mut |len| len);
    let expected: [(u64, &[&str]); 6] = [
        (
            0,
            &[
                "> GET https://a.example/zero 67B",
                "> end 67B",
                "< 103 27B link=</a>",
                "< 200 38B content-length=9000",
                "< body [9000]",
                "< end 9041B",
            ],
        ),
        (
            4,
            &[
                "> POST https://a.example/up 65B",
                "> body some content",
                "> end 83B",
                "< 200 17B",
                "< body begun",
                "! stream-error",
                "< abort StreamReset(258) 24B",
            ],
        ),
        (
            8,
            &[
                "> GET https://late.example/late 45B",
                "> end 45B",
                "< 200 17B",
                "< body body",
                "< trailers checksum=ok",
                "< end 40B",
            ],
        ),
        (
            12,
            &[
                "> CONNECT https://a.example/chat (websocket) 92B",
                "< 200 17B",
                "= WebSocket",
                "> body ping",
                "> end 98B",
                "< body pong",
                "< end 23B",
            ],
        ),
        (15, &["push on 0 > GET https://a.example/pushed 70B", "> end 70B", "< 200 17B", "< body pushed", "< end 25B"]),
        (16, &["> GET https://a.example/refused 70B", "> end 70B", "< abort Closed 0B"]),
    ];
    let expected: BTreeMap<u64, Vec<String>> =
        expected.iter().map(|(id, lines)| (*id, lines.iter().map(|line| (*line).to_owned()).collect())).collect();
    assert_eq!(told.lines, expected);
    assert!(told.anomalies.is_empty(), "{:?}", told.anomalies);
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

/// QUIC streams overtake one another: events of one direction keep their order, directions do not.
#[test]
fn any_order_of_streams_tells_the_same() {
    let sent: Vec<Sent> =
        conversation().into_iter().filter(|it| !matches!(it, Bytes(16 | 3, ..) | Fin(16, _))).collect();
    // The server's SETTINGS stay, without GOAWAY.
    let sent: Vec<Sent> = opening(S).into_iter().take(1).chain(sent).collect();
    let expected: BTreeMap<u64, Vec<String>> = sorted(whole(&sent));
    for seed in 0..300 {
        let mut noise = Noise(seed);
        let mut left = sent.clone();
        let mut mixed = Vec::new();
        while !left.is_empty() {
            let pick = noise.below(left.len());
            let key = direction(&left[pick]);
            let first = left.iter().position(|it| direction(it) == key).unwrap();
            mixed.push(left.remove(first));
        }
        assert_eq!(sorted(play(&mixed, &mut |len| len).lines), expected, "seed {seed}");
    }
}

fn direction(sent: &Sent) -> (u64, Side) {
    match sent {
        Bytes(id, side, _) | Gap(id, side, _) | Fin(id, side) | Reset(id, side, _) => (*id, *side),
    }
}

/// Lines of the request before those of the response.
fn sorted(mut lines: BTreeMap<u64, Vec<String>>) -> BTreeMap<u64, Vec<String>> {
    for lines in lines.values_mut() {
        lines.sort_by_key(|line| !line.starts_with('>') && !line.starts_with("push"));
    }
    lines
}

#[test]
fn a_hole_in_content_costs_only_that() {
    let body = frame(kind::DATA, &[b'x'; 100]);
    let sent = [
        Bytes(0, C, request("/")),
        Fin(0, C),
        Bytes(0, S, [&response("200", &[])[..], &body[..20]].concat()),
        Gap(0, S, 50),
        Bytes(0, S, body[70..].to_vec()),
        Bytes(0, S, frame(kind::DATA, b"more")),
        Fin(0, S),
    ];
    let expected = ["< 200 17B", "< body [17]", "< lost 50", "< body [37]", "< end 126B"];
    let told = whole(&sent);
    assert_eq!(
        told[&0][2..].join("\n"),
        expected.join("\n").replace("[17]", "xxxxxxxxxxxxxxxxx").replace("[37]", &format!("{}more", "x".repeat(33)))
    );
    // One that reaches into the next frame: the rest cannot be found.
    let mut torn = sent.to_vec();
    torn[3] = Gap(0, S, 84);
    torn[4] = Bytes(0, S, b"e".to_vec());
    let told = whole(&torn);
    assert_eq!(told[&0][4..], ["< lost 83", "< abort Lost 120B"]);
    // One at the start of the request: nothing can be told.
    let told = play(&[Gap(0, C, 10), Bytes(0, S, response("200", &[])), Fin(0, S)], &mut |len| len);
    assert!(told.lines.is_empty());
    assert_eq!(told.anomalies.count(AnomalyKind::ResponseWithoutRequest), 1);
}

#[test]
fn lost_inserts_are_unknown() {
    let get = [(":method", "GET"), (":scheme", "https"), (":path", "/late")];
    let mut sent = opening(C);
    sent.extend(opening(S));
    sent.extend([
        Bytes(0, C, dynamic(&get, 0)),
        Fin(0, C),
        Gap(6, C, 30),
        Bytes(0, S, response("200", &[])),
        Fin(0, S),
        Bytes(4, C, request("/known")),
        Fin(4, C),
    ]);
    let told = whole(&sent);
    let expected = ["> GET https://-/late 45B", "! header-state-lost", "> end 45B", "< 200 17B", "< end 17B"];
    assert_eq!(told[&0], expected);
    assert_eq!(told[&4][0], "> GET https://a.example/known 68B");
    // Without an answer to what it waits for, a section is told at the end.
    let mut sent = opening(C);
    sent.extend([Bytes(0, C, dynamic(&get, 0)), Fin(0, C), Bytes(0, S, response("200", &[])), Fin(0, S)]);
    assert_eq!(whole(&sent)[&0], expected);
}

#[test]
fn what_is_held_back_is_bounded() {
    let mut sent = opening(S);
    // Blocked sections with content behind them, responses without requests, promises without streams.
    for nth in 0..100u64 {
        sent.push(Bytes(4 * nth, C, dynamic(&[(":method", "GET")], 9)));
        sent.push(Bytes(4 * nth, C, frame(kind::DATA, &[b'x'; 3000])));
    }
    for nth in 100..200u64 {
        sent.push(Bytes(4 * nth, S, frame(kind::DATA, &[b'x'; 3000])));
    }
    sent.push(Bytes(4000, C, request("/")));
    for nth in 0..200 {
        let large = section(&[(":method", "GET"), ("x", &"y".repeat(1000))]);
        sent.push(Bytes(4000, S, frame(kind::PUSH_PROMISE, &[varint(nth), large].concat())));
    }
    for split in [5000, 100] {
        let told = play(&sent, &mut |_| split);
        assert!(told.most < 130_000, "{}", told.most);
    }
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
                Bytes(id, side, bytes) => match noise.below(5) {
                    0 => sent[nth] = Gap(*id, *side, noise.below(40) as u64),
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
        let told = play(&sent, &mut |len| len);
        check_order(&told.lines);
        assert!(told.most < 200_000, "{}", told.most);
        if seed % 8 == 0 {
            assert_eq!(play(&sent, &mut |_| 1 + noise.below(30)).lines, told.lines, "seed {seed}");
        }
    }
}

/// What [`HttpEventKind`] promises.
fn check_order(lines: &BTreeMap<u64, Vec<String>>) {
    for lines in lines.values() {
        assert!(lines[0].contains("://"), "{lines:#?}");
        for side in ['>', '<'] {
            let of_side: Vec<&String> = lines.iter().filter(|line| line.starts_with(side)).collect();
            let ends = of_side.iter().filter(|line| line[1..].starts_with(" end") || line[1..].starts_with(" abort"));
            assert_eq!(ends.count(), 1, "{lines:#?}");
            let last = of_side[of_side.len() - 1];
            assert!(last[1..].starts_with(" end") || last[1..].starts_with(" abort"), "{lines:#?}");
        }
    }
}
