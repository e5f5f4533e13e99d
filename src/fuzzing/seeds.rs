//! Seeds: real captures cut into what each floor reads, the vectors of the tests, and samples of what neither has.

#![allow(clippy::panic, reason = "a body that panics is how a fuzzer learns of a fault")]

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::base::fuzzing::Dice;
use crate::base::{Budget, Limits};
use crate::capture::{Item, Reader};
use crate::exchange::fuzzing::{BROTLI, STACKS};
use crate::net::{Decoder, Endpoint, FlowKey, Transport};
use crate::quic::{self, QuicEvent};
use crate::tcp::fuzzing::{What, write_segment, write_step};
use crate::tcp::{Connections, Side, StreamEvent, TcpEvent, TcpOptions};
use crate::tls::fuzzing::with_keys;
use crate::tls::testing::{Conversation, Early, Options, unhex};
use crate::tls::{KeyLog, SecretSource, Session};

/// Longest script that is made of one connection: fuzzers learn little from more of the same.
const MOST: usize = 6000;

fn tests(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(path)
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

const NAMES: [&str; 6] = ["errors-clear", "raw-h1", "small-clear", "small-h2", "small-h3", "sse-clear"];

fn key_log(name: &str) -> Vec<u8> {
    let path = tests(&format!("data/{name}.keys"));
    if path.exists() { read(&path) } else { Vec::new() }
}

/// The blocks of a pcapng until there are `most` bytes; from a packet on that is no longer than that.
fn blocks(bytes: &[u8], most: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = bytes;
    while let Some(len) = rest.get(4..8).and_then(|len| Some(u32::from_le_bytes(len.try_into().ok()?) as usize)) {
        let Some((block, after)) = rest.split_at_checked(len.max(12)) else { break };
        // Secrets are long, and useful.
        let is_packet = block[..4] == [6, 0, 0, 0];
        if out.len() + if is_packet { len } else { 0 } <= most {
            out.extend_from_slice(block);
        }
        rest = after;
    }
    out
}

fn capture(name: &str) -> Vec<u8> {
    read(&tests(&format!("data/{name}.pcapng")))
}

/// The beginnings of the captures, and the same packets as pcap.
pub(super) fn captures() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = NAMES.iter().map(|name| blocks(&capture(name), 4000)).collect();
    let mut pcap = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0];
    each_frame("small-clear", &mut |_, data| {
        if pcap.len() < 4000 {
            let len = (data.len() as u32).to_le_bytes();
            pcap.extend([&[1, 0, 0, 0, 2, 0, 0, 0][..], &len, &len, data].concat());
        }
    });
    let big: Vec<u8> = [0xa1, 0xb2, 0x3c, 0x4d, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 101]
        .into_iter()
        .chain([0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 9, 1, 2, 3])
        .collect();
    all.extend([pcap, big]);
    all
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(data).and_then(|()| encoder.finish()).unwrap_or_default()
}

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(data).and_then(|()| encoder.finish()).unwrap_or_default()
}

fn zstd(data: &[u8]) -> Vec<u8> {
    ::zstd::encode_all(data, 3).unwrap_or_default()
}

fn lz4(data: &[u8]) -> Vec<u8> {
    let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
    encoder.write_all(data).ok().and_then(|()| encoder.finish().ok()).unwrap_or_default()
}

type Coder = fn(&[u8]) -> Vec<u8>;

/// Compressed captures, also of two members.
pub(super) fn compressed() -> Vec<Vec<u8>> {
    let plain = captures();
    let coders: [Coder; 3] = [gzip, zstd, lz4];
    let whole = plain.iter().take(3).flat_map(|bytes| coders.map(|coder| coder(bytes)));
    let halves = coders.map(|coder| {
        let (one, other) = plain[0].split_at(plain[0].len() / 2);
        [coder(one), coder(other)].concat()
    });
    whole.chain(halves).collect()
}

