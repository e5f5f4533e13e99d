//! Handshakes, ids, addresses, versions, keys and ends of connections.

use super::writer::{End, Session, ack, crypto, frame, stream};
use super::*;
use crate::base::anomaly::AnomalyKind;
use crate::tls::{Decryption, SecretSource};

/// A request and its answer on stream 0.
fn exchange(ours: &mut End<'_>, theirs: &mut End<'_>, sent: &mut Vec<Sent>) {
    sent.push(Sent::by(Side::Client, 31 * MILLI, ours.short(&stream(0, 0, b"question", true))));
    sent.push(Sent::by(Side::Server, 50 * MILLI, theirs.short(&[ack(&[0]), stream(0, 0, b"answer", true)].concat())));
}

fn assert_exchanged(seen: &Seen, slot: u32) {
    for (side, bytes) in [(Side::Client, &b"question"[..]), (Side::Server, b"answer")] {
        let half = seen.half(slot, 0, side);
        assert_eq!((&half.bytes[..], half.finished, &half.gaps[..]), (bytes, true, &[][..]));
    }
}

#[test]
fn a_whole_connection_in_every_version_and_cipher() {
    for version in [Version::V1(1), Version::V2, Version::Draft29(0xff00_001d), Version::Draft27(0xff00_001b)] {
        for suite in [0x1301, 0x1302, 0x1303, 0x1304] {
            let session = Session::new(7, version, suite);
            let (mut ours, mut theirs, mut sent) = usual(&session);
            exchange(&mut ours, &mut theirs, &mut sent);
            let seen = run(&sent, &session.keys());
            assert_exchanged(&seen, 0);
            let facts = seen.facts(0);
            assert_eq!(facts.version, version.number());
            assert_eq!((facts.client, facts.server), (client(), server()));
            assert_eq!(facts.opened.unwrap().time, Timestamp(0));
            assert_eq!(facts.established.unwrap().frame, FrameNumber(3));
            assert_eq!(facts.tls.sni.as_deref(), Some("example.test"));
            assert_eq!(facts.tls.alpn.as_deref(), Some("h3"));
            assert_eq!(facts.tls.cipher_suite, Some(suite));
            assert_eq!(facts.tls.decryption, Decryption::KeyLog);
            assert!(facts.anomalies.is_empty(), "{:?}", facts.anomalies);
            // To the server and back 20 ms, then once 19 ms; to the client and back 10 ms.
            assert_eq!(facts.rtt, Some(19_875_000 + 10_000_000));
        }
    }
}

#[test]
fn without_secrets_there_is_still_the_name() {
    let session = session(1);
    let (mut ours, mut theirs, mut sent) = usual(&session);
    exchange(&mut ours, &mut theirs, &mut sent);
    let seen = run(&sent, &KeyLog::default());
    let facts = seen.facts(0);
    assert_eq!(facts.tls.sni.as_deref(), Some("example.test"));
    assert_eq!(facts.tls.alpn_offered, ["h3"]);
    assert_eq!(facts.tls.cipher_suite, Some(0x1301));
    assert_eq!(facts.established.unwrap().frame, FrameNumber(4));
    let Decryption::Failed(why) = &facts.tls.decryption else { panic!() };
    assert!(why.starts_with("no secrets for this client random"), "{why}");
    assert!(seen.streams.is_empty());
    assert_eq!(facts.anomalies.count(AnomalyKind::KeysMissing), 1);
}

#[test]
fn secrets_that_come_late_read_what_was_held_back() {
    let session = session(2);
    let (mut ours, mut theirs, mut sent) = usual(&session);
    exchange(&mut ours, &mut theirs, &mut sent);
    for at in 0..=sent.len() {
        let keys = KeyLog::default();
        let limits = Limits::default();
        let mut connections = Connections::new(&limits, &Budget::new(limits.memory));
        let mut seen = Seen::default();
        let mut out = |slot: Slot, facts: &Facts, event: QuicEvent<'_>| seen.take(slot, facts, event);
        for (number, one) in sent.iter().enumerate() {
            if number == at {
                keys.parse(session.key_log().as_bytes(), SecretSource::InCapture);
            }
            assert!(connections.push(&packet(one, number), &keys, &mut out));
        }
        keys.parse(session.key_log().as_bytes(), SecretSource::InCapture);
        connections.finish(&keys, &mut out);
        assert_exchanged(&seen, 0);
        assert_eq!(seen.facts(0).tls.decryption, Decryption::InCapture);
        assert_eq!(seen.facts(0).established.unwrap().frame, FrameNumber(3), "the Finished, with its own stamp");
        assert_eq!(seen.clocks[&(Slot(0), 0, 1)], Timestamp(50 * MILLI));
    }
}

