//! Upgrades, tunnels, and what is no HTTP.

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