/// Captures behind an octet of options.
pub(super) fn engine() -> Vec<Vec<u8>> {
    let plain = NAMES.iter().map(|name| blocks(&capture(name), 12_000));
    (0..)
        .zip(plain.chain(captures()))
        .map(|(at, bytes)| [vec![[0, 0x1f, 0xe4, 0x0b][at % 4]], bytes].concat())
        .collect()
}

fn each_frame(name: &str, each: &mut dyn FnMut(u32, &[u8])) {
    let path = tests(&format!("data/{name}.pcapng"));
    let mut reader = Reader::open(path, &Limits::default()).unwrap_or_else(|error| panic!("{error}"));
    while let Ok(Some(item)) = reader.next() {
        if let Item::Frame(frame) = item {
            each(frame.link_type.0, frame.data);
        }
    }
}

/// Four frames each, of the captures and built ones.
pub(super) fn frames() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for name in NAMES {
        let mut one = Vec::new();
        let mut count = 0;
        each_frame(name, &mut |link_type, data| {
            count += 1;
            if count % 9 < 4 && all.len() < 60 {
                crate::net::fuzzing::write_frame(&mut one, link_type as u16, data);
            } else if !one.is_empty() {
                all.push(std::mem::take(&mut one));
            }
        });
    }
    // Fragments of one datagram, in IPv4 and IPv6; VLAN, MPLS, PPPoE; GRE with IPv4; VXLAN.
    let samples = [
        (101, "4500001e00012000 40110000 0a000001 0a000002 3039003500120000 6162"),
        (101, "4500001c00010001 40110000 0a000001 0a000002 6364656667686970"),
        (
            101,
            "6000000000182c40 fd000000000000000000000000000001 fd000000000000000000000000000002 1100000100000007 30390035000c0000 61626364 65666768",
        ),
        (
            101,
            "6000000000102c40 fd000000000000000000000000000001 fd000000000000000000000000000002 1100001000000007 6162636465666768",
        ),
        (
            1,
            "020000000001020000000002 8100 0001 8864 1100 0001 0020 0021 4500001e00010000 40110000 0a000001 0a000002 303900350006 0000",
        ),
        (1, "020000000001020000000002 8847 00001140 4500001c00010000 40110000 0a000001 0a000002 3039003500080000"),
        (
            101,
            "4500004000010000 402f0000 0a000001 0a000002 00000800 4500001c00010000 40110000 0a000001 0a000002 3039003500080000",
        ),
        (
            101,
            "4500005000010000 40110000 0a000001 0a000002 303912b5003c0000 0800000000000100 020000000001020000000002 0800 4500001c00010000 40110000 0a000001 0a000002 3039003500080000",
        ),
        (0, "02000000 4500001c00010000 40110000 0a000001 0a000002 3039003500080000"),
        (113, "0000 0001 0006 020000000001 0000 0800 4500001c00010000 40110000 0a000001 0a000002 3039003500080000"),
        (
            276,
            "0800 0000 00000001 0001 00 06 0200000000010000 4500001c00010000 40110000 0a000001 0a000002 3039003500080000",
        ),
        (
            105,
            "0801 0000 020000000001 020000000002 020000000003 0000 aaaa03000000 0800 4500001c00010000 40110000 0a000001 0a000002 3039003500080000",
        ),
    ];
    for pair in samples.chunks(2) {
        let mut one = Vec::new();
        for (link_type, hex) in pair {
            crate::net::fuzzing::write_frame(&mut one, *link_type, &unhex(hex));
        }
        all.push(one);
    }
    all
}

/// What the floors make of one capture: inputs for those above.
#[derive(Default)]
struct Cut {
    segments: BTreeMap<FlowKey, (Endpoint, Vec<u8>, usize)>,
    scripts: BTreeMap<u64, Vec<u8>>,
    datagrams: BTreeMap<FlowKey, (Endpoint, Vec<u8>)>,
    streams: BTreeMap<(u64, u64), Vec<u8>>,
}

