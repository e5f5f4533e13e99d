//! Parts of the handshake are lost, the hellos among them.

use super::*;
use crate::tls::testing::extension;

/// Secrets of sessions that are not in the capture.
fn foreign_log(count: u64) -> String {
    let of = |seed: u64| {
        let suite = [0x1301, 0x1302, 0x1303][seed as usize % 3];
        let tls13 = Conversation::new(Options { seed, ..Options::new(0x0304, suite) });
        tls13.key_log + &Conversation::new(Options { seed, ..Options::new(0x0303, 0xc02f) }).key_log
    };
    (1000..1000 + count).map(of).collect()
}

/// Reads a conversation without the records `lost`, which are told as holes.
fn read_without(made: &Conversation, key_log: &str, lost: std::ops::Range<usize>) -> Reading {
    let mut reading = Reading::new(key_log);
    for (at, (side, bytes)) in made.wire.iter().enumerate() {
        match lost.contains(&at) {
            true => reading.gap(*side, bytes.len() as u64, true),
            false => reading.data(*side, bytes),
        }
    }
    reading.finish();
    reading
}

/// Number of records of the handshake.
fn handshake_len(options: &Options) -> usize {
    Conversation::new(options.clone()).wire.len()
}

fn is_hello(record: &(Side, Vec<u8>), side: Side) -> bool {
    record.0 == side && record.1[0] == 22 && record.1[5] == if side == Side::Client { 1 } else { 2 }
}

#[test]
fn whatever_is_lost_of_a_handshake_of_tls13_is_made_up_for() {
    let foreign = foreign_log(40);
    for suite in [0x1301, 0x1302, 0x1303, 0x1304, 0x1305] {
        let options = Options::new(0x0304, suite);
        let (made, len) = (talk(options.clone()), handshake_len(&options));
        for key_log in [made.key_log.clone(), foreign.clone() + &made.key_log, made.key_log.clone() + &foreign] {
            for from in 0..len {
                for to in from + 1..=len {
                    let lost = &made.wire[from..to];
                    // Nobody offers these unasked, so without both hellos they are not tried.
                    let is_unusual = suite > 0x1303;
                    if is_unusual && Side::BOTH.iter().all(|&side| lost.iter().any(|record| is_hello(record, side))) {
                        continue;
                    }
                    let reading = read_without(&made, &key_log, from..to);
                    let what = format!("{suite:04x} without {from}..{to}: {:?}", reading.session.info().decryption);
                    for side in Side::BOTH {
                        assert_eq!(reading.plain(side), made.plain[side.index()], "{what}");
                    }
                    let requests_first = reading.order.iter().position(|&side| side == Side::Client);
                    assert_eq!(requests_first, Some(0), "{what}");
                    let info = reading.session.info();
                    assert_eq!((info.version, info.cipher_suite), (Some(0x0304), Some(suite)), "{what}");
                    assert_eq!(info.decryption, Decryption::KeyLog);
                    // No byte of application data was lost.
                    assert!(reading.out.iter().flatten().all(|out| !matches!(out, Out::Gap(_))), "{what}");
                }
            }
        }
    }
}

#[test]
fn secrets_of_lost_hellos_may_come_late() {
    let made = talk(Options::new(0x0304, 0x1303));
    let whole = Reading::whole(&made, &made.key_log);
    let server = made.wire.iter().position(|record| is_hello(record, Side::Server)).unwrap();
    for lost in [0..1, server..server + 1, 0..server + 1] {
        let mut reading = read_without(&made, "", lost.clone());
        assert!(matches!(reading.session.info().decryption, Decryption::Failed(_)));
        reading = Reading::new("");
        for (at, (side, bytes)) in made.wire.iter().enumerate() {
            match lost.contains(&at) {
                true => reading.gap(*side, bytes.len() as u64, true),
                false => reading.data(*side, bytes),
            }
        }
        reading.keys.parse(made.key_log.as_bytes(), SecretSource::InCapture);
        reading.push(Side::Client, StreamEvent::Fin(Stamp::default()));
        for side in 0..2 {
            assert_eq!(joined(&reading.out[side]), joined(&whole.out[side]), "{lost:?}");
        }
    }
}