#[test]
fn hellos_in_pieces_of_any_order() {
    let session = session(3);
    let hello = session.client_hello("pieces.test", false, &[]);
    let mut ours = End::new(&session, Side::Client, ODCID, b"", ODCID);
    let mut pieces: Vec<Vec<u8>> =
        (0..hello.len()).step_by(7).map(|at| crypto(at, &hello[at..hello.len().min(at + 7)])).collect();
    let mut rng = super::writer::Rng(5);
    for at in (1..pieces.len()).rev() {
        pieces.swap(at, rng.below(at as u64 + 1) as usize);
    }
    let (first, second) = pieces.split_at(pieces.len() / 2);
    let sent = [first, second].map(|part| Sent::by(Side::Client, 0, ours.initial(&part.join(&[0, 1][..]), 1160)));
    for order in [[0, 1], [1, 0]] {
        let sent = order.map(|at: usize| sent[at].clone());
        let seen = run(&sent, &KeyLog::default());
        assert_eq!(seen.opened.len(), 1);
        assert_eq!(seen.facts(0).tls.sni.as_deref(), Some("pieces.test"));
    }
}

/// Every order of the first flights gives the same, also when the server's come first and nobody knows who is who.
#[test]
fn first_flights_in_any_order() {
    for (client_id, server_id) in [(CLIENT_ID, SERVER_ID), (b"", SERVER_ID), (b"", b""), (CLIENT_ID, b"")] {
        let session = session(4);
        let (mut ours, mut theirs, mut sent) = handshake(&session, client_id, server_id, [&[], &[]]);
        exchange(&mut ours, &mut theirs, &mut sent);
        for order in
            [[0, 1, 2, 3, 4], [1, 0, 2, 3, 4], [2, 1, 0, 3, 4], [1, 2, 0, 4, 3], [2, 0, 1, 3, 4], [0, 4, 3, 2, 1]]
        {
            let sent = order.map(|at: usize| sent[at].clone());
            let seen = run(&sent, &session.keys());
            assert_eq!(seen.opened.len(), 1, "{client_id:?} {server_id:?} {order:?}");
            assert_exchanged(&seen, 0);
            let facts = seen.facts(0);
            assert_eq!((facts.client, facts.server, facts.migrations), (client(), server(), 0), "{order:?}");
        }
    }
}

#[test]
fn early_data_is_read_before_the_server_answers() {
    for suite in [0x1301, 0x1302, 0x1303, 0x1304] {
        let session = Session::new(5, Version::V1(1), suite);
        let mut ours = End::new(&session, Side::Client, ODCID, CLIENT_ID, ODCID);
        let mut first = ours.initial(&crypto(0, &session.client_hello("early.test", true, &[])), 700);
        first.extend(ours.zero_rtt(&stream(0, 0, b"early", true)));
        let seen = run(&[Sent::by(Side::Client, 0, first)], &session.keys());
        let half = seen.half(0, 0, Side::Client);
        assert_eq!((&half.bytes[..], half.finished), (&b"early"[..], true));
        assert!(seen.facts(0).early_data);
    }
}

#[test]
fn early_data_may_come_before_the_hello() {
    let session = session(6);
    let mut ours = End::new(&session, Side::Client, ODCID, CLIENT_ID, ODCID);
    let hello = ours.initial(&crypto(0, &session.client_hello("early.test", true, &[])), 1160);
    let early = ours.zero_rtt(&stream(0, 0, b"early", true));
    let seen = run(&[Sent::by(Side::Client, 0, early), Sent::by(Side::Client, 1, hello)], &session.keys());
    assert_eq!(seen.opened.len(), 1);
    assert_eq!(seen.half(0, 0, Side::Client).bytes, b"early");
}

