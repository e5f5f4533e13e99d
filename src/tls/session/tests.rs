//! Conversations made here go through [`Session`] whole, in pieces, with holes, damaged, and with secrets that come late.

mod hellos;

use super::*;
use crate::base::anomaly::AnomalyKind;
use crate::base::{FrameNumber, Span, Stamp, Timestamp};
use crate::tcp::{Chunk, Position};
use crate::tls::suite::Suite;
use crate::tls::testing::{Conversation, Early, Options, Random};
use crate::tls::{Decryption, SecretSource};

/// One piece of plaintext or a hole.
#[derive(Debug, Clone, PartialEq)]
enum Out {
    Data { bytes: Vec<u8>, offset: u64, first: u64, last: u64 },
    Gap(u64),
    Fin,
    Reset,
}

struct Reading {
    session: Session,
    budget: Budget,
    keys: KeyLog,
    out: [Vec<Out>; 2],
    order: Vec<Side>,
    offsets: [u64; 2],
    frame: u64,
    peak: usize,
}

impl Reading {
    fn new(key_log: &str) -> Self {
        let keys = KeyLog::default();
        keys.parse(key_log.as_bytes(), SecretSource::KeyLog);
        let budget = Budget::new(64 << 20);
        let session = Session::new(&Limits::default(), &budget);
        let (out, order, offsets) = ([Vec::new(), Vec::new()], Vec::new(), [0; 2]);
        Self { session, budget, keys, out, order, offsets, frame: 0, peak: 0 }
    }

    fn stamp(&self) -> Stamp {
        Stamp { frame: FrameNumber(self.frame), time: Timestamp(self.frame as i64) }
    }

    fn push(&mut self, side: Side, event: StreamEvent<'_>) {
        let (out, order) = (&mut self.out, &mut self.order);
        self.session.push(side, event, &self.keys, &mut |side, event| {
            order.push(side);
            out[side.index()].push(noted(event));
        });
        self.peak = self.peak.max(self.budget.used());
    }

    fn data(&mut self, side: Side, data: &[u8]) {
        self.frame += 1;
        let offset = self.offsets[side.index()];
        self.offsets[side.index()] += data.len() as u64;
        self.push(
            side,
            StreamEvent::Data(Chunk {
                data,
                span: Span::of(self.stamp(), false),
                offset,
                position: Position::default(),
            }),
        );
    }

    fn gap(&mut self, side: Side, len: u64, is_told: bool) {
        self.offsets[side.index()] += len;
        self.push(side, StreamEvent::Gap { len: if is_told { len } else { 0 }, stamp: self.stamp() });
    }

    fn finish(&mut self) {
        let (out, order) = (&mut self.out, &mut self.order);
        self.session.finish(&self.keys, &mut |side, event| {
            order.push(side);
            out[side.index()].push(noted(event));
        });
    }

    /// Everything that came out of one side as data.
    fn plain(&self, side: Side) -> Vec<u8> {
        let data = |out: &Out| if let Out::Data { bytes, .. } = out { bytes.clone() } else { Vec::new() };
        self.out[side.index()].iter().flat_map(data).collect()
    }

    fn whole(conversation: &Conversation, key_log: &str) -> Self {
        let mut reading = Self::new(key_log);
        for (side, bytes) in &conversation.wire {
            reading.data(*side, bytes);
        }
        reading.finish();
        reading
    }

    fn failure(&self) -> &str {
        match &self.session.info().decryption {
            Decryption::Failed(why) => why,
            other => panic!("{other:?}"),
        }
    }

    fn saw(&self, kind: AnomalyKind) -> u64 {
        self.session.anomalies().count(kind)
    }
}

fn noted(event: StreamEvent<'_>) -> Out {
    match event {
        StreamEvent::Data(chunk) => Out::Data {
            bytes: chunk.data.to_vec(),
            offset: chunk.offset,
            first: chunk.span.first.frame.0,
            last: chunk.span.last.frame.0,
        },
        StreamEvent::Gap { len, .. } => Out::Gap(len),
        StreamEvent::Fin(_) => Out::Fin,
        StreamEvent::Reset(_) => Out::Reset,
    }
}

