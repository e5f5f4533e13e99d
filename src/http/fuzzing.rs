//! Fuzz bodies of everything HTTP: what is told keeps its order, does not depend on how the bytes were cut, stays within
//! limits, and gives its memory back.

#![allow(clippy::panic, reason = "a body that panics is how a fuzzer learns of a fault")]

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::ControlFlow;

use super::h2::recovery::Expected;
use super::h3::qpack::Readiness;
use super::table::Field;
use super::{Abort, Conversation, Headers, HttpEvent, HttpEventKind, HttpOptions, StreamId};
use super::{grpc, h2, h3, sse, websocket};
use crate::base::fuzzing::{Dice, pieces};
use crate::base::{Budget, Limits, Reader, Span};
use crate::tcp::Side;
use crate::tcp::fuzzing::{What, play, steps};

fn limits() -> Limits {
    Limits {
        head: 4096,
        header_fields: 50,
        header_table: 8192,
        open_exchanges: 20,
        blocked: 20_000,
        detect: 1024,
        message: 10_000,
        ..Limits::default()
    }
}

/// What [`limits`] let one connection hold: heads and blocks of both sides, open exchanges, tables.
const MOST: usize = 400_000;

/// What was told of an exchange: of request and response, each in order, and what belongs to neither. Which of them was told first may
/// depend on the chunks, for one direction may have waited for the other.
type Lines = [Vec<String>; 3];

/// What was told of each exchange; content as one line, however it came.
#[derive(Debug, Default, PartialEq)]
struct Told {
    streams: BTreeMap<StreamId, Lines>,
    bodies: BTreeMap<(StreamId, Side), (usize, u64)>,
    is_over: BTreeMap<StreamId, [bool; 2]>,
    /// Something was wrong: where reading goes on behind that may depend on the chunks.
    is_broken: bool,
}

