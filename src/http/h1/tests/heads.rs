//! Start lines and fields, good and odd.

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
    let steps = [c("GET / HTTP/1.1\r\n\r\n"), s("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok"), Step::Fin(Server)];
    assert!(whole(&steps).contains(&"0 < abort Closed 40".to_string()));
    assert!(play(&steps, true, &mut |len| len).0.contains(&"0 < abort Malformed 40".to_string()));
}