/// Version and suite of one conversation for each path through the ciphers.
const PATHS: &[(u16, u16)] = &[
    (0x0304, 0x1301), // AES-128-GCM
    (0x0304, 0x1302), // AES-256-GCM, SHA-384
    (0x0304, 0x1303), // ChaCha20-Poly1305
    (0x0304, 0x1304), // AES-128-CCM
    (0x0304, 0x1305), // AES-128-CCM-8
    (0x0303, 0xc02f), // ECDHE_RSA AES-128-GCM
    (0x0303, 0xc030), // ECDHE_RSA AES-256-GCM SHA-384
    (0x0303, 0xcca8), // ECDHE_RSA ChaCha20-Poly1305
    (0x0303, 0xc0ac), // ECDHE_ECDSA AES-128-CCM
    (0x0303, 0xc0af), // ECDHE_ECDSA AES-256-CCM-8
    (0x0303, 0xc013), // ECDHE_RSA AES-128-CBC SHA-1
    (0x0303, 0xc027), // ECDHE_RSA AES-128-CBC SHA-256
    (0x0303, 0xc028), // ECDHE_RSA AES-256-CBC SHA-384
    (0x0303, 0x000a), // RSA 3DES-CBC
    (0x0303, 0x0005), // RSA RC4 SHA-1
    (0x0303, 0x003b), // RSA NULL SHA-256
    (0x0302, 0x002f), // TLS 1.1, AES-128-CBC
    (0x0302, 0x0004), // TLS 1.1, RC4 MD5
    (0x0301, 0x0035), // TLS 1.0, AES-256-CBC with a chained IV
    (0x0301, 0x000a), // TLS 1.0, 3DES-CBC
    (0x0301, 0x0005), // TLS 1.0, RC4
];

/// A request, a response over several records, another request, and the end.
fn talk(options: Options) -> Conversation {
    let mut made = Conversation::new(options);
    let mut random = Random(99);
    made.send(Side::Client, b"GET / HTTP/1.1\r\n\r\n");
    for len in [100, 1, 1500, 20_000, 3] {
        let body = random.bytes(len);
        made.send(Side::Server, &body);
    }
    made.send(Side::Client, &random.bytes(5000));
    made.close(Side::Client);
    made.close(Side::Server);
    made
}

#[test]
fn every_cipher_is_read() {
    for &(version, suite) in PATHS {
        for (encrypt_then_mac, padding) in [(false, 0), (true, 0), (false, 40)] {
            let made = talk(Options { encrypt_then_mac, padding, ..Options::new(version, suite) });
            let reading = Reading::whole(&made, &made.key_log);
            let what = format!("{version:04x} {suite:04x} {encrypt_then_mac} {padding}");
            for side in Side::BOTH {
                assert_eq!(reading.plain(side), made.plain[side.index()], "{what}");
                assert_eq!(reading.out[side.index()].last(), Some(&Out::Fin), "{what}");
                assert_eq!(reading.out[side.index()].iter().filter(|out| **out == Out::Fin).count(), 1, "{what}");
            }
            let info = reading.session.info();
            assert!(reading.session.anomalies().is_empty(), "{what} {:?}", reading.session.anomalies());
            assert_eq!(info.decryption, Decryption::KeyLog, "{what}");
            assert_eq!((info.version, info.cipher_suite), (Some(version), Some(suite)));
            assert_eq!((info.sni.as_deref(), info.alpn.as_deref()), (Some("www.example.org"), Some("h2")));
            assert_eq!(info.alpn_offered, ["h2", "http/1.1"]);
            assert!(!info.resumed && !info.early_data && info.start.is_some() && info.end.is_some(), "{what}");
            assert_eq!(info.group.is_some(), version == 0x0304 || suite > 0xc000, "{what}");
            drop(reading.session);
            assert_eq!(reading.budget.used(), 0);
        }
    }
}