#[test]
fn a_retry_changes_the_initial_keys() {
    for is_captured in [true, false] {
        let session = session(8);
        let hello = crypto(0, &session.client_hello("retry.test", false, &[]));
        let mut ours = End::new(&session, Side::Client, ODCID, CLIENT_ID, ODCID);
        let mut sent = vec![Sent::by(Side::Client, 0, ours.initial(&hello, 1160))];
        let retrying = End::new(&session, Side::Server, CLIENT_ID, b"retry-id", ODCID);
        if is_captured {
            sent.push(Sent::by(Side::Server, MILLI, retrying.retry(ODCID, b"a token")));
        }
        (ours.dcid, ours.initial_dcid, ours.token) = (b"retry-id".to_vec(), b"retry-id".to_vec(), b"a token".to_vec());
        sent.push(Sent::by(Side::Client, 2 * MILLI, ours.initial(&hello, 1160)));
        let mut theirs = End::new(&session, Side::Server, CLIENT_ID, SERVER_ID, b"retry-id");
        let mut flight = theirs.initial(&[ack(&[1]), crypto(0, &session.server_hello())].concat(), 0);
        flight.extend(theirs.handshake(&crypto(0, &session.server_flight(&[]))));
        sent.push(Sent::by(Side::Server, 3 * MILLI, flight));
        ours.dcid = SERVER_ID.to_vec();
        sent.push(Sent::by(Side::Client, 4 * MILLI, ours.handshake(&crypto(0, &session.client_finished()))));
        exchange(&mut ours, &mut theirs, &mut sent);
        let seen = run(&sent, &session.keys());
        assert_eq!(seen.opened.len(), 1);
        assert_exchanged(&seen, 0);
        assert!(seen.facts(0).anomalies.is_empty(), "{:?}", seen.facts(0).anomalies);
    }
}

#[test]
fn a_forged_retry_changes_nothing() {
    let session = session(9);
    let (mut ours, mut theirs, mut sent) = usual(&session);
    exchange(&mut ours, &mut theirs, &mut sent);
    let forged = End::new(&session, Side::Server, CLIENT_ID, b"evil", ODCID).retry(b"another", b"token");
    sent.insert(1, Sent::by(Side::Server, 1, forged));
    assert_exchanged(&run(&sent, &session.keys()), 0);
}

#[test]
fn version_negotiation_begins_again() {
    let old = Session::new(10, Version::Draft29(0xff00_001d), 0x1301);
    let session = session(10);
    let mut first = End::new(&old, Side::Client, ODCID, CLIENT_ID, ODCID);
    let hello = first.initial(&crypto(0, &old.client_hello("negotiated.test", false, &[])), 1160);
    let refusal = [&[0x80, 0, 0, 0, 0, 4][..], CLIENT_ID, &[8], ODCID, &[0, 0, 0, 1]].concat();
    let (mut ours, mut theirs, mut rest) = usual(&session);
    exchange(&mut ours, &mut theirs, &mut rest);
    let mut sent = vec![Sent::by(Side::Client, 0, hello), Sent::by(Side::Server, 1, refusal)];
    sent.extend(rest);
    let seen = run(&sent, &session.keys());
    assert_eq!(seen.opened.len(), 1);
    assert_exchanged(&seen, 0);
    assert_eq!(seen.facts(0).version, 1);
}

/// RFC 9368: the client begins with version 1 and the server goes on with version 2, without another round trip.
#[test]
fn a_server_may_choose_a_compatible_version() {
    let (one, two) = (session(11), Session::new(11, Version::V2, 0x1301));
    let mut ours = End::new(&one, Side::Client, ODCID, CLIENT_ID, ODCID);
    let mut sent =
        vec![Sent::by(Side::Client, 0, ours.initial(&crypto(0, &one.client_hello("two.test", false, &[])), 1160))];
    let (mut ours, mut theirs, rest) = usual(&two);
    sent.extend_from_slice(&rest[1..]);
    exchange(&mut ours, &mut theirs, &mut sent);
    let seen = run(&sent, &two.keys());
    assert_exchanged(&seen, 0);
    assert_eq!(seen.facts(0).version, Version::V2.number());
}

