use super::*;

fn read(parts: &[Option<&[u8]>], cut: usize, limit: usize) -> Vec<String> {
    let budget = Budget::new(1 << 20);
    let mut parser = Parser::new(&Limits { message: limit, ..Limits::default() }, &budget);
    let mut lines = Vec::new();
    let mut out = |item: SseItem<'_>| {
        lines.push(match item {
            SseItem::Event(event) => format!(
                "{}#{}:{}{}",
                event.name.escape_ascii(),
                event.id.escape_ascii(),
                event.data.escape_ascii(),
                event.retry.map(|retry| format!(" retry {retry}")).unwrap_or_default()
            ),
            SseItem::Anomaly(kind, _) => format!("! {}", kind.code()),
            SseItem::Unread(bytes, _) => format!("{bytes} unread"),
        });
    };
    for part in parts {
        match part {
            Some(bytes) => {
                for piece in bytes.chunks(cut) {
                    parser.push(piece, Span::default(), &mut out);
                }
            }
            None => parser.lose(),
        }
    }
    parser.finish(&mut out);
    drop(parser);
    assert_eq!(budget.used(), 0);
    lines
}

fn check(text: &str, wanted: &[&str]) {
    for cut in 1..=text.len() {
        assert_eq!(read(&[Some(text.as_bytes())], cut, 10_000), wanted, "pieces of {cut}");
    }
}

#[test]
fn the_samples_of_the_standard() {
    check("data: YHOO\ndata: +2\ndata: 10\n\n", &["message#:YHOO\\n+2\\n10"]);
    check(
        ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
        &["message#1:first event", "message#:second event", "message#: third event"],
    );
    check("data\n\ndata\ndata\n\ndata:", &["message#:", "message#:\\n"]);
    check("data:test\n\ndata: test\n\n", &["message#:test", "message#:test"]);
}

#[test]
fn every_line_end_and_field() {
    check(
        "\u{feff}event: add\r\ndata: 1\r\n\r\nevent: add\rdata: 2\r\rretry: 250\nevent: x\n\nid: 7\ndata: \u{e9}\nunknown: 1\n\n",
        &["add#:1", "add#:2", "message#7:\\xc3\\xa9 retry 250"],
    );
    check("id: a\0b\nretry: 1x\ndata: d\n\n", &["message#:d"]);
    check("event: only\n\ndata: a\n\n", &["message#:a"]);
}

#[test]
fn a_gap_costs_one_event() {
    let parts: [Option<&[u8]>; 3] = [Some(b"data: a\n\ndata: b"), None, Some(b"rest\ndata: c\n\ndata: d\n\n")];
    assert_eq!(read(&parts, 100, 1000), ["message#:a", "21 unread", "message#:d"]);
    // It ends with the bytes.
    assert_eq!(read(&[Some(b"data: a\n\ndata: b"), None], 100, 1000), ["message#:a", "7 unread"]);
}

#[test]
fn an_event_behind_a_gap_is_whole_when_its_first_field_says_so() {
    let lines = |before: &'static str, behind: &'static str| {
        read(&[Some(before.as_bytes()), None, Some(behind.as_bytes())], 100, 1000)
    };
    // Every event began with this field, and none had it elsewhere.
    assert_eq!(lines("data: a\n\n", "data: c\n\ndata: d\n\n"), ["message#:a", "message#:c", "message#:d"]);
    let told = lines("event: x\ndata: a\n\n", "event: y\ndata: c\n\n");
    assert_eq!(told, ["x#:a", "y#:c"]);
    // The start may be missing: a line that is not the first of an event, several lines of data, a line that is cut.
    assert_eq!(lines("event: x\ndata: a\n\n", "data: c\n\ndata: d\n\n"), ["x#:a", "9 unread", "message#:d"]);
    let told = lines("data: a\ndata: b\n\n", "data: c\n\ndata: d\n\n");
    assert_eq!(told, ["message#:a\\nb", "9 unread", "message#:d"]);
    assert_eq!(lines("data: a\n\n", "\ndata: c\n\ndata: d\n\n"), ["message#:a", "10 unread", "message#:d"]);
    // Each chunk so far began an event.
    let parts: [Option<&[u8]>; 4] =
        [Some(b"id: 1\ndata: a\n\n"), Some(b"event: x\nid: 2\n\n"), None, Some(b"id: 4\ndata: d\n\n")];
    assert_eq!(read(&parts, 100, 1000), ["message#1:a", "message#4:d"]);
    let parts: [Option<&[u8]>; 5] =
        [Some(b"id: 1\n"), Some(b"data: a\n\n"), Some(b"event: x\nid: 2\n\n"), None, Some(b"id: 4\ndata: d\n\n")];
    assert_eq!(read(&parts, 100, 1000), ["message#1:a", "15 unread"]);
    // Nothing is known of the stream.
    assert_eq!(lines("", "data: c\n\ndata: d\n\n"), ["9 unread", "message#:d"]);
}

#[test]
fn events_are_bounded() {
    let long = format!("data: {}\n\ndata: ok\n\n", "x".repeat(5000));
    let many = format!("{}\n\ndata: ok\n\n", "data: 1234567890\n".repeat(1000));
    for text in [long, many] {
        for cut in [1, 100, text.len()] {
            assert_eq!(read(&[Some(text.as_bytes())], cut, 1000), ["! body-too-large", "message#:ok"]);
        }
    }
}

#[test]
fn any_bytes_in_any_split() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move |bound: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % bound as u64) as usize
    };
    const PARTS: [&[u8]; 9] = [b"data", b":", b" ", b"\n", b"\r", b"id", b"event", b"\xff\0", b"\r\n\r\n"];
    for _ in 0..500 {
        let text: Vec<u8> = (0..60).flat_map(|_| PARTS[next(9)]).copied().collect();
        let wanted = read(&[Some(&text)], text.len(), 10_000);
        assert_eq!(read(&[Some(&text)], 1 + next(7), 10_000), wanted, "{}", text.escape_ascii());
    }
}
