//! Whole messages, pipelined and framed in every way.

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
