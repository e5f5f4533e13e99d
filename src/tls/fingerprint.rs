//! Fingerprints of a client: JA3, and JA4 (the TLS client fingerprint, which FoxIO gave a BSD licence).

use std::fmt::Write;

use md5::{Digest, Md5};
use sha2::Sha256;

use crate::base::Reader;

use super::handshake::Carrier;
use super::hello::{ClientHello, extension, numbers, vector8, vector16};

/// Values that clients send only to keep servers tolerant ([RFC 8701](https://www.rfc-editor.org/rfc/rfc8701)).
fn is_grease(number: u16) -> bool {
    number & 0x0f0f == 0x0a0a && number >> 8 == number & 0xff
}

fn real(list: impl Iterator<Item = u16>) -> impl Iterator<Item = u16> {
    list.filter(|&number| !is_grease(number))
}

fn list16<'a>(hello: &ClientHello<'a>, number: u16) -> impl Iterator<Item = u16> + 'a {
    let body = hello.extensions.find(number).unwrap_or_default();
    real(numbers(vector16(&mut Reader::new(body)).unwrap_or_default()))
}

fn extensions<'a>(hello: &ClientHello<'a>) -> impl Iterator<Item = u16> + 'a {
    real(hello.extensions.into_iter().map(|(number, _)| number))
}

/// JA3: MD5 of version, suites, extensions, groups and point formats in decimal.
pub(crate) fn ja3(hello: &ClientHello<'_>) -> String {
    fn join(list: impl Iterator<Item = u16>) -> String {
        list.map(|number| number.to_string()).collect::<Vec<_>>().join("-")
    }
    let formats = hello.extensions.find(extension::EC_POINT_FORMATS).unwrap_or_default();
    let formats = vector8(&mut Reader::new(formats)).unwrap_or_default();
    let text = format!(
        "{},{},{},{},{}",
        hello.legacy_version,
        join(real(hello.suites())),
        join(extensions(hello)),
        join(list16(hello, extension::SUPPORTED_GROUPS)),
        join(formats.iter().map(|&format| format.into())),
    );
    hex(&Md5::digest(text))
}

/// JA4: what can be read off in plain, then short hashes of the sorted suites and of the sorted extensions with the
/// signature algorithms.
pub(crate) fn ja4(hello: &ClientHello<'_>, carrier: Carrier) -> String {
    let version = real(hello.versions()).max().unwrap_or(hello.legacy_version);
    let version = match version {
        0x0304 => "13",
        0x0303 => "12",
        0x0302 => "11",
        0x0301 => "10",
        0x0300 => "s3",
        0x0002 => "s2",
        _ => "00",
    };
    let mut suites: Vec<u16> = real(hello.suites()).collect();
    let mut kinds: Vec<u16> = extensions(hello).collect();
    let mut text = format!(
        "{}{version}{}{:02}{:02}{}",
        if carrier == Carrier::Quic { 'q' } else { 't' },
        if kinds.contains(&extension::SERVER_NAME) { 'd' } else { 'i' },
        suites.len().min(99),
        kinds.len().min(99),
        alpn_ends(hello.alpn().next().unwrap_or_default()),
    );
    suites.sort_unstable();
    kinds.retain(|kind| ![extension::SERVER_NAME, extension::ALPN].contains(kind));
    kinds.sort_unstable();
    let algorithms: Vec<u16> = list16(hello, extension::SIGNATURE_ALGORITHMS).collect();
    let mut second = join4(&kinds);
    if !algorithms.is_empty() && !kinds.is_empty() {
        second.push('_');
        second.push_str(&join4(&algorithms));
    }
    for part in [join4(&suites), second] {
        text.push('_');
        text.push_str(&if part.is_empty() {
            "0".repeat(12)
        } else {
            hex(&Sha256::digest(&part)).chars().take(12).collect()
        });
    }
    text
}

/// First and last letter of the first protocol; of its hexadecimal form when one of them is no letter or digit.
fn alpn_ends(protocol: &[u8]) -> String {
    let (Some(&first), Some(&last)) = (protocol.first(), protocol.last()) else { return "00".into() };
    if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
        [first, last].iter().map(|&byte| byte as char).collect()
    } else {
        format!("{:x}{:x}", first >> 4, last & 15)
    }
}

fn join4(list: &[u16]) -> String {
    list.iter().map(|number| format!("{number:04x}")).collect::<Vec<_>>().join(",")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::testing::{client_hello, extension};

    /// A browser's hello whose parts and hashes the description of JA4 spells out.
    #[test]
    fn fingerprint_of_the_description() {
        let suites = [
            0x4a4a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c,
            0x009d, 0x002f, 0x0035,
        ];
        let algorithms = [0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601u16];
        let mut signature = 16u16.to_be_bytes().to_vec();
        algorithms.iter().for_each(|number| signature.extend_from_slice(&number.to_be_bytes()));
        let bodies: [(u16, &[u8]); 18] = [
            (0x001b, &[]),
            (0x0000, b"\0\x04\0\0\x01a"),
            (0x0033, &[]),
            (0x0010, b"\0\x0c\x02h2\x08http/1.1"),
            (0x4469, &[]),
            (0x0017, &[]),
            (0x002d, &[]),
            (0x000d, &signature),
            (0x0005, &[]),
            (0x0023, &[]),
            (0x0012, &[]),
            (0x002b, &[6, 0x7a, 0x7a, 3, 4, 3, 3]),
            (0xff01, &[]),
            (0x000b, &[1, 0]),
            (0x000a, &[0, 6, 0x5a, 0x5a, 0, 0x1d, 0, 0x17]),
            (0x0015, &[]),
            (0x1a1a, &[]),
            (0x3a3a, &[0]),
        ];
        let all: Vec<u8> = bodies.iter().flat_map(|(number, body)| extension(*number, body)).collect();
        let body = client_hello(0x0303, &[1; 32], &suites, &all);
        let hello = ClientHello::read(&body).unwrap();
        assert_eq!(ja4(&hello, Carrier::Tcp), "t13d1516h2_8daaf6152771_e5627efa2ab1");
        assert_eq!(ja4(&hello, Carrier::Quic), "q13d1516h2_8daaf6152771_e5627efa2ab1");
        let text = "771,4865-4866-4867-49195-49199-49196-49200-52393-52392-49171-49172-156-157-47-53,\
                    27-0-51-16-17513-23-45-13-5-35-18-43-65281-11-10-21,29-23,0";
        assert_eq!(ja3(&hello), hex(&Md5::digest(text)));
    }

    #[test]
    fn a_bare_hello_has_a_fingerprint() {
        let body = client_hello(0x0301, &[1; 32], &[], &[]);
        let hello = ClientHello::read(&body).unwrap();
        assert_eq!(ja4(&hello, Carrier::Tcp), "t10i000000_000000000000_000000000000");
        assert_eq!(alpn_ends(b"\xab\xcd"), "ad");
        assert_eq!(alpn_ends(b"h"), "hh");
    }
}
