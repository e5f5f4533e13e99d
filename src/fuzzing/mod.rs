//! For fuzzers: every body with its seeds, and the whole engine. The stable test runs them with a mutator of fixed seeds, the
//! targets in `fuzz/` under libFuzzer.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a body that panics is how a fuzzer learns of a fault")]

mod seeds;

use crate::base::fuzzing::Dice;
use crate::engine::Options;
use crate::har::check::check;
use crate::run::Session;
use crate::tls::KeyLog;
use crate::{capture, dns, exchange, har, http, net, quic, tcp, tls};

/// One body.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Name of the target in `fuzz/`.
    pub name: &'static str,
    /// What is run.
    pub body: fn(&[u8]),
    /// Inputs to begin with, made from the captures and vectors of the tests.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All bodies.
pub const TARGETS: &[Target] = &[
    Target { name: "capture", body: capture::fuzzing::reader, seeds: seeds::captures },
    Target { name: "compressed", body: capture::fuzzing::compressed, seeds: seeds::compressed },
    Target { name: "net", body: net::fuzzing::decoder, seeds: seeds::frames },
    Target { name: "tcp", body: tcp::fuzzing::connections, seeds: seeds::segments },
    Target { name: "keylog", body: tls::fuzzing::keylog, seeds: seeds::key_logs },
    Target { name: "tls", body: tls::fuzzing::session, seeds: seeds::tls },
    Target { name: "quic", body: quic::fuzzing::connections, seeds: seeds::quic },
    Target { name: "http1", body: http::fuzzing::http1, seeds: seeds::http1 },
    Target { name: "http2", body: http::fuzzing::http2, seeds: seeds::http2 },
    Target { name: "http3", body: http::fuzzing::http3, seeds: seeds::http3 },
    Target { name: "hpack", body: http::fuzzing::hpack, seeds: seeds::hpack },
    Target { name: "recovery", body: http::h2::fuzzing::recovery, seeds: seeds::recovery },
    Target { name: "qpack", body: http::fuzzing::qpack, seeds: seeds::qpack },
    Target { name: "websocket", body: http::fuzzing::websocket, seeds: seeds::websocket },
    Target { name: "event_stream", body: http::fuzzing::event_stream, seeds: seeds::event_stream },
    Target { name: "grpc", body: http::fuzzing::grpc, seeds: seeds::grpc },
    Target { name: "dns", body: dns::fuzzing::datagrams, seeds: seeds::dns },
    Target { name: "dns_stream", body: dns::fuzzing::stream, seeds: seeds::dns },
    Target { name: "codings", body: exchange::fuzzing::codings, seeds: seeds::codings },
    Target { name: "texts", body: har::fuzzing::texts, seeds: seeds::texts },
    Target { name: "engine", body: engine, seeds: seeds::engine },
];

/// The body of that name.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap_or_else(|| panic!("no target {name}"));
    (target.body)(data);
}

/// A capture through the whole engine, behind an octet that chooses options: the HAR is valid, and the same however the bytes
/// of the capture came.
pub fn engine(data: &[u8]) {
    let Some((&choice, capture)) = data.split_first() else { return };
    let mut options = Options::default();
    options.limits.memory = 4 << 20;
    options.limits.connections = 64;
    options.limits.body = 1 << 20;
    options.http.strict = choice & 1 != 0;
    options.tcp.pad_missing = choice & 2 != 0;
    options.har.decode_text = choice & 4 != 0;
    options.har.sanitise =
        [har::Level::Off, har::Level::Basic, har::Level::Strict, har::Level::Strict][usize::from(choice >> 3 & 3)];
    options.har.hide_addresses = choice & 0x20 != 0;
    options.har.pretty = choice & 0x40 != 0;
    options.har.mitmproxy_safe = choice & 0x80 != 0;
    let convert = |cuts: &[usize]| {
        let mut session = Session::new(&options, "fuzz", KeyLog::default());
        let mut rest = capture;
        for &cut in cuts {
            let (piece, after) = rest.split_at(cut);
            // What is no capture gives an empty HAR.
            let _ = session.push_capture(piece);
            rest = after;
        }
        let mut out = Vec::new();
        let mut ended = session.end().unwrap_or_else(|error| panic!("{error}"));
        ended.write(&mut out).unwrap_or_else(|error| panic!("{error}"));
        out
    };
    let whole = convert(&[capture.len()]);
    check(&serde_json::from_slice(&whole).unwrap_or_else(|error| panic!("{error}")));
    let cut = Dice::of(data).below(capture.len() + 1);
    assert!(whole == convert(&[cut, capture.len() - cut]), "the same in two pieces");
}

#[cfg(test)]
mod tests {
    use super::TARGETS;
    use crate::base::fuzzing::try_out;

    macro_rules! tests {
        ($($name:ident: $rounds:literal,)*) => {
            const NAMES: &[&str] = &[$(stringify!($name)),*];
            $(
                #[test]
                fn $name() {
                    let target = TARGETS.iter().find(|target| target.name == stringify!($name)).unwrap();
                    try_out(target.name, &(target.seeds)(), $rounds, target.body);
                }
            )*
        };
    }

    tests! {
        capture: 1500,
        compressed: 300,
        net: 1500,
        tcp: 1500,
        keylog: 1500,
        tls: 300,
        quic: 300,
        http1: 1500,
        http2: 1500,
        http3: 1500,
        hpack: 1500,
        recovery: 6000,
        qpack: 1500,
        websocket: 1500,
        event_stream: 1500,
        grpc: 1500,
        dns: 3000,
        dns_stream: 1500,
        codings: 400,
        texts: 1500,
        engine: 150,
    }

    /// Inputs that broke a body once.
    #[test]
    fn what_was_found_stays_mended() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/regressions");
        for target in TARGETS {
            for entry in std::fs::read_dir(folder.join(target.name)).into_iter().flatten() {
                let path = entry.unwrap().path();
                println!("{}", path.display());
                (target.body)(&std::fs::read(path).unwrap());
            }
        }
    }

    #[test]
    fn every_target_is_tried_and_has_a_file() {
        assert!(TARGETS.iter().map(|target| target.name).eq(NAMES.iter().copied()));
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        files.sort();
        let mut names = NAMES.to_vec();
        names.sort_unstable();
        assert_eq!(files, names);
    }
}
