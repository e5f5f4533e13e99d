//! Whose response it is when bytes are missing.

use super::*;

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n")
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// The bodies of responses and what became of requests, in short.
fn told(steps: &[Step<'_>]) -> Vec<String> {
    let lines = whole(steps);
    let is_told = |line: &&String| {
        ["< \"", "response-lost", "< lost", "pairing-unsure", "garbage-skipped"].iter().any(|part| line.contains(part))
    };
    lines.iter().filter(is_told).cloned().collect()
}

#[test]
fn a_hole_that_is_told_late_moves_no_response() {
    let (a, b, c_) = (get("/a"), get("/b"), get("/c"));
    let told = told(&[c(&a), s(&ok("A")), c(&b), Step::Late(Server, 39), c(&c_), s(&ok("C"))]);
    assert_eq!(told, ["0 < \"A\"", "1 < lost 39", "2 < \"C\""]);
}

#[test]
fn a_response_behind_a_lost_request_is_that_requests() {
    for late in [false, true] {
        let hole = |side, len| if late { Step::Late(side, len) } else { Step::Gap(side, len) };
        let (a, d) = (get("/a"), get("/d"));
        // The response to /a, the whole next request, and nothing else.
        let told = told(&[c(&a), hole(Server, 39), hole(Client, a.len() as u64), s(&ok("B")), c(&d), s(&ok("D"))]);
        assert_eq!(told, ["0 < lost 39", "1 < \"D\""], "{late}");
    }
}

#[test]
fn a_body_that_is_lost_in_part_hides_no_other_request() {
    let post = "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n";
    // The rest of the body is lost, and more.
    let more = told(&[c(post), Step::Late(Server, 39), Step::Late(Client, 300), s(&ok("B"))]);
    assert_eq!(more, ["0 < lost 39"]);
    let just = told(&[c(post), Step::Late(Server, 39), Step::Late(Client, 100), s(&ok("A"))]);
    assert_eq!(just, ["0 < \"A\""]);
}

#[test]
fn several_responses_lost_at_once() {
    let requests: Vec<String> = (0..4).map(|number| get(&format!("/{number}"))).collect();
    let mut steps = Vec::new();
    for request in &requests[..3] {
        steps.extend([c(request), Step::Gap(Server, 100)]);
    }
    let last = ok("last");
    steps.extend([c(&requests[3]), s(&last)]);
    let lost = |number| format!("{number} < lost 100");
    assert_eq!(told(&steps), [lost(0), lost(1), lost(2), "3 < \"last\"".to_owned()]);
}

#[test]
fn responses_without_content_and_informational_ones() {
    let (a, b) = ("HEAD /a HTTP/1.1\r\n\r\n", "POST /b HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n");
    let answer = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n";
    let lines =
        whole(&[c(a), Step::Gap(Server, 70), c(b), s(answer), c("x"), c("HEAD /c HTTP/1.1\r\n\r\n"), s(&ok(""))]);
    assert!(lines.contains(&"0 < lost 70".to_owned()), "{lines:#?}");
    assert!(lines.contains(&"1 < 100 Continue".to_owned()), "{lines:#?}");
    assert!(lines.contains(&"1 < 304 Not Modified [Content-Length=5]".to_owned()), "{lines:#?}");
    assert!(lines.contains(&"2 < 200 OK [Content-Length=0]".to_owned()), "{lines:#?}");
}

#[test]
fn requests_that_were_lost_take_their_responses_with_them() {
    let (a, d) = (get("/a"), get("/d"));
    let told = told(&[
        c(&a),
        s(&ok("A")),
        Step::Gap(Client, 2 * a.len() as u64),
        s(&ok("B")),
        s(&ok("C")),
        c(&d),
        s(&ok("D")),
    ]);
    assert_eq!(told, ["0 < \"A\"", "1 < \"D\""]);
}

#[test]
fn a_response_that_was_read_before_its_request_was_sent_is_none() {
    // The capture is out of order where it begins: the response to an earlier request comes behind this one.
    let mut offsets = [0, 100];
    let budget = Budget::new(1 << 20);
    let mut connection = Conversation::new(&limits(), &budget, HttpOptions::default(), None);
    let mut lines = Vec::new();
    for (side, text, sent, acked) in
        [(Client, get("/b"), 40, 100), (Server, ok("A"), 61, 40), (Server, ok("B"), 100, 79)]
    {
        offsets[side.index()] = sent;
        let stamp = Stamp::default();
        let chunk = Chunk {
            data: text.as_bytes(),
            span: Span::of(stamp, false),
            offset: sent,
            position: Position { sent, acked },
        };
        connection.push(side, StreamEvent::Data(chunk), &mut |event| {
            if let HttpEventKind::Body(_, chunk) = event.kind {
                lines.push(format!("{} {}", event.stream.0, chunk.data.escape_ascii()));
            }
        });
    }
    assert_eq!(lines, ["0 B"]);
}

#[test]
fn bytes_that_nobody_told_of_are_missing_all_the_same() {
    let budget = Budget::new(1 << 20);
    let mut connection = Conversation::new(&limits(), &budget, HttpOptions::default(), None);
    let mut lines = Vec::new();
    // The response to /a was lost together with the handshake of TLS, of which only TLS knows.
    for (side, text, sent, acked) in
        [(Client, get("/a"), 500, 3000), (Client, get("/b"), 600, 4000), (Server, ok("B"), 4000, 700)]
    {
        let (span, position) = (Span::default(), Position { sent, acked });
        let chunk = Chunk { data: text.as_bytes(), span, offset: 0, position };
        connection.push(side, StreamEvent::Data(chunk), &mut |event| match event.kind {
            HttpEventKind::Lost(_, len, _) => lines.push(format!("{} lost {len}", event.stream.0)),
            HttpEventKind::Body(_, chunk) => lines.push(format!("{} {}", event.stream.0, chunk.data.escape_ascii())),
            _ => {}
        });
    }
    assert_eq!(lines, ["0 lost 1000", "1 B"]);
}

#[test]
fn pipelined_requests_get_the_last_responses() {
    let requests: String = (0..5).map(|number| get(&format!("/{number}"))).collect();
    let (a, tail) = (ok("A"), format!("..rest{}{}", ok("D"), ok("E")));
    let behind = told(&[c(&requests), s(&a), Step::Gap(Server, 80), s(&tail)]);
    let wanted = ["0 < \"A\"", "1 ! response-lost", "2 ! response-lost", "3 ! pairing-unsure", "3 < \"D\""];
    assert_eq!(behind[..5], wanted);
    assert_eq!(behind[5..], ["4 ! pairing-unsure", "4 < \"E\""]);
    // As many as wait: nothing is in doubt.
    let (body, rest) = (ok("A long content"), format!("nt{}{}", ok("B"), ok("C")));
    let (three, cut) = (requests[..3 * requests.len() / 5].to_owned(), &body[..body.len() - 4]);
    let all = told(&[c(&three), s(cut), Step::Gap(Server, 2), s(&rest), c(&get("/next")), s(&ok("N"))]);
    let contents = ["0 < \"A long con\"", "0 < lost 2", "0 < \"nt\"", "1 < \"B\"", "2 < \"C\"", "3 < \"N\""];
    assert_eq!(all, contents);
}

#[test]
fn garbage_in_the_place_of_a_response_is_told_on_its_request() {
    let (a, b) = (get("/a"), get("/b"));
    let answer = ok("B");
    let steps = [c(&a), s("HTTP/1.1 2000 No\r\nContent-Length: 0\r\n\r\n"), c(&b), s(&answer)];
    // Nothing is missing, so nothing is said to be.
    assert_eq!(told(&steps), ["0 ! garbage-skipped", "1 < \"B\""]);
    assert!(whole(&steps).contains(&"0 < abort Malformed 0".to_owned()));
}

#[test]
fn content_without_an_end_ends_where_the_client_had_read_it() {
    let (a, b) = (get("/a"), get("/b"));
    let endless = "HTTP/1.1 200 OK\r\n\r\ncontent";
    assert_eq!(told(&[c(&a), s(endless), c(&b), s(&ok("B"))]), ["0 < \"content\"", "1 < \"B\""]);
    // Nobody asked for more: it is content.
    let lines = told(&[c(&a), s(endless), s(&ok("B"))]);
    assert_eq!(lines.len(), 1, "{lines:?}");
}

#[test]
fn a_status_line_in_content_is_no_response() {
    let (a, b) = (get("/a"), get("/b"));
    let page = "about HTTP/1.1 200 OK\n<p>and more</p>\n\n";
    let told = told(&[c(&a), s(&ok("A")), c(&b), Step::Gap(Server, 50), s(page), s(page), c(&a), s(&ok("A2"))]);
    assert_eq!(told, ["0 < \"A\"", "1 < lost 50", "2 < \"A2\""]);
}

#[test]
fn a_url_that_goes_on_in_a_hole_is_not_known() {
    let lines = whole(&[c("GET /im"), Step::Gap(Client, 20), s(&ok("A")), c(&get("/b")), s(&ok("B"))]);
    assert!(lines[0].starts_with("0 > GET /b"), "{lines:#?}");
    assert!(lines.contains(&"0 < \"B\"".to_owned()), "{lines:#?}");
    // Nor is one whose host is in there.
    let lines = whole(&[c("GET /im HTTP/1.1\r\nAccept: */*\r\n"), Step::Gap(Client, 20), s(&ok("A"))]);
    assert!(lines.is_empty(), "{lines:#?}");
}

#[test]
fn an_upgrade_whose_response_was_lost() {
    let request = "GET /chat HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n";
    let lines = whole(&[c(request), Step::Gap(Server, 90), c("\u{1}\u{2}\u{3}frame"), s("\u{1}\u{2}frame")]);
    assert_eq!(lines[1..], ["0 ! response-lost", "0 > end 51", "0 < abort Lost 0"]);
    let lines =
        whole(&[c("CONNECT h:443 HTTP/1.1\r\n\r\n"), Step::Late(Server, 40), c("\x16\x03\x01"), s("\x16\x03\x03")]);
    assert_eq!(lines[1..5], ["0 ! response-lost", "0 = Tunnel", "0 > \"\\x16\\x03\\x01\"", "0 < lost 40"]);
    let upgrade = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n";
    let (_, conversation) = play(
        &[c(upgrade), Step::Gap(Server, 70), c("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")],
        false,
        &mut |len| len,
    );
    assert_eq!(conversation.protocol(), Protocol::Http2);
}

#[test]
fn an_offer_that_was_refused_in_a_hole_keeps_no_response_of_the_next() {
    let offer = "GET /a HTTP/1.1\r\nHost: h\r\nUpgrade: TLS/1.2\r\n\r\n";
    let b = get("/b");
    for late in [false, true] {
        let hole = if late { Step::Late(Server, 39) } else { Step::Gap(Server, 39) };
        let told = told(&[c(offer), hole, c(&b), s(&ok("B"))]);
        assert_eq!(told, ["0 < lost 39", "1 < \"B\""], "{late}");
    }
}
