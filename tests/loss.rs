//! Captures with holes: whatever packets are missing, no entry shows the answer of another request, and what was captured whole is
//! found, at its own time.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first fault")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::Value;

use support::data;
use support::lossy::{entries, frames, segment};

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Method and URL.
fn asked(entry: &Value) -> (String, String) {
    (text(entry, "/request/method").to_owned(), text(entry, "/request/url").to_owned())
}

/// What the server wrote into its answer, so that each can be told from all others.
fn truth_id(entry: &Value) -> Option<&str> {
    let headers = entry.pointer("/response/headers")?.as_array()?;
    let id = headers.iter().find(|field| text(field, "/name").eq_ignore_ascii_case("x-truth-id"))?;
    id["value"].as_str()
}

/// True when the entry says that something is wrong with it.
fn speaks(entry: &Value) -> bool {
    entry.get("_anomalies").is_some() || entry.pointer("/response/_error").is_some()
}

fn span(entry: &Value, which: &str) -> Option<(usize, usize)> {
    let frames = entry.pointer(which)?.as_array()?;
    Some((frames[0].as_u64()? as usize, frames[1].as_u64()? as usize))
}

/// Milliseconds since 1970.
fn start(entry: &Value) -> f64 {
    let time = chrono::DateTime::parse_from_rfc3339(text(entry, "/startedDateTime")).unwrap();
    time.timestamp_nanos_opt().unwrap() as f64 / 1e6
}

/// A recording, and what is told of it without holes.
struct Recording {
    name: &'static str,
    capture: Vec<u8>,
    whole: Vec<Value>,
    /// Connection of each TCP frame with content; frames are counted from 1.
    content: BTreeMap<usize, BTreeSet<([u8; 4], u16)>>,
    /// Where the first request of each connection begins.
    begins: BTreeMap<u64, usize>,
}

impl Recording {
    fn new(name: &'static str) -> Self {
        let capture = fs::read(data(name)).unwrap();
        let whole = entries(&capture, &[]);
        let content = frames(&capture).into_iter().enumerate().filter_map(|(index, at)| {
            let (ends, len) = segment(&capture[at])?;
            (len > 0).then(|| (index + 1, BTreeSet::from(ends)))
        });
        let content = content.collect();
        let mut begins = BTreeMap::new();
        for entry in &whole {
            if let (Some(stream), Some((first, _))) = (stream(entry), span(entry, "/_packet/requestFrames")) {
                let begin = begins.entry(stream).or_insert(first);
                *begin = first.min(*begin);
            }
        }
        Self { name, capture, whole, content, begins }
    }

    /// Frames that are lost, in bursts of up to three: `share` of a thousand begin one.
    fn losses(&self, seed: u64, share: u64) -> Vec<usize> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut draw = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let mut left = 0;
        let is_lost = |_: &&usize| {
            if left > 0 {
                left -= 1;
                return true;
            }
            let begins = draw(1000) < share;
            if begins {
                left = draw(3);
            }
            begins
        };
        self.content.keys().filter(is_lost).copied().collect()
    }

    /// Holds what is told without these frames against the whole.
    fn check(&self, lost: &[usize], pipelines: bool) {
        let what = format!("{} without {lost:?}", self.name);
        let found = entries(&self.capture, &lost.iter().map(|frame| frame - 1).collect::<Vec<_>>());
        let known: BTreeSet<_> = self.whole.iter().map(asked).collect();
        let whole: BTreeMap<&str, &Value> =
            self.whole.iter().filter_map(|entry| Some((truth_id(entry)?, entry))).collect();
        let mut by_id = BTreeMap::new();
        for entry in &found {
            assert!(known.contains(&asked(entry)) || speaks(entry), "{what}: nobody asked for {:?}", asked(entry));
            let Some(id) = truth_id(entry).filter(|id| whole.contains_key(id)) else { continue };
            if asked(whole[id]) == asked(entry) {
                by_id.insert(id, entry);
            } else {
                assert!(
                    pipelines && speaks(entry),
                    "{what}: {:?} shows the answer to {:?}",
                    asked(entry),
                    asked(whole[id])
                );
            }
        }
        for (id, entry) in whole {
            self.check_one(entry, by_id.get(id).copied(), lost, &what);
        }
    }

    fn check_one(&self, entry: &Value, found: Option<&Value>, lost: &[usize], what: &str) {
        let (request, response) = (span(entry, "/_packet/requestFrames"), span(entry, "/_packet/responseFrames"));
        let (Some(request), Some(response), Some(stream)) = (request, response, stream(entry)) else { return };
        let Some(ends) = self.content.get(&request.0) else { return };
        let is_here = |frame: &&usize| self.content.get(frame) == Some(ends);
        let near = |from: usize, to: usize| lost.iter().filter(is_here).any(|&frame| (from..=to).contains(&frame));
        // What the handshake of TLS was, later records may not tell.
        let is_dark = lost.iter().filter(is_here).any(|&frame| frame < self.begins[&stream]);
        let is_http1 = text(entry, "/request/httpVersion").starts_with("HTTP/1");
        if is_http1 && !is_dark && !near(request.0, response.1) {
            let found = found.unwrap_or_else(|| panic!("{what}: {:?} is missing", asked(entry)));
            assert_eq!(found["response"]["content"], entry["response"]["content"], "{what}: {:?}", asked(entry));
        }
        let counts_handshake =
            |phase: &str| entry.pointer(phase).and_then(Value::as_f64).is_some_and(|time| time >= 0.0);
        if let Some(found) = found
            && !near(request.0, request.1)
            && !counts_handshake("/timings/connect")
            && !counts_handshake("/timings/dns")
        {
            let moved = start(found) - start(entry);
            assert!(moved.abs() < 1.0, "{what}: {:?} begins {moved} ms later", asked(entry));
        }
    }
}

