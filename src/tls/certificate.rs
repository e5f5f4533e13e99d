//! The facts of the server's own certificate.

use std::io::Read;
use std::net::{Ipv4Addr, Ipv6Addr};

use x509_parser::prelude::{FromDer, GeneralName, X509Certificate, X509Name};

use crate::base::{Reader, Short, zstd};

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
/// Window that a compressed chain may ask for: as large as compressors make it for what they know nothing of.
const WINDOW_MAX: usize = 8 << 20;

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
        3 => zstd::Reader::new(packed, WINDOW_MAX).take(bound).read_to_end(&mut plain),
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::tls::testing::{Random, unhex};

    /// Made for this test: certificate.test, with two names and two addresses.
    const DER: &str = "3082025d308201c6a003020102021413388b20d4cefd5045fb95172eca767ef6607c91300d06092a864886f70d01010b0500\
                       301b3119301706035504030c1063657274696669636174652e74657374301e170d3236313132333035313831315a170d3336\
                       313132303035313831315a301b3119301706035504030c1063657274696669636174652e7465737430819f300d06092a8648\
                       86f70d010101050003818d0030818902818100d6dbc97e5effe1d00d17101f4cd45711d3ebd695acdad997c4ced2bc7aadb3\
                       ef92c54f906455f3ed3e3ba0a4c712d309fbed7ab7278599d88511a8d4e2ce18e80eb16240ca87f2001080baee570d936e44\
                       a3332c9f462cb6c4928af8e920e2fbff178c64bd1d8fa9d758c32496f786591167048e69fa2b969af23f8f4500d797020301\
                       0001a3819d30819a301d0603551d0e0416041411d1f668bf69ad9fdcf090bc51b40166d4c9d34b301f0603551d2304183016\
                       801411d1f668bf69ad9fdcf090bc51b40166d4c9d34b300f0603551d130101ff040530030101ff30470603551d110440303e\
                       821063657274696669636174652e7465737482122a2e63657274696669636174652e746573748704c0000201871020010db8\
                       000000000000000000000001300d06092a864886f70d01010b05000381810019e6b28b71a3efc6f6d9d1aa730222aae72a12\
                       b6d0b5ef981a01b599c8975b01d2a0089f897ba10e3f71cea915eb71e0bd747357b0ac40572ebdb4e57221c792f166f3d57c\
                       ea5e816d0bfc204153da9defac8b680083a202900e02c50b50ab7459a449e15937a20905525dc9aa118b63d33a3cc73e97fa\
                       5d551c6636e5eb0ef2";

    #[test]
    fn facts_of_a_certificate() {
        let certificate = facts(&unhex(DER)).unwrap();
        assert_eq!(
            (certificate.subject.as_str(), certificate.issuer.as_str()),
            ("certificate.test", "certificate.test")
        );
        assert_eq!(certificate.names, ["certificate.test", "*.certificate.test", "192.0.2.1", "2001:db8::1"]);
        assert_eq!((certificate.valid_from, certificate.valid_to), (1_795_411_091, 2_110_771_091));
    }

    #[test]
    fn a_damaged_certificate_is_no_harm() {
        let mut random = Random(4);
        for _ in 0..3000 {
            let mut der = unhex(DER);
            let at = random.below(der.len());
            der[at] = random.next() as u8;
            der.truncate(der.len().saturating_sub(random.below(3) * random.below(400)));
            let _ = facts(&der);
            let _ = leaf(&der, Chain::Tls13);
            let _ = decompress(&der);
        }
    }

    #[test]
    fn a_compressed_chain_is_bounded() {
        let zlib = |plain: &[u8]| {
            let mut packer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
            packer.write_all(plain).unwrap();
            packer.finish().unwrap()
        };
        let pack = |algorithm: u8, plain: &[u8], len: usize| {
            let packed = if algorithm == 1 { zlib(plain) } else { ::zstd::encode_all(plain, 3).unwrap() };
            let (len, packed_len) = ((len as u32).to_be_bytes(), (packed.len() as u32).to_be_bytes());
            [&[0, algorithm][..], &len[1..], &packed_len[1..], &packed].concat()
        };
        for algorithm in [1, 3] {
            assert_eq!(decompress(&pack(algorithm, &[7; 5000], 5000)), Some(vec![7; 5000]));
            assert_eq!(decompress(&pack(algorithm, &[7; 5000], 4999)), None);
            assert_eq!(decompress(&pack(algorithm, &vec![0; 8 << 20], PLAIN_MAX)), None);
            assert_eq!(decompress(&pack(algorithm, &vec![0; PLAIN_MAX + 1], PLAIN_MAX + 1)), None);
        }
    }
}
