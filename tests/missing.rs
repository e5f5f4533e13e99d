//! What a capture lacks is said, with its reason and its amount: by the file itself, on the screen, and where in the HAR it belongs.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first fault")]

mod support;

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use support::blocks::{packet_block, records};
use support::wire::{ACK, FIN, Get, PSH, Tape, Tcp, client_hello, sealed, server_hello, text_frame};

/// The HAR of a capture, and what is said of it.
fn read(capture: &[u8]) -> (Value, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("capture");
    std::fs::write(&path, capture).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_harshark"));
    command.env_remove("SSLKEYLOGFILE").arg(&path).args(["-o", "-"]).stdin(Stdio::null());
    let out = command.output().unwrap();
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(out.status.success(), "{said}");
    let mut har: Value = serde_json::from_slice(&out.stdout).unwrap();
    (har["log"].take(), said)
}

/// A connection number `at`, opened on the tape.
fn open(at: u16, tape: &mut Tape) -> Tcp {
    Tcp::open(([10, 0, 0, 1], 40_000 + at), ([10, 0, 0, 2], 80), tape)
}

fn get(path: &str) -> Get<'_> {
    Get { host: "shop.example", path, referer: None, media_type: "text/plain" }
}

fn answer(body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

/// Something sent that the capture does not hold.
fn unseen(connection: &mut Tcp, up: bool, bytes: &[u8]) {
    connection.segment(up, bytes, PSH | ACK, &mut Tape::new());
}

fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let len = (body.len() as u32 + 12).to_le_bytes();
    [&kind.to_le_bytes()[..], &len, body, &len].concat()
}

/// A statistics block of an interface with counts by option.
fn statistics(interface: u32, counts: &[(u16, u64)]) -> Vec<u8> {
    let mut body = [&interface.to_le_bytes()[..], &[0; 8]].concat();
    for (code, count) in counts {
        body.extend([&code.to_le_bytes()[..], &8u16.to_le_bytes(), &count.to_le_bytes()].concat());
    }
    body.extend([0; 4]);
    block(5, &body)
}

/// The packets of a tape as pcapng of one interface, with `more` blocks behind them.
fn pcapng(tape: &Tape, more: &[Vec<u8>]) -> Vec<u8> {
    let mut file = block(0x0a0d_0d0a, &[0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]);
    file.extend(block(1, &[1, 0, 0, 0, 0, 0, 4, 0]));
    for (at, record) in records(&tape.bytes).into_iter().enumerate() {
        file.extend(packet_block(1_700_000_000_000_000 + 1000 * at as u64, &record[16..]));
    }
    file.extend(more.concat());
    file
}

#[test]
fn what_the_capture_program_dropped_stands_beside_what_is_missing() {
    let mut tape = Tape::new();
    let mut connection = open(1, &mut tape);
    connection.send(true, get("/a").head().as_bytes(), &mut tape);
    connection.segment(false, &answer(&[b'x'; 3000])[..1448], PSH | ACK, &mut tape);
    unseen(&mut connection, false, &[b'x'; 1000]);
    connection.send(false, &[b'x'; 1000], &mut tape);
    let counted = [statistics(0, &[(4, 100), (5, 2)]), statistics(0, &[(4, 200), (5, 3), (7, 4)])];
    let (log, said) = read(&pcapng(&tape, &counted));
    assert_eq!(log["_capture"]["dropped"], json!({"packets": 7, "interface": 3, "kernel": 4}));
    assert_eq!(log["_capture"]["missing"], json!({"bytes": 1000, "connections": 1}));
    let line = "lost         the capture program dropped 7 packets (interface: 3, kernel: 4); 1000 bytes of 1 connection are missing";
    assert!(said.contains(line), "{said}");
    // Nothing dropped is known as well, and no line; what nobody counted is not in it.
    connection.exchange(&get("/b"), b"b", &mut tape);
    let (log, _) = read(&pcapng(&tape, &[statistics(0, &[(5, 0)])]));
    assert_eq!(log["_capture"]["dropped"], json!({"packets": 0, "interface": 0}));
    let (log, said) = read(&tape.bytes);
    assert_eq!(log["_capture"].get("dropped"), None);
    assert!(said.contains("  lost         1000 bytes of 1 connection are missing\n"), "{said}");
}

