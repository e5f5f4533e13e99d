mod damage;
mod heads;
mod http2;
mod messages;
mod other_protocols;
mod pairing;

use crate::base::{Budget, FrameNumber, Limits, Span, Stamp, Timestamp};
use crate::http::{Abort, Conversation, HttpEvent, HttpEventKind, HttpOptions, Protocol, Version};
use crate::tcp::{Chunk, Position, Side, StreamEvent};

use Side::{Client, Server};

/// One step of a scripted connection.
#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    Data(Side, &'a [u8]),
    Gap(Side, u64),
    /// Missing bytes of which the reader is told before the next ones only, as behind TLS.
    Late(Side, u64),
    Fin(Side),
    Reset,
}

fn c(text: &str) -> Step<'_> {
    Step::Data(Client, text.as_bytes())
}

fn s(text: &str) -> Step<'_> {
    Step::Data(Server, text.as_bytes())
}

/// A small generator of numbers: the same seed gives the same test.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }
}

/// Events as lines; neighbouring content is joined. Checks the order that `HttpEventKind` promises.
#[derive(Default)]
struct Record {
    lines: Vec<String>,
    content: Option<(u64, Side, Vec<u8>, u64)>,
    seen: std::collections::BTreeMap<u64, [bool; 3]>,
    /// Exchanges that became something else, of which the response may have been lost.
    upgraded: std::collections::BTreeSet<u64>,
}

impl Record {
    fn take(&mut self, event: HttpEvent<'_>) {
        let stream = event.stream.0;
        let (has_response, closed) = {
            let seen = self.seen.get(&stream).copied();
            if seen.is_none() {
                assert!(
                    matches!(event.kind, HttpEventKind::Request(_)),
                    "{stream}: {:?} before its request",
                    event.kind
                );
            }
            let seen = seen.unwrap_or_default();
            (seen[2], [seen[0], seen[1]])
        };
        let entry = self.seen.entry(stream).or_default();
        let side_of = |side: Side| if side == Client { '>' } else { '<' };
        if let HttpEventKind::Body(side, chunk) = &event.kind {
            assert!(!closed[side.index()], "{stream}: content behind the end");
            assert!(
                *side == Client || has_response || self.upgraded.contains(&stream),
                "{stream}: content before its head"
            );
            assert!(!chunk.data.is_empty());
            match &mut self.content {
                Some((of, whose, bytes, end)) if (*of, *whose) == (stream, *side) && *end <= chunk.offset => {
                    bytes.extend_from_slice(chunk.data);
                    *end = chunk.offset + chunk.data.len() as u64;
                }
                _ => {
                    self.flush();
                    self.content = Some((stream, *side, chunk.data.to_vec(), chunk.offset + chunk.data.len() as u64));
                }
            }
            return;
        }
        let line = match event.kind {
            HttpEventKind::Request(head) => {
                let mut line = format!("> {} {}", head.method.escape_ascii(), head.target.escape_ascii());
                if head.version != Version::Http11 {
                    line += &format!(" {:?}", head.version);
                }
                line += &fields(&head.headers);
                line
            }
            HttpEventKind::Response(head) => {
                assert!(!closed[1], "{stream}: response behind its end");
                entry[2] = true;
                let version =
                    if head.version == Version::Http11 { String::new() } else { format!(" {:?}", head.version) };
                format!("< {} {}{version}{}", head.status, head.reason.escape_ascii(), fields(&head.headers))
            }
            HttpEventKind::Lost(side, len, _) => format!("{} lost {len}", side_of(side)),
            HttpEventKind::Trailers(side, headers) => format!("{} trailers{}", side_of(side), fields(&headers)),
            HttpEventKind::Upgrade(upgrade) => {
                self.upgraded.insert(stream);
                format!("= {upgrade:?}")
            }
            HttpEventKind::End { side, wire_size, .. } => {
                assert!(!closed[side.index()], "{stream}: two ends");
                entry[side.index()] = true;
                format!("{} end {wire_size}", side_of(side))
            }
            HttpEventKind::Abort { side, reason, wire_size, .. } => {
                assert!(!closed[side.index()], "{stream}: two ends");
                entry[side.index()] = true;
                format!("{} abort {reason:?} {wire_size}", side_of(side))
            }
            HttpEventKind::Anomaly(kind, _) => format!("! {}", kind.code()),
            HttpEventKind::Push(_) | HttpEventKind::Body(..) => unreachable!(),
        };
        self.flush();
        self.lines.push(format!("{stream} {line}"));
    }