#[test]
fn keys_are_updated_by_both_sides_and_late_packets_still_open() {
    for version in [Version::V1(1), Version::V2] {
        let session = Session::new(12, version, 0x1303);
        let (mut ours, mut theirs, mut sent) = usual(&session);
        let mut expected = Vec::new();
        for step in 0..60usize {
            if step % 10 == 9 {
                theirs.update_key();
                ours.update_key();
            }
            let data = [step as u8; 5];
            sent.push(Sent::by(
                Side::Server,
                40 * MILLI + step as i64,
                theirs.short(&stream(0, step * 5, &data, false)),
            ));
            sent.push(Sent::by(Side::Client, 40 * MILLI + step as i64, ours.short(&stream(0, step * 5, &data, false))));
            expected.extend(data);
        }
        // Neighbours change places, across the updates too.
        for at in (4..sent.len() - 2).step_by(3) {
            sent.swap(at, at + 2);
        }
        let seen = run(&sent, &session.keys());
        for side in Side::BOTH {
            assert_eq!(seen.half(0, 0, side).bytes, expected);
        }
        assert_eq!(seen.facts(0).key_updates, [6, 6]);
        assert_eq!(seen.facts(0).anomalies.count(AnomalyKind::DecryptFailed), 0);
    }
}

#[test]
fn key_updates_that_were_not_captured_are_caught_up_with() {
    let session = session(13);
    let (_, mut theirs, mut sent) = usual(&session);
    for step in 0..3usize {
        (0..step).for_each(|_| theirs.update_key());
        sent.push(Sent::by(Side::Server, 40 * MILLI, theirs.short(&stream(0, step, b"x", false))));
    }
    let seen = run(&sent, &session.keys());
    assert_eq!(seen.half(0, 0, Side::Server).bytes, b"xxx");
    assert_eq!(seen.facts(0).key_updates, [0, 3]);
}

#[test]
fn a_client_that_moves_stays_the_same_connection() {
    let session = session(14);
    for has_keys in [true, false] {
        let (mut ours, mut theirs, mut sent) = usual(&session);
        let id = frame(&[0x18, 1, 0], &[&[9][..], b"server-i2", &[3; 16]].concat());
        sent.push(Sent::by(Side::Server, 40 * MILLI, theirs.short(&id)));
        sent.push(Sent::by(Side::Client, 41 * MILLI, ours.short(&stream(0, 0, b"here ", false))));
        let moved = endpoint(77, 1234);
        ours.dcid = b"server-i2".to_vec();
        let go = |from, to, time, bytes| Sent { from, to, time: time * MILLI, bytes, cut: 0 };
        if has_keys {
            sent.push(go(moved, server(), 42, ours.short(&stream(0, 5, b"and there", true))));
        } else {
            // Without keys the new id is not known: only the one in the handshake is.
            ours.dcid = SERVER_ID.to_vec();
            sent.push(go(moved, server(), 42, ours.short(&stream(0, 5, b"and there", true))));
        }
        sent.push(go(server(), moved, 43, theirs.short(&stream(0, 0, b"welcome", true))));
        let keys = if has_keys { session.keys() } else { KeyLog::default() };
        let seen = run(&sent, &keys);
        assert_eq!(seen.opened.len(), 1);
        let facts = seen.facts(0);
        assert_eq!((facts.client, facts.server, facts.migrations), (moved, server(), 1));
        assert_eq!(facts.bytes.iter().sum::<u64>(), sent.iter().map(|one| one.bytes.len() as u64).sum::<u64>());
        if has_keys {
            assert_eq!(seen.half(0, 0, Side::Client).bytes, b"here and there");
            assert_eq!(seen.half(0, 0, Side::Server).bytes, b"welcome");
        }
    }
}

