//! What is known about one TLS session, decrypted or not.

use crate::base::Stamp;

/// Facts of one TLS session; everything is optional because captures start anywhere.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TlsInfo {
    /// Negotiated protocol version, e.g. 0x0304 for TLS 1.3.
    pub version: Option<u16>,
    /// Negotiated cipher suite number of the IANA registry.
    pub cipher_suite: Option<u16>,
    /// Name of the key exchange group, e.g. `X25519MLKEM768`.
    pub group: Option<String>,
    /// Server name the client asked for.
    pub sni: Option<String>,
    /// Application protocols the client offered.
    pub alpn_offered: Vec<String>,
    /// Application protocol the server chose.
    pub alpn: Option<String>,
    /// True when the session was resumed (session id, ticket or PSK).
    pub resumed: bool,
    /// True when 0-RTT data was accepted.
    pub early_data: bool,
    /// The server's own certificate.
    pub certificate: Option<Certificate>,
    /// JA3 fingerprint of the client (MD5, hex).
    pub ja3: Option<String>,
    /// JA4 fingerprint of the client.
    pub ja4: Option<String>,
    /// Start of the ClientHello.
    pub start: Option<Stamp>,
    /// The client's Finished: application data may flow.
    pub end: Option<Stamp>,
    /// How its content was read, or why it was not.
    pub decryption: Decryption,
}

/// How the content of a session was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Decryption {
    /// Not yet known.
    #[default]
    Pending,
    /// With secrets from a key log, a private key or a pre-shared key given by the user.
    KeyLog,
    /// With secrets inside the capture.
    InCapture,
    /// Not at all; a sentence that says why, fit for the user.
    Failed(String),
}

/// The facts of a certificate that browsers show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Certificate {
    /// Common name of the subject, else the whole subject.
    pub subject: String,
    /// DNS names and IP addresses of the subject alternative name.
    pub names: Vec<String>,
    /// Common name of the issuer, else the whole issuer.
    pub issuer: String,
    /// Seconds since 1970.
    pub valid_from: i64,
    /// Seconds since 1970.
    pub valid_to: i64,
}
