//! Key logs whole, in pieces, and damaged.

use super::*;
use crate::tls::testing::Random as Numbers;

fn digits(byte: u8, len: usize) -> String {
    format!("{byte:02x}").repeat(len)
}

fn sample() -> String {
    let (random, master, secret) = (digits(0xab, 32), digits(1, 48), digits(2, 32));
    format!(
        "# a comment\r\n\r\nCLIENT_RANDOM {random} {master}\r\n\
         SERVER_HANDSHAKE_TRAFFIC_SECRET {random} {secret}\n\
         EXPORTER_SECRET {random} {secret}\n\
         QUIC_CLIENT_TRAFFIC_SECRET_0 {} {secret}\n\
         RSA Session-ID:{} Master-Key:{master}\n\
         RSA 0102030405060708 {}\n\
         CLIENT_RANDOM {random}\nCLIENT_RANDOM {random} xyz\nCLIENT_RANDOM {random} {secret}\n\
           CLIENT_TRAFFIC_SECRET_0  {} \t {secret}  \n",
        digits(0xcd, 32).to_uppercase(),
        digits(7, 32),
        digits(9, 48),
        digits(0xef, 32),
    )
}

#[test]
fn lines_of_every_kind() {
    let keys = KeyLog::default();
    let report = keys.parse(sample().as_bytes(), SecretSource::KeyLog);
    assert_eq!(report, KeyLogReport { lines: 10, used: 6, broken: 3, unknown: 1 });
    assert_eq!((keys.len(), keys.revision()), (6, 6));
    let find = |byte: u8, label| keys.secret(&[byte; 32], label).map(|found| found.secret.as_bytes().to_vec());
    assert_eq!(find(0xab, Label::Master), Some(vec![1; 48]));
    assert_eq!(find(0xab, Label::ServerHandshake), Some(vec![2; 32]));
    assert_eq!(find(0xab, Label::ClientHandshake), None);
    assert_eq!(find(0xcd, Label::ClientTraffic), Some(vec![2; 32]));
    assert_eq!(find(0xef, Label::ClientTraffic), Some(vec![2; 32]));
    assert!(keys.knows(&[0xab; 32]) && !keys.knows(&[0; 32]));
    assert!(keys.master_of_session(&[7; 32]).is_some() && keys.master_of_session(&[8; 32]).is_none());
    assert!(keys.pre_master_of(&[1, 2, 3, 4, 5, 6, 7, 8, 99]).is_some() && keys.pre_master_of(&[1, 2]).is_none());
}

#[test]
fn a_clone_is_the_same_log_and_a_repetition_no_news() {
    let keys = KeyLog::default();
    let other = keys.clone();
    keys.parse(sample().as_bytes(), SecretSource::InCapture);
    let revision = other.revision();
    assert_eq!(other.len(), 6);
    other.parse(sample().as_bytes(), SecretSource::InCapture);
    assert_eq!(keys.revision(), revision);
    // What the user gives counts more than what the capture says; never the other way round.
    let random = digits(0xab, 32);
    let better = format!("CLIENT_RANDOM {random} {}", digits(5, 48));
    keys.parse(better.as_bytes(), SecretSource::KeyLog);
    assert!(keys.revision() > revision);
    keys.parse(sample().as_bytes(), SecretSource::InCapture);
    let found = keys.secret(&[0xab; 32], Label::Master).unwrap();
    assert_eq!((found.secret.as_bytes(), found.source), (&[5; 48][..], SecretSource::KeyLog));
}

#[test]
fn text_may_be_appended_in_any_pieces() {
    let text = sample();
    let whole = KeyLog::default();
    let expected = whole.parse(text.as_bytes(), SecretSource::KeyLog);
    for size in 1..text.len() + 1 {
        let (keys, mut tail, mut sum) = (KeyLog::default(), KeyLogTail::default(), KeyLogReport::default());
        for part in text.as_bytes().chunks(size) {
            sum.add(tail.push(part, SecretSource::KeyLog, &keys));
        }
        sum.add(tail.finish(SecretSource::KeyLog, &keys));
        assert_eq!((sum, keys.len()), (expected, whole.len()), "{size}");
    }
    let (keys, mut tail) = (KeyLog::default(), KeyLogTail::default());
    for _ in 0..100 {
        tail.push(&[b'x'; 1000], SecretSource::KeyLog, &keys);
        assert!(tail.partial.capacity() <= 2 * LINE_MAX);
    }
    let report = tail.push(format!("\n{text}").as_bytes(), SecretSource::KeyLog, &keys);
    assert_eq!((report.broken, report.used), (expected.broken + 1, expected.used));
}

#[test]
fn the_number_of_secrets_has_a_bound() {
    let keys = KeyLog::new(&Limits { secrets: 2, ..Limits::default() });
    let report = keys.parse(sample().as_bytes(), SecretSource::KeyLog);
    assert_eq!((keys.len(), report.used), (2, 6));
    // The last ones are held: a log that is followed for days is about what comes now.
    assert!(keys.pre_master_of(&[1, 2, 3, 4, 5, 6, 7, 8]).is_some() && keys.knows(&[0xef; 32]));
    assert!(keys.master_of_session(&[7; 32]).is_none() && !keys.knows(&[0xab; 32]) && !keys.knows(&[0xcd; 32]));
    let found = keys.secret(&[0xef; 32], Label::ClientTraffic).unwrap();
    for number in 0..1000u32 {
        keys.learn(&number.to_be_bytes(), &found);
        assert_eq!((keys.len(), keys.read().order.len()), (2, 2));
        assert!(keys.master_of_session(&number.to_be_bytes()).is_some());
    }
}

#[test]
fn damage_is_counted() {
    let mut random = Numbers(3);
    for _ in 0..2000 {
        let mut text = sample().into_bytes();
        for _ in 0..1 + random.below(20) {
            let at = random.below(text.len());
            text[at] = random.next() as u8;
        }
        let keys = KeyLog::default();
        let report = keys.parse(&text, SecretSource::InCapture);
        assert_eq!(report.lines, report.used + report.broken + report.unknown);
    }
}

#[test]
fn nothing_secret_is_shown() {
    let keys = KeyLog::default();
    keys.parse(sample().as_bytes(), SecretSource::KeyLog);
    let found = keys.secret(&[0xab; 32], Label::Master);
    let mut tail = KeyLogTail::default();
    tail.push(b"CLIENT_RANDOM 0101", SecretSource::KeyLog, &keys);
    let shown = format!("{keys:?} {found:?} {tail:?}");
    assert!(!shown.contains("0101") && !shown.contains("1, 1"), "{shown}");
}
