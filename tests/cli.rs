//! The command as its users meet it: what it writes, what it says, how it ends.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first fault")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn harshark(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_harshark"));
    command.env_remove("SSLKEYLOGFILE").args(words).stdin(Stdio::null()).output().unwrap()
}

/// The HAR of a capture, from standard output.
fn har(words: &[&str]) -> serde_json::Value {
    let out = harshark(&[words, &["-q", "-o", "-"]].concat());
    assert!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

fn entries(har: &serde_json::Value) -> &Vec<serde_json::Value> {
    har["log"]["entries"].as_array().unwrap()
}

fn said(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

/// Compares with a file under tests/golden; `HARSHARK_BLESS=1` writes it anew.
fn golden(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("HARSHARK_BLESS").is_some() {
        fs::write(&path, found).unwrap();
    }
    let wanted = fs::read_to_string(&path).unwrap_or_default();
    if wanted != found {
        let line = wanted.lines().zip(found.lines()).position(|(a, b)| a != b).unwrap_or(0);
        let show = |text: &str| text.lines().nth(line).unwrap_or("").chars().take(300).collect::<String>();
        panic!("{name} differs from line {}:\n- {}\n+ {}", line + 1, show(&wanted), show(found));
    }
}

#[test]
fn hars_are_as_they_were() {
    for name in ["raw-h1", "errors-clear", "sse-clear"] {
        let capture = data(&format!("{name}.pcapng"));
        let out = harshark(&[capture.to_str().unwrap(), "-q", "--pretty", "-o", "-"]);
        assert!(out.status.success());
        golden(&format!("{name}.har"), &String::from_utf8(out.stdout).unwrap());
    }
}

#[test]
fn clear_and_encrypted_pages_are_the_same_page() {
    let clear = har(&[data("small-clear.pcapng").to_str().unwrap()]);
    for (name, version) in [("small-h2", "http/2.0"), ("small-h3", "h3")] {
        let capture = data(&format!("{name}.pcapng"));
        let har = har(&[capture.to_str().unwrap()]);
        let read = |har: &serde_json::Value| {
            let mut all: Vec<(String, String)> = entries(har)
                .iter()
                .map(|entry| {
                    let url = entry["request"]["url"].as_str().unwrap();
                    let path = url.split_once("://").unwrap().1.split_once('/').unwrap().1;
                    (path.to_owned(), entry["response"]["status"].to_string())
                })
                .collect();
            all.sort();
            all
        };
        assert_eq!(read(&har), read(&clear), "{name}");
        assert!(entries(&har).iter().any(|entry| entry["response"]["httpVersion"] == version), "{name}");
        assert!(entries(&har).iter().all(|entry| entry["_decrypted"] != "none-needed"), "{name}");
    }
}

#[test]
fn every_entry_stands_on_a_page_and_adds_up() {
    for name in ["small-clear", "raw-h1", "errors-clear", "sse-clear", "small-h2", "small-h3"] {
        let har = har(&[data(&format!("{name}.pcapng")).to_str().unwrap()]);
        let pages: Vec<&str> =
            har["log"]["pages"].as_array().unwrap().iter().map(|p| p["id"].as_str().unwrap()).collect();
        let mut last = String::new();
        for entry in entries(&har) {
            assert!(pages.contains(&entry["pageref"].as_str().unwrap()), "{name}");
            let start = entry["startedDateTime"].as_str().unwrap().to_owned();
            assert!(last <= start, "{name}: entries are in order");
            last = start;
            let phases = ["blocked", "dns", "connect", "send", "wait", "receive"];
            let sum: f64 = phases.iter().map(|phase| entry["timings"][*phase].as_f64().unwrap().max(0.0)).sum();
            assert!((sum - entry["time"].as_f64().unwrap()).abs() < 0.001, "{name}: {}", entry["timings"]);
        }
    }
}

#[test]
fn lines_hold_the_same_exchanges() {
    let capture = data("small-clear.pcapng");
    let whole = har(&[capture.to_str().unwrap()]);
    let out = harshark(&[capture.to_str().unwrap(), "-q", "--format", "ndjson", "-o", "-"]);
    let urls = |list: &mut Vec<String>| {
        list.sort();
        list.clone()
    };
    let mut lines: Vec<String> = String::from_utf8(out.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["request"]["url"].to_string())
        .collect();
    let mut listed: Vec<String> = entries(&whole).iter().map(|entry| entry["request"]["url"].to_string()).collect();
    assert_eq!(urls(&mut lines), urls(&mut listed));
}

#[test]
fn two_files_of_one_capture_are_one() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("1.pcapng"), folder.path().join("2.pcap"));
    let bytes = fs::read(data("small-clear.pcapng")).unwrap();
    // Blocks are cut apart at half the file; both halves get the blocks before the first packet.
    let block = |at: usize| u32::from_le_bytes(bytes[at + 4..at + 8].try_into().unwrap()) as usize;
    let kind = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let mut at = 0;
    while kind(at) != 6 {
        at += block(at);
    }
    let head = at;
    while at < bytes.len() / 2 {
        at += block(at);
    }
    fs::write(&first, &bytes[..at]).unwrap();
    fs::write(&second, [&bytes[..head], &bytes[at..]].concat()).unwrap();
    let whole = har(&[data("small-clear.pcapng").to_str().unwrap()]);
    // Named the wrong way round: time decides.
    let parts = har(&[second.to_str().unwrap(), first.to_str().unwrap()]);
    assert_eq!(entries(&parts).len(), entries(&whole).len());
    assert_eq!(parts["log"]["entries"], whole["log"]["entries"]);
}

