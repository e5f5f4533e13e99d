//! Why a session could not be read, in sentences fit for the user.

use std::fmt;

use crate::base::anomaly::AnomalyKind;

use super::keylog::Random;
use super::suite::Suite;

/// Why a session could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    StartMissing,
    ClientHelloMissing,
    ServerHelloMissing,
    /// The same, where TLS 1.3 is out of the question.
    ServerHelloLost,
    OneDirection {
        missing: &'static str,
    },
    AnsweredInClear {
        line: String,
    },
    HandshakeUnfinished,
    NoKeys {
        random: Random,
    },
    SomeKeys {
        random: Random,
        missing: &'static str,
    },
    WrongKeys,
    SuiteUnknown {
        number: u16,
    },
    SuiteUnsupported {
        suite: Suite,
    },
    VersionUnsupported {
        version: u16,
    },
    Compressed,
    Refused {
        by: &'static str,
        alert: u8,
    },
}

impl Failure {
    /// The kind of anomaly this is.
    pub(crate) fn anomaly(&self) -> AnomalyKind {
        match self {
            Self::StartMissing => AnomalyKind::StartMissing,
            Self::ClientHelloMissing
            | Self::ServerHelloMissing
            | Self::ServerHelloLost
            | Self::OneDirection { .. }
            | Self::HandshakeUnfinished => AnomalyKind::HandshakeMissing,
            Self::NoKeys { .. } | Self::SomeKeys { .. } => AnomalyKind::KeysMissing,
            Self::WrongKeys => AnomalyKind::DecryptFailed,
            Self::SuiteUnknown { .. }
            | Self::SuiteUnsupported { .. }
            | Self::VersionUnsupported { .. }
            | Self::Compressed => AnomalyKind::CipherUnsupported,
            Self::Refused { .. } | Self::AnsweredInClear { .. } => AnomalyKind::StreamError,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StartMissing => f.write_str(
                "The capture starts after the TLS handshake of this connection; without it no secret can be matched to it",
            ),
            Self::ClientHelloMissing => f.write_str(
                "The ClientHello is not in the capture, and none of the secrets at hand opens this TLS connection",
            ),
            Self::ServerHelloMissing => f.write_str(
                "The ServerHello is not in the capture, and no secrets at hand tell the cipher of this TLS connection",
            ),
            Self::ServerHelloLost => f.write_str(
                "The ServerHello is not in the capture; TLS 1.2 keys cannot be made without its random",
            ),
            Self::OneDirection { missing } => {
                write!(f, "One direction only is in the capture: nothing that the {missing} of this TLS connection sent")
            }
            Self::AnsweredInClear { line } => {
                write!(f, "The server answered the ClientHello in cleartext HTTP: {line}")
            }
            Self::HandshakeUnfinished => f.write_str("The TLS handshake of this connection was not finished"),
            Self::NoKeys { random } => {
                f.write_str("Neither the key log nor the capture has secrets for this TLS connection (client random ")?;
                random.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
                f.write_str(")")
            }
            Self::SomeKeys { random, missing } => {
                write!(f, "The key log has no {missing} for this TLS connection, only other secrets (client random ")?;
                random.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
                f.write_str(")")
            }
            Self::WrongKeys => f.write_str("The secrets given for this TLS connection do not decrypt it"),
            Self::SuiteUnknown { number } => {
                write!(f, "The server chose the cipher suite 0x{number:04x}, which is not in the IANA registry")
            }
            Self::SuiteUnsupported { suite } => write!(f, "The cipher suite {} is not supported", suite.name),
            Self::VersionUnsupported { version: 0x0002 } => f.write_str("SSL 2.0 is not supported"),
            Self::VersionUnsupported { version: 0x0300 } => f.write_str("SSL 3.0 is not supported"),
            Self::VersionUnsupported { version } => write!(f, "The TLS version 0x{version:04x} is not supported"),
            Self::Compressed => f.write_str("The records of this connection are compressed by TLS, which is not supported"),
            Self::Refused { by, alert } => {
                write!(f, "The TLS handshake failed: the {by} sent the alert {}", alert_name(*alert))
            }
        }
    }
}

/// Name of an alert in the IANA registry.
fn alert_name(alert: u8) -> String {
    let name = match alert {
        0 => "close_notify",
        10 => "unexpected_message",
        20 => "bad_record_mac",
        21 => "decryption_failed",
        22 => "record_overflow",
        30 => "decompression_failure",
        40 => "handshake_failure",
        41 => "no_certificate",
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        49 => "access_denied",
        50 => "decode_error",
        51 => "decrypt_error",
        60 => "export_restriction",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        86 => "inappropriate_fallback",
        90 => "user_canceled",
        100 => "no_renegotiation",
        109 => "missing_extension",
        110 => "unsupported_extension",
        111 => "certificate_unobtainable",
        112 => "unrecognized_name",
        113 => "bad_certificate_status_response",
        114 => "bad_certificate_hash_value",
        115 => "unknown_psk_identity",
        116 => "certificate_required",
        120 => "no_application_protocol",
        121 => "ech_required",
        _ => return format!("number {alert}"),
    };
    name.into()
}