#[test]
fn connections_between_the_same_ports_are_told_apart() {
    let sessions: Vec<Session> = (20..24).map(session).collect();
    for client_id in [&b""[..], CLIENT_ID] {
        let mut sent = Vec::new();
        for (at, session) in sessions.iter().enumerate() {
            let (odcid, server_id) = ([at as u8; 8], [b's', at as u8, 1, 1]);
            let mut ours = End::new(session, Side::Client, &odcid, client_id, &odcid);
            let mut theirs = End::new(session, Side::Server, client_id, &server_id, &odcid);
            let start = at as i64 * 100 * MILLI;
            let mut go = |side, time: i64, bytes| sent.push(Sent::by(side, start + time * MILLI, bytes));
            go(Side::Client, 0, ours.initial(&crypto(0, &session.client_hello("same.test", false, &[])), 1160));
            let mut flight = theirs.initial(&crypto(0, &session.server_hello()), 0);
            flight.extend(theirs.handshake(&crypto(0, &session.server_flight(&[]))));
            go(Side::Server, 1, flight);
            ours.dcid = server_id.to_vec();
            go(Side::Client, 2, ours.handshake(&crypto(0, &session.client_finished())));
            go(Side::Client, 3, ours.short(&stream(0, 0, b"question", true)));
            go(Side::Server, 4, theirs.short(&stream(0, 0, b"answer", true)));
        }
        let keys = KeyLog::default();
        for session in &sessions {
            keys.parse(session.key_log().as_bytes(), SecretSource::KeyLog);
        }
        let seen = run(&sent, &keys);
        assert_eq!(seen.opened.len(), sessions.len());
        (0..sessions.len() as u32).for_each(|slot| assert_exchanged(&seen, slot));
    }
}

#[test]
fn resets_and_stops_end_streams() {
    let session = session(30);
    let (mut ours, mut theirs, mut sent) = usual(&session);
    let mut go = |side, bytes| sent.push(Sent::by(side, 40 * MILLI, bytes));
    for id in [0, 4, 8, 12] {
        go(Side::Client, ours.short(&stream(id, 0, b"question", false)));
        go(Side::Server, theirs.short(&stream(id, 0, b"ans", false)));
    }
    // Reset by the server; stopped by the client and reset; stopped and finished all the same; stopped and silent.
    go(Side::Server, theirs.short(&frame(&[4, 0, 0x10c, 3], &[])));
    go(Side::Client, ours.short(&frame(&[5, 4, 7], &[])));
    go(Side::Server, theirs.short(&frame(&[4, 4, 8, 3], &[])));
    go(Side::Client, ours.short(&frame(&[5, 8, 7], &[])));
    go(Side::Server, theirs.short(&stream(8, 3, b"wer", true)));
    go(Side::Client, ours.short(&frame(&[5, 12, 9], &[])));
    let seen = run(&sent, &session.keys());
    let ends = [0, 4, 8, 12].map(|id| {
        let half = seen.half(0, id, Side::Server);
        (half.reset, half.finished)
    });
    assert_eq!(ends, [(Some(0x10c), false), (Some(8), false), (None, true), (Some(9), false)]);
    assert_eq!(seen.half(0, 8, Side::Server).bytes, b"answer");
}

#[test]
fn closes_are_told_with_their_reason() {
    let session = session(31);
    let (mut ours, mut theirs, mut sent) = usual(&session);
    let close = [frame(&[0x1d, 0x100, 4], b"bye\n"), vec![0; 3]].concat();
    sent.push(Sent::by(Side::Client, 40 * MILLI, ours.short(&close)));
    // What was under way still counts, then the connection is over.
    sent.push(Sent::by(Side::Server, 41 * MILLI, theirs.short(&stream(3, 0, b"late", false))));
    sent.push(Sent::by(Side::Server, 5000 * MILLI, theirs.short(&stream(3, 4, b"too late", false))));
    let seen = run(&sent, &session.keys());
    let (slot, reason, facts) = &seen.closed[0];
    let stamp = Stamp { frame: FrameNumber(4), time: Timestamp(40 * MILLI) };
    let expected =
        CloseReason::Closed { side: Side::Client, application: true, code: 0x100, reason: "bye".into(), stamp };
    assert_eq!((slot, reason), (&Slot(0), &expected));
    assert_eq!(seen.half(0, 3, Side::Server).bytes, b"late");
    assert_eq!(facts.last.frame, FrameNumber(5));
    assert_eq!(seen.closed.len(), 1);
}

#[test]
fn stateless_resets_are_recognised_by_their_token() {
    let session = session(32);
    let token = [0x5a; 16];
    let parameters = [&[2, 16][..], &token].concat();
    let (_, _, mut sent) = handshake(&session, CLIENT_ID, SERVER_ID, [&[], &parameters]);
    let reset = [&[0x41; 25][..], &token].concat();
    sent.push(Sent::by(Side::Server, 40 * MILLI, reset));
    let seen = run(&sent, &session.keys());
    assert!(matches!(seen.closed[0].1, CloseReason::StatelessReset(stamp) if stamp.frame == FrameNumber(4)));
}