#[test]
fn early_data_is_read_without_the_hellos_around_it() {
    for early in [Early::Accepted, Early::Refused, Early::Retry] {
        let made = talk(Options { early_data: early, ..Options::new(0x0304, 0x1301) });
        for (at, record) in made.wire.iter().enumerate().filter(|(_, record)| is_hello(record, Side::Server)) {
            let reading = read_without(&made, &made.key_log, at..at + 1);
            assert_eq!(reading.plain(Side::Server), made.plain[1], "{early:?} without {at}");
            assert!(reading.plain(Side::Client).ends_with(&made.plain[0]), "{early:?} {}", record.1.len());
        }
    }
}

#[test]
fn a_client_alone_is_read_by_trying() {
    let made = talk(Options::new(0x0304, 0x1302));
    let mut reading = Reading::new(&made.key_log);
    made.wire.iter().filter(|(side, _)| *side == Side::Client).for_each(|(side, bytes)| reading.data(*side, bytes));
    reading.finish();
    assert_eq!(reading.plain(Side::Client), made.plain[0]);

    let mut reading = Reading::new("");
    made.wire.iter().filter(|(side, _)| *side == Side::Client).for_each(|(side, bytes)| reading.data(*side, bytes));
    reading.finish();
    assert!(reading.failure().starts_with("One direction only is in the capture: nothing that the server"));
}

#[test]
fn a_server_alone_is_read_by_trying() {
    for (version, suite) in [(0x0304, 0x1301), (0x0303, 0xc02f)] {
        let made = talk(Options::new(version, suite));
        for key_log in ["", made.key_log.as_str()] {
            let mut reading = Reading::new(key_log);
            let server = made.wire.iter().filter(|(side, _)| *side == Side::Server);
            server.for_each(|(side, bytes)| reading.data(*side, bytes));
            reading.finish();
            if key_log.is_empty() {
                assert!(reading.failure().contains("One direction only"), "{}", reading.failure());
            } else {
                assert_eq!(reading.plain(Side::Server), made.plain[1], "{version:04x}");
            }
        }
    }
}

#[test]
fn before_tls13_only_the_server_hello_is_past_help() {
    let foreign = foreign_log(20);
    for &(version, suite) in PATHS.iter().filter(|(version, _)| *version < 0x0304) {
        let name = Suite::of(suite).unwrap().name;
        // How far a key stream has run nobody knows, and a chained IV is lost with its record.
        if name.contains("RC4") || (version == 0x0301 && name.contains("CBC")) {
            continue;
        }
        let options = Options::new(version, suite);
        let (made, len) = (talk(options.clone()), handshake_len(&options));
        let key_log = foreign.clone() + &made.key_log;
        for from in 0..len {
            for to in from + 1..=len {
                let reading = read_without(&made, &key_log, from..to);
                let what = format!("{version:04x} {name} without {from}..{to} of {len}");
                let is_past_help = made.wire[from..to].iter().any(|record| is_hello(record, Side::Server));
                if !is_past_help {
                    assert_eq!(reading.plain(Side::Client), made.plain[0], "{what}");
                    assert_eq!(reading.plain(Side::Server), made.plain[1], "{what}");
                } else {
                    let why = reading.failure();
                    // Without either hello nothing tells the version when the rest is lost as well.
                    let is_told = why
                        == "The ServerHello is not in the capture; TLS 1.2 keys cannot be made without its random"
                        || (from == 0 && why.contains("is not in the capture"));
                    assert!(is_told, "{what}: {why}");
                    assert!(reading.out[0].iter().chain(&reading.out[1]).all(|out| !matches!(out, Out::Data { .. })));
                }
            }
        }
    }
}

