//! Why a connection gave no entry, in words.

use crate::base::anomaly::AnomalyKind;
use crate::exchange::{Connection, Ending, TransportFacts};
use crate::http::Abort;
use crate::tcp::Side;
use crate::tls::info::Decryption;

/// The one reason that explains most: what is not in the capture at all comes before what could not be read.
pub fn reason(connection: &Connection) -> String {
    if connection.bytes == [0, 0] {
        if let Some(text) = without_place(connection) {
            return text;
        }
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

/// Segments that belong to no stream, and what is in them.
fn without_place(connection: &Connection) -> Option<String> {
    let segments: u64 = connection.loss.iter().map(|loss| u64::from(loss.unusable)).sum();
    (segments > 0).then(|| "only packets that came after its end, or lie far outside its streams".to_owned())
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
    if has(AnomalyKind::HeadCut) {
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
        // Browsers open connections that they then do not need.
        protocol if protocol.starts_with("HTTP/") => match connection.anomalies.is_empty() {
            true => format!("{protocol}: no request was sent"),
            false => format!("{protocol}: no request is in the capture"),
        },
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::har::samples::{at, connection, tls_connection};

    fn carrying(protocol: &str, faults: &[AnomalyKind]) -> String {
        let mut connection = Connection { protocol: protocol.into(), ..connection() };
        faults.iter().for_each(|&kind| connection.anomalies.note(kind, Some(at(60)), 8));
        reason(&connection)
    }

    #[test]
    fn what_is_not_there_is_told_from_what_was_not_sent() {
        assert_eq!(carrying("HTTP/2", &[]), "HTTP/2: no request was sent");
        assert_eq!(carrying("HTTP/2", &[AnomalyKind::BytesLost]), "HTTP/2: no request is in the capture");
        assert_eq!(carrying("unknown protocol", &[AnomalyKind::TimeBackwards]), "no HTTP was found");
        assert_eq!(carrying("DNS", &[]), "no HTTP: DNS");
        assert_eq!(carrying("HTTP/1", &[AnomalyKind::HeadMalformed]), "a message head breaks the rules of HTTP");
        assert_eq!(carrying("HTTP/1", &[AnomalyKind::HeadTooLarge]), "a message head is larger than the limit");
        let inside = Connection { protocol: "TLS".into(), ..tls_connection() };
        assert_eq!(reason(&inside), "no HTTP was found inside TLS");
    }

    /// A QUIC client speaks first, so that its packets alone do not say that others are missing.
    #[test]
    fn one_direction_comes_first_in_tcp_only() {
        let mut of_tcp = Connection { seen: [true, false], bytes: [100, 0], ..tls_connection() };
        of_tcp.tls.as_mut().unwrap().decryption = Decryption::Failed("no secrets".into());
        assert_eq!(reason(&of_tcp), "one direction only is in the capture: the client's");
        let of_quic = Connection { transport: TransportFacts::Quic(crate::exchange::QuicFacts::default()), ..of_tcp };
        assert_eq!(reason(&of_quic), "no secrets");
    }
}