fn step(script: &mut Vec<u8>, side: Side, stream: u8, event: StreamEvent<'_>) {
    match event {
        StreamEvent::Data(chunk) if script.len() + chunk.data.len() <= MOST => {
            write_step(script, side, stream, What::Data(chunk.data));
        }
        // What is left out of a long body is a gap, so that its framing still holds.
        StreamEvent::Data(chunk) if script.len() < 2 * MOST => {
            write_step(script, side, stream, What::Gap(chunk.data.len().min(0xffff) as u16));
        }
        StreamEvent::Data(_) => {}
        StreamEvent::Gap { len, .. } => write_step(script, side, stream, What::Gap(len.min(0xffff) as u16)),
        StreamEvent::Fin(_) => write_step(script, side, stream, What::Fin),
        StreamEvent::Reset(_) => write_step(script, side, stream, What::Reset),
    }
}

fn cut(name: &str) -> Cut {
    let limits = Limits::default();
    let budget = Budget::new(limits.memory);
    let keys = KeyLog::default();
    keys.parse(&key_log(name), SecretSource::KeyLog);
    let mut decoder = Decoder::new(&limits, &budget);
    let mut tcp = Connections::new(&limits, &budget, TcpOptions::default());
    let mut quic = quic::Connections::new(&limits, &budget);
    let mut cut = Cut::default();
    let mut reader =
        Reader::open(tests(&format!("data/{name}.pcapng")), &limits).unwrap_or_else(|error| panic!("{error}"));
    let Cut { segments, scripts, datagrams, streams } = &mut cut;
    while let Ok(Some(item)) = reader.next() {
        let Item::Frame(frame) = item else { continue };
        decoder.push(&frame, &mut |packet| {
            let (key, _) = FlowKey::new(packet.source, packet.destination);
            match packet.transport {
                Transport::Tcp(header) => {
                    let (client, bytes, count) = segments.entry(key).or_insert((packet.source, Vec::new(), 0));
                    if *count < 40 {
                        let short = &packet.payload[..packet.payload.len().min(200)];
                        write_segment(bytes, u8::from(packet.source != *client), 1, &header, short);
                        *count += 1;
                    }
                    tcp.push(&packet, &header, &mut |_, facts, event| {
                        if let TcpEvent::Stream(side, event) = event {
                            step(scripts.entry(facts.first.frame.0).or_default(), side, 0, event);
                        }
                    });
                }
                Transport::Udp => {
                    let (client, script) = datagrams.entry(key).or_insert((packet.source, Vec::new()));
                    let side = if packet.source == *client { Side::Client } else { Side::Server };
                    if script.len() + packet.payload.len() < 3 * MOST {
                        write_step(script, side, 0, What::Data(packet.payload));
                    }
                    quic.push(&packet, &keys, &mut |_, facts, event| {
                        if let QuicEvent::Stream(id, side, event) = event {
                            // All streams of a connection in one script, and each request with the unidirectional ones.
                            let id = id.min(255) as u8;
                            for of in [u64::MAX, u64::from(id / 16)] {
                                let script = streams.entry((facts.first.frame.0, of)).or_default();
                                step(script, side, id, event);
                            }
                        }
                    });
                }
            }
        });
    }
    cut
}

/// Scripts of all connections.
fn scripts(names: &[&str]) -> Vec<Vec<u8>> {
    names.iter().flat_map(|name| cut(name).scripts.into_values()).filter(|script| !script.is_empty()).collect()
}

/// Segments of all connections.
pub(super) fn segments() -> Vec<Vec<u8>> {
    NAMES.iter().flat_map(|name| cut(name).segments.into_values().map(|(_, bytes, _)| bytes)).collect()
}

/// The key logs of the captures, and lines of every kind.
pub(super) fn key_logs() -> Vec<Vec<u8>> {
    let digits = |byte: &str, len: usize| byte.repeat(len);
    let labels = ["CLIENT_RANDOM", "PMS_CLIENT_RANDOM", "CLIENT_EARLY_TRAFFIC_SECRET", "EXPORTER_SECRET", "QUIC_X"];
    let lines: String =
        labels.iter().map(|label| format!("{label} {} {}\r\n", digits("0a", 32), digits("bC", 48))).collect();
    vec![
        key_log("small-h2"),
        key_log("small-h3"),
        format!("# comment\n\n{lines}RSA {} {}", digits("01", 8), digits("02", 48)).into_bytes(),
    ]
}

