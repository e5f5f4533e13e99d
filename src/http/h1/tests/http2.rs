//! The change to HTTP/2.

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
    let short: Vec<String> = lines.iter().map(|line| line.split(" [").next().unwrap_or_default().to_string()).collect();
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
