//! The list of connections, `log._connections`: those that gave no entry, with the reason, and those that have faults of their own.

use serde_json::json;

use super::facts::{anomalies, tls_version};
use super::json::Object;
use super::reason::reason;
use super::sanitise::Sanitiser;
use crate::exchange::{Connection, TransportFacts};
use crate::tls::info::Decryption;

/// Connections of each kind that are listed; a port scan makes millions, which are only counted.
const MOST: u64 = 10_000;

/// Why a connection is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It gave no entry.
    WithoutEntry,
    /// It gave entries, and has faults that belong to none of them.
    WithFaults,
}

impl Kind {
    /// Why this connection is to be listed; most are not.
    pub fn of(connection: &Connection) -> Option<Self> {
        match connection.exchanges {
            0 => Some(Self::WithoutEntry),
            _ => (!connection.anomalies.is_empty()).then_some(Self::WithFaults),
        }
    }
}

/// Room in the list: one kind does not take that of the other.
#[derive(Debug, Clone, Copy, Default)]
pub struct Room {
    taken: [u64; 2],
}

impl Room {
    /// Takes the place of one more connection, if there is one.
    pub fn take(&mut self, kind: Kind) -> bool {
        let [without, faulty] = &mut self.taken;
        let taken = if kind == Kind::WithoutEntry { without } else { faulty };
        let is_free = *taken < MOST;
        *taken += u64::from(is_free);
        is_free
    }
}

/// What the list says of a connection.
pub fn write(out: &mut Vec<u8>, connection: &Connection, sanitiser: &Sanitiser) {
    let mut object = Object::open(out);
    object.string("id", &connection.id.0.0.to_string());
    // Nobody chose to show hosts and addresses of connections that could not be read.
    if !sanitiser.is_strict() && !sanitiser.hide_addresses {
        object.string("client", &connection.client.to_string()).string("server", &connection.server.to_string());
    }
    object.string("transport", if matches!(connection.transport, TransportFacts::Tcp) { "tcp" } else { "quic" });
    object.string("protocol", &connection.protocol);
    if let Some(tls) = &connection.tls {
        if let Some(version) = tls.version {
            object.string("tls", &tls_version(version));
        }
        if let Some(sni) = tls.sni.as_ref().filter(|_| !sanitiser.is_strict()) {
            object.string("sni", sni);
        }
        if let Some(alpn) = &tls.alpn {
            object.string("alpn", alpn);
        }
        object.plain("decrypted", matches!(tls.decryption, Decryption::KeyLog | Decryption::InCapture));
    }
    object.value("bytes", &json!({"in": connection.bytes[1], "out": connection.bytes[0]}));
    object.plain("entries", connection.entries);
    if connection.exchanges == 0 {
        object.string("reason", &reason(connection));
    }
    anomalies(&mut object, &connection.anomalies);
    object.close();
}