/// Connections of the capture over TLS, and one of each kind of suite.
pub(super) fn tls() -> Vec<Vec<u8>> {
    let keys = key_log("small-h2");
    let mut all: Vec<Vec<u8>> = scripts(&["small-h2"]).iter().map(|script| with_keys(&keys, script)).collect();
    let suites = [
        (0x0304, 0x1301, Early::Accepted),
        (0x0304, 0x1302, Early::Refused),
        (0x0304, 0x1303, Early::Retry),
        (0x0304, 0x1305, Early::None),
        (0x0303, 0xc02f, Early::None),
        (0x0303, 0xcca8, Early::None),
        (0x0303, 0xc0af, Early::None),
        (0x0303, 0xc027, Early::None),
        (0x0303, 0x0005, Early::None),
        (0x0303, 0x003b, Early::None),
        (0x0302, 0x002f, Early::None),
        (0x0301, 0x000a, Early::None),
    ];
    for (version, suite, early_data) in suites {
        let mut made = Conversation::new(Options { early_data, ..Options::new(version, suite) });
        made.send(Side::Client, b"GET / HTTP/1.1\r\n\r\n");
        made.send(Side::Server, &[b'x'; 300]);
        if version == 0x0304 {
            made.update_keys(Side::Server);
        }
        made.send(Side::Server, b"some more");
        made.close(Side::Server);
        let mut script = Vec::new();
        for (side, bytes) in &made.wire {
            write_step(&mut script, *side, 0, What::Data(bytes));
        }
        all.push(with_keys(made.key_log.as_bytes(), &script));
    }
    all
}

/// Connections over QUIC with their secrets, and without.
pub(super) fn quic() -> Vec<Vec<u8>> {
    let keys = key_log("small-h3");
    let flows = cut("small-h3").datagrams.into_values().map(|(_, script)| script);
    flows.flat_map(|script| [with_keys(&keys, &script), with_keys(b"", &script)]).collect()
}

