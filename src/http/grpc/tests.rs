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
            let mark = if message.completeness == Completeness::Whole { "" } else { " cut" };
            let (compressed, len, size) = (message.compressed, message.data.len(), message.wire_size);
            format!("{compressed} {len} {size} {}{mark}", start.escape_ascii())
        }
        GrpcEvent::Unread(bytes, _) => format!("{bytes} unread"),
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
    check("application/grpc", "identity", &bytes, &["false 3 8 one", "! message-malformed", "41 unread"]);
    // Two parts, each with padding of its own: 00 00 00 00 01 'a' and 80 00 00 00 04 "a:b\n"
    check("application/grpc-web-text", "identity", b"AAAAAAFhgAAAAARhOmIK", &["false 1 6 a", "[a=b]"]);
    check("application/grpc-web-text", "identity", b"AAAAAAI=YWI=", &["false 2 7 ab"]);
    check("application/grpc-web-text", "identity", b"AAAAAAJhYg==AAAAAAE=\r\neA==", &["false 2 7 ab", "false 1 6 x"]);
    check("application/grpc-web-text", "identity", b"AAAA!", &["! message-malformed", "3 unread"]);
}

#[test]
fn damage_is_told_and_bounded() {
    check("application/grpc", "identity", &[0, 0, 0, 0, 9, 1], &["! message-malformed", "6 unread"]);
    check("application/grpc", "identity", &[7, 0, 0, 0, 0, 1], &["! message-malformed", "6 unread"]);
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

fn read_parts(kind: &str, coding: &str, parts: &[Result<&[u8], u64>]) -> Vec<String> {
    let budget = Budget::new(1 << 20);
    let mut decoder = decoder(kind, coding, &budget).unwrap();
    let mut lines = Vec::new();
    let mut out = |event: GrpcEvent<'_>| lines.push(line(event));
    for part in parts {
        match *part {
            Ok(bytes) => decoder.push(bytes, Span::default(), &mut out),
            Err(lost) => decoder.lose(lost, &mut out),
        }
    }
    decoder.finish(&mut out);
    drop(decoder);
    assert_eq!(budget.used(), 0);
    lines
}

#[test]
fn a_gap_inside_a_message_is_survived() {
    let bytes = [message(0, b"hello world"), message(0, b"next")].concat();
    for (at, len) in [(5, 11), (5, 1), (8, 3), (15, 1)] {
        let parts = [Ok(&bytes[..at]), Err(len as u64), Ok(&bytes[at + len..])];
        let cut = format!("false {} 16 {} cut", at - 5, b"hello world"[..at - 5].escape_ascii());
        assert_eq!(read_parts("application/grpc", "identity", &parts), [&cut, "false 4 9 next"]);
    }
}

#[test]
fn messages_go_on_with_the_next_chunk_that_begins_with_one() {
    let [one, two, three] = [message(0, b"one"), message(0, b""), message(0, &[b'x'; 3000])];
    let wanted = format!("false 3000 3005 {}", "x".repeat(30));
    for lost in [0, 8, 400] {
        let parts = [Ok(&one[..]), Err(lost), Ok(&b"rest"[..]), Ok(&two), Ok(&three[..1000]), Ok(&three[1000..])];
        let told = read_parts("application/grpc", "identity", &parts);
        assert_eq!(told, ["false 3 8 one", "4 unread", "false 0 5 ", &wanted]);
    }
    // Zeros look like messages without content, and a length may be anything.
    let zeros = [0; 1400];
    let parts = [Ok(&one[..]), Err(0), Ok(&zeros[..]), Ok(&[0, 0, 0, 0, 200, 1][..]), Ok(&one)];
    assert_eq!(read_parts("application/grpc", "identity", &parts), ["false 3 8 one", "1406 unread", "false 3 8 one"]);
    // What is compressed begins with its magic number, and nothing is compressed where nothing was agreed on.
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(b"hello").unwrap();
    let good = message(1, &gzip.finish().unwrap());
    let wanted = format!("true 5 {} hello", good.len());
    let parts = [Err(7), Ok(&message(1, b"no gzip")[..]), Ok(&good)];
    assert_eq!(read_parts("application/grpc", "gzip", &parts), ["12 unread", &wanted]);
    assert_eq!(read_parts("application/grpc", "identity", &parts[..2]), ["12 unread"]);
    // A message whose end is missing is known by its prefix; its content is not, when it is compressed.
    let parts = [Ok(&good[..9]), Err(0), Ok(&one[..])];
    let told = read_parts("application/grpc", "gzip", &parts);
    assert_eq!(told, [&format!("true 0 {}  cut", good.len()), "false 3 8 one"]);
}

#[test]
fn grpc_web_goes_on_behind_a_gap() {
    let trailers = message(0x80, b"grpc-status: 0\r\n");
    let parts = [Ok(&message(0, b"one")[..]), Err(9), Ok(&[message(0, b"two"), trailers].concat()[..])];
    let told = read_parts("application/grpc-web", "identity", &parts);
    assert_eq!(told, ["false 3 8 one", "false 3 8 two", "[grpc-status=0]"]);
    // 00 00 00 00 02 'a' 'b' in base64; behind the gap the groups of digits begin anew.
    let parts = [Ok(&b"AAAAAAJhYg=="[..]), Err(3), Ok(b"AAJhYg=="), Ok(b"AAAAAAJhYg=="), Ok(b"AAAAAAJhYg==")];
    let told = read_parts("application/grpc-web-text", "identity", &parts);
    assert_eq!(told, ["false 2 7 ab", "4 unread", "false 2 7 ab", "false 2 7 ab"]);
}
