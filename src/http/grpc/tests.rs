use std::io::Write;

use super::*;

fn decoder(kind: &str, coding: &str, budget: &Budget) -> Option<Decoder> {
    let mut headers = Headers::default();
    headers.push(b"content-type", kind.as_bytes());
    headers.push(b"grpc-encoding", coding.as_bytes());
    Decoder::new(&headers, &Limits { message: 10_000, ..Limits::default() }, budget)
}

fn message(flags: u8, data: &[u8]) -> Vec<u8> {
    [&[flags][..], &(data.len() as u32).to_be_bytes(), data].concat()
}

fn line(event: GrpcEvent<'_>) -> String {
    match event {
        GrpcEvent::Message(message) => {
            let start = &message.data[..message.data.len().min(30)];
            format!("{} {} {} {}", message.compressed, message.data.len(), message.wire_size, start.escape_ascii())
        }
        GrpcEvent::Trailers(fields) => {
            fields.iter().map(|(name, value)| format!("[{}={}]", name.escape_ascii(), value.escape_ascii())).collect()
        }
        GrpcEvent::Anomaly(kind, _) => format!("! {}", kind.code()),
    }
}

fn read(kind: &str, coding: &str, bytes: &[u8], cut: usize) -> Vec<String> {
    let budget = Budget::new(1 << 20);
    let mut decoder = decoder(kind, coding, &budget).unwrap();
    let mut lines = Vec::new();
    for piece in bytes.chunks(cut) {
        decoder.push(piece, Span::default(), &mut |event| lines.push(line(event)));
        assert!(budget.used() < 30_000);
    }
    decoder.finish(&mut |event| lines.push(line(event)));
    drop(decoder);
    assert_eq!(budget.used(), 0);
    lines
}

fn check(kind: &str, coding: &str, bytes: &[u8], wanted: &[&str]) {
    for cut in 1..=bytes.len() {
        assert_eq!(read(kind, coding, bytes, cut), wanted, "pieces of {cut}");
    }
}

#[test]
fn only_grpc_is_grpc() {
    let budget = Budget::new(0);
    for kind in
        ["application/grpc", "Application/gRPC+proto; x=1", "application/grpc-web", "application/grpc-web-text+proto"]
    {
        assert!(decoder(kind, "identity", &budget).is_some(), "{kind}");
    }
    for kind in ["application/json", "application/grpcx", ""] {
        assert!(decoder(kind, "identity", &budget).is_none(), "{kind}");
    }
}

#[test]
fn messages_of_every_coding() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(b"hello").unwrap();
    let gzip = gzip.finish().unwrap();
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    zlib.write_all(b"hello").unwrap();
    let zlib = zlib.finish().unwrap();
    let plain = [message(0, b"one"), message(0, b"")].concat();
    check("application/grpc", "gzip", &plain, &["false 3 8 one", "false 0 5 "]);
    let wanted = format!("true 5 {} hello", gzip.len() + 5);
    check("application/grpc+proto", "gzip", &message(1, &gzip), &[&wanted]);
    let wanted = format!("true 5 {} hello", zlib.len() + 5);
    check("application/grpc", "deflate", &message(1, &zlib), &[&wanted]);
    check("application/grpc", "snappy", &message(1, b"raw"), &["! coding-unknown", "true 3 8 raw"]);
    check("application/grpc", "gzip", &message(1, b"raw"), &["! coding-broken", "true 3 8 raw"]);
    check("application/grpc", "gzip", &message(1, b""), &["true 0 5 "]);
}

#[test]
fn grpc_web_has_its_trailers_in_the_body() {
    let bytes = [message(0, b"one"), message(0x80, b"grpc-status: 0\r\ngrpc-message: fine\r\n")].concat();
    check("application/grpc-web+proto", "identity", &bytes, &["false 3 8 one", "[grpc-status=0][grpc-message=fine]"]);
    check("application/grpc", "identity", &bytes, &["false 3 8 one", "! message-malformed"]);
    // Two parts, each with padding of its own: 00 00 00 00 01 'a' and 80 00 00 00 04 "a:b\n"
    check("application/grpc-web-text", "identity", b"AAAAAAFhgAAAAARhOmIK", &["false 1 6 a", "[a=b]"]);
    check("application/grpc-web-text", "identity", b"AAAAAAI=YWI=", &["false 2 7 ab"]);
    check("application/grpc-web-text", "identity", b"AAAAAAJhYg==AAAAAAE=\r\neA==", &["false 2 7 ab", "false 1 6 x"]);
    check("application/grpc-web-text", "identity", b"AAAA!", &["! message-malformed"]);
}

#[test]
fn damage_is_told_and_bounded() {
    check("application/grpc", "identity", &[0, 0, 0, 0, 9, 1], &["! message-malformed"]);
    check("application/grpc", "identity", &[7, 0, 0, 0, 0, 1], &["! message-malformed"]);
    let large = message(0, &[b'x'; 20_000]);
    let kept = format!("false 10000 20005 {}", "x".repeat(30));
    for cut in [1, 1460, large.len()] {
        assert_eq!(read("application/grpc", "identity", &large, cut), ["! body-too-large", &kept]);
    }
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    bomb.write_all(&vec![b'y'; 1_000_000]).unwrap();
    let lines = read("application/grpc", "gzip", &message(1, &bomb.finish().unwrap()), 100);
    assert_eq!(lines[0], "! body-too-large");
    assert!(lines[1].starts_with("true 10000 "));
}

#[test]
fn a_gap_inside_a_message_is_survived() {
    let budget = Budget::new(1 << 20);
    let bytes = [message(0, b"hello world"), message(0, b"next")].concat();
    for (at, len) in [(5, 11), (5, 1), (8, 3), (15, 1)] {
        let mut decoder = decoder("application/grpc", "identity", &budget).unwrap();
        let mut lines = Vec::new();
        let mut out = |event: GrpcEvent<'_>| lines.push(line(event));
        decoder.push(&bytes[..at], Span::default(), &mut out);
        decoder.lose(len, &mut out);
        decoder.push(&bytes[at + len as usize..], Span::default(), &mut out);
        assert_eq!(lines[0], "! bytes-lost");
        assert_eq!(lines[2], "false 4 9 next");
    }
    for (at, len) in [(2, 1), (8, 0), (8, 12)] {
        let mut decoder = decoder("application/grpc", "identity", &budget).unwrap();
        let mut lines = Vec::new();
        let mut out = |event: GrpcEvent<'_>| lines.push(line(event));
        decoder.push(&bytes[..at], Span::default(), &mut out);
        decoder.lose(len, &mut out);
        decoder.push(&bytes[at..], Span::default(), &mut out);
        assert_eq!(lines, ["! bytes-lost"]);
    }
}