#[test]
fn one_hole_is_counted_once_with_its_bytes() {
    let mut tape = Tape::new();
    let mut connection = open(1, &mut tape);
    let requests: String = ["/0", "/1", "/2", "/3"].map(|path| get(path).head()).concat();
    connection.send(true, requests.as_bytes(), &mut tape);
    connection.send(false, &answer(b"zero"), &mut tape);
    let body = answer(&[b'1'; 600]);
    connection.send(false, &body[..300], &mut tape);
    unseen(&mut connection, false, &[&body[300..], &answer(b"two")[..20]].concat());
    connection.send(false, &answer(b"two")[20..], &mut tape);
    connection.send(false, &answer(b"three"), &mut tape);
    connection.close(&mut tape);
    let (log, said) = read(&tape.bytes);
    let missing = body.len() - 300 + 20;
    let line =
        format!(" 1 × Bytes are missing from the capture, or could not be read because others are ({missing} bytes)");
    assert!(said.contains(&line), "{said}");
    let listed = log["_connections"].as_array().unwrap();
    let faults = listed.iter().flat_map(|connection| connection["_anomalies"].as_array().unwrap());
    let lost: Vec<&Value> = faults.filter(|fault| fault["code"] == "bytes-lost").collect();
    assert_eq!(lost.len(), 1, "{listed:?}");
    assert_eq!((&lost[0]["count"], &lost[0]["bytes"]), (&json!(1), &json!(missing)));
    // The entry whose body it is says how much of that is missing.
    let entry = &log["entries"][1];
    let fault = entry["_anomalies"].as_array().unwrap().iter().find(|fault| fault["code"] == "bytes-lost").unwrap();
    assert_eq!((&fault["count"], &fault["bytes"]), (&json!(1), &json!(body.len() - 300)));
}

#[test]
fn faults_of_connections_with_entries_are_listed() {
    let mut tape = Tape::new();
    let mut good = open(1, &mut tape);
    good.exchange(&get("/good"), b"fine", &mut tape);
    let mut connection = open(2, &mut tape);
    connection.exchange(&get("/one"), b"1", &mut tape);
    connection.send(false, b"this is no message\r\n\r\n", &mut tape);
    connection.exchange(&get("/two"), b"2", &mut tape);
    let (log, said) = read(&tape.bytes);
    assert_eq!(log["entries"].as_array().unwrap().len(), 3);
    let listed = log["_connections"].as_array().unwrap();
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!((&listed[0]["entries"], listed[0].get("reason")), (&json!(2), None));
    assert_eq!(listed[0]["_anomalies"][0]["code"], "garbage-skipped");
    let id = |entry: &Value| entry["_connectionId"].to_string();
    assert_eq!(id(&log["entries"][1]).trim_matches('"'), listed[0]["id"].as_str().unwrap());
    // What is listed because of its faults is not without an entry.
    assert!(said.contains("connections  2 (0 without an entry)"), "{said}");
}

/// The only reason that a capture gives, which also stands on the screen.
fn reason(tape: &Tape) -> String {
    let (log, said) = read(&tape.bytes);
    assert_eq!(log["entries"], json!([]), "{log}");
    let listed = log["_connections"].as_array().unwrap();
    assert_eq!((listed.len(), &listed[0]["entries"]), (1, &json!(0)));
    let reason = listed[0]["reason"].as_str().unwrap().to_owned();
    assert!(said.contains(&format!("     1 × {reason}\n")), "{said}");
    assert!(said.contains(&format!("the HAR is empty: {reason}\n")) || said.contains("encrypted"), "{said}");
    reason
}

/// The packets that one side sent.
fn one_side(tape: &Tape, up: bool) -> Tape {
    let mut half = Tape::new();
    let of_client = |record: &[u8]| record[16 + 26..16 + 30] == [10, 0, 0, 1];
    records(&tape.bytes)
        .into_iter()
        .filter(|record| of_client(record) == up)
        .for_each(|record| half.packet(&record[16..]));
    half
}

#[test]
fn one_direction_is_not_called_another_protocol() {
    // Only answers, in clear and inside TLS; the client's side alone, from the middle of an upload.
    let mut tape = Tape::new();
    open(1, &mut tape).exchange(&get("/a"), b"a", &mut tape);
    assert_eq!(reason(&one_side(&tape, false)), "one direction only is in the capture: the server's");
    let mut tape = Tape::new();
    let mut connection = Tcp::new(([10, 0, 0, 1], 40_000), ([10, 0, 0, 2], 80));
    connection.send(true, &[b'u'; 5000], &mut tape);
    connection.send(false, &answer(b"stored"), &mut tape);
    assert_eq!(reason(&one_side(&tape, true)), "one direction only is in the capture: the client's");
    let mut tape = Tape::new();
    let mut connection = Tcp::open(([10, 0, 0, 1], 40_000), ([10, 0, 0, 2], 443), &mut tape);
    connection.send(true, &client_hello(1, "shop.example"), &mut tape);
    connection.send(false, &[server_hello(1), sealed(900)].concat(), &mut tape);
    connection.send(true, &sealed(100), &mut tape);
    for up in [true, false] {
        let words = if up { "the client's" } else { "the server's" };
        assert_eq!(reason(&one_side(&tape, up)), format!("one direction only is in the capture: {words}"));
    }
    // A scan that nobody answers carries nothing.
    let mut tape = Tape::new();
    open(1, &mut tape);
    assert_eq!(reason(&one_side(&tape, true)), "no data");
}