/// What came out with neighbouring pieces of data joined.
fn joined(out: &[Out]) -> Vec<Out> {
    let mut all: Vec<Out> = Vec::new();
    for next in out {
        match (all.last_mut(), next) {
            (Some(Out::Data { bytes, .. }), Out::Data { bytes: more, .. }) => bytes.extend_from_slice(more),
            (_, Out::Data { bytes, offset, .. }) => {
                all.push(Out::Data { bytes: bytes.clone(), offset: *offset, first: 0, last: 0 });
            }
            _ => all.push(next.clone()),
        }
    }
    all
}

#[test]
fn segments_may_end_anywhere() {
    for &(version, suite) in &[PATHS[0], PATHS[7], PATHS[10], PATHS[18]] {
        let made = talk(Options::new(version, suite));
        let whole = Reading::whole(&made, &made.key_log);
        for size in [1, 2, 3, 5, 7, 64, 1448, 60_000] {
            let mut reading = Reading::new(&made.key_log);
            for (side, bytes) in &made.wire {
                bytes.chunks(size).for_each(|part| reading.data(*side, part));
            }
            reading.finish();
            for side in 0..2 {
                assert_eq!(joined(&reading.out[side]), joined(&whole.out[side]), "{suite:04x} {size}");
            }
            // One record and a segment: never more is held, and small segments cost no marks.
            assert!(reading.peak < 120_000, "{size}: {}", reading.peak);
        }
        // Records side by side in one segment.
        let mut reading = Reading::new(&made.key_log);
        let mut at = 0;
        while let Some((side, _)) = made.wire.get(at) {
            let run = made.wire[at..].iter().take_while(|(from, _)| from == side).count();
            let bytes: Vec<u8> = made.wire[at..at + run].iter().flat_map(|(_, bytes)| bytes.clone()).collect();
            reading.data(*side, &bytes);
            at += run;
        }
        reading.finish();
        for side in 0..2 {
            assert_eq!(joined(&reading.out[side]), joined(&whole.out[side]));
        }
    }
}

#[test]
fn data_carries_the_frames_of_its_record() {
    let mut made = Conversation::new(Options::new(0x0304, 0x1301));
    let handshake = made.wire.len();
    made.send(Side::Server, &[1; 100]);
    made.send(Side::Server, &[2; 100]);
    let mut reading = Reading::new(&made.key_log);
    made.wire[..handshake].iter().for_each(|(side, bytes)| reading.data(*side, bytes));
    let base = reading.frame;
    let tail: Vec<u8> = made.wire[handshake..].iter().flat_map(|(_, bytes)| bytes.clone()).collect();
    let record = made.wire[handshake].1.len();
    // Frames: the first record but its end; its end with the beginning of the second; the rest.
    for part in
        [&tail[..record - 10], &tail[record - 10..record + 3], &tail[record + 3..record + 60], &tail[record + 60..]]
    {
        reading.data(Side::Server, part);
    }
    let spans: Vec<(u64, u64)> = reading.out[1]
        .iter()
        .filter_map(
            |out| if let Out::Data { first, last, .. } = out { Some((first - base, last - base)) } else { None },
        )
        .collect();
    assert_eq!(spans, [(1, 2), (2, 4)]);
}

/// Reads a conversation with a hole in what the server sent; the wire before `from` was a handshake.
fn read_with_hole(made: &Conversation, handshake: usize, at: usize, len: usize, is_told: bool) -> Reading {
    let mut reading = Reading::new(&made.key_log);
    made.wire[..handshake].iter().for_each(|(side, bytes)| reading.data(*side, bytes));
    let tail: Vec<u8> = made.wire[handshake..].iter().flat_map(|(_, bytes)| bytes.clone()).collect();
    let end = (at + len).min(tail.len());
    tail[..at].chunks(700).for_each(|part| reading.data(Side::Server, part));
    reading.gap(Side::Server, (end - at) as u64, is_told);
    tail[end..].chunks(700).for_each(|part| reading.data(Side::Server, part));
    reading.finish();
    reading
}

