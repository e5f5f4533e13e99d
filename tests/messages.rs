//! Messages of WebSockets and event streams when frames are missing: each frame of real captures in turn, and bursts of them. What is
//! shown was sent, as it was sent, and whatever begins with a later segment is found.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first fault")]

mod support;

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use support::data;
use support::lossy::{self, entries, frames};

/// A TCP segment over IPv4 with content.
struct Segment {
    /// Client port, and whether the client sent it.
    port: u16,
    is_sent: bool,
}

fn segment(frame: &[u8], server: u16) -> Option<Segment> {
    let ([(_, source), (_, destination)], len) = lossy::segment(frame)?;
    let is_sent = destination == server;
    (len > 0).then_some(Segment { port: if is_sent { source } else { destination }, is_sent })
}

/// A message as the HAR has it.
#[derive(Debug, Clone, PartialEq)]
struct Message {
    is_sent: bool,
    opcode: u64,
    size: u64,
    frame: u64,
    data: String,
    is_cut: bool,
    is_undecodable: bool,
}

impl Message {
    fn of(message: &Value) -> Self {
        Self {
            is_sent: message["type"] == "send",
            opcode: message["opcode"].as_u64().unwrap(),
            size: message["_size"].as_u64().unwrap(),
            frame: message["_frame"].as_u64().unwrap(),
            data: message["data"].as_str().unwrap().to_owned(),
            is_cut: message.get("_truncated").is_some(),
            is_undecodable: message.get("_undecodable").is_some(),
        }
    }

    /// True when it is that message, or says what of it is missing.
    fn is_of(&self, real: &Message) -> bool {
        let is_same = (self.is_sent, self.opcode, self.size) == (real.is_sent, real.opcode, real.size);
        is_same
            && match (self.is_cut, self.is_undecodable) {
                (false, false) => self.data == real.data && self.frame == real.frame,
                (true, _) if self.opcode == 1 => real.data.starts_with(&self.data),
                (true, _) => true,
                (false, true) => self.data.is_empty() && self.frame == real.frame,
            }
    }
}

/// Messages of each WebSocket.
fn sockets(entries: &[Value]) -> BTreeMap<String, Vec<Message>> {
    let mut sockets = BTreeMap::new();
    for entry in entries {
        if let Some(list) = entry["_webSocketMessages"].as_array() {
            let url = entry["request"]["url"].as_str().unwrap().to_owned();
            assert!(sockets.insert(url, list.iter().map(Message::of).collect()).is_none());
        }
    }
    sockets
}

/// The messages that must be there without these frames: those that ended before them, and from the first on that begins
/// with a segment behind them.
fn expected(real: &[Message], is_sent: bool, lost: &[u64], len_of: &dyn Fn(u64) -> usize) -> Vec<Message> {
    let of_side: Vec<&Message> = real.iter().filter(|message| message.is_sent == is_sent).collect();
    let (Some(&first), Some(&last)) = (lost.first(), lost.last()) else {
        return of_side.into_iter().cloned().collect();
    };
    let before = of_side.iter().take_while(|message| message.frame < first);
    let behind = of_side.iter().enumerate().skip_while(|&(at, message)| {
        // It is whole in its segment, and the first there: the one before it ended with another.
        let is_part = message.size > len_of(message.frame) as u64;
        message.frame <= last || is_part || at > 0 && of_side[at - 1].frame == message.frame
    });
    before.copied().chain(behind.map(|(_, message)| *message)).cloned().collect()
}

/// Takes bursts of frames out of a capture; `step` bounds what the test costs.
fn take_out(name: &str, server: u16, burst: usize, step: usize) {
    let capture = fs::read(data(name)).unwrap();
    let all = frames(&capture);
    let whole_entries = entries(&capture, &[]);
    let whole = sockets(&whole_entries);
    assert!(!whole.is_empty());
    let ports: BTreeMap<String, u16> = whole_entries
        .iter()
        .filter(|entry| entry.get("_webSocketMessages").is_some())
        .map(|entry| {
            let frame = entry["_packet"]["requestFrames"][0].as_u64().unwrap() as usize - 1;
            let port = segment(&capture[all[frame].clone()], server).unwrap().port;
            (entry["request"]["url"].as_str().unwrap().to_owned(), port)
        })
        .collect();
    let len_of = |frame: u64| lossy::segment(&capture[all[frame as usize - 1].clone()]).map_or(0, |(_, len)| len);
    let is_carrying = |at: &usize| segment(&capture[all[*at].clone()], server).is_some();
    let carrying: Vec<usize> = (0..all.len()).filter(is_carrying).collect();
    for lost in carrying.windows(burst).step_by(step) {
        let told = entries(&capture, lost);
        let found = sockets(&told);
        for (url, real) in &whole {
            let is_of = |segment: &Segment, is_sent| segment.port == ports[url] && segment.is_sent == is_sent;
            for is_sent in [true, false] {
                let ours: Vec<u64> = lost
                    .iter()
                    .filter(|&&at| is_of(&segment(&capture[all[at].clone()], server).unwrap(), is_sent))
                    .map(|&at| at as u64 + 1)
                    .collect();
                let Some(shown) = found.get(url) else {
                    // The handshake is among what is lost.
                    continue;
                };
                let shown: Vec<&Message> = shown.iter().filter(|message| message.is_sent == is_sent).collect();
                let mut rest = real.iter();
                for message in &shown {
                    let is_real = rest.any(|real| message.is_of(real));
                    assert!(is_real, "{name} without {ours:?}: {message:?} was not sent by {url}");
                }
                for wanted in expected(real, is_sent, &ours, &len_of) {
                    let is_there = shown.iter().any(|message| message.is_of(&wanted) && message.frame == wanted.frame);
                    assert!(is_there, "{name} without {ours:?}: {wanted:?} of {url} is missing: {shown:#?}");
                }
            }
        }
    }
}