#[test]
fn a_record_that_is_lost_in_part_may_be_the_last_of_its_keys() {
    for suite in [0x1301, 0x1303] {
        let options = Options::new(0x0304, suite);
        let (made, len) = (talk(options.clone()), handshake_len(&options));
        for at in 1..len {
            let mut reading = Reading::new(&made.key_log);
            for (number, (side, bytes)) in made.wire.iter().enumerate() {
                if number == at && bytes.len() > 8 {
                    let (head, tail) = bytes.split_at(bytes.len() / 2);
                    reading.data(*side, head);
                    reading.gap(*side, tail.len() as u64 - 1, true);
                    reading.data(*side, &tail[tail.len() - 1..]);
                } else {
                    reading.data(*side, bytes);
                }
            }
            reading.finish();
            for side in Side::BOTH {
                assert_eq!(reading.plain(side), made.plain[side.index()], "{suite:04x} {at}");
            }
        }
    }
}

#[test]
fn a_hidden_hello_is_found_by_its_secrets() {
    let mut made = talk(Options::new(0x0304, 0x1302));
    let hello = &mut made.wire[0].1;
    // The random in clear is another one, and an extension says why.
    hello[11..43].iter_mut().for_each(|byte| *byte ^= 0x55);
    let more = extension(0xfe0d, &[0; 40]);
    hello.extend_from_slice(&more);
    let len = hello.len();
    hello[3..5].copy_from_slice(&(len as u16 - 5).to_be_bytes());
    hello[7..9].copy_from_slice(&(len as u16 - 9).to_be_bytes());
    hello[50..52].copy_from_slice(&(len as u16 - 52).to_be_bytes());
    let reading = Reading::whole(&made, &(foreign_log(30) + &made.key_log));
    for side in Side::BOTH {
        assert_eq!(reading.plain(side), made.plain[side.index()]);
    }
    assert!(Reading::whole(&made, "").failure().contains("secrets for this TLS connection"));
}

#[test]
fn an_answer_in_clear_is_the_reason() {
    let made = Conversation::new(Options::new(0x0304, 0x1301));
    let mut reading = Reading::new(&made.key_log);
    reading.data(Side::Client, &made.wire[0].1);
    reading.data(Side::Server, b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
    reading.push(Side::Server, StreamEvent::Fin(Stamp::default()));
    reading.finish();
    assert_eq!(reading.failure(), "The server answered the ClientHello in cleartext HTTP: HTTP/1.1 400 Bad Request");
    assert!(reading.out.iter().all(|out| out.iter().all(|out| !matches!(out, Out::Data { .. }))));
}

/// However many secrets there are, trying them has an end.
#[test]
fn trying_has_a_bound() {
    let foreign = foreign_log(1500);
    let made = talk(Options::new(0x0304, 0x1301));
    let reading = read_without(&made, &foreign, 0..3);
    assert!(reading.failure().contains("The ClientHello is not in the capture"), "{}", reading.failure());
    assert!(reading.peak < 4 << 20, "{}", reading.peak);
}

/// The end of a ClientHello is lost, and with it the ServerHello.
#[test]
fn the_beginning_of_a_hello_is_enough() {
    let foreign = foreign_log(5);
    let made = talk(Options::new(0x0304, 0x1301));
    for len in [45, 48, 60, 100] {
        let mut reading = Reading::new(&(foreign.clone() + &made.key_log));
        let (head, tail) = made.wire[0].1.split_at(len);
        reading.data(Side::Client, head);
        reading.gap(Side::Client, tail.len() as u64, true);
        for (number, (side, bytes)) in made.wire.iter().enumerate().skip(1) {
            if number < 3 {
                reading.gap(*side, bytes.len() as u64, true);
            } else {
                reading.data(*side, bytes);
            }
        }
        reading.finish();
        for side in Side::BOTH {
            assert_eq!(reading.plain(side), made.plain[side.index()], "{len}");
        }
        let info = reading.session.info();
        assert!(info.start.is_some() && info.ja4.is_none());
        assert_eq!(info.sni.is_some(), len > 75, "{len}");
    }
}
