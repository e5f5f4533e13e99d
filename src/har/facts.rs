//! What is known about the connection of an entry.

use serde_json::json;

use super::json::Object;
use crate::base::Anomalies;
use crate::exchange::{Connection, TransportFacts};
use crate::tcp::Loss;
use crate::tls::info::{Certificate, Decryption, TlsInfo};

/// Name of a TLS version, as browsers write it.
pub fn tls_version(version: u16) -> String {
    match version {
        0x0300 => "SSL 3.0".into(),
        0x0301 => "TLS 1.0".into(),
        0x0302 => "TLS 1.1".into(),
        0x0303 => "TLS 1.2".into(),
        0x0304 => "TLS 1.3".into(),
        other => format!("{other:#06x}"),
    }
}

/// Name of a cipher suite's cipher in the words of the Chrome DevTools protocol; the number for rare ones.
pub fn cipher(suite: u16) -> String {
    let name = match suite {
        0x1301 | 0xc02b | 0xc02f | 0x009c | 0x009e | 0x00a2 | 0xc02d | 0xc031 => "AES_128_GCM",
        0x1302 | 0xc02c | 0xc030 | 0x009d | 0x009f | 0x00a3 | 0xc02e | 0xc032 => "AES_256_GCM",
        0x1303 | 0xcca8 | 0xcca9 | 0xccaa => "CHACHA20_POLY1305",
        0x1304 => "AES_128_CCM",
        0x1305 => "AES_128_CCM_8",
        0x002f | 0x0033 | 0xc009 | 0xc013 => "AES_128_CBC with HMAC-SHA1",
        0x0035 | 0x0039 | 0xc00a | 0xc014 => "AES_256_CBC with HMAC-SHA1",
        0x003c | 0x0067 | 0xc023 | 0xc027 => "AES_128_CBC with HMAC-SHA256",
        0x003d | 0x006b => "AES_256_CBC with HMAC-SHA256",
        0xc024 | 0xc028 => "AES_256_CBC with HMAC-SHA384",
        0x000a | 0x0016 | 0xc008 | 0xc012 => "3DES_EDE_CBC with HMAC-SHA1",
        0x0005 | 0xc007 | 0xc011 => "RC4_128 with HMAC-SHA1",
        other => return format!("{other:#06x}"),
    };
    name.into()
}

/// `_securityDetails` and the `_tls_*` members.
pub fn tls(object: &mut Object<'_>, tls: &TlsInfo) {
    let mut details = serde_json::Map::new();
    if let Some(version) = tls.version {
        details.insert("protocol".into(), tls_version(version).into());
    }
    if let Some(suite) = tls.cipher_suite {
        details.insert("cipher".into(), cipher(suite).into());
    }
    if let Some(group) = &tls.group {
        details.insert("keyExchangeGroup".into(), group.as_str().into());
    }
    if let Some(Certificate { subject, names, issuer, valid_from, valid_to }) = &tls.certificate {
        details.insert("subjectName".into(), subject.as_str().into());
        details.insert("sanList".into(), names.as_slice().into());
        details.insert("issuer".into(), issuer.as_str().into());
        details.insert("validFrom".into(), (*valid_from).into());
        details.insert("validTo".into(), (*valid_to).into());
    }
    if !details.is_empty() {
        object.value("_securityDetails", &details);
    }
    if let Some(version) = tls.version {
        object.string("_tls_version", &tls_version(version));
    }
    if let Some(suite) = tls.cipher_suite {
        object.plain("_tls_cipher_suite", suite);
    }
    for (key, value) in
        [("_tls_next_proto", &tls.alpn), ("_tls_sni", &tls.sni), ("_tls_ja3", &tls.ja3), ("_tls_ja4", &tls.ja4)]
    {
        if let Some(value) = value {
            object.string(key, value);
        }
    }
    object.plain("_tls_resumed", tls.resumed);
    if tls.early_data {
        object.plain("_tls_early_data", true);
    }
}

/// `_decrypted`: how the content was read.
pub fn decrypted(connection: &Connection) -> &'static str {
    match connection.tls.as_ref().map(|tls| &tls.decryption) {
        Some(Decryption::KeyLog) => "keylog",
        Some(Decryption::InCapture) => "dsb",
        Some(Decryption::Pending | Decryption::Failed(_)) | None => "none-needed",
    }
}

/// `_tcp`: loss per direction as the client sees it, members that are not zero.
pub fn loss(object: &mut Object<'_>, connection: &Connection) {
    if !matches!(connection.transport, TransportFacts::Tcp) {
        return;
    }
    let [outward, inward] = &connection.loss;
    let mut members = serde_json::Map::new();
    type Count = (&'static str, fn(&Loss) -> u64);
    let counts: [Count; 5] = [
        ("retransmissions", |loss| loss.retransmissions.into()),
        ("outOfOrder", |loss| loss.out_of_order.into()),
        ("lostBytes", |loss| loss.lost_bytes),
        ("duplicateAcks", |loss| loss.duplicate_acks.into()),
        ("zeroWindows", |loss| loss.zero_windows.into()),
    ];
    for (key, count) in counts {
        if count(outward) + count(inward) > 0 {
            members.insert(key.into(), json!({"in": count(inward), "out": count(outward)}));
        }
    }
    if members.is_empty() {
        return;
    }
    if let Some(rtt) = connection.rtt {
        members.insert("rttMs".into(), json!((rtt / 1000) as f64 / 1000.0));
    }
    object.value("_tcp", &members);
}

/// `_anomalies`: code, count, the bytes it is about, and the frames of the first few.
pub fn anomalies(object: &mut Object<'_>, anomalies: &Anomalies) {
    if anomalies.is_empty() {
        return;
    }
    let list: Vec<_> = anomalies
        .sorted()
        .into_iter()
        .map(|seen| {
            let frames: Vec<u64> = seen.first.iter().map(|stamp| stamp.frame.0).collect();
            let mut fault = json!({"code": seen.kind.code(), "text": seen.kind.text(), "count": seen.count});
            if seen.bytes > 0 {
                fault["bytes"] = seen.bytes.into();
            }
            fault["frames"] = frames.into();
            fault
        })
        .collect();
    object.value("_anomalies", &list);
}