#[test]
fn a_hole_costs_only_the_records_it_touches() {
    for &(version, suite) in PATHS {
        let mut made = Conversation::new(Options::new(version, suite));
        let handshake = made.wire.len();
        let mut random = Random(5);
        for len in [200, 30, 900, 1, 400, 16_384, 50, 60, 300] {
            let body = random.bytes(len);
            made.send(Side::Server, &body);
        }
        let mut ends = vec![0];
        for (_, record) in &made.wire[handshake..] {
            ends.push(ends.last().unwrap() + record.len());
        }
        let (total, plain) = (*ends.last().unwrap(), &made.plain[1]);
        let lens = [200, 30, 900, 1, 400, 16_384, 50, 60, 300];
        let is_rc4 = Suite::of(suite).unwrap().name.contains("RC4");
        let is_cbc = Suite::of(suite).unwrap().name.contains("CBC");
        let is_chained = is_cbc && version == 0x0301;
        for at in (0..total - 400).step_by(if suite == 0x1301 { 37 } else { 991 }) {
            for len in [1, 90, 1400] {
                let reading = read_with_hole(&made, handshake, at, len, true);
                // Which records the hole spares; with a chained IV it costs one more.
                let mut expected = Vec::new();
                let mut offset = 0;
                let mut was_hit = false;
                for (number, pair) in ends.windows(2).enumerate() {
                    let is_hit = pair[0] < at + len && at < pair[1];
                    let is_spared = !(is_hit || was_hit && is_chained);
                    if is_spared {
                        expected.push((offset, lens[number]));
                    }
                    was_hit = is_hit;
                    offset += lens[number];
                }
                let got: Vec<(u64, Vec<u8>)> = reading.out[1]
                    .iter()
                    .filter_map(|out| match out {
                        Out::Data { bytes, offset, .. } => Some((*offset, bytes.clone())),
                        _ => None,
                    })
                    .collect();
                let what = format!("{version:04x} {suite:04x} hole {at}+{len}");
                if is_rc4 {
                    // The key stream goes on only when it is known how far it ran.
                    assert!(
                        got.iter().all(|(_, bytes)| plain.windows(bytes.len()).any(|part| part == &bytes[..])),
                        "{what}"
                    );
                    continue;
                }
                assert_eq!(got.len(), expected.len(), "{what} {:?}", reading.out[1].len());
                for ((offset, bytes), (at, len)) in got.iter().zip(&expected) {
                    assert_eq!(bytes, &plain[*at..at + len], "{what}");
                    if !is_cbc {
                        assert_eq!(*offset, *at as u64, "{what}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_hole_of_unknown_size_and_a_large_one() {
    let mut made = Conversation::new(Options::new(0x0304, 0x1301));
    let handshake = made.wire.len();
    for number in 0..60u8 {
        made.send(Side::Server, &vec![number; 1000]);
    }
    for (len, is_told) in [(1_000, false), (30_000, true), (30_000, false)] {
        let reading = read_with_hole(&made, handshake, 5000, len, is_told);
        let plain = reading.plain(Side::Server);
        assert!(plain.starts_with(&[0; 1000]) && plain.ends_with(&[59; 1000]));
        let lost = if len == 1_000 { 2..=2 } else { 29..=31 };
        assert!(lost.contains(&(60 - plain.len() / 1000)), "{}", plain.len());
        assert_eq!(reading.out[1].iter().filter(|out| matches!(out, Out::Gap(_))).count(), 1);
    }
}

#[test]
fn a_damaged_record_costs_itself() {
    for &(version, suite) in PATHS {
        let mut made = Conversation::new(Options::new(version, suite));
        let at = made.wire.len() + 1;
        for part in [b"one--", b"two--", b"three", b"four-"] {
            made.send(Side::Server, part);
        }
        let last = made.wire[at].1.len() - 1;
        made.wire[at].1[last] ^= 1;
        let reading = Reading::whole(&made, &made.key_log);
        let is_chained = version == 0x0301 && Suite::of(suite).unwrap().name.contains("CBC");
        // The last block of a record of TLS 1.0 is the next record's IV.
        let expected: &[u8] = if is_chained { b"one--four-" } else { b"one--threefour-" };
        assert_eq!(reading.plain(Side::Server), expected, "{version:04x} {suite:04x}");
        assert_eq!(reading.saw(AnomalyKind::DecryptFailed), if is_chained { 2 } else { 1 });
        assert!(reading.out[1].iter().any(|out| matches!(out, Out::Gap(0 | 5))));
    }
}

#[test]
fn secrets_may_come_late() {
    for &(version, suite) in &[PATHS[0], PATHS[5], PATHS[10], PATHS[18]] {
        let made = talk(Options::new(version, suite));
        let whole = Reading::whole(&made, &made.key_log);
        for late in 0..=made.wire.len() {
            let mut reading = Reading::new("");
            for (number, (side, bytes)) in made.wire.iter().enumerate() {
                if number == late {
                    reading.keys.parse(made.key_log.as_bytes(), SecretSource::InCapture);
                }
                reading.data(*side, bytes);
            }
            reading.keys.parse(made.key_log.as_bytes(), SecretSource::InCapture);
            reading.finish();
            assert_eq!(reading.out, whole.out, "{suite:04x} {late}");
            assert_eq!(reading.order.iter().filter(|&&side| side == Side::Client).count(), whole.out[0].len());
            assert_eq!(reading.order, whole.order, "{suite:04x} {late}");
            assert_eq!(reading.session.info().decryption, Decryption::InCapture);
        }
    }
}

#[test]
fn secrets_may_come_one_by_one() {
    let made = talk(Options::new(0x0304, 0x1301));
    let whole = Reading::whole(&made, &made.key_log);
    let mut lines: Vec<&str> = made.key_log.lines().collect();
    for _ in 0..lines.len() {
        lines.rotate_left(1);
        let mut reading = Reading::new("");
        let mut left = lines.iter();
        for (side, bytes) in &made.wire {
            reading.data(*side, bytes);
            left.next().map(|line| reading.keys.parse(line.as_bytes(), SecretSource::KeyLog));
        }
        reading.finish();
        assert_eq!(reading.out, whole.out);
    }
}

#[test]
fn waiting_has_a_bound() {
    let mut made = Conversation::new(Options::new(0x0304, 0x1301));
    let handshake = made.wire.len();
    for _ in 0..200 {
        made.send(Side::Server, &[8; 16_000]);
    }
    let mut reading = Reading::whole(&made, "");
    assert!(reading.peak < (1 << 20) + 200_000, "{}", reading.peak);
    assert!(reading.saw(AnomalyKind::KeysMissing) > 0);
    assert!(reading.failure().contains("Neither the key log nor the capture"), "{}", reading.failure());
    assert_eq!(reading.plain(Side::Server), b"");
    // Secrets that come after all are used from there on.
    reading.keys.parse(made.key_log.as_bytes(), SecretSource::KeyLog);
    let before = made.wire.len();
    made.send(Side::Server, b"at last");
    let tail = made.wire[before].1.clone();
    reading.data(Side::Server, &tail);
    assert_eq!(reading.plain(Side::Server), b"at last", "{handshake}");
    assert_eq!(reading.session.info().decryption, Decryption::KeyLog);
}

#[test]
fn keys_are_updated_on_both_sides() {
    for hole in [false, true] {
        let mut made = Conversation::new(Options::new(0x0304, 0x1302));
        let mut updates = Vec::new();
        for round in 0..3u8 {
            for side in Side::BOTH {
                made.send(side, &[round; 50]);
                updates.push(made.wire.len());
                made.update_keys(side);
                made.send(side, &[round + 100; 50]);
            }
        }
        let mut reading = Reading::new(&made.key_log);
        for (number, (side, bytes)) in made.wire.iter().enumerate() {
            if hole && updates.contains(&number) {
                reading.gap(*side, bytes.len() as u64, true);
            } else {
                reading.data(*side, bytes);
            }
        }
        reading.finish();
        for side in Side::BOTH {
            assert_eq!(reading.plain(side), made.plain[side.index()], "{hole}");
        }
    }
}

#[test]
fn early_data_is_read_or_passed_over() {
    for early in [Early::Accepted, Early::Refused, Early::Retry] {
        let made = talk(Options { early_data: early, ..Options::new(0x0304, 0x1301) });
        let reading = Reading::whole(&made, &made.key_log);
        for side in Side::BOTH {
            assert_eq!(reading.plain(side), made.plain[side.index()], "{early:?}");
        }
        assert_eq!(reading.session.info().early_data, early == Early::Accepted);
        assert!(reading.session.anomalies().is_empty(), "{early:?} {:?}", reading.session.anomalies());
        assert_eq!(reading.session.info().group.as_deref(), Some("x25519"));
    }
}

#[test]
fn a_renegotiation_brings_new_keys() {
    for &(version, suite) in &[PATHS[5], PATHS[11], PATHS[18]] {
        let mut made = Conversation::new(Options::new(version, suite));
        made.send(Side::Client, b"before");
        made.renegotiate();
        made.send(Side::Client, b" after");
        made.send(Side::Server, b"answer");
        let reading = Reading::whole(&made, &made.key_log);
        assert_eq!(reading.plain(Side::Client), b"before after");
        assert_eq!(reading.plain(Side::Server), b"answer");
        assert!(reading.session.anomalies().is_empty());
    }
}

#[test]
fn roles_follow_the_hellos() {
    let made = talk(Options::new(0x0304, 0x1301));
    let mut reading = Reading::new(&made.key_log);
    made.wire.iter().for_each(|(side, bytes)| reading.data(side.other(), bytes));
    assert!(reading.session.is_flipped());
    assert_eq!(reading.plain(Side::Client), made.plain[0]);
    assert_eq!(reading.plain(Side::Server), made.plain[1]);
}

#[test]
fn the_server_may_be_delivered_first() {
    let made = talk(Options::new(0x0304, 0x1301));
    let mut reading = Reading::new(&made.key_log);
    for side in [Side::Server, Side::Client] {
        made.wire.iter().filter(|(from, _)| *from == side).for_each(|(side, bytes)| reading.data(*side, bytes));
    }
    reading.finish();
    assert_eq!(reading.plain(Side::Client), made.plain[0]);
    assert_eq!(reading.plain(Side::Server), made.plain[1]);
}

#[test]
fn failures_are_told_in_sentences() {
    let made = talk(Options::new(0x0304, 0x1301));
    assert!(Reading::whole(&made, "").failure().contains("secrets for this TLS connection (client random "));
    let partial: String =
        made.key_log.lines().filter(|line| !line.contains("TRAFFIC_SECRET_0")).map(|l| format!("{l}\n")).collect();
    assert!(!partial.is_empty());
    let handshake_only = Reading::whole(&made, &partial);
    assert_eq!(handshake_only.plain(Side::Server), b"");
    assert!(handshake_only.saw(AnomalyKind::KeysMissing) > 0);
    let no_handshake: String =
        made.key_log.lines().filter(|line| line.contains("TRAFFIC_SECRET_0")).map(|l| format!("{l}\n")).collect();
    assert!(
        Reading::whole(&made, &no_handshake).failure().contains("has no CLIENT_HANDSHAKE_TRAFFIC_SECRET")
            || Reading::whole(&made, &no_handshake).failure().contains("has no SERVER_HANDSHAKE_TRAFFIC_SECRET")
    );
    let wrong: String = made.key_log.lines().map(|line| format!("{}{}\n", &line[..line.len() - 2], "00")).collect();
    let reading = Reading::whole(&made, &wrong);
    assert!(reading.failure().contains("do not decrypt it"), "{}", reading.failure());
    assert!(reading.saw(AnomalyKind::DecryptFailed) > 0);

    let mut middle = Reading::new(&made.key_log);
    made.wire.iter().skip(12).for_each(|(side, bytes)| middle.data(*side, bytes));
    middle.finish();
    assert!(middle.failure().contains("starts after the TLS handshake"), "{}", middle.failure());
    assert_eq!(middle.saw(AnomalyKind::StartMissing), 1);

    // The server chooses ARIA.
    let mut foreign = talk(Options::new(0x0303, 0xc02f));
    let hello = foreign.wire.iter_mut().find(|(side, _)| *side == Side::Server).unwrap();
    let at = 5 + 4 + 2 + 32 + 33;
    assert_eq!(hello.1[at..at + 2], [0xc0, 0x2f]);
    hello.1[at..at + 2].copy_from_slice(&[0xc0, 0x60]);
    let reading = Reading::whole(&foreign, &foreign.key_log);
    assert_eq!(reading.failure(), "The cipher suite TLS_ECDHE_RSA_WITH_ARIA_128_GCM_SHA256 is not supported");
    assert_eq!(reading.saw(AnomalyKind::CipherUnsupported), 1);

    // The server refuses.
    let mut refused = Reading::new("");
    refused.data(Side::Client, &made.wire[0].1);
    refused.data(Side::Server, &[21, 3, 3, 0, 2, 2, 40]);
    refused.finish();
    assert_eq!(refused.failure(), "The TLS handshake failed: the server sent the alert handshake_failure");
}

#[test]
fn plain_suites_need_no_secrets() {
    let made = talk(Options::new(0x0303, 0x003b));
    let reading = Reading::whole(&made, "");
    assert_eq!(reading.plain(Side::Server), made.plain[1]);
}

#[test]
fn fin_and_reset_keep_their_place() {
    let made = talk(Options::new(0x0304, 0x1301));
    let mut reading = Reading::new("");
    let end = made.wire.len() - 2;
    made.wire[..end].iter().for_each(|(side, bytes)| reading.data(*side, bytes));
    reading.push(Side::Client, StreamEvent::Fin(Stamp::default()));
    reading.push(Side::Server, StreamEvent::Reset(Stamp::default()));
    assert!(reading.out.iter().all(Vec::is_empty));
    reading.keys.parse(made.key_log.as_bytes(), SecretSource::KeyLog);
    reading.finish();
    assert_eq!(reading.plain(Side::Client), made.plain[0]);
    assert_eq!(reading.out[0].last(), Some(&Out::Fin));
    assert_eq!(reading.out[1].last(), Some(&Out::Reset));
}

#[test]
fn damage_of_any_kind_is_survived() {
    let mut random = Random(7);
    for round in 0..600 {
        let &(version, suite) = &PATHS[round % PATHS.len()];
        let early_data = [Early::None, Early::Accepted, Early::Refused, Early::Retry][random.below(4)];
        let mut made = talk(Options { early_data, seed: round as u64 + 1, ..Options::new(version, suite) });
        for _ in 0..1 + random.below(4) {
            let at = random.below(made.wire.len());
            let bytes = &mut made.wire[at].1;
            let near = if random.below(2) == 0 { 12 } else { usize::MAX };
            let place = random.below(bytes.len().min(near));
            if bytes.is_empty() {
                continue;
            }
            match random.below(4) {
                0 => bytes[place] ^= 1 << random.below(8),
                1 => bytes[place] = random.next() as u8,
                2 => bytes.truncate(place),
                _ => bytes.insert(place, random.next() as u8),
            }
        }
        let mut reading = Reading::new(if random.below(3) == 0 { "" } else { &made.key_log });
        for (side, bytes) in &made.wire {
            for part in bytes.chunks(1 + random.below(3000)) {
                match random.below(40) {
                    0 => reading.gap(*side, part.len() as u64, true),
                    1 => reading.gap(*side, part.len() as u64, false),
                    2 => drop(reading.keys.parse(made.key_log.as_bytes(), SecretSource::InCapture)),
                    _ => reading.data(*side, part),
                }
            }
        }
        reading.finish();
        assert!(reading.peak < 3 << 20, "{}", reading.peak);
        assert!(reading.session.info().decryption != Decryption::Pending);
        // What comes out is authentic: no byte that was not sent.
        for side in 0..2 {
            for out in &reading.out[side] {
                if let Out::Data { bytes, .. } = out
                    && bytes.len() >= 16
                    && reading.session.info().decryption == Decryption::KeyLog
                    && suite != 0x003b
                    && early_data == Early::None
                {
                    assert!(made.plain[side].windows(bytes.len()).any(|part| part == &bytes[..]));
                }
            }
        }
        drop(reading.session);
        assert_eq!(reading.budget.used(), 0);
    }
}