#[test]
fn websockets_in_clear() {
    take_out("ws-deflate.pcapng", 80, 1, 1);
    take_out("ws-deflate.pcapng", 80, 3, 2);
}

#[test]
fn websockets_inside_tls() {
    take_out("wss-deflate.pcapng", 443, 1, 1);
    take_out("wss-deflate.pcapng", 443, 2, 3);
}

#[test]
fn a_websocket_with_a_hole_of_its_own() {
    let capture = fs::read(data("ws-hole.pcap")).unwrap();
    let messages = sockets(&entries(&capture, &[])).into_values().next().unwrap();
    let behind: Vec<&Message> = messages.iter().filter(|message| !message.is_sent && message.frame > 15).collect();
    assert_eq!(behind.iter().filter(|message| message.opcode <= 2).count(), 12);
    assert!(behind.iter().any(|message| message.opcode == 10) && behind.iter().any(|message| message.opcode == 8));
    take_out("ws-hole.pcap", 18765, 1, 1);
}

/// Frame, name, id and data of the events of each response, by the frame of the request.
fn events(entries: &[Value]) -> BTreeMap<u64, Vec<[String; 4]>> {
    let text = |event: &Value| ["_frame", "eventName", "eventId", "data"].map(|key| event[key].to_string());
    let streams = entries.iter().filter_map(|entry| {
        let events = entry["_eventSourceMessages"].as_array()?;
        Some((entry["_packet"]["requestFrames"][0].as_u64()?, events.iter().map(text).collect()))
    });
    streams.collect()
}

#[test]
fn event_streams_in_chunks() {
    let capture = fs::read(data("sse-clear.pcapng")).unwrap();
    let whole = events(&entries(&capture, &[]));
    assert_eq!(whole.len(), 4);
    for real in whole.values() {
        for (at, lost) in real.iter().enumerate() {
            let frame: usize = lost[0].parse().unwrap();
            let found = events(&entries(&capture, &[frame - 1]));
            for (request, real) in &whole {
                let none = Vec::new();
                let shown = found.get(request).unwrap_or(&none);
                let mut rest = real.iter();
                assert!(shown.iter().all(|event| rest.any(|real| real == event)), "{frame}: {shown:#?}");
                let missing = real.iter().filter(|event| !shown.contains(event)).count();
                // How the sender cuts its events is known from the third on; before that one more may be taken for the rest of another.
                let most = if !real.contains(lost) {
                    0
                } else if at < 2 {
                    2
                } else {
                    1
                };
                assert!(missing <= most, "{missing} missing without {frame} of {real:#?}: {shown:#?}");
            }
        }
    }
}

/// Request methods and URLs, and the anomalies beside each.
fn requests(name: &str) -> Vec<(String, String)> {
    let entries = entries(&fs::read(data(name)).unwrap(), &[]);
    let line = |entry: &Value| {
        let request = &entry["request"];
        let codes =
            entry["_anomalies"].as_array().into_iter().flatten().map(|anomaly| anomaly["code"].as_str().unwrap());
        let line = format!("{} {}", request["method"].as_str().unwrap(), request["url"].as_str().unwrap());
        (line, codes.collect::<Vec<_>>().join(" "))
    };
    entries.iter().map(line).collect()
}

#[test]
fn a_request_line_that_begins_in_a_hole_is_no_request() {
    let requests = requests("request-line-cut.pcap");
    assert!(requests.len() >= 3 && requests.iter().all(|(line, _)| line.starts_with("GET ")), "{requests:?}");
}

#[test]
fn a_head_that_the_capture_ends_in_is_cut() {
    let requests = requests("head-cut-by-end.pcap");
    let [(_, codes)] = requests.as_slice() else { unreachable!("{requests:?}") };
    assert!(codes.contains("head-cut") && !codes.contains("malformed"), "{codes}");
}
