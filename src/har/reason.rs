//! Why a connection gave no entry, in words.

use crate::base::anomaly::AnomalyKind;
use crate::exchange::{Connection, Ending, TransportFacts};
use crate::http::Abort;
use crate::tcp::Side;
use crate::tls::info::Decryption;

/// The one reason that explains most: what is not in the capture at all comes before what could not be read.
pub fn reason(connection: &Connection) -> String {
    if connection.bytes == [0, 0] {
        let is_lost = connection.loss.iter().any(|loss| loss.lost_bytes > 0);
        let text = if is_lost { "none of its bytes is in the capture" } else { "no data" };
        return text.into();
    }
    let one_sided = one_direction(connection);
    // A TCP client sends data to who has answered. A QUIC client sends it to anybody.
    if let (Some(text), TransportFacts::Tcp) = (one_sided, &connection.transport) {
        return text.into();
    }
    match connection.tls.as_ref().map(|tls| &tls.decryption) {
        Some(Decryption::Failed(why)) => return why.clone(),
        Some(Decryption::Pending) => return "the TLS handshake is not complete in the capture".into(),
        _ => {}
    }
    match one_sided.or_else(|| of_http(connection)) {
        Some(text) => text.into(),
        None => of_others(connection),
    }
}

fn one_direction(connection: &Connection) -> Option<&'static str> {
    match connection.seen {
        [true, false] => Some("one direction only is in the capture: the client's"),
        [false, true] => Some("one direction only is in the capture: the server's"),
        _ => None,
    }
}

/// What was told to be HTTP, or would have been.
fn of_http(connection: &Connection) -> Option<&'static str> {
    let has = |kind| connection.anomalies.count(kind) > 0;
    if has(AnomalyKind::ResponseWithoutRequest) {
        return Some("responses are in the capture, requests are not");
    }
    if let Some(Ending { side, reason }) = connection.ends_in_head {
        return Some(match (reason, side) {
            (Abort::CaptureEnd, Side::Client) => "the capture ends in a request head",
            (Abort::CaptureEnd, Side::Server) => "the capture ends in a response head",
            (_, Side::Client) => "the connection ends in a request head",
            (_, Side::Server) => "the connection ends in a response head",
        });
    }
    if has(AnomalyKind::HeadCutShort) {
        return Some("the connection ends in a message head");
    }
    if has(AnomalyKind::HeadTooLarge) {
        return Some("a message head is larger than the limit");
    }
    if has(AnomalyKind::HeadMalformed) {
        return Some("a message head breaks the rules of HTTP");
    }
    None
}

/// What no request was found in.
fn of_others(connection: &Connection) -> String {
    let has = |kind| connection.anomalies.count(kind) > 0;
    match connection.protocol.as_str() {
        protocol if protocol.starts_with("HTTP/") => format!("{protocol}: no request is in the capture"),
        "DNS" => "no HTTP: DNS".into(),
        _ if has(AnomalyKind::StartMissing) => {
            "the capture begins in the middle of the connection, and no HTTP message begins in what follows".into()
        }
        _ if has(AnomalyKind::BytesLost) => "bytes are missing, and no HTTP message begins in what is there".into(),
        "TLS" => "no HTTP was found inside TLS".into(),
        "" | "unknown protocol" => "no HTTP was found".into(),
        protocol => format!("no HTTP: {protocol}"),
    }
}