    fn flush(&mut self) {
        if let Some((stream, side, bytes, _)) = self.content.take() {
            let side = if side == Client { '>' } else { '<' };
            self.lines.push(format!("{stream} {side} \"{}\"", bytes.escape_ascii()));
        }
    }

    fn all_closed(&self) -> bool {
        self.seen.values().all(|[request, response, _]| *request && *response)
    }
}

fn fields(headers: &crate::http::Headers) -> String {
    headers.iter().map(|(name, value)| format!(" [{}={}]", name.escape_ascii(), value.escape_ascii())).collect()
}

fn limits() -> Limits {
    Limits { head: 4096, header_fields: 20, open_exchanges: 8, detect: 1024, ..Limits::default() }
}

/// Plays a script; `cut` gives the length of the next piece of so many bytes.
fn play(steps: &[Step<'_>], strict: bool, cut: &mut dyn FnMut(usize) -> usize) -> (Vec<String>, Conversation) {
    let budget = Budget::new(1 << 20);
    let limits = limits();
    let mut conversation = Conversation::new(&limits, &budget, HttpOptions { strict }, None);
    let mut record = Record::default();
    let mut offsets = [0_u64; 2];
    let mut late = [0_u64; 2];
    let mut frame = 0;
    let mut stamp = || {
        frame += 1;
        Stamp { frame: FrameNumber(frame), time: Timestamp(frame as i64) }
    };
    for &step in steps {
        match step {
            Step::Data(side, mut data) => {
                let len = std::mem::take(&mut late[side.index()]);
                if len > 0 {
                    let gap = StreamEvent::Gap { len, stamp: stamp() };
                    conversation.push(side, gap, &mut |event| record.take(event));
                }
                while !data.is_empty() {
                    let (piece, rest) = data.split_at(cut(data.len()).clamp(1, data.len()));
                    let [sent, acked] = [side, side.other()].map(|side| offsets[side.index()]);
                    let position = Position { sent, acked };
                    let chunk = Chunk { data: piece, span: Span::of(stamp(), false), offset: sent, position };
                    offsets[side.index()] += piece.len() as u64;
                    conversation.push(side, StreamEvent::Data(chunk), &mut |event| record.take(event));
                    data = rest;
                }
            }
            Step::Gap(side, len) => {
                offsets[side.index()] += len;
                conversation.push(side, StreamEvent::Gap { len, stamp: stamp() }, &mut |event| record.take(event));
            }
            Step::Late(side, len) => {
                offsets[side.index()] += len;
                late[side.index()] += len;
            }
            Step::Fin(side) => conversation.push(side, StreamEvent::Fin(stamp()), &mut |event| record.take(event)),
            Step::Reset => conversation.push(Client, StreamEvent::Reset(stamp()), &mut |event| record.take(event)),
        }
    }
    conversation.finish(Abort::CaptureEnd, stamp(), &mut |event| record.take(event));
    record.flush();
    assert!(record.all_closed(), "{:#?}", record.lines);
    assert!(budget.used() < 64 << 10, "{} bytes held", budget.used());
    (record.lines, conversation)
}

fn whole(steps: &[Step<'_>]) -> Vec<String> {
    play(steps, false, &mut |len| len).0
}

/// The script gives these events, in one piece, byte by byte, and in any other split.
fn check(steps: &[Step<'_>], wanted: &[&str]) {
    assert_eq!(whole(steps), wanted, "in one piece");
    assert_eq!(play(steps, false, &mut |_| 1).0, wanted, "byte by byte");
    for seed in 1..40 {
        let mut random = Random(seed | 0x9e37_79b9_0000_0000);
        let split = play(steps, false, &mut |len| 1 + random.below(len.min(30))).0;
        assert_eq!(split, wanted, "seed {seed}");
    }
}
