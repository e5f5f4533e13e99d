//! The facts of the server's own certificate.

use std::io::Read;
use std::net::{Ipv4Addr, Ipv6Addr};

use x509_parser::prelude::{FromDer, GeneralName, X509Certificate, X509Name};

use crate::base::{Reader, Short};

use super::hello::{vector8, vector24};
use super::info::Certificate;

/// How a Certificate message is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chain {
    /// TLS 1.0 to 1.2: a list of certificates.
    Tls12,
    /// TLS 1.3: a context, then a list of certificates with extensions.
    Tls13,
}

/// Names of one certificate that are kept; content networks reach hundreds.
const NAMES_KEPT: usize = 100;
/// Bytes of one name that are kept.
const NAME_MAX: usize = 256;
/// Bytes that a compressed chain may have when it is plain: RFC 8879 §4 lets the receiver set a bound.
const PLAIN_MAX: usize = 128 << 10;

/// The first certificate of a Certificate message; `None` when the list is empty.
pub(crate) fn leaf(body: &[u8], chain: Chain) -> Result<Option<&[u8]>, Short> {
    let mut reader = Reader::new(body);
    if chain == Chain::Tls13 {
        vector8(&mut reader)?;
    }
    let mut list = Reader::new(vector24(&mut reader)?);
    if list.is_empty() { Ok(None) } else { vector24(&mut list).map(Some) }
}

/// The Certificate message in a CompressedCertificate ([RFC 8879 §4](https://www.rfc-editor.org/rfc/rfc8879#section-4)).
///
/// ```text
/// +----------------+------------------------+------------------------+-----
/// | algorithm (16) |   plain length (24)    |      length (24)       | ...
/// +----------------+------------------------+------------------------+-----
/// ```
pub(crate) fn decompress(body: &[u8]) -> Option<Vec<u8>> {
    let mut reader = Reader::new(body);
    let algorithm = reader.u16().ok()?;
    let len = reader.u24().ok()? as usize;
    let packed = vector24(&mut reader).ok()?;
    if len > PLAIN_MAX {
        return None;
    }
    let mut plain = Vec::with_capacity(len);
    let bound = len as u64 + 1;
    let read = match algorithm {
        1 => flate2::read::ZlibDecoder::new(packed).take(bound).read_to_end(&mut plain),
        2 => brotli_decompressor::Decompressor::new(packed, 4096).take(bound).read_to_end(&mut plain),
        3 => ruzstd::decoding::StreamingDecoder::new(packed).ok()?.take(bound).read_to_end(&mut plain),
        _ => return None,
    };
    (read.ok()? == len).then_some(plain)
}

/// What people want to know of a certificate; `None` when it cannot be read.
pub(crate) fn facts(der: &[u8]) -> Option<Certificate> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let names = match certificate.subject_alternative_name() {
        Ok(Some(names)) => names.value.general_names.iter().filter_map(name_of).take(NAMES_KEPT).collect(),
        _ => Vec::new(),
    };
    let validity = certificate.validity();
    Some(Certificate {
        subject: common_name(certificate.subject()),
        names,
        issuer: common_name(certificate.issuer()),
        valid_from: validity.not_before.timestamp(),
        valid_to: validity.not_after.timestamp(),
    })
}

fn common_name(name: &X509Name<'_>) -> String {
    match name.iter_common_name().next().and_then(|attribute| attribute.as_str().ok()) {
        Some(common) => shown(common),
        None => shown(&name.to_string()),
    }
}

fn name_of(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(shown(name)),
        GeneralName::IPAddress(bytes) => match (<[u8; 4]>::try_from(*bytes), <[u8; 16]>::try_from(*bytes)) {
            (Ok(four), _) => Some(Ipv4Addr::from(four).to_string()),
            (_, Ok(six)) => Some(Ipv6Addr::from(six).to_string()),
            _ => None,
        },
        _ => None,
    }
}

fn shown(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(NAME_MAX).collect()
}
