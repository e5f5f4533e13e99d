use crate::base::{Budget, FrameNumber, Limits, Span, Stamp, Timestamp};
use crate::http::{Abort, Conversation, HttpEvent, HttpEventKind, HttpOptions, Protocol, Version};
use crate::tcp::{Chunk, Side, StreamEvent};

use Side::{Client, Server};

/// One step of a scripted connection.
#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    Data(Side, &'a [u8]),
    Gap(Side, u64),
    Fin(Side),
    Reset,
}

fn c(text: &str) -> Step<'_> {
    Step::Data(Client, text.as_bytes())
}

fn s(text: &str) -> Step<'_> {
    Step::Data(Server, text.as_bytes())
}

/// A small generator of numbers: the same seed gives the same test.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }
}

/// Events as lines; neighbouring content is joined. Checks the order that `HttpEventKind` promises.
#[derive(Default)]
struct Record {
    lines: Vec<String>,
    content: Option<(u64, Side, Vec<u8>, u64)>,
    seen: std::collections::BTreeMap<u64, [bool; 3]>,
}

impl Record {
    fn take(&mut self, event: HttpEvent<'_>) {
        let stream = event.stream.0;
        let (has_response, closed) = {
            let seen = self.seen.get(&stream).copied();
            if seen.is_none() {
                assert!(
                    matches!(event.kind, HttpEventKind::Request(_)),
                    "{stream}: {:?} before its request",
                    event.kind
                );
            }
            let seen = seen.unwrap_or_default();
            (seen[2], [seen[0], seen[1]])
        };
        let entry = self.seen.entry(stream).or_default();
        let side_of = |side: Side| if side == Client { '>' } else { '<' };
        if let HttpEventKind::Body(side, chunk) = &event.kind {
            assert!(!closed[side.index()], "{stream}: content behind the end");
            assert!(*side == Client || has_response, "{stream}: content before its head");
            assert!(!chunk.data.is_empty());
            match &mut self.content {
                Some((of, whose, bytes, end)) if (*of, *whose) == (stream, *side) && *end <= chunk.offset => {
                    bytes.extend_from_slice(chunk.data);
                    *end = chunk.offset + chunk.data.len() as u64;
                }
                _ => {
                    self.flush();
                    self.content = Some((stream, *side, chunk.data.to_vec(), chunk.offset + chunk.data.len() as u64));
                }
            }
            return;
        }
        let line = match event.kind {
            HttpEventKind::Request(head) => {
                let mut line = format!("> {} {}", head.method.escape_ascii(), head.target.escape_ascii());
                if head.version != Version::Http11 {
                    line += &format!(" {:?}", head.version);
                }
                line += &fields(&head.headers);
                line
            }
            HttpEventKind::Response(head) => {
                assert!(!closed[1], "{stream}: response behind its end");
                entry[2] = true;
                let version =
                    if head.version == Version::Http11 { String::new() } else { format!(" {:?}", head.version) };
                format!("< {} {}{version}{}", head.status, head.reason.escape_ascii(), fields(&head.headers))
            }
            HttpEventKind::Lost(side, len, _) => format!("{} lost {len}", side_of(side)),
            HttpEventKind::Trailers(side, headers) => format!("{} trailers{}", side_of(side), fields(&headers)),
            HttpEventKind::Upgrade(upgrade) => format!("= {upgrade:?}"),
            HttpEventKind::End { side, wire_size, .. } => {
                assert!(!closed[side.index()], "{stream}: two ends");
                entry[side.index()] = true;
                format!("{} end {wire_size}", side_of(side))
            }
            HttpEventKind::Abort { side, reason, wire_size, .. } => {
                assert!(!closed[side.index()], "{stream}: two ends");
                entry[side.index()] = true;
                format!("{} abort {reason:?} {wire_size}", side_of(side))
            }
            HttpEventKind::Anomaly(kind, _) => format!("! {}", kind.code()),
            HttpEventKind::Push(_) | HttpEventKind::Body(..) => unreachable!(),
        };
        self.flush();
        self.lines.push(format!("{stream} {line}"));
    }

    fn flush(&mut self) {
        if let Some((stream, side, bytes, _)) = self.content.take() {
            let side = if side == Client { '>' } else { '<' };
            self.lines.push(format!("{stream} {side} \"{}\"", bytes.escape_ascii()));
        }
    }

    fn all_closed(&self) -> bool {
        self.seen.values().all(|[request, response, _]| *request && *response)
    }
}

fn fields(headers: &crate::http::Headers) -> String {
    headers.iter().map(|(name, value)| format!(" [{}={}]", name.escape_ascii(), value.escape_ascii())).collect()
}

fn limits() -> Limits {
    Limits { head: 4096, header_fields: 20, open_exchanges: 8, detect: 1024, ..Limits::default() }
}