const REQUESTS: &[(Side, &str)] = &[
    (
        Side::Client,
        "POST /up?a=b#c HTTP/1.1\r\nHost: a.example\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n",
    ),
    (Side::Server, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
    (
        Side::Client,
        "5;x=\"y\"\r\nhello\r\n0\r\nTrailer: 1\r\n\r\nGET / HTTP/1.0\r\n\r\nHEAD /h HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
    ),
    (
        Side::Server,
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 304 Not\r\n\r\nHTTP/1.1 200\r\nContent-Length: 9\r\n\r\n",
    ),
    (
        Side::Client,
        "GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    ),
    (Side::Server, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\u{1}\u{2}hi"),
];

/// Connections of the clear captures, and what they do not have.
pub(super) fn http1() -> Vec<Vec<u8>> {
    let mut all = scripts(&["errors-clear", "raw-h1", "small-clear", "sse-clear"]);
    let mut script = Vec::new();
    for (side, text) in REQUESTS {
        write_step(&mut script, *side, 0, What::Data(text.as_bytes()));
    }
    all.push(script);
    let mut tunnel = Vec::new();
    write_step(&mut tunnel, Side::Client, 0, What::Data(b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n"));
    write_step(&mut tunnel, Side::Server, 0, What::Data(b"HTTP/1.1 200 Established\r\n\r\n"));
    write_step(&mut tunnel, Side::Client, 0, What::Data(b"\x16\x03\x01\0\x05hello"));
    write_step(&mut tunnel, Side::Client, 0, What::Fin);
    all.push(tunnel);
    let mut upgrade = Vec::new();
    let ask = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n";
    write_step(&mut upgrade, Side::Client, 0, What::Data(ask));
    let answer = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x01\x01\x05\0\0\0\x01\x88";
    write_step(&mut upgrade, Side::Server, 0, What::Data(answer));
    write_step(&mut upgrade, Side::Client, 0, What::Data(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"));
    all.push(upgrade);
    all
}

/// Plaintext of the TLS capture, and the raw HTTP/2 of a push, a continuation and a reset.
pub(super) fn http2() -> Vec<Vec<u8>> {
    let limits = Limits::default();
    let budget = Budget::new(limits.memory);
    let mut all = Vec::new();
    for script in full_scripts("small-h2") {
        let keys = KeyLog::default();
        keys.parse(&key_log("small-h2"), SecretSource::KeyLog);
        let mut session = Session::new(&limits, &budget);
        let mut plain = Vec::new();
        crate::tcp::fuzzing::play(&script, None, &mut |_, side, event| {
            session.push(side, event, &keys, &mut |side, event| step(&mut plain, side, 0, event));
        });
        if !plain.is_empty() {
            all.push(plain);
        }
    }
    let frame = |kind: u8, flags: u8, stream: u8, payload: &[u8]| {
        [&[0, 0, payload.len() as u8, kind, flags, 0, 0, 0, stream][..], payload].concat()
    };
    let get = b"\x82\x87\x41\x09a.example\x84";
    let mut script = Vec::new();
    let client = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        frame(4, 0, 0, &[0, 1, 0, 0, 0x10, 0, 0, 3, 0, 0, 0, 100]),
        frame(1, 0x21, 1, &[&[0, 0, 0, 0, 15][..], &get[..6]].concat()),
        frame(9, 4, 1, &get[6..]),
        frame(8, 0, 0, &[0, 0, 1, 0]),
        frame(3, 0, 1, &[0, 0, 0, 8]),
    ];
    let server = [
        frame(4, 1, 0, &[]),
        frame(5, 4, 1, &[&[0, 0, 0, 2][..], get].concat()),
        frame(1, 4, 1, b"\x88\x40\x01a\x01b"),
        frame(0, 8, 1, b"\x02hello\0\0"),
        frame(1, 5, 1, b"\x40\x01t\x01r"),
        frame(6, 0, 0, &[1; 8]),
        frame(7, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]),
    ];
    write_step(&mut script, Side::Client, 0, What::Data(&client.concat()));
    write_step(&mut script, Side::Server, 0, What::Data(&server.concat()));
    all.push(script);
    all
}

/// Scripts of a capture with nothing left out.
fn full_scripts(name: &str) -> Vec<Vec<u8>> {
    let limits = Limits::default();
    let budget = Budget::new(limits.memory);
    let mut decoder = Decoder::new(&limits, &budget);
    let mut tcp = Connections::new(&limits, &budget, TcpOptions::default());
    let mut scripts: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    let mut reader =
        Reader::open(tests(&format!("data/{name}.pcapng")), &limits).unwrap_or_else(|error| panic!("{error}"));
    while let Ok(Some(item)) = reader.next() {
        let Item::Frame(frame) = item else { continue };
        decoder.push(&frame, &mut |packet| {
            let Transport::Tcp(header) = packet.transport else { return };
            tcp.push(&packet, &header, &mut |_, facts, event| {
                if let TcpEvent::Stream(side, StreamEvent::Data(chunk)) = event {
                    write_step(scripts.entry(facts.first.frame.0).or_default(), side, 0, What::Data(chunk.data));
                }
            });
        });
    }
    scripts.into_values().collect()
}

/// Streams of the QUIC capture.
pub(super) fn http3() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = cut("small-h3").streams.into_values().collect();
    let mut script = Vec::new();
    write_step(&mut script, Side::Client, 2, What::Data(&unhex("00 04 06 01 40 64 07 04 40")));
    write_step(&mut script, Side::Client, 6, What::Data(&unhex("02 3f 45 c1 04 61 62 63 64")));
    write_step(&mut script, Side::Client, 0, What::Data(&unhex("01 06 0000 d1 d7 50 00 00 05 68656c6c6f")));
    write_step(&mut script, Side::Server, 3, What::Data(&unhex("00 04 00 07 01 00")));
    write_step(&mut script, Side::Server, 0, What::Data(&unhex("05 06 03 0000 d1 d7 c1 01 03 0000 d9 00 02 6162")));
    write_step(&mut script, Side::Server, 0, What::Fin);
    all.push(script);
    all
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if extension.is_empty() || path.extension().is_some_and(|end| end == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Choices of all kinds.
pub(super) fn recovery() -> Vec<Vec<u8>> {
    let mut dice = Dice(5);
    (1..20).map(|nth| (0..nth * 60).map(|_| dice.draw() as u8).collect()).collect()
}

/// The stories of other HPACK encoders, the first blocks of each.
pub(super) fn hpack() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for path in files(&tests("vectors/hpack"), "json") {
        let story: serde_json::Value = serde_json::from_slice(&read(&path)).unwrap_or_default();
        let mut script = Vec::new();
        for case in story["cases"].as_array().into_iter().flatten() {
            if script.len() > 1500 {
                break;
            }
            if let Some(size) = case["header_table_size"].as_u64() {
                write_step(&mut script, Side::Client, 0, What::Gap(size as u16));
            }
            let block = unhex(case["wire"].as_str().unwrap_or_default());
            write_step(&mut script, Side::Client, 255, What::Data(&block));
        }
        all.push(script);
    }
    all
}

/// Files of the QPACK interop: `stream (64) length (32) data`, stream 0 is the encoder stream.
pub(super) fn qpack() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for path in files(&tests("vectors/qpack"), "") {
        let bytes = read(&path);
        let mut reader = crate::base::Reader::new(&bytes);
        let mut script = Vec::new();
        write_step(&mut script, Side::Client, 0, What::Gap(4096));
        while let (Ok(stream), Ok(len)) = (reader.u64(), reader.u32()) {
            let Ok(data) = reader.take(len as usize) else { break };
            if script.len() > 1500 {
                break;
            }
            let side = if stream == 0 { Side::Client } else { Side::Server };
            write_step(&mut script, side, 0, What::Data(data));
        }
        // Texts that stand beside them are none.
        if script.len() > 100 && !path.extension().is_some_and(|end| end == "qif" || end == "md") {
            all.push(script);
        }
    }
    all
}

/// Frames of either side: fragments, control frames, compressed and masked messages.
pub(super) fn websocket() -> Vec<Vec<u8>> {
    let client = unhex(
        "0184 01020304 6770626f 8982 01020304 7173 8083 01020304 6c6761 8281 00000000 61 8885 01020304 02ea6173 61",
    );
    let server =
        [unhex("c107 f248cdc9c90700 c105 f200110000 8105 48656c6c6f 027e0100"), vec![7; 256], unhex("8000 8a00")]
            .concat();
    (0..3)
        .map(|which| {
            let mut script = Vec::new();
            write_step(&mut script, Side::Client, which, What::Data(&client));
            write_step(&mut script, Side::Server, which, What::Data(&server));
            write_step(&mut script, Side::Client, which, What::Gap(3));
            write_step(&mut script, Side::Client, which, What::Data(&client));
            script
        })
        .collect()
}

/// Event streams with every field and line end.
pub(super) fn event_stream() -> Vec<Vec<u8>> {
    let texts = [
        "\u{feff}event: a\ndata: b\ndata:c\n\n:x\nid: 7\rretry: 10\r\rdata\r\n\r\n",
        "data: {\"a\":1}\n\n",
        "id\ndata: 1\n\nid: \0\nretry: x\nfoo: bar\ndata",
    ];
    texts
        .map(|text| {
            let mut script = Vec::new();
            write_step(&mut script, Side::Server, 0, What::Data(text.as_bytes()));
            write_step(&mut script, Side::Server, 0, What::Gap(1));
            write_step(&mut script, Side::Server, 0, What::Data(text.as_bytes()));
            script
        })
        .into()
}

/// Messages of each kind and coding.
pub(super) fn grpc() -> Vec<Vec<u8>> {
    let message = |flags: u8, data: &[u8]| [&[flags][..], &(data.len() as u32).to_be_bytes(), data].concat();
    let plain =
        [message(0, b"first"), message(0, b""), message(1, &gzip(b"second")), message(1, &zlib(b"third"))].concat();
    let web = [plain.clone(), message(0x80, b"grpc-status: 0\r\ngrpc-message: ok\r\n")].concat();
    let coded = base64_simd::STANDARD.encode_to_string(&web).into_bytes();
    (0..12u8)
        .map(|choice| {
            let mut script = vec![choice];
            let body = [&plain, &web, &coded][usize::from(choice % 3)];
            write_step(&mut script, Side::Server, 0, What::Data(body));
            script
        })
        .collect()
}

/// Queries and answers, over UDP as they are; over TCP with their length in front.
pub(super) fn dns() -> Vec<Vec<u8>> {
    let query =
        unhex("0007 0120 0001 0000 0000 0001 0377777707 6578616d706c65 00 0001 0001 00 0029 1000 00000000 0000");
    let answer = unhex(
        "0007 8180 0001 0003 0000 0000 0377777707 6578616d706c65 00 0001 0001 \
         c00c 0005 0001 0000003c 0004 0163 c010 c02d 0001 0001 0000003c 0004 01020304 c02d 001c 0001 0000003c 0010 20010db8000000000000000000000001",
    );
    let service = unhex(
        "0008 8180 0001 0001 0000 0000 0161 00 0041 0001 c00c 0041 0001 0000003c 000d 0001 00 0004 0004 0a000001 0001 00",
    );
    let loops = unhex("0009 8180 0001 0001 0000 0000 c00c 0001 0001 c00e 0001 0001 0000003c 0004 01020304");
    let framed = |bytes: &[u8]| [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat();
    let mut all = Vec::new();
    for frame in [false, true] {
        let mut script = Vec::new();
        for (side, bytes) in
            [(Side::Client, &query), (Side::Server, &answer), (Side::Server, &service), (Side::Server, &loops)]
        {
            let bytes = if frame { framed(bytes) } else { bytes.clone() };
            write_step(&mut script, side, 0, What::Data(&bytes));
        }
        all.push(script);
    }
    all
}

/// The same text under each stack of codings.
pub(super) fn codings() -> Vec<Vec<u8>> {
    let text: Vec<u8> = (0..400u32).flat_map(|n| format!("line {} {}\n", n % 37, n * n % 1009).into_bytes()).collect();
    let mut dice = Dice(3);
    let noise: Vec<u8> = (0..500).map(|_| dice.draw() as u8).collect();
    let mut all = Vec::new();
    for (at, stack) in (0u8..).zip(STACKS) {
        for plain in [&text, &noise] {
            let coded = stack.split(", ").fold(plain.clone(), |data, coding| match coding {
                "gzip" | "x-gzip" => gzip(&data),
                "deflate" => zlib(&data),
                "zstd" => zstd(&data),
                "br" => BROTLI.to_vec(),
                _ => data,
            });
            all.push([&[at][..], &coded].concat());
        }
    }
    all
}

/// Parts of requests and responses.
pub(super) fn texts() -> Vec<Vec<u8>> {
    let texts = [
        "GET\0/a/../b?token=1&x=%41#f\0user:pw@a.example:8080\0application/x-www-form-urlencoded\0a=b; c; =d\0id=1; Path=/; Max-Age=60; HttpOnly; SameSite=Lax\0a=1&password=2&c=%zz+",
        "POST\0http://[::1]:90/x\0\0multipart/form-data; boundary=\"b\"\0\0k=v; Expires=Wed, 21 Oct 2015 07:28:00 GMT; Domain=.a; Secure\0--b\r\nContent-Disposition: form-data; name=\"a\"; filename=\"f%22.txt\"\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b\r\n\r\n\r\n--b--\r\n",
        "CONNECT\0a.example:443\0\0application/json; charset=utf-8\0\0\0{\"name\":\"secret\",\"value\":\"x\",\"a\":[1,null,{\"token\":true}]}",
        "OPTIONS\0*\0\u{fc}.example\0text/plain\0x\0y\0eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl http://u:p@h/ token=1; session: 2",
        "GET\0//x/\\y\0a b\0\0\0\0",
    ];
    texts.map(|text| text.as_bytes().to_vec()).into()
}
