use flate2::{Compress, Compression, FlushCompress};

use super::*;
use crate::base::{FrameNumber, Timestamp};

fn headers(extensions: &str) -> Headers {
    let mut headers = Headers::default();
    headers.push(b"Sec-WebSocket-Extensions", extensions.as_bytes());
    headers
}

fn frame(first: u8, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let flag = if mask.is_some() { 0x80 } else { 0 };
    match payload.len() {
        len @ 0..=125 => bytes.push(flag | len as u8),
        len @ 126..=0xffff => {
            bytes.push(flag | 126);
            bytes.extend((len as u16).to_be_bytes());
        }
        len => {
            bytes.push(flag | 127);
            bytes.extend((len as u64).to_be_bytes());
        }
    }
    let key = mask.unwrap_or_default();
    bytes.extend(mask.iter().flatten());
    bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

fn deflate(compress: &mut Compress, text: &[u8]) -> Vec<u8> {
    if text.is_empty() {
        // RFC 7692 §7.2.3.6
        return vec![0];
    }
    let mut bytes = Vec::with_capacity(text.len() + 100);
    compress.compress_vec(text, &mut bytes, FlushCompress::Sync).unwrap();
    assert_eq!(bytes.split_off(bytes.len() - 4), [0, 0, 0xff, 0xff]);
    bytes
}

enum Part<'a> {
    Bytes(&'a [u8]),
    Lost(u64),
}

fn read(decoder: &mut Decoder, side: Side, parts: &[Part<'_>], cut: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let stamp = Stamp { frame: FrameNumber(1), time: Timestamp(1) };
    let mut out = |event: WebSocketEvent<'_>| {
        lines.push(match event {
            WebSocketEvent::Message(message) => {
                assert_eq!(message.side, side);
                let start = &message.data[..message.data.len().min(40)];
                let is_whole = message.completeness == Completeness::Whole;
                let mark = if is_whole { String::new() } else { format!(" {:?}", message.completeness) };
                let (len, size) = (message.data.len(), message.wire_size);
                format!("{} {len} of {size} {}{mark}", message.opcode, start.escape_ascii())
            }
            WebSocketEvent::Unread(of, bytes, _) => {
                assert_eq!(of, side);
                format!("{bytes} unread")
            }
            WebSocketEvent::Anomaly(_, kind, _) => format!("! {}", kind.code()),
        });
    };
    for part in parts {
        match part {
            Part::Bytes(bytes) => {
                for piece in bytes.chunks(cut) {
                    decoder.push(side, piece, Span::of(stamp, false), &mut out);
                }
            }
            Part::Lost(len) => decoder.lose(side, *len, &mut out),
        }
    }
    decoder.finish(&mut out);
    lines
}

fn decoder(extensions: &str, budget: &Budget) -> Decoder {
    Decoder::new(&headers(extensions), &Limits { message: 100_000, ..Limits::default() }, budget)
}

fn check(extensions: &str, side: Side, bytes: &[u8], wanted: &[&str]) {
    for cut in [bytes.len(), 1, 2, 3, 7, 1000] {
        let budget = Budget::new(1 << 20);
        let mut decoder = decoder(extensions, &budget);
        assert_eq!(read(&mut decoder, side, &[Part::Bytes(bytes)], cut), wanted, "pieces of {cut}");
        assert!(budget.used() < 200_000);
    }
}

const MASK: Option<[u8; 4]> = Some([1, 2, 3, 0xff]);

#[test]
fn fragments_with_control_frames_between() {
    let bytes = [
        frame(0x01, MASK, b"frag"),
        frame(0x89, MASK, b"ping"),
        frame(0x00, MASK, b"-"),
        frame(0x80, MASK, b"ment"),
        frame(0x82, MASK, b""),
        frame(0x8a, MASK, b""),
        frame(0x82, MASK, &[b'x'; 300]),
        frame(0x88, MASK, b"\x03\xe8bye"),
    ]
    .concat();
    let long = format!("2 300 of 308 {}", "x".repeat(40));
    check(
        "",
        Side::Client,
        &bytes,
        &["9 4 of 10 ping", "1 9 of 27 frag-ment", "2 0 of 6 ", "10 0 of 6 ", &long, "8 5 of 11 \\x03\\xe8bye"],
    );
    assert_eq!(close(b"\x03\xe8bye"), Some((1000, &b"bye"[..])));
    assert_eq!(close(b""), None);
}

#[test]
fn compressed_messages_with_and_without_takeover() {
    for (extensions, forgets) in [
        ("permessage-deflate", false),
        ("x-other, permessage-deflate; server_no_context_takeover; server_max_window_bits=15", true),
    ] {
        let mut compress = Compress::new(Compression::default(), false);
        let mut bytes = Vec::new();
        for text in ["hello hello", "hello hello", ""] {
            bytes.extend(frame(0xc1, None, &deflate(&mut compress, text.as_bytes())));
            if forgets {
                compress.reset();
            }
        }
        bytes.extend(frame(0x81, None, b"plain"));
        let budget = Budget::new(1 << 20);
        let lines = read(&mut decoder(extensions, &budget), Side::Server, &[Part::Bytes(&bytes)], 3);
        let texts: Vec<&str> = lines.iter().map(|line| line.rsplit(' ').next().unwrap()).collect();
        assert_eq!(texts, ["hello", "hello", "", "plain"]);
        assert!(lines.iter().all(|line| !line.starts_with('!')));
    }
}

#[test]
fn the_sample_of_the_rfc_in_two_fragments() {
    // RFC 7692 §7.2.3.1
    let bytes = [&[0x41, 3, 0xf2, 0x48, 0xcd][..], &[0x80, 4, 0xc9, 0xc9, 0x07, 0x00]].concat();
    check("permessage-deflate", Side::Server, &bytes, &["1 5 of 11 Hello"]);
    // §7.2.3.4: a final block
    let bytes =
        [&[0xc1, 8, 0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0, 0][..], &[0xc1, 7, 0xf2, 0x48, 0xcd, 0xc9, 0xc9, 7, 0]]
            .concat();
    check("permessage-deflate", Side::Server, &bytes, &["1 5 of 10 Hello", "1 5 of 9 Hello"]);
}

#[test]
fn bad_frames_end_their_side_only() {
    let bad: [&[u8]; 6] =
        [&[0x83, 0], &[0xc1, 0], &[0x91, 0], &[0x09, 0], &[0x80, 0], &[0x82, 127, 0xff, 0, 0, 0, 0, 0, 0, 0]];
    for bytes in bad {
        let budget = Budget::new(1 << 20);
        let mut decoder = decoder("", &budget);
        let bytes = [bytes, &frame(0x81, None, b"behind")].concat();
        let unread = format!("{} unread", bytes.len());
        let lines = read(&mut decoder, Side::Server, &[Part::Bytes(&bytes)], 100);
        assert_eq!(lines, ["! message-malformed", &unread]);
        let other = frame(0x81, MASK, b"fine");
        assert_eq!(read(&mut decoder, Side::Client, &[Part::Bytes(&other)], 100), ["1 4 of 10 fine"]);
    }
    let unmasked = [frame(0x81, None, b"a"), frame(0x81, None, b"b")].concat();
    check("", Side::Client, &unmasked, &["! message-malformed", "1 1 of 3 a", "1 1 of 3 b"]);
}

#[test]
fn a_gap_inside_a_payload_is_survived() {
    let bytes = [frame(0x81, MASK, b"hello world"), frame(0x81, MASK, b"next")].concat();
    for (at, len) in (6..17).flat_map(|at| (1..=17 - at).map(move |len| (at, len))) {
        let budget = Budget::new(1 << 20);
        let parts = [Part::Bytes(&bytes[..at]), Part::Lost(len as u64), Part::Bytes(&bytes[at + len..])];
        let lines = read(&mut decoder("", &budget), Side::Client, &parts, 100);
        let cut = format!("1 {} of 17 {} Cut", at - 6, b"hello world"[..at - 6].escape_ascii());
        assert_eq!(lines, [&cut, "1 4 of 10 next"]);
    }
}

/// Frames of many kinds, each as a chunk of its own.
fn conversation(side: Side) -> (Vec<Vec<u8>>, Vec<String>) {
    let mask = if side == Side::Client { MASK } else { None };
    let long = "kein Zufall, sondern Text: \u{e4}\u{f6}\u{fc} ".repeat(9);
    let binary: Vec<u8> = (0..2000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let frames = [
        frame(0x81, mask, b"hello"),
        frame(0x89, mask, b""),
        frame(0x82, mask, &binary),
        frame(0x81, mask, long.as_bytes()),
        frame(0x82, mask, &[0; 40]),
        frame(0x81, mask, b""),
        frame(0x8a, mask, b"pong"),
        frame(0x82, mask, b"\x83\x03abc"),
        frame(0x88, mask, b"\x03\xe8bye"),
    ];
    let budget = Budget::new(1 << 20);
    let lines = read(&mut decoder("", &budget), side, &[Part::Bytes(&frames.concat())], 10_000);
    assert_eq!(lines.len(), frames.len());
    (frames.into(), lines)
}

#[test]
fn frames_go_on_with_the_next_chunk_that_begins_with_one() {
    for side in Side::BOTH {
        let (frames, lines) = conversation(side);
        for (from, to) in (0..frames.len()).flat_map(|from| (from + 1..=frames.len()).map(move |to| (from, to))) {
            for (len, cut) in [(0, 5000), (1, 5000), (1, 700)] {
                let lost = if len == 0 { 0 } else { frames[from..to].concat().len() as u64 };
                let before = frames[..from].iter().map(|frame| Part::Bytes(frame));
                let behind = frames[to..].iter().map(|frame| Part::Bytes(frame));
                let parts: Vec<Part<'_>> = before.chain([Part::Lost(lost)]).chain(behind).collect();
                let budget = Budget::new(1 << 20);
                let told = read(&mut decoder("", &budget), side, &parts, cut);
                assert_eq!(told, [&lines[..from], &lines[to..]].concat(), "{side:?} {from}..{to}, {lost} lost");
                assert_eq!(budget.used(), 0);
            }
        }
    }
}

#[test]
fn a_hole_of_any_place_and_length_invents_nothing() {
    for side in Side::BOTH {
        let (frames, lines) = conversation(side);
        let bytes = frames.concat();
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = move |bound: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as usize % bound
        };
        for _ in 0..3000 {
            let (at, len, cut) = (next(bytes.len()), 1 + next(900), 130 + next(300));
            let to = (at + len).min(bytes.len());
            let lost = if next(2) == 0 { 0 } else { (to - at) as u64 };
            let parts = [Part::Bytes(&bytes[..at]), Part::Lost(lost), Part::Bytes(&bytes[to..])];
            let budget = Budget::new(1 << 20);
            let told = read(&mut decoder("", &budget), side, &parts, cut);
            let mut real = lines.iter();
            for line in told.iter().filter(|line| !line.ends_with("unread")) {
                let is_of = |real: &&String| match line.strip_suffix(" Cut") {
                    Some(cut) => {
                        let size = |line: &str| line.split(' ').nth(3).map(str::to_owned);
                        real.starts_with(&line[..1]) && size(real) == size(cut)
                    }
                    None => *real == line,
                };
                assert!(real.any(|real| is_of(&real)), "{side:?} {at}+{len} ({lost}) in {cut}: {line} of {told:#?}");
            }
        }
    }
}

#[test]
fn what_cannot_be_read_is_counted() {
    let budget = Budget::new(1 << 20);
    let garbage = [0xff; 50];
    let parts = [Part::Bytes(&[0x82, 100, 1, 2]), Part::Lost(0), Part::Bytes(&garbage), Part::Bytes(&[0x82, 100, 9])];
    let lines = read(&mut decoder("", &budget), Side::Server, &parts, 100);
    assert_eq!(lines, ["2 2 of 102 \\x01\\x02 Cut", "53 unread"]);
    // A part of a message whose start is missing leads to the next message.
    let behind = [frame(0, None, b"mid"), frame(0x80, None, b"end"), frame(0x81, None, b"next")].concat();
    let parts = [Part::Bytes(&[0x01, 3]), Part::Lost(9), Part::Bytes(&behind)];
    let lines = read(&mut decoder("", &budget), Side::Server, &parts, 100);
    assert_eq!(lines, ["2 unread", "10 unread", "1 4 of 6 next"]);
}

#[test]
fn a_lost_window_is_told_until_it_is_forgotten() {
    let mut compress = Compress::new(Compression::default(), false);
    let texts = [&b"hello hello hello"[..], b"hello hello hello", b"hello hello"];
    for (extensions, forgets) in
        [("permessage-deflate", false), ("permessage-deflate; server_no_context_takeover", true)]
    {
        compress.reset();
        let frames = texts.map(|text| {
            let coded = frame(0xc1, None, &deflate(&mut compress, text));
            if forgets {
                compress.reset();
            }
            coded
        });
        let plain = frame(0x81, None, b"plain");
        let sizes = frames.each_ref().map(Vec::len);
        let behind = match forgets {
            true => [format!("1 17 of {} hello hello hello", sizes[1]), format!("1 11 of {} hello hello", sizes[2])],
            false => [format!("1 0 of {}  Undecodable", sizes[1]), format!("1 0 of {}  Undecodable", sizes[2])],
        };
        for (at, lost) in [(3, sizes[0] as u64 - 3), (0, sizes[0] as u64), (0, 0)] {
            let budget = Budget::new(1 << 20);
            let parts = [
                Part::Bytes(&frames[0][..at]),
                Part::Lost(lost),
                Part::Bytes(&frames[1]),
                Part::Bytes(&plain),
                Part::Bytes(&frames[2]),
            ];
            let mut lines = read(&mut decoder(extensions, &budget), Side::Server, &parts, 100);
            lines.retain(|line| !line.ends_with("Cut"));
            let faults = lines.extract_if(.., |line| line == "! coding-broken").count();
            assert_eq!(lines, [&behind[0], "1 5 of 7 plain", &behind[1]]);
            assert_eq!(faults, if forgets { 0 } else { 2 });
        }
    }
}

#[test]
fn messages_are_bounded() {
    let mut compress = Compress::new(Compression::best(), false);
    let bomb = frame(0xc2, None, &deflate(&mut compress, &vec![0; 10_000_000]));
    let large = frame(0x82, None, &vec![7; 300_000]);
    let budget = Budget::new(1 << 20);
    let mut decoder = decoder("permessage-deflate", &budget);
    let lines = read(&mut decoder, Side::Server, &[Part::Bytes(&bomb), Part::Bytes(&large)], 1460);
    assert_eq!(lines[0], "! body-too-large");
    assert!(lines[1].starts_with("2 100000 of "));
    assert_eq!(lines[2], "! body-too-large");
    assert!(lines[3].starts_with("2 100000 of 300010 "));
    assert!(budget.used() < 400_000);
    drop(decoder);
    assert_eq!(budget.used(), 0);
}

#[test]
fn mutated_frames_break_nothing() {
    let mut compress = Compress::new(Compression::default(), false);
    let good = [
        frame(0x41, MASK, &deflate(&mut compress, b"some text, some text")),
        frame(0x89, MASK, b"ping"),
        frame(0x80, MASK, b"\0\0\xff\xff\0"),
        frame(0x82, MASK, &[9; 500]),
    ]
    .concat();
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move |bound: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % bound as u64) as usize
    };
    for _ in 0..3000 {
        let mut bytes = good.clone();
        for _ in 0..1 + next(4) {
            let at = next(bytes.len());
            bytes[at] = next(256) as u8;
        }
        let budget = Budget::new(1 << 20);
        let (at, lost) = (next(bytes.len()), next(9) as u64);
        let parts = [Part::Bytes(&bytes[..at]), Part::Lost(lost), Part::Bytes(&bytes[at..])];
        let cut = 1 + next(50);
        read(&mut decoder("permessage-deflate", &budget), Side::Client, &parts, cut);
        assert_eq!(budget.used(), 0);
    }
}