fn stream(entry: &Value) -> Option<u64> {
    entry.pointer("/_packet/tcpStream")?.as_u64()
}

fn check_all(name: &'static str, pipelines: bool) {
    let recording = Recording::new(name);
    assert!(recording.whole.iter().filter_map(truth_id).count() > 5, "{name}");
    for share in [5, 20, 80] {
        for seed in 1..=25 {
            recording.check(&recording.losses(seed, share), pipelines);
        }
    }
    // Each frame alone, and each with the next two.
    let all: Vec<usize> = recording.content.keys().copied().collect();
    for at in 0..all.len() {
        recording.check(&all[at..=at], pipelines);
        recording.check(&all[at..all.len().min(at + 3)], pipelines);
    }
}

#[test]
fn a_page_in_clear() {
    check_all("small-clear.pcapng", false);
}

#[test]
fn keep_alive_in_tls() {
    check_all("small-h1-tls.pcapng", false);
}

#[test]
fn odd_requests_and_pipelining() {
    check_all("raw-h1.pcapng", true);
}

#[test]
fn streams_of_events() {
    check_all("sse-clear.pcapng", false);
}

#[test]
fn aborts_and_resets() {
    check_all("errors-clear.pcapng", false);
}

/// The body and the anomalies of each entry of a small capture, by the end of its URL.
fn answers(name: &str) -> Vec<(String, String, Vec<String>)> {
    let found = entries(&fs::read(data("loss").join(name)).unwrap(), &[]);
    let short = |entry: &Value| {
        let url = text(entry, "/request/url");
        let body = text(entry, "/response/content/text");
        let anomalies = entry["_anomalies"].as_array().into_iter().flatten();
        let codes = anomalies.map(|anomaly| text(anomaly, "/code").to_owned()).collect();
        (url.rsplit('/').next().unwrap().to_owned(), body.chars().take(14).collect(), codes)
    };
    found.iter().map(short).collect()
}

#[track_caller]
fn assert_answers(name: &str, wanted: &[(&str, &str, &[&str])]) {
    let found = answers(name);
    let found: Vec<(&str, &str, Vec<&str>)> = found
        .iter()
        .map(|(url, body, codes)| (url.as_str(), body.as_str(), codes.iter().map(String::as_str).collect()))
        .collect();
    let wanted: Vec<_> = wanted.iter().map(|&(url, body, codes)| (url, body, codes.to_vec())).collect();
    assert_eq!(found, wanted, "{name}");
}

#[test]
fn one_lost_answer_in_tls_moves_no_other() {
    let asked = ["You asked /r0", "You asked /r1", "You asked /r2", "", "You asked /r4", "You asked /r5"];
    let found = answers("https-one-response-lost-tls12.pcapng");
    assert_eq!(found.len(), 8);
    for (entry, asked) in found.iter().zip(asked) {
        assert_eq!(entry.1, asked);
    }
    assert_eq!(found[3].2, ["response-lost"]);
}

#[test]
fn a_tail_and_the_next_head_lost_in_one_burst() {
    assert_answers(
        "mispair-cl.pcap",
        &[
            ("k0", r#"{"answer":0}{""#, &["bytes-lost"]),
            ("k1", "", &["response-lost"]),
            ("k2", r#"{"answer":2}{""#, &[]),
            ("k3", r#"{"answer":3}{""#, &[]),
        ],
    );
    assert_answers(
        "libhtp403b.pcap",
        &[
            ("k0", r#"{"answer":0}{""#, &["bytes-lost"]),
            ("k2", r#"{"answer":2}{""#, &[]),
            ("k3", r#"{"answer":3}{""#, &[]),
        ],
    );
}

#[test]
fn a_capture_that_begins_in_the_middle_with_a_lost_answer() {
    assert_answers("synth-gap-midstream.pcap", &[("one", "", &["response-lost"]), ("two", "two", &[])]);
}

#[test]
fn several_answers_lost() {
    let lost: &[&str] = &["response-lost"];
    assert_answers(
        "synth-gap-three-lost.pcap",
        &[("0", "", lost), ("1", "", lost), ("2", "", lost), ("3", "two", &[])],
    );
}

#[test]
fn answers_to_pipelined_requests_are_found_by_their_status_lines() {
    let unsure: &[&str] = &["pairing-unsure"];
    assert_answers(
        "pipeline-resp-loss.pcap",
        &[
            ("pl0", "P0 P0 P0 P0 P0", &[]),
            ("pl1", "P1 P1 P1 P1 P1", &["bytes-lost"]),
            ("pl2", "", &["response-lost"]),
            ("pl3", "P3 P3 P3 P3 P3", unsure),
            ("pl4", "P4 P4 P4 P4 P4", unsure),
        ],
    );
}

#[test]
fn an_unusual_status_line_moves_no_answer() {
    let names = ["0", "1", "2", "3", "4", "5"];
    let bodies: Vec<String> = names.iter().map(|name| format!("answer to {name}")).collect();
    let wanted: Vec<(&str, &str, &[&str])> =
        names.iter().zip(&bodies).map(|(&name, body)| (name, body.as_str(), &[][..])).collect();
    assert_answers("garbage-status-line.pcap", &wanted);
}

#[test]
fn a_request_behind_a_hole_of_the_server_begins_with_its_own_frame() {
    let found = entries(&fs::read(data("loss/sl-tail-lost.pcap")).unwrap(), &[]);
    let request = found.iter().find(|entry| text(entry, "/request/url").ends_with("k2")).unwrap();
    let wait = request.pointer("/timings/wait").and_then(Value::as_f64).unwrap();
    assert!((wait - 30.6).abs() < 1.0, "{wait}");
}