impl Told {
    fn take(&mut self, event: &HttpEvent<'_>) {
        let id = event.stream;
        let over = self.is_over.entry(id).or_default();
        let lines = self.streams.entry(id).or_default();
        self.is_broken |=
            matches!(event.kind, HttpEventKind::Anomaly(..) | HttpEventKind::Abort { reason: Abort::Malformed, .. });
        let starts = matches!(event.kind, HttpEventKind::Request(_) | HttpEventKind::Push(_));
        assert_eq!(
            starts,
            lines.iter().all(Vec::is_empty),
            "the request comes first and once: {:?} behind {lines:?}",
            event.kind
        );
        let side = match &event.kind {
            HttpEventKind::Body(side, _) | HttpEventKind::Lost(side, ..) | HttpEventKind::Trailers(side, _) => *side,
            HttpEventKind::End { side, .. } | HttpEventKind::Abort { side, .. } => {
                assert!(!std::mem::replace(&mut over[side.index()], true), "ended twice: {lines:?}");
                *side
            }
            HttpEventKind::Response(_) => Side::Server,
            _ => {
                lines[2].push(format!("{:?}", event.kind));
                return;
            }
        };
        let is_end = matches!(event.kind, HttpEventKind::End { .. } | HttpEventKind::Abort { .. });
        assert!(is_end || !over[side.index()], "{:?} behind the end: {lines:?}", event.kind);
        if let HttpEventKind::Body(_, chunk) = &event.kind {
            let (len, sum) = self.bodies.entry((id, side)).or_default();
            *len += chunk.data.len();
            *sum = chunk.data.iter().fold(*sum, |sum, &byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
            return;
        }
        let lines = &mut lines[side.index()];
        if let Some(body) = self.bodies.remove(&(id, side)) {
            lines.push(format!("{body:?}"));
        }
        lines.push(format!("{:?}", event.kind));
    }

    fn finish(mut self) -> BTreeMap<StreamId, Lines> {
        assert!(self.bodies.is_empty(), "content without an end");
        self.streams.values_mut().for_each(|[.., neither]| neither.sort());
        self.streams
    }
}

/// Runs twice, the second time with the bytes cut up, and wants the same to be told. `false` beside it says that something was
/// passed over: where the next message is found then depends on where chunks begin.
fn same<T: PartialEq + Debug>(data: &[u8], run: impl Fn(Option<Dice>) -> (T, bool)) {
    let ((whole, is_clean), (cut, is_clean_too)) = (run(None), run(Some(Dice::of(data))));
    if is_clean && is_clean_too && whole != cut {
        let (whole, cut) = (format!("{whole:?}"), format!("{cut:?}"));
        let shared = whole.bytes().zip(cut.bytes()).take_while(|(one, other)| one == other).count();
        let near = |text: &str| text.chars().skip(shared.saturating_sub(200)).take(600).collect::<String>();
        panic!("not the same in pieces:\n{}\n{}", near(&whole), near(&cut));
    }
}

/// Whatever HTTP a script carries; bit 7 of the first octet asks for strict reading.
fn conversation(data: &[u8], alpn: Option<&str>) {
    same(data, |dice| {
        let strict = data.first().is_some_and(|first| first & 0x80 != 0);
        let budget = Budget::new(MOST);
        let mut conversation = Conversation::new(&limits(), &budget, HttpOptions { strict }, alpn);
        let mut told = Told::default();
        let last = play(data, dice, &mut |_, side, event| {
            conversation.push(side, event, &mut |event| told.take(&event));
            assert!(budget.used() <= MOST, "{}", budget.used());
        });
        conversation.finish(Abort::CaptureEnd, last, &mut |event| told.take(&event));
        let is_clean = conversation.anomalies().is_empty() && !told.is_broken;
        drop(conversation);
        assert_eq!(budget.used(), 0);
        (told.finish(), is_clean)
    });
}

/// HTTP of any version as its first bytes say.
pub fn http1(data: &[u8]) {
    conversation(data, None);
}

/// HTTP/2 as ALPN says.
pub fn http2(data: &[u8]) {
    conversation(data, Some("h2"));
}

/// HTTP/3: the streams of a script are those of QUIC.
pub fn http3(data: &[u8]) {
    same(data, |dice| {
        let budget = Budget::new(MOST);
        let mut connection = h3::Connection::new(&limits(), &budget);
        let mut told = Told::default();
        let last = play(data, dice, &mut |stream, side, event| {
            connection.push(stream.into(), side, event, &mut |event| told.take(&event));
            assert!(budget.used() <= MOST, "{}", budget.used());
        });
        connection.finish(Abort::CaptureEnd, last, &mut |event| told.take(&event));
        let is_clean = connection.anomalies().is_empty() && !told.is_broken;
        drop(connection);
        assert_eq!(budget.used(), 0);
        (told.finish(), is_clean)
    });
}

fn text(field: Field<'_>) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    (field.name.map(<[u8]>::to_vec), field.value.map(<[u8]>::to_vec))
}

/// Header blocks as the data of a script; a gap resizes, FIN loses the table. A sink that breaks off leaves the table as one
/// that listens does.
pub fn hpack(data: &[u8]) {
    let budget = Budget::new(1 << 20);
    let new = || h2::hpack::Decoder::new(limits().header_table, &budget);
    let (mut patient, mut hasty) = (new(), new());
    for step in steps(data) {
        for decoder in [&mut patient, &mut hasty] {
            match step.what {
                What::Gap(size) => decoder.allow(size.into()),
                What::Fin => decoder.lose(),
                What::Reset => decoder.allow_any(),
                What::Data(_) => {}
            }
        }
        let What::Data(block) = step.what else { continue };
        let mut all = Vec::new();
        let result = patient.decode(block, &Expected::default(), &mut |field| {
            all.push(text(field));
            ControlFlow::Continue(())
        });
        let mut first = Vec::new();
        let wanted = usize::from(step.stream);
        let other = hasty.decode(block, &Expected::default(), &mut |field| {
            first.push(text(field));
            if first.len() < wanted { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        // Who does not listen does not decode texts either, and so misses their faults.
        if result.is_ok() {
            assert_eq!(other, Ok(()));
            assert!(all.starts_with(&first) && (first.len() == all.len() || first.len() == wanted.max(1)));
        }
        assert!(budget.used() < 4 * limits().header_table + 4 * block.len() + 4096, "{}", budget.used());
        if result.is_err() {
            patient.lose();
            hasty.lose();
        }
    }
    drop((patient, hasty));
    assert_eq!(budget.used(), 0);
}

/// QPACK: data of the client is the encoder stream, data of the server are sections; a gap is the capacity of SETTINGS, FIN
/// loses the table. The encoder stream may be cut anywhere.
pub fn qpack(data: &[u8]) {
    same(data, |mut dice| {
        let budget = Budget::new(1 << 20);
        let mut decoder = h3::qpack::Decoder::new(limits().header_table, &budget);
        let mut lines = Vec::new();
        let mut is_broken = false;
        for step in steps(data) {
            match (step.side, step.what) {
                (_, What::Gap(capacity)) => decoder.allow(capacity.into()),
                (_, What::Fin | What::Reset) => decoder.lose(),
                (Side::Client, What::Data(bytes)) if !is_broken => {
                    let cuts = dice.as_mut().map_or(vec![bytes.len()], |dice| pieces(dice, bytes.len()));
                    let mut rest = bytes;
                    for cut in cuts {
                        let (piece, after) = rest.split_at(cut);
                        is_broken = is_broken || decoder.instructions(piece).is_err();
                        rest = after;
                    }
                    if is_broken {
                        decoder.lose();
                    }
                }
                (Side::Client, What::Data(_)) => {}
                (Side::Server, What::Data(section)) => {
                    let mut fields = Vec::new();
                    let ready = decoder.section(section, step.stream & 1 == 1, &mut |field| {
                        fields.push(text(field));
                        ControlFlow::Continue(())
                    });
                    if let Ok(Readiness::Blocked(required)) = ready {
                        assert!(required > decoder.inserted());
                    }
                    lines.push(format!("{ready:?} {fields:?}"));
                }
            }
            assert!(budget.used() < 4 * limits().header_table + 2 * data.len() + 4096, "{}", budget.used());
        }
        drop(decoder);
        assert_eq!(budget.used(), 0);
        (lines, true)
    });
}

/// Bytes in pieces, the same for whoever counts them.
fn each_piece(data: &[u8], dice: Option<Dice>, mut each: impl FnMut(&[u8])) {
    match dice {
        None => each(data),
        Some(mut dice) => {
            let mut rest = data;
            for cut in pieces(&mut dice, data.len()) {
                let (piece, after) = rest.split_at(cut);
                each(piece);
                rest = after;
            }
        }
    }
}

/// Both sides of a WebSocket as a script; the stream of the first step says which extension was agreed on.
pub fn websocket(data: &[u8]) {
    let extensions =
        ["", "permessage-deflate", "permessage-deflate; client_no_context_takeover; server_max_window_bits=9"];
    let mut headers = Headers::default();
    let which = steps(data).first().map_or(0, |step| usize::from(step.stream));
    headers.push(b"Sec-WebSocket-Extensions", extensions[which % extensions.len()].as_bytes());
    same(data, |dice| {
        let budget = Budget::new(1 << 20);
        let mut decoder = websocket::Decoder::new(&headers, &limits(), &budget);
        let mut lines = [Vec::new(), Vec::new()];
        let mut is_clean = true;
        for step in steps(data) {
            let side = step.side;
            let out = &mut lines[side.index()];
            is_clean &= !matches!(step.what, What::Gap(_));
            match step.what {
                What::Data(bytes) => each_piece(bytes, dice.clone(), |piece| {
                    decoder.push(side, piece, Span::default(), &mut |event| out.push(format!("{event:?}")));
                }),
                What::Gap(len) => decoder.lose(side, len.into(), &mut |event| out.push(format!("{event:?}"))),
                What::Fin | What::Reset => {}
            }
            assert!(budget.used() < 300_000, "{}", budget.used());
        }
        decoder.finish(&mut |event| lines[0].push(format!("{event:?}")));
        drop(decoder);
        assert_eq!(budget.used(), 0);
        (lines, is_clean)
    });
}

/// An event stream; a gap stands for lost bytes.
pub fn event_stream(data: &[u8]) {
    same(data, |dice| {
        let budget = Budget::new(1 << 20);
        let mut parser = sse::Parser::new(&limits(), &budget);
        let (mut lines, mut is_clean) = (Vec::new(), true);
        for step in steps(data) {
            is_clean &= matches!(step.what, What::Data(_));
            match step.what {
                What::Data(bytes) => each_piece(bytes, dice.clone(), |piece| {
                    parser.push(piece, Span::default(), &mut |item| lines.push(format!("{item:?}")));
                }),
                _ => parser.lose(),
            }
            assert!(budget.used() < 8 * limits().message, "{}", budget.used());
        }
        parser.finish(&mut |item| lines.push(format!("{item:?}")));
        drop(parser);
        assert_eq!(budget.used(), 0);
        (lines, is_clean)
    });
}

/// The body of one side of gRPC; the first octet says which kind and coding.
pub fn grpc(data: &[u8]) {
    let mut reader = Reader::new(data);
    let choice = usize::from(reader.u8().unwrap_or_default());
    let kinds = ["application/grpc", "application/grpc-web+proto", "application/grpc-web-text"];
    let codings = ["identity", "gzip", "deflate", "snappy"];
    let mut headers = Headers::default();
    headers.push(b"content-type", kinds[choice % 3].as_bytes());
    headers.push(b"grpc-encoding", codings[choice / 3 % 4].as_bytes());
    same(data, |dice| {
        let budget = Budget::new(1 << 20);
        let (mut lines, mut is_clean) = (Vec::new(), true);
        if let Some(mut decoder) = grpc::Decoder::new(&headers, &limits(), &budget) {
            for step in steps(reader.rest()) {
                is_clean &= !matches!(step.what, What::Gap(_));
                match step.what {
                    What::Data(bytes) => each_piece(bytes, dice.clone(), |piece| {
                        decoder.push(piece, Span::default(), &mut |event| lines.push(format!("{event:?}")));
                    }),
                    What::Gap(len) => decoder.lose(len.into(), &mut |event| lines.push(format!("{event:?}"))),
                    What::Fin | What::Reset => {}
                }
                assert!(budget.used() < 8 * limits().message, "{}", budget.used());
            }
            decoder.finish(&mut |event| lines.push(format!("{event:?}")));
        }
        assert_eq!(budget.used(), 0);
        (lines, is_clean)
    });
}