#[test]
fn answers_without_requests_are_said_to_be_that() {
    let mut tape = Tape::new();
    let mut connection = open(1, &mut tape);
    for at in 0..3 {
        unseen(&mut connection, true, get("/a").head().as_bytes());
        connection.send(false, &answer(&[b'0' + at]), &mut tape);
    }
    connection.close(&mut tape);
    assert_eq!(reason(&tape), "responses are in the capture, requests are not");
    // Nothing but acknowledgements of what was lost.
    let mut tape = Tape::new();
    let mut connection = open(1, &mut tape);
    unseen(&mut connection, true, get("/a").head().as_bytes());
    unseen(&mut connection, false, &answer(b"a"));
    connection.close(&mut tape);
    assert_eq!(reason(&tape), "none of its bytes is in the capture");
}

#[test]
fn an_end_in_a_head_is_said_to_be_that() {
    for head in ["GE", "PROPFIND /a", "GET /a", "GET /a HTTP/1.1\r\nHost: shop.exam"] {
        let mut tape = Tape::new();
        let mut connection = open(1, &mut tape);
        connection.send(true, head.as_bytes(), &mut tape);
        let (log, said) = read(&tape.bytes);
        // A well-known method and the start of a target are a request.
        if head.starts_with("GET ") {
            assert_eq!(log["entries"][0]["request"]["url"], "http://10.0.0.2/a");
            assert_eq!(log["entries"][0]["_anomalies"][0]["code"], "head-cut");
        } else {
            assert_eq!(reason(&tape), "the capture ends in a request head");
            assert_eq!(log["_connections"][0]["_anomalies"][0]["code"], "head-cut");
        }
        assert!(said.contains("1 × A message head is not whole"), "{said}");
        assert!(!log.to_string().contains("head-malformed"));
    }
    let mut tape = Tape::new();
    let mut connection = open(1, &mut tape);
    connection.send(true, b"PROPFIND /a", &mut tape);
    connection.segment(true, &[], FIN | ACK, &mut tape);
    connection.segment(false, &[], FIN | ACK, &mut tape);
    assert_eq!(reason(&tape), "the connection ends in a request head");
    let mut tape = Tape::new();
    let mut connection = open(1, &mut tape);
    unseen(&mut connection, true, get("/a").head().as_bytes());
    connection.send(false, b"HTTP/1.1 20", &mut tape);
    assert_eq!(reason(&tape), "the capture ends in a response head");
}

#[test]
fn what_begins_in_the_middle_is_said_to_do_so() {
    let mut tape = Tape::new();
    let mut connection = Tcp::new(([10, 0, 0, 1], 40_000), ([10, 0, 0, 2], 80));
    for _ in 0..5 {
        connection.send(false, &[b'd'; 4000], &mut tape);
    }
    let words = "the capture begins in the middle of the connection, and no HTTP message begins in what follows";
    assert_eq!(reason(&tape), words);
    // Where the capture has it all, and it is none, that is the reason.
    let mut tape = Tape::new();
    let mut connection = open(1, &mut tape);
    connection.send(false, b"220 mail.example ESMTP\r\n", &mut tape);
    connection.send(true, b"EHLO shop.example\r\n", &mut tape);
    connection.send(false, b"250 mail.example\r\n", &mut tape);
    assert_eq!(reason(&tape), "no HTTP was found");
    let mut tape = Tape::new();
    let mut connection = open(1, &mut tape);
    unseen(&mut connection, true, get("/a").head().as_bytes());
    connection.send(false, text_frame(false, "so it goes on").as_slice(), &mut tape);
    connection.close(&mut tape);
    assert_eq!(reason(&tape), "bytes are missing, and no HTTP message begins in what is there");
}

#[test]
fn a_flood_of_faulty_connections_is_bounded() {
    let mut tape = Tape::new();
    for at in 0..10_050u16 {
        let mut connection = Tcp::open(([10, 0, 0, 1], 1024 + at), ([10, 0, 0, 2], 80), &mut tape);
        connection.exchange(&get("/a"), b"a", &mut tape);
        connection.send(false, b"no message\r\n\r\n", &mut tape);
        connection.close(&mut tape);
    }
    let (log, _) = read(&tape.bytes);
    assert_eq!(log["entries"].as_array().unwrap().len(), 10_050);
    assert_eq!(log["_connections"].as_array().unwrap().len(), 10_000);
    assert_eq!(log["_capture"]["connectionsNotListed"], 50);
}

#[test]
fn the_file_of_these_tests_is_the_one_in_the_data() {
    let mut tape = Tape::new();
    open(1, &mut tape).exchange(&get("/counted"), b"counted", &mut tape);
    let counted = [statistics(0, &[(4, 100), (5, 2)]), statistics(0, &[(4, 120), (5, 5), (6, 118), (7, 1), (8, 115)])];
    let made = pcapng(&tape, &counted);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/dropped.pcapng");
    if std::env::var_os("HARSHARK_BLESS").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let found = std::fs::read(&path).unwrap();
    assert!(found == made);
    let dropped = json!({"packets": 8, "interface": 5, "kernel": 1, "writer": 2});
    assert_eq!(read(&found).0["_capture"]["dropped"], dropped);
}