#[test]
fn idle_connections_expire_and_the_oldest_is_evicted() {
    const MINUTE: i64 = 60_000 * MILLI;
    let limits = Limits::default();
    let budget = Budget::new(limits.memory);
    let mut connections = Connections::new(&limits, &budget);
    let mut seen = Seen::default();
    let mut out = |slot: Slot, facts: &Facts, event: QuicEvent<'_>| seen.take(slot, facts, event);
    let session = session(33);
    for at in 0..3u8 {
        let mut ours = End::new(&session, Side::Client, &[at; 8], &[at, 1, 1, 1], &[at; 8]);
        let hello = ours.initial(&crypto(0, &session.client_hello("idle.test", false, &[])), 1160);
        let sent =
            Sent { from: endpoint(9, 1000 + u16::from(at)), ..Sent::by(Side::Client, i64::from(at) * MINUTE, hello) };
        assert!(connections.push(&packet(&sent, at.into()), &KeyLog::default(), &mut out));
        connections.end_round(Timestamp(i64::from(at) * MINUTE), &mut out);
    }
    assert!(connections.evict_oldest(&mut out));
    connections.end_round(Timestamp(2 * MINUTE + limits.idle_quic as i64 + 1), &mut out);
    assert_eq!(connections.len(), 1);
    assert_eq!(connections.facts(Slot(2)).unwrap().client.port, 1002);
    connections.finish(&KeyLog::default(), &mut out);
    drop(connections);
    let reasons: Vec<_> = seen.closed.iter().map(|closed| (closed.0.0, &closed.1)).collect();
    assert_eq!(reasons, [(0, &CloseReason::Evicted), (1, &CloseReason::Idle), (2, &CloseReason::CaptureEnd)]);
    assert_eq!(budget.used(), 0);
}

#[test]
fn other_traffic_is_refused() {
    let limits = Limits::default();
    let mut connections = Connections::new(&limits, &Budget::new(limits.memory));
    let mut none = |_: Slot, _: &Facts, _: QuicEvent<'_>| panic!("nothing to tell");
    let dns = b"\xb1\x2c\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x07example\x03com\x00\x00\x01\x00\x01";
    let stun = b"\x00\x01\x00\x00\x21\x12\xa4\x42abcdefghijkl";
    let dtls = b"\x16\xfe\xfd\x00\x00\x00\x00\x00\x00\x00\x00\x00\x04abcd";
    let rtp = b"\x80\x60\x12\x34\x00\x00\x00\x01\x12\x34\x56\x78payload";
    let short = [0x41; 40];
    for payload in [&dns[..], stun, dtls, rtp, &short, b"", b"\xc0", b"\xc0\x00\x00\x00\x01\xff"] {
        let sent = Sent::by(Side::Client, 0, payload.to_vec());
        assert!(!connections.push(&packet(&sent, 0), &KeyLog::default(), &mut none), "{payload:02x?}");
    }
    let mut rng = super::writer::Rng(1);
    for _ in 0..20_000 {
        let len = rng.below(60) as usize;
        let sent = Sent::by(Side::Client, 0, rng.bytes(len));
        assert!(!connections.push(&packet(&sent, 0), &KeyLog::default(), &mut none), "{:02x?}", sent.bytes);
    }
}

#[test]
fn google_quic_is_named() {
    let sent = [
        Sent::by(Side::Client, 0, b"\x0d12345678Q043\x01hello".to_vec()),
        Sent::by(Side::Server, 1, b"\x0812345678\x01answer".to_vec()),
    ];
    let seen = run(&sent, &KeyLog::default());
    let facts = seen.facts(0);
    assert_eq!(facts.version, u32::from_be_bytes(*b"Q043"));
    assert_eq!(facts.tls.decryption, Decryption::Failed("Google QUIC Q043 is not supported".into()));
    assert_eq!((facts.anomalies.count(AnomalyKind::VersionUnsupported), facts.bytes), (1, [19, 16]));
}