/// Plays a script; `cut` gives the length of the next piece of so many bytes.
fn play(steps: &[Step<'_>], strict: bool, cut: &mut dyn FnMut(usize) -> usize) -> (Vec<String>, Conversation) {
    let budget = Budget::new(1 << 20);
    let limits = limits();
    let mut conversation = Conversation::new(&limits, &budget, HttpOptions { strict }, None);
    let mut record = Record::default();
    let mut offsets = [0_u64; 2];
    let mut frame = 0;
    let mut stamp = || {
        frame += 1;
        Stamp { frame: FrameNumber(frame), time: Timestamp(frame as i64) }
    };
    for &step in steps {
        match step {
            Step::Data(side, mut data) => {
                while !data.is_empty() {
                    let (piece, rest) = data.split_at(cut(data.len()).clamp(1, data.len()));
                    let chunk = Chunk { data: piece, span: Span::of(stamp(), false), offset: offsets[side.index()] };
                    offsets[side.index()] += piece.len() as u64;
                    conversation.push(side, StreamEvent::Data(chunk), &mut |event| record.take(event));
                    data = rest;
                }
            }
            Step::Gap(side, len) => {
                offsets[side.index()] += len;
                conversation.push(side, StreamEvent::Gap { len, stamp: stamp() }, &mut |event| record.take(event));
            }
            Step::Fin(side) => conversation.push(side, StreamEvent::Fin(stamp()), &mut |event| record.take(event)),
            Step::Reset => conversation.push(Client, StreamEvent::Reset(stamp()), &mut |event| record.take(event)),
        }
    }
    conversation.finish(Abort::CaptureEnd, stamp(), &mut |event| record.take(event));
    record.flush();
    assert!(record.all_closed(), "{:#?}", record.lines);
    assert!(budget.used() < 64 << 10, "{} bytes held", budget.used());
    (record.lines, conversation)
}

fn whole(steps: &[Step<'_>]) -> Vec<String> {
    play(steps, false, &mut |len| len).0
}

/// The script gives these events, in one piece, byte by byte, and in any other split.
fn check(steps: &[Step<'_>], wanted: &[&str]) {
    assert_eq!(whole(steps), wanted, "in one piece");
    assert_eq!(play(steps, false, &mut |_| 1).0, wanted, "byte by byte");
    for seed in 1..40 {
        let mut random = Random(seed | 0x9e37_79b9_0000_0000);
        let split = play(steps, false, &mut |len| 1 + random.below(len.min(30))).0;
        assert_eq!(split, wanted, "seed {seed}");
    }
}

mod messages {
    use super::*;

    #[test]
    fn keep_alive_with_every_kind_of_length() {
        check(
            &[
                c("GET /a HTTP/1.1\r\nHost: x\r\n\r\n"),
                s("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
                c(
                    "POST /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=\"y\"\r\nabc\r\n00002\r\nde\r\n0\r\nX-T: 1\r\n\r\n",
                ),
                s("HTTP/1.1 201 Made it\r\nTransfer-Encoding: gzip, chunked\r\n\r\n1\r\nz\r\n0\r\n\r\n"),
                c("HEAD /c HTTP/1.1\r\n\r\n"),
                s("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"),
                c("GET /d HTTP/1.1\r\n\r\n"),
                s("HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n"),
                c("PUT /e HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi"),
                s("HTTP/1.1 204 No Content\r\n\r\n"),
                c("GET /f HTTP/1.0\r\n\r\n"),
                s("HTTP/1.0 200 OK\r\n\r\nto the end"),
                Step::Fin(Server),
            ],
            &[
                "0 > GET /a [Host=x]",
                "0 > end 28",
                "0 < 200 OK [Content-Length=5]",
                "0 < \"hello\"",
                "0 < end 43",
                "1 > POST /b [Transfer-Encoding=chunked]",
                "1 > \"abcde\"",
                "1 > trailers [X-T=1]",
                "1 > end 86",
                "1 < 201 Made it [Transfer-Encoding=gzip, chunked]",
                "1 < \"z\"",
                "1 < end 69",
                "2 > HEAD /c",
                "2 > end 20",
                "2 < 200 OK [Content-Length=500]",
                "2 < end 40",
                "3 > GET /d",
                "3 > end 19",
                "3 < 304 Not Modified [Content-Length=7]",
                "3 < end 48",
                "4 > PUT /e [Content-Length=2]",
                "4 > \"hi\"",
                "4 > end 40",
                "4 < 204 No Content",
                "4 < end 27",
                "5 > GET /f Http10",
                "5 > end 19",
                "5 < 200 OK Http10",
                "5 < \"to the end\"",
                "5 < end 29",
            ],
        );
    }

    #[test]
    fn pipelined_requests_are_answered_in_order() {
        check(
            &[
                c("GET /a HTTP/1.1\r\n\r\nHEAD /b HTTP/1.1\r\n\r\nGET /c HTTP/1.1\r\n\r\n"),
                s("HTTP/1.1 200 A\r\nContent-Length: 1\r\n\r\nA"),
                s("HTTP/1.1 200 B\r\nContent-Length: 9\r\n\r\nHTTP/1.1 200 C\r\nContent-Length: 1\r\n\r\nC"),
            ],
            &[
                "0 > GET /a",
                "0 > end 19",
                "1 > HEAD /b",
                "1 > end 20",
                "2 > GET /c",
                "2 > end 19",
                "0 < 200 A [Content-Length=1]",
                "0 < \"A\"",
                "0 < end 38",
                "1 < 200 B [Content-Length=9]",
                "1 < end 37",
                "2 < 200 C [Content-Length=1]",
                "2 < \"C\"",
                "2 < end 38",
            ],
        );
    }

    #[test]
    fn informational_responses_come_before_the_final_one() {
        check(
            &[
                c("POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"),
                s("HTTP/1.1 100 Continue\r\n\r\n"),
                c("ok"),
                s("HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
            ],
            &[
                "0 > POST / [Expect=100-continue] [Content-Length=2]",
                "0 < 100 Continue",
                "0 > \"ok\"",
                "0 > end 62",
                "0 < 103 Early Hints [Link=<a>]",
                "0 < 200 OK [Content-Length=0]",
                "0 < end 38",
            ],
        );
    }

    #[test]
    fn a_refused_request_may_keep_its_content() {
        let head = "POST /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 20\r\n\r\n";
        check(
            &[
                c(head),
                s("HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n"),
                Step::Data(Client, b"01234567890123456789"),
                c("GET /b HTTP/1.1\r\n\r\n"),
                s("HTTP/1.1 204 B\r\n\r\n"),
            ],
            &[
                "0 > POST /a [Expect=100-continue] [Content-Length=20]",
                "0 < 417 No [Content-Length=0]",
                "0 ! response-early",
                "0 < end 38",
                "0 > \"01234567890123456789\"",
                "0 > end 82",
                "1 > GET /b",
                "1 > end 19",
                "1 < 204 B",
                "1 < end 18",
            ],
        );
        // The content never comes. The next head is seen when it is there in one piece, as it is on the wire.
        let lines = whole(&[
            c(head),
            s("HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n"),
            c("GET /b HTTP/1.1\r\n\r\n"),
            s("HTTP/1.1 204 B\r\n\r\n"),
        ]);
        assert_eq!(
            lines[4..],
            ["0 ! body-cut-short", "0 > abort Closed 62", "1 > GET /b", "1 > end 19", "1 < 204 B", "1 < end 18"]
        );
    }

    #[test]
    fn an_early_response_lets_the_request_go_on() {
        check(
            &[
                c("POST /a HTTP/1.1\r\nContent-Length: 4\r\n\r\nab"),
                s("HTTP/1.1 413 Too Large\r\nContent-Length: 1\r\n\r\nx"),
                c("cd"),
                c("GET /b HTTP/1.1\r\n\r\n"),
                s("HTTP/1.1 204 B\r\n\r\n"),
            ],
            &[
                "0 > POST /a [Content-Length=4]",
                "0 > \"ab\"",
                "0 < 413 Too Large [Content-Length=1]",
                "0 ! response-early",
                "0 < \"x\"",
                "0 < end 46",
                "0 > \"cd\"",
                "0 > end 43",
                "1 > GET /b",
                "1 > end 19",
                "1 < 204 B",
                "1 < end 18",
            ],
        );
    }

    #[test]
    fn simple_requests_of_http_0_9() {
        check(
            &[c("GET /old\r\n"), s("<p>\r\n\r\nHTTP"), Step::Fin(Server)],
            &["0 > GET /old Http09", "0 > end 10", "0 < 200  Http09", "0 < \"<p>\\r\\n\\r\\nHTTP\"", "0 < end 11"],
        );
        check(
            &[c("GET /old\n"), s("HTTP/1.0 404 No\r\n\r\nx"), Step::Fin(Server)],
            &["0 > GET /old Http09", "0 > end 9", "0 < 404 No Http10", "0 < \"x\"", "0 < end 20"],
        );
    }

    #[test]
    fn every_form_of_target_and_method() {
        check(
            &[
                c(
                    "\r\n\r\nOPTIONS * HTTP/1.1\r\n\r\nGET http://h/p?q HTTP/1.1\r\n\r\nBREW /a b HTTP/1.0\r\n\r\nGET /ÿ HTTP/1.1\r\n\r\n",
                ),
                c("query   / \t HTTP/1.1\r\n\r\n"),
            ],
            &[
                "0 > OPTIONS *",
                "0 > end 22",
                "1 > GET http://h/p?q",
                "1 > end 29",
                "2 > BREW /a b Http10",
                "2 ! head-malformed",
                "2 > end 22",
                "3 > GET /\\xc3\\xbf",
                "3 > end 20",
                "4 > query /",
                "4 > end 24",
                "0 < abort CaptureEnd 0",
                "1 < abort CaptureEnd 0",
                "2 < abort CaptureEnd 0",
                "3 < abort CaptureEnd 0",
                "4 < abort CaptureEnd 0",
            ],
        );
    }

    #[test]
    fn either_end_may_be_the_client() {
        let steps = [Step::Data(Server, b"GET / HTTP/1.1\r\n\r\n"), Step::Data(Client, b"HTTP/1.1 204 x\r\n\r\n")];
        check(&steps, &["0 > GET /", "0 > end 18", "0 < 204 x", "0 < end 18"]);
        assert!(play(&steps, false, &mut |len| len).1.is_flipped());
    }
}

mod heads {
    use super::*;

    #[test]
    fn odd_but_readable_heads() {
        check(
            &[
                c("GET / HTTP/1.1\nHost: x\n\n"),
                Step::Data(
                    Server,
                    b"HTTP/1.1 200\r\nA: 1\r\n  2\r\n\t3 \r\nNo colon\r\nB : 4\r\nC:\xe9\r\n: none\r\nD: 5\rE: 6\r\ncontent-length: 2\r\n\r\nok",
                ),
            ],
            &[
                "0 > GET / [Host=x]",
                "0 > end 24",
                "0 < 200  [A=1 2 3] [B=4] [C=\\xe9] [D=5] [E=6] [content-length=2]",
                "0 ! head-malformed",
                "0 < \"ok\"",
                "0 < end 94",
            ],
        );
        check(
            &[c("GET / HTTP/1.1\r\n\r\n"), s("ICY 200 OK\r\nicy-br: 128\r\n\r\nmp3"), Step::Fin(Server)],
            &["0 > GET /", "0 > end 18", "0 < 200 OK Http10 [icy-br=128]", "0 < \"mp3\"", "0 < end 30"],
        );
    }

    fn answer_with(fields: &str, body: &str) -> Vec<String> {
        let head = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n{body}");
        let lines = whole(&[c("GET / HTTP/1.1\r\n\r\n"), s(&head), Step::Fin(Server)]);
        lines[3..].iter().map(|line| line.split_once(" < end").map_or(line.clone(), |_| "end".into())).collect()
    }

    #[test]
    fn contradicting_lengths() {
        assert_eq!(answer_with("Content-Length: 2\r\nContent-Length: 2, 2", "ok"), ["0 < \"ok\"", "end"]);
        assert_eq!(
            answer_with("Content-Length: 2\r\nContent-Length: 3", "okHTTP/1.1"),
            ["0 ! length-conflict", "0 < \"ok\"", "end"]
        );
        assert_eq!(answer_with("Content-Length: +2", "ok?"), ["0 ! length-conflict", "0 < \"ok?\"", "end"]);
        assert_eq!(
            answer_with("Content-Length: 99999999999999999999", "ok?"),
            ["0 ! length-conflict", "0 < \"ok?\"", "end"]
        );
        assert_eq!(
            answer_with("Content-Length: 18446744073709551615", "ok"),
            ["0 < \"ok\"", "0 ! body-cut-short", "0 < abort Closed 59"]
        );
        assert_eq!(
            answer_with("Content-Length: 9\r\nTransfer-Encoding: chunked", "2\r\nok\r\n0\r\n\r\n"),
            ["0 ! length-conflict", "0 < \"ok\"", "end"]
        );
        assert_eq!(answer_with("Transfer-Encoding: gzip", "ok"), ["0 < \"ok\"", "end"]);
        assert_eq!(answer_with("Transfer-Encoding: identity\r\nContent-Length: 1", "okk"), ["0 < \"o\"", "end"]);
    }

    #[test]
    fn chunks_that_are_none() {
        assert_eq!(
            answer_with("Transfer-Encoding: chunked", "plain text"),
            ["0 ! chunk-malformed", "0 < \"plain text\"", "end"]
        );
        assert_eq!(
            answer_with("Transfer-Encoding: chunked", "2\r\nok\r\nxyz"),
            ["0 < \"ok\"", "0 ! chunk-malformed", "0 < abort Malformed 52"]
        );
        assert_eq!(
            answer_with("Transfer-Encoding: chunked", "10000000000000000\r\nok"),
            ["0 ! chunk-malformed", "0 < abort Malformed 47"]
        );
        assert_eq!(
            answer_with("Transfer-Encoding: chunked", "2 \r\nok\r\n0001x\0\r\n!\r\n0\r\n\r\n"),
            ["0 < \"ok!\"", "end"]
        );
        assert_eq!(answer_with("Transfer-Encoding: chunked", "2\nok\n0\n\n"), ["0 < \"ok\"", "end"]);
        assert_eq!(
            answer_with("Transfer-Encoding: chunked", "5\r\nok"),
            ["0 < \"ok\"", "0 ! body-cut-short", "0 < abort Closed 52"]
        );
    }

    #[test]
    fn large_heads_are_given_up_within_limits() {
        let long = format!("GET /a HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\nGET /b HTTP/1.1\r\n\r\n", "y".repeat(10_000));
        for cut in [1, 7, 1460, usize::MAX] {
            let lines = play(&[c(&long)], false, &mut |len| cut.min(len)).0;
            assert_eq!(lines[..3], ["0 > GET /a [Host=x]", "0 ! head-too-large", "0 > abort Malformed 4096"], "{cut}");
        }
        let many = format!("GET / HTTP/1.1\r\n{}Content-Length: 1\r\n\r\nx", "A: b\r\n".repeat(100));
        let lines = whole(&[c(&many)]);
        assert_eq!(lines[1..4], ["0 ! head-too-large", "0 > \"x\"", "0 > end 638"]);
        assert!(lines[0].ends_with("[Content-Length=1]"));
    }

    #[test]
    fn strict_reading_wants_the_stated_length() {
        let steps =
            [c("GET / HTTP/1.1\r\n\r\n"), s("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok"), Step::Fin(Server)];
        assert!(whole(&steps).contains(&"0 < abort Closed 40".to_string()));
        assert!(play(&steps, true, &mut |len| len).0.contains(&"0 < abort Malformed 40".to_string()));
    }
}

mod other_protocols {
    use super::*;

    #[test]
    fn a_websocket_takes_both_sides() {
        check(
            &[
                c("GET /chat HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"),
                c("early"),
                s("HTTP/1.1 101 Switching\r\nUpgrade: WebSocket\r\n\r\nfrom"),
                c("to"),
                Step::Gap(Client, 3),
                s(" server"),
                Step::Fin(Client),
                Step::Reset,
            ],
            &[
                "0 > GET /chat [Upgrade=websocket] [Connection=Upgrade]",
                "0 < 101 Switching [Upgrade=WebSocket]",
                "0 = WebSocket",
                "0 > \"early\"",
                "0 < \"from\"",
                "0 > \"to\"",
                "0 > lost 3",
                "0 < \" server\"",
                "0 > end 73",
                "0 < abort Reset 57",
            ],
        );
    }

    #[test]
    fn a_refused_upgrade_is_followed_by_requests() {
        check(
            &[
                c("GET /a HTTP/1.1\r\nUpgrade: h2c\r\n\r\nGET /b HTTP/1.1\r\n\r\n"),
                s("HTTP/1.1 204 A\r\n\r\nHTTP/1.1 204 B\r\n\r\n"),
            ],
            &[
                "0 > GET /a [Upgrade=h2c]",
                "0 < 204 A",
                "0 > end 33",
                "1 > GET /b",
                "1 > end 19",
                "0 < end 18",
                "1 < 204 B",
                "1 < end 18",
            ],
        );
    }

    #[test]
    fn connect_makes_a_tunnel() {
        check(
            &[
                c("CONNECT h:443 HTTP/1.1\r\nContent-Length: 4\r\n\r\n"),
                c("\x16\x03\x01"),
                s("HTTP/1.1 200 Established\r\nContent-Length: 9\r\n\r\n\x16"),
                Step::Fin(Server),
                Step::Fin(Client),
            ],
            &[
                "0 > CONNECT h:443 [Content-Length=4]",
                "0 < 200 Established [Content-Length=9]",
                "0 = Tunnel",
                "0 > \"\\x16\\x03\\x01\"",
                "0 < \"\\x16\"",
                "0 < end 48",
                "0 > end 48",
            ],
        );
        check(
            &[c("CONNECT h:443 HTTP/1.1\r\n\r\n"), s("HTTP/1.1 407 Auth\r\nContent-Length: 1\r\n\r\nx")],
            &["0 > CONNECT h:443", "0 < 407 Auth [Content-Length=1]", "0 > end 26", "0 < \"x\"", "0 < end 41"],
        );
    }

    #[test]
    fn an_unanswered_offer_ends_with_the_connection() {
        check(
            &[c("CONNECT h:443 HTTP/1.1\r\n\r\n"), c("GET / HTTP/1.1\r\n\r\n"), Step::Fin(Client)],
            &[
                "0 > CONNECT h:443",
                "0 > end 26",
                "1 > GET /",
                "1 > end 18",
                "0 < abort CaptureEnd 0",
                "1 < abort CaptureEnd 0",
            ],
        );
    }

    #[test]
    fn what_is_no_http_stays_unknown() {
        let noise = vec![0x80_u8; 3000];
        let (lines, conversation) =
            play(&[Step::Data(Client, &noise), Step::Data(Server, &noise)], false, &mut |len| len.min(700));
        assert_eq!(lines, [""; 0]);
        assert_eq!(conversation.protocol(), Protocol::Unknown);
        let (_, conversation) = play(&[Step::Data(Client, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")], false, &mut |len| len);
        assert_eq!(conversation.protocol(), Protocol::Http2);
    }

    #[test]
    fn a_proxy_protocol_before_the_first_request() {
        check(
            &[c("PROXY TCP4 10.0.0.1 10.0.0.2 5000 80\r\nGET / HTTP/1.1\r\n\r\n"), s("HTTP/1.1 204 x\r\n\r\n")],
            &["0 > GET /", "0 > end 18", "0 < 204 x", "0 < end 18"],
        );
        let socks = whole(&[
            c("\x05\x01\0"),
            s("\x05\0"),
            c("\x05\x01\0\x01\x7f\0\0\x01\0\x50"),
            s("\x05\0\0\x01\0\0\0\0\0\0"),
            c("GET / HTTP/1.1\r\n\r\n"),
            s("HTTP/1.1 204 x\r\n\r\n"),
        ]);
        assert_eq!(socks, ["0 > GET /", "0 > end 18", "0 < 204 x", "0 < end 18"]);
    }
}

mod damage {
    use super::*;

    #[test]
    fn a_gap_of_known_length_inside_content_is_only_a_gap() {
        check(
            &[
                c("GET /a HTTP/1.1\r\n\r\n"),
                s("HTTP/1.1 200 A\r\nContent-Length: 10\r\n\r\nabc"),
                Step::Gap(Server, 4),
                s("hijHTTP/1.1 "),
                c("GET /b HTTP/1.1\r\n\r\n"),
                s("200 B\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nab"),
                Step::Gap(Server, 4),
                s("\r\n0\r\n\r\n"),
                c("GET /c HTTP/1.1\r\n\r\n"),
                s("HTTP/1.1 200 C\r\n\r\nabc"),
                Step::Gap(Server, 0),
                s("def"),
                Step::Fin(Server),
            ],
            &[
                "0 > GET /a",
                "0 > end 19",
                "0 < 200 A [Content-Length=10]",
                "0 < \"abc\"",
                "0 < lost 4",
                "0 < \"hij\"",
                "0 < end 48",
                "1 > GET /b",
                "1 > end 19",
                "1 < 200 B [Transfer-Encoding=chunked]",
                "1 < \"ab\"",
                "1 < lost 4",
                "1 < end 62",
                "2 > GET /c",
                "2 > end 19",
                "2 < 200 C",
                "2 < \"abc\"",
                "2 < lost 0",
                "2 < \"def\"",
                "2 < end 24",
            ],
        );
    }

    #[test]
    fn a_gap_over_the_end_of_content_swallows_what_follows() {
        check(
            &[
                c("GET /a HTTP/1.1\r\n\r\n"),
                s("HTTP/1.1 200 A\r\nContent-Length: 10\r\n\r\nabc"),
                Step::Gap(Server, 30),
                s("ent: lost\r\n\r\n"),
                c("GET /b HTTP/1.1\r\n\r\n"),
                s("HTTP/1.1 204 B\r\n\r\n"),
            ],
            &[
                "0 > GET /a",
                "0 > end 19",
                "0 < 200 A [Content-Length=10]",
                "0 < \"abc\"",
                "0 < lost 7",
                "0 < end 48",
                "1 > GET /b",
                "1 > end 19",
                "1 < 204 B",
                "1 < end 18",
            ],
        );
    }

    #[test]
    fn a_lost_request_does_not_shift_the_pairs() {
        check(
            &[
                c("GET /a HTTP/1.1\r\n\r\n"),
                s("HTTP/1.1 200 A\r\nContent-Length: 1\r\n\r\nA"),
                Step::Gap(Client, 19),
                s("HTTP/1.1 200 B\r\nContent-Length: 1\r\n\r\nB"),
                c("GET /c HTTP/1.1\r\n\r\n"),
                s("HTTP/1.1 200 C\r\nContent-Length: 1\r\n\r\nC"),
            ],
            &[
                "0 > GET /a",
                "0 > end 19",
                "0 < 200 A [Content-Length=1]",
                "0 < \"A\"",
                "0 < end 38",
                "1 > GET /c",
                "1 > end 19",
                "1 < 200 C [Content-Length=1]",
                "1 < \"C\"",
                "1 < end 38",
            ],
        );
    }

    #[test]
    fn a_lost_response_does_not_shift_the_pairs() {
        check(
            &[
                c("GET /a HTTP/1.1\r\n\r\n"),
                Step::Gap(Server, 38),
                c("GET /b HTTP/1.1\r\n\r\n"),
                s("HTTP/1.1 200 B\r\nContent-Length: 1\r\n\r\nB"),
                c("GET /c HTTP/1.1\r\n\r\n"),
                s("HTTP/1.1 204 C\r\n\r\n"),
            ],
            &[
                "0 > GET /a",
                "0 > end 19",
                "1 > GET /b",
                "1 > end 19",
                "0 < abort Lost 0",
                "1 < 200 B [Content-Length=1]",
                "1 < \"B\"",
                "1 < end 38",
                "2 > GET /c",
                "2 > end 19",
                "2 < 204 C",
                "2 < end 18",
            ],
        );
    }

    #[test]
    fn cut_heads_show_what_came_of_them() {
        check(
            &[
                c("GET /a HTTP/1.1\r\nHost: x\r\nAcc"),
                Step::Gap(Client, 100),
                s("HTTP/1.1 200 OK\r\nContent-Le"),
                Step::Gap(Server, 2000),
                c("GET /b HTTP/1.1\r\nHost: y\r\n\r\n"),
                s("HTTP/1.1 204 B\r\n\r\n"),
            ],
            &[
                "0 > GET /a [Host=x]",
                "0 ! bytes-lost",
                "0 > abort Lost 29",
                "0 < 200 OK",
                "0 ! bytes-lost",
                "0 < abort Lost 27",
                "1 > GET /b [Host=y]",
                "1 > end 28",
                "1 < 204 B",
                "1 < end 18",
            ],
        );
    }

    #[test]
    fn cut_start_lines_show_what_came_of_them() {
        check(
            &[c("GET /images/a.gif HTT"), Step::Gap(Client, 100), s("HTTP/1.1 200 O"), Step::Gap(Server, 0)],
            &[
                "0 > GET /images/a.gif",
                "0 ! bytes-lost",
                "0 > abort Lost 21",
                "0 < 200 O",
                "0 ! bytes-lost",
                "0 < abort Lost 14",
            ],
        );
        let cut = ["0 > GET /im", "0 ! head-malformed", "0 > abort CaptureEnd 7", "0 < abort CaptureEnd 0"];
        check(&[c("GET /im")], &cut);
    }

    #[test]
    fn a_message_may_begin_behind_a_packet_of_garbage() {
        let lines = whole(&[c("\0"), c("GET /a HTTP/1.1\r\n\r\n"), s("\0\0"), s("HTTP/1.1 204 A\r\n\r\n")]);
        assert_eq!(lines, ["0 > GET /a", "0 > end 19", "0 < 204 A", "0 < end 18"]);
    }

    #[test]
    fn a_capture_that_begins_in_the_middle() {
        let steps = [
            s("rest of content\r\nmore\r\nHTTP/1.1 200 HEAD?\r\nContent-Length: 100\r\n\r\n"),
            s("HTTP/1.1 200 A\r\nContent-Length: 1\r\n\r\nA"),
            c("GET /b HTTP/1.1\r\n\r\n"),
            s("HTTP/1.1 204 B\r\n\r\n"),
        ];
        let (lines, conversation) = play(&steps, false, &mut |len| len);
        assert_eq!(lines, ["0 > GET /b", "0 > end 19", "0 < 204 B", "0 < end 18"]);
        let count = |kind| conversation.anomalies().count(kind);
        assert_eq!(count(crate::base::anomaly::AnomalyKind::ResponseWithoutRequest), 2);
        assert_eq!(count(crate::base::anomaly::AnomalyKind::GarbageSkipped), 1);
    }

    #[test]
    fn garbage_between_messages_is_passed_over() {
        check(
            &[
                c("GET /a HTTP/1.1\r\n\r\n\0\0binary\n words and words\nGET /b HTTP/1.1\r\n\r\n"),
                s("HTTP/1.1 204 A\r\n\r\nleft over\nHTTP/1.1 204 B\r\n\r\n"),
            ],
            &[
                "0 > GET /a",
                "0 > end 19",
                "1 > GET /b",
                "1 > end 19",
                "0 < 204 A",
                "0 < end 18",
                "1 < 204 B",
                "1 < end 18",
            ],
        );
    }

    #[test]
    fn requests_beyond_the_limit_are_given_up_without_a_shift() {
        let requests: String = (0..10).map(|number| format!("GET /{number} HTTP/1.1\r\n\r\n")).collect();
        let responses: String = (0..10).map(|number| format!("HTTP/1.1 204 {number}\r\n\r\n")).collect();
        let lines = whole(&[c(&requests), s(&responses)]);
        assert!(lines.contains(&"0 < abort Evicted 0".to_string()));
        assert!(lines.contains(&"1 < abort Evicted 0".to_string()));
        for number in 2..10 {
            assert!(lines.contains(&format!("{number} < 204 {number}")), "{lines:#?}");
        }
    }

    #[test]
    fn targets_longer_than_detection_looks() {
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(3000));
        for cut in [1, 100, 1460] {
            let lines = play(&[c(&long)], false, &mut |len| cut.min(len)).0;
            assert_eq!(lines[1], "0 > end 3018");
        }
    }

    /// A connection with everything in it.
    const RICH: &[Step<'_>] = &[
        Step::Data(Client, b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\nT: 1\r\n\r\n"),
        Step::Data(Server, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond"),
        Step::Data(Client, b"HEAD /b HTTP/1.1\r\n\r\nGET /c HTTP/1.1\r\nContent-Length: 3\r\n\r\nxyz"),
        Step::Data(Server, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
        Step::Data(Client, b"GET /d HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"),
        Step::Data(Server, b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n\x81\x02hi"),
        Step::Data(Client, b"\x81\x82\0\0\0\0yo"),
        Step::Fin(Server),
        Step::Fin(Client),
    ];

    #[test]
    fn any_split_of_everything_gives_the_same() {
        let wanted = whole(RICH);
        let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
        assert!(wanted.contains(&"3 = WebSocket"));
        check(RICH, &wanted);
    }

    /// The record checks order and ends; here only that it holds wherever bytes are missing.
    #[test]
    fn gaps_at_every_place() {
        for (index, step) in RICH.iter().enumerate() {
            let Step::Data(side, data) = *step else { continue };
            for at in 0..data.len() {
                for len in [1, 7, data.len()] {
                    for known in [true, false] {
                        let end = (at + len).min(data.len());
                        let gap = if known { (end - at) as u64 } else { 0 };
                        let mut steps = RICH[..index].to_vec();
                        steps.extend([
                            Step::Data(side, &data[..at]),
                            Step::Gap(side, gap),
                            Step::Data(side, &data[end..]),
                        ]);
                        steps.extend_from_slice(&RICH[index + 1..]);
                        play(&steps, false, &mut |len| len);
                        play(&steps, true, &mut |len| len.min(5));
                    }
                }
            }
        }
    }

    #[test]
    fn cut_off_at_every_place() {
        for (index, step) in RICH.iter().enumerate() {
            let Step::Data(side, data) = *step else { continue };
            for at in 0..data.len() {
                for end in [Step::Reset, Step::Fin(side), Step::Fin(side.other())] {
                    let mut steps = RICH[..index].to_vec();
                    steps.extend([Step::Data(side, &data[..at]), end]);
                    play(&steps, false, &mut |len| len);
                }
            }
        }
    }

    #[test]
    fn mutated_bytes_break_nothing() {
        let mut random = Random(0x1234_5678_9abc_def1);
        for _ in 0..4000 {
            let mut owned: Vec<(Side, Vec<u8>)> = RICH
                .iter()
                .filter_map(|step| if let Step::Data(side, data) = step { Some((*side, data.to_vec())) } else { None })
                .collect();
            for _ in 0..1 + random.below(6) {
                let which = random.below(owned.len());
                let data = &mut owned[which].1;
                let at = random.below(data.len());
                match random.below(5) {
                    0 => data[at] = random.below(256) as u8,
                    1 => data.insert(at, b"\r\n :;0fF\xff"[random.below(9)]),
                    2 => data.truncate(at.max(1)),
                    3 => {
                        let again = data[at..].to_vec();
                        data.extend(again);
                    }
                    _ => owned.swap(which, 0),
                }
            }
            let steps: Vec<Step<'_>> = owned.iter().map(|(side, data)| Step::Data(*side, data)).collect();
            play(&steps, false, &mut |len| 1 + random.below(len));
        }
    }
}

mod http2 {
    use super::*;

    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        [&[0, 0, payload.len() as u8, kind, flags, 0, 0, 0, stream][..], payload].concat()
    }

    #[test]
    fn an_upgrade_to_http2_answers_on_stream_1() {
        let client = [PREFACE, &frame(4, 0, 0, b""), &frame(1, 5, 3, b"\x82\x84\x86")].concat();
        let server = [
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n".to_vec(),
            frame(4, 0, 0, b""),
            frame(1, 4, 1, b"\x88"),
            frame(0, 1, 1, b"first"),
            frame(1, 5, 3, b"\x8d"),
        ]
        .concat();
        let upgrade = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA";
        let post = format!("POST /up HTTP/1.1\r\nContent-Length: 2\r\n{upgrade}\r\n\r\nhi");
        let steps = [c(&post), Step::Data(Client, &client), Step::Data(Server, &server)];
        let lines = whole(&steps);
        for cut in [1, 5, 100] {
            assert_eq!(play(&steps, false, &mut |_| cut).0, lines);
        }
        let short: Vec<String> =
            lines.iter().map(|line| line.split(" [").next().unwrap_or_default().to_string()).collect();
        let wanted = [
            "0 > POST /up",
            "0 > \"hi\"",
            "0 < 101 Switching Protocols",
            "0 = Http2",
            "0 > end 135",
            "3 > GET / Http2",
            "3 > end 12",
            "0 < 200  Http2",
            "0 < \"first\"",
            "0 < end 24",
            "3 < 404  Http2",
            "3 < end 10",
        ];
        assert_eq!(short, wanted);
        assert_eq!(play(&steps, false, &mut |len| len).1.protocol(), Protocol::Http2);
    }

    #[test]
    fn prior_knowledge_either_way_round() {
        let client = [PREFACE, &frame(4, 0, 0, b""), &frame(1, 5, 1, b"\x82\x84\x86")].concat();
        let server = [frame(4, 0, 0, b""), frame(1, 5, 1, b"\x88")].concat();
        let wanted = ["1 > GET / Http2", "1 > end 12", "1 < 200  Http2", "1 < end 10"];
        check(&[Step::Data(Client, &client), Step::Data(Server, &server)], &wanted);
        check(&[Step::Data(Server, &client), Step::Data(Client, &server)], &wanted);
        let flipped = play(&[Step::Data(Server, &client)], false, &mut |len| len).1;
        assert!(flipped.is_flipped());
    }
}
