//! Fuzz body of what is recovered behind holes: an encoder makes up a connection, pieces of it go missing, and what is told without
//! an anomaly is what was sent.

#![allow(clippy::panic, reason = "a body that panics is how a fuzzer learns of a fault")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Connection;
use super::frame::{PREFACE, flag, kind};
use crate::base::anomaly::AnomalyKind;
use crate::base::{Budget, FrameNumber, Limits, Span, Stamp, Timestamp};
use crate::http::{Abort, Headers, HttpEvent, HttpEventKind, StreamId};
use crate::tcp::{Chunk, Position, Side, StreamEvent};

/// What the connection may hold.
const MOST: usize = 400_000;

type Fields = Vec<(&'static str, String)>;

/// The octets of the input, each a choice.
struct Choices<'d>(std::slice::Iter<'d, u8>);

impl Choices<'_> {
    fn below(&mut self, end: usize) -> usize {
        self.0.next().map_or(0, |&byte| usize::from(byte) % end.max(1))
    }

    fn is_over(&self) -> bool {
        self.0.as_slice().is_empty()
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

/// An encoder with a dynamic table of its own.
struct Encoder {
    table: VecDeque<(&'static str, String)>,
    capacity: usize,
    /// Said at the start of the next block.
    resize: Option<usize>,
}

const NAMES: [(&str, u64); 4] = [(":authority", 1), (":path", 4), (":status", 8), ("accept", 19)];
const FIELDS: [(&str, &str, u64); 5] =
    [(":method", "GET", 2), (":method", "POST", 3), (":path", "/", 4), (":scheme", "https", 7), (":status", "200", 8)];

fn integer(bytes: &mut Vec<u8>, first: u8, bits: u32, value: u64) {
    let mask = (1 << bits) - 1;
    if value < mask {
        return bytes.push(first | value as u8);
    }
    bytes.push(first | mask as u8);
    let mut rest = value - mask;
    while rest >= 128 {
        bytes.push(rest as u8 | 128);
        rest >>= 7;
    }
    bytes.push(rest as u8);
}

impl Encoder {
    fn evict(&mut self, room: usize) {
        let size = |table: &VecDeque<(&str, String)>| table.iter().map(|(n, v)| n.len() + v.len() + 32).sum::<usize>();
        while size(&self.table) > room && self.table.pop_back().is_some() {}
    }

    fn encode(&mut self, fields: &Fields, choices: &mut Choices<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        if let Some(capacity) = self.resize.take() {
            integer(&mut bytes, 0x20, 5, capacity as u64);
            self.capacity = capacity;
            self.evict(capacity);
        }
        for (name, value) in fields {
            let fixed = FIELDS.iter().find(|(n, v, _)| n == name && v == value).map(|(_, _, index)| *index);
            let dynamic = self.table.iter().position(|(n, v)| n == name && v == value).map(|at| at as u64 + 62);
            if let Some(index) = fixed.or(dynamic) {
                integer(&mut bytes, 0x80, 7, index);
                continue;
            }
            let named = self.table.iter().position(|(n, _)| n == name).map(|at| at as u64 + 62);
            let index = NAMES.iter().find(|(n, _)| n == name).map(|(_, index)| *index).or(named).unwrap_or(0);
            let is_inserted = choices.below(4) > 0;
            integer(&mut bytes, if is_inserted { 0x40 } else { 0 }, if is_inserted { 6 } else { 4 }, index);
            for text in [*name, value].into_iter().skip(usize::from(index > 0)) {
                integer(&mut bytes, 0, 7, text.len() as u64);
                bytes.extend(text.as_bytes());
            }
            if is_inserted {
                self.evict(self.capacity.saturating_sub(name.len() + value.len() + 32));
                self.table.push_front((name, value.clone()));
                self.evict(self.capacity);
            }
        }
        bytes
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u32).to_be_bytes();
    [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn some(choices: &mut Choices<'_>, names: &[&'static str]) -> Fields {
    let values = ["one", "two", "3", "a/b", "Mon, 21 Oct 2013 20:13:21 GMT"];
    let keep: Vec<&str> = names.iter().copied().filter(|_| choices.below(4) > 0).collect();
    keep.into_iter().map(|name| (name, values[choices.below(8).min(4)].to_owned())).collect()
}

fn request(choices: &mut Choices<'_>) -> Fields {
    let mut fields = vec![(":method", choices.one(&["GET", "GET", "POST"]).to_owned())];
    fields.push((":authority", choices.one(&["a.test", "a.test", "a.test", "b.test"]).to_owned()));
    fields.push((":scheme", "https".to_owned()));
    fields.push((":path", choices.one(&["/", "/one", "/two", "/three?x=1"]).to_owned()));
    fields.extend(some(choices, &["user-agent", "accept", "cookie", "x-one", "x-two", "referer"]));
    fields
}

fn response(choices: &mut Choices<'_>) -> Fields {
    let mut fields = vec![(":status", choices.one(&["200", "200", "404", "302"]).to_owned())];
    fields.extend(some(choices, &["server", "date", "content-type", "x-id", "etag", "x-more"]));
    fields
}

/// A head as it was told, or as it was sent.
fn lines(pseudo: [(&str, Option<&[u8]>); 5], headers: &Headers) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let pseudo = pseudo.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", text(value?))));
    let mut lines: Vec<String> =
        pseudo.chain(headers.iter().map(|(name, value)| format!("{}={}", text(name), text(value)))).collect();
    lines.sort();
    lines
}

fn sent(fields: &Fields) -> Vec<String> {
    let mut lines: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
    lines.sort();
    lines
}

/// What was told of the exchanges.
#[derive(Default)]
struct Told {
    heads: BTreeMap<(StreamId, Side), Vec<String>>,
    marked: BTreeSet<StreamId>,
}

impl Told {
    fn take(&mut self, event: &HttpEvent<'_>) {
        let (side, lines) = match &event.kind {
            HttpEventKind::Request(head) => {
                let pseudo = [
                    (":method", Some(&head.method[..])),
                    (":path", Some(&head.target[..])),
                    (":scheme", head.scheme.as_deref()),
                    (":authority", head.authority.as_deref()),
                    (":protocol", head.protocol.as_deref()),
                ];
                (Side::Client, lines(pseudo, &head.headers))
            }
            HttpEventKind::Response(head) => {
                let status = head.status.to_string();
                let none = ("", None);
                (Side::Server, lines([(":status", Some(status.as_bytes())), none, none, none, none], &head.headers))
            }
            HttpEventKind::Anomaly(AnomalyKind::HeaderStateLost | AnomalyKind::HeaderStateRecovered, _) => {
                self.marked.insert(event.stream);
                return;
            }
            _ => return,
        };
        self.heads.insert((event.stream, side), lines);
    }
}

/// A connection of which pieces go missing, as the octets say.
pub fn recovery(data: &[u8]) {
    let mut choices = Choices(data.iter());
    let mut encoders = [4096, 4096].map(|capacity| Encoder { table: VecDeque::new(), capacity, resize: None });
    let mut truth: BTreeMap<(StreamId, Side), Vec<String>> = BTreeMap::new();
    let budget = Budget::new(MOST);
    let limits = Limits { head: 4096, header_table: 8192, ..Limits::default() };
    let mut connection = Connection::new(&limits, &budget);
    let mut told = Told::default();
    let (mut offsets, mut now, mut next) = ([0u64; 2], 0, 1);
    let mut pieces: VecDeque<(Side, Vec<u8>)> = VecDeque::new();
    pieces.push_back((Side::Client, [PREFACE, &frame(kind::SETTINGS, 0, 0, &[])].concat()));
    pieces.push_back((Side::Server, frame(kind::SETTINGS, 0, 0, &[])));
    loop {
        if pieces.is_empty() {
            if choices.is_over() {
                break;
            }
            let side = choices.one(&[Side::Client, Side::Server]);
            match choices.below(8) {
                0 => pieces.push_back((side, frame(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 1, 0]))),
                1 => pieces.push_back((side, frame(kind::PING, 0, 0, &[7; 8]))),
                2 => encoders[side.index()].resize = Some(choices.one(&[0, 100, 200, 4096])),
                _ => {
                    let [client, server] = &mut encoders;
                    let (asked, answered) = (request(&mut choices), response(&mut choices));
                    let (id, has_trailers) = (next, choices.below(8) == 0);
                    next += 2 + 2 * u32::from(choices.below(8) == 0);
                    truth.insert((StreamId(id.into()), Side::Client), sent(&asked));
                    truth.insert((StreamId(id.into()), Side::Server), sent(&answered));
                    let both = flag::END_HEADERS | flag::END_STREAM;
                    let flags = if has_trailers { flag::END_HEADERS } else { both };
                    let block = client.encode(&asked, &mut choices);
                    pieces.push_back((Side::Client, frame(kind::HEADERS, flags, id, &block)));
                    if has_trailers {
                        let trailers = client.encode(&some(&mut choices, &["x-sum", "x-one"]), &mut choices);
                        pieces.push_back((Side::Client, frame(kind::DATA, 0, id, &[b'x'; 50])));
                        pieces.push_back((Side::Client, frame(kind::HEADERS, both, id, &trailers)));
                    }
                    let block = server.encode(&answered, &mut choices);
                    pieces.push_back((Side::Server, frame(kind::HEADERS, flag::END_HEADERS, id, &block)));
                    pieces.push_back((Side::Server, frame(kind::DATA, flag::END_STREAM, id, &[b'y'; 100])));
                }
            }
        }
        let Some((side, bytes)) = pieces.pop_front() else { continue };
        now += 1;
        let stamp = Stamp { frame: FrameNumber(now), time: Timestamp(now as i64) };
        // All of it comes, or none of it, or its start.
        let kept = match choices.below(12) {
            0 => 0,
            1 => choices.below(bytes.len()),
            _ => bytes.len(),
        };
        let (data, lost) = bytes.split_at(kept);
        let offset = &mut offsets[side.index()];
        if !data.is_empty() {
            let position = Position::default();
            let chunk = Chunk { data, span: Span::of(stamp, false), offset: *offset, position };
            connection.push(side, StreamEvent::Data(chunk), &mut |event| told.take(&event));
        }
        if !lost.is_empty() {
            let len = if choices.below(4) == 0 { 0 } else { lost.len() as u64 };
            connection.push(side, StreamEvent::Gap { len, stamp }, &mut |event| told.take(&event));
            *offset += len;
        }
        *offset += data.len() as u64;
        assert!(budget.used() <= MOST, "{}", budget.used());
    }
    connection.finish(Abort::CaptureEnd, Stamp::default(), &mut |event| told.take(&event));
    for ((id, side), lines) in &told.heads {
        let was = truth.get(&(*id, *side));
        assert!(
            told.marked.contains(id) || was == Some(lines),
            "{id:?} {side:?}: {lines:?} without a word, was {was:?}"
        );
    }
    drop(connection);
    assert_eq!(budget.used(), 0);
}