#[test]
fn standard_input_is_a_capture_too() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_harshark"))
        .args(["-", "-q"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let bytes = fs::read(data("small-clear.pcapng")).unwrap();
    child.stdin.take().unwrap().write_all(&bytes).unwrap();
    let out = child.wait_with_output().unwrap();
    let piped: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(piped["log"]["entries"], har(&[data("small-clear.pcapng").to_str().unwrap()])["log"]["entries"]);
}

#[test]
fn what_is_no_capture_is_told_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.har");
    for (name, content, word) in [
        ("page.html", &b"<!doctype html><html></html>"[..], "HTML"),
        ("empty", b"", "empty"),
        ("cut.pcap", &[0xd4, 0xc3, 0xb2, 0xa1, 2, 0], "cut"),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        let out = harshark(&[path.to_str().unwrap(), "-o", output.to_str().unwrap()]);
        assert_eq!(out.status.code(), Some(2), "{name}");
        assert!(said(&out).contains(word) && said(&out).contains(name), "{}", said(&out));
        assert_eq!(said(&out).lines().count(), 1, "{}", said(&out));
        assert!(!output.exists(), "{name}");
    }
    let out = harshark(&["/nonexistent/capture.pcap"]);
    assert_eq!(out.status.code(), Some(2));
    assert!(said(&out).contains("/nonexistent/capture.pcap"));
}

#[test]
fn a_capture_without_packets_gives_an_empty_har_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none.pcap");
    let header = [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 65535, 1];
    fs::write(&path, header.map(u32::to_le_bytes).concat()).unwrap();
    let out = harshark(&[path.to_str().unwrap(), "-o", "-"]);
    assert!(out.status.success());
    let har: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(entries(&har).len(), 0);
    assert_eq!(har["log"]["pages"].as_array().unwrap().len(), 1);
    assert!(said(&out).contains("no packets"), "{}", said(&out));
}

#[test]
fn a_cut_capture_is_used_as_far_as_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.pcapng");
    let bytes = fs::read(data("small-clear.pcapng")).unwrap();
    fs::write(&path, &bytes[..bytes.len() * 2 / 3 + 5]).unwrap();
    let out = harshark(&[path.to_str().unwrap(), "-o", "-"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(said(&out).contains("damaged") && said(&out).contains("cut.pcapng"), "{}", said(&out));
    let har: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert!(!entries(&har).is_empty());
    // Quiet or not, damage is told.
    assert!(said(&harshark(&[path.to_str().unwrap(), "-q", "-o", "-"])).contains("damaged"));
}

#[test]
fn without_secrets_the_user_is_told_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("no-secrets.pcapng");
    let bytes = fs::read(data("small-h2.pcapng")).unwrap();
    let (mut kept, mut at) = (Vec::new(), 0);
    while at + 8 <= bytes.len() {
        let len = u32::from_le_bytes(bytes[at + 4..at + 8].try_into().unwrap()) as usize;
        // 0x0000000a is a Decryption Secrets Block.
        if bytes[at..at + 4] != [10, 0, 0, 0] {
            kept.extend_from_slice(&bytes[at..at + len]);
        }
        at += len;
    }
    fs::write(&path, kept).unwrap();
    let out = harshark(&[path.to_str().unwrap(), "-o", "-"]);
    assert!(out.status.success());
    assert!(said(&out).contains("SSLKEYLOGFILE") && said(&out).contains("encrypted"), "{}", said(&out));
    let har: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(entries(&har).len(), 0);
    let listed = har["log"]["_connections"].as_array().unwrap();
    assert!(listed.iter().any(|connection| connection["sni"].is_string() && connection["decrypted"] == false));
    let keys = data("small-h2.keys");
    let har = self::har(&[path.to_str().unwrap(), "--keylog", keys.to_str().unwrap()]);
    assert_eq!(entries(&har).len(), 15);
    assert!(entries(&har).iter().all(|entry| entry["_decrypted"] == "keylog"));
}

#[test]
fn outputs_that_cannot_be_written_are_named() {
    let capture = data("small-clear.pcapng");
    let capture = capture.to_str().unwrap();
    let out = harshark(&[capture, "-o", "/nonexistent/folder/x.har"]);
    assert_eq!(out.status.code(), Some(2));
    assert!(said(&out).contains("/nonexistent/folder/x.har"), "{}", said(&out));
    let out = harshark(&[capture, "-o", capture]);
    assert_eq!(out.status.code(), Some(2));
    assert!(said(&out).contains("not overwritten"), "{}", said(&out));
    if Path::new("/dev/full").exists() {
        let out = harshark(&[capture, "-o", "/dev/full"]);
        assert_eq!(out.status.code(), Some(2));
        assert!(said(&out).contains("/dev/full"), "{}", said(&out));
    }
}

#[test]
fn bodies_are_left_out_on_demand() {
    let capture = data("small-clear.pcapng");
    let har = har(&[capture.to_str().unwrap(), "--drop-bodies"]);
    for entry in entries(&har) {
        let content = &entry["response"]["content"];
        assert!(content.get("text").is_none() || content["size"] == 0, "{content}");
    }
    let sanitised = self::har(&[capture.to_str().unwrap(), "--sanitize"]);
    for entry in entries(&sanitised) {
        assert_eq!(entry["request"]["cookies"], serde_json::json!([]));
        let names: Vec<String> = entry["response"]["headers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|h| h["name"].to_string().to_lowercase())
            .collect();
        assert!(!names.iter().any(|name| name.contains("set-cookie")));
    }
}
