//! The fields of ClientHello, ServerHello and EncryptedExtensions.

use crate::base::{Reader, Short};

/// Extension numbers of the IANA registry.
#[allow(missing_docs, reason = "the names of the registry")]
pub mod extension {
    pub const SERVER_NAME: u16 = 0;
    pub const SUPPORTED_GROUPS: u16 = 10;
    pub const EC_POINT_FORMATS: u16 = 11;
    pub const SIGNATURE_ALGORITHMS: u16 = 13;
    pub const ALPN: u16 = 16;
    pub const ENCRYPT_THEN_MAC: u16 = 22;
    pub const EXTENDED_MASTER_SECRET: u16 = 23;
    pub const SESSION_TICKET: u16 = 35;
    pub const PRE_SHARED_KEY: u16 = 41;
    pub const EARLY_DATA: u16 = 42;
    pub const SUPPORTED_VERSIONS: u16 = 43;
    pub const KEY_SHARE: u16 = 51;
    pub const QUIC_TRANSPORT_PARAMETERS: u16 = 57;
    pub const ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;
}

/// The extensions of a message: a walk that ends at the first broken one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Extensions<'a>(&'a [u8]);

impl<'a> Extensions<'a> {
    /// Extensions behind their 16-bit length; none when the message ends before them.
    fn read(reader: &mut Reader<'a>) -> Result<Self, Short> {
        if reader.is_empty() {
            return Ok(Self::default());
        }
        let len = reader.u16()?;
        Ok(Self(reader.take(len.into())?))
    }

    /// The body of one extension.
    pub fn find(self, number: u16) -> Option<&'a [u8]> {
        self.into_iter().find_map(|(found, body)| (found == number).then_some(body))
    }

    /// True when the extension is there.
    pub fn has(self, number: u16) -> bool {
        self.find(number).is_some()
    }
}

impl<'a> IntoIterator for Extensions<'a> {
    type Item = (u16, &'a [u8]);
    type IntoIter = ExtensionIter<'a>;

    fn into_iter(self) -> ExtensionIter<'a> {
        ExtensionIter(Reader::new(self.0))
    }
}

/// Number and body of each extension.
#[derive(Debug)]
pub struct ExtensionIter<'a>(Reader<'a>);

impl<'a> Iterator for ExtensionIter<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let number = self.0.u16().ok()?;
        let len = self.0.u16().ok()?;
        Some((number, self.0.take(len.into()).ok()?))
    }
}

/// A ClientHello ([RFC 8446 §4.1.2](https://www.rfc-editor.org/rfc/rfc8446#section-4.1.2)).
#[derive(Debug, Clone, Copy)]
pub struct ClientHello<'a> {
    /// Version of the message itself; newer clients say more in an extension.
    pub legacy_version: u16,
    /// What names the session in a key log.
    pub random: &'a [u8; 32],
    /// Session to resume, or random bytes.
    pub session_id: &'a [u8],
    /// Offered suites, two bytes each.
    pub cipher_suites: &'a [u8],
    /// All extensions.
    pub extensions: Extensions<'a>,
}

impl<'a> ClientHello<'a> {
    /// Reads the body of the message.
    pub fn read(body: &'a [u8]) -> Result<Self, Short> {
        let mut reader = Reader::new(body);
        let legacy_version = reader.u16()?;
        let random = reader.take(32)?.first_chunk().ok_or(Short)?;
        let session_id = vector8(&mut reader)?;
        let cipher_suites = vector16(&mut reader)?;
        let _compression = vector8(&mut reader)?;
        Ok(Self { legacy_version, random, session_id, cipher_suites, extensions: Extensions::read(&mut reader)? })
    }

    /// Reads the beginning of the body of a message whose end is lost: its random at least.
    pub(crate) fn read_torn(body: &'a [u8]) -> Result<Self, Short> {
        let mut reader = Reader::new(body);
        let legacy_version = reader.u16()?;
        let random = reader.take(32)?.first_chunk().ok_or(Short)?;
        let session_id = vector8(&mut reader).unwrap_or_default();
        let cipher_suites = vector16(&mut reader).unwrap_or_default();
        let _compression = vector8(&mut reader).unwrap_or_default();
        let _len = reader.u16().unwrap_or_default();
        let extensions = if cipher_suites.is_empty() { Extensions::default() } else { Extensions(reader.rest()) };
        Ok(Self { legacy_version, random, session_id, cipher_suites, extensions })
    }

    /// The server name, when it is one that can be shown.
    pub fn server_name(&self) -> Option<&'a str> {
        let mut reader = Reader::new(self.extensions.find(extension::SERVER_NAME)?);
        let mut list = Reader::new(vector16(&mut reader).ok()?);
        while let Ok(kind) = list.u8() {
            let name = vector16(&mut list).ok()?;
            if kind == 0 {
                return std::str::from_utf8(name).ok().filter(|name| is_name(name));
            }
        }
        None
    }

    /// Application protocols the client offers.
    pub fn alpn(&self) -> impl Iterator<Item = &'a [u8]> {
        alpn_of(self.extensions)
    }

    /// Offered suites in their order.
    pub fn suites(&self) -> impl Iterator<Item = u16> + 'a {
        numbers(self.cipher_suites)
    }

    /// Versions of the extension, in their order; none from clients older than TLS 1.3.
    pub fn versions(&self) -> impl Iterator<Item = u16> + 'a {
        let list = self.extensions.find(extension::SUPPORTED_VERSIONS).unwrap_or_default();
        numbers(vector8(&mut Reader::new(list)).unwrap_or_default())
    }
}

/// A ServerHello ([RFC 8446 §4.1.3](https://www.rfc-editor.org/rfc/rfc8446#section-4.1.3)), which a HelloRetryRequest is too.
#[derive(Debug, Clone, Copy)]
pub struct ServerHello<'a> {
    /// Version of the message itself.
    pub legacy_version: u16,
    /// Random bytes of the server.
    pub random: &'a [u8; 32],
    /// The session resumed or offered; the client's own in TLS 1.3.
    pub session_id: &'a [u8],
    /// The chosen suite.
    pub cipher_suite: u16,
    /// The chosen compression of records; 0 for none.
    pub compression: u8,
    /// All extensions.
    pub extensions: Extensions<'a>,
}

/// SHA-256 of "HelloRetryRequest": the random bytes of one.
const RETRY: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11,
    0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

impl<'a> ServerHello<'a> {
    /// Reads the body of the message.
    pub fn read(body: &'a [u8]) -> Result<Self, Short> {
        let mut reader = Reader::new(body);
        let legacy_version = reader.u16()?;
        let random = reader.take(32)?.first_chunk().ok_or(Short)?;
        let session_id = vector8(&mut reader)?;
        let cipher_suite = reader.u16()?;
        let compression = reader.u8()?;
        let extensions = Extensions::read(&mut reader)?;
        Ok(Self { legacy_version, random, session_id, cipher_suite, compression, extensions })
    }

    /// True when the client has to say hello again.
    pub fn is_retry(&self) -> bool {
        *self.random == RETRY
    }

    /// The version the two agree on; drafts of TLS 1.3 count as TLS 1.3.
    pub fn version(&self) -> u16 {
        let said = self.extensions.find(extension::SUPPORTED_VERSIONS).and_then(|body| Reader::new(body).u16().ok());
        match said {
            Some(draft) if draft >> 8 == 0x7f => 0x0304,
            Some(version) => version,
            None => self.legacy_version,
        }
    }

    /// The key exchange group of TLS 1.3.
    pub fn group(&self) -> Option<u16> {
        Reader::new(self.extensions.find(extension::KEY_SHARE)?).u16().ok()
    }

    /// The chosen application protocol, before TLS 1.3.
    pub fn alpn(&self) -> Option<&'a [u8]> {
        alpn_of(self.extensions).next()
    }
}

/// The EncryptedExtensions of TLS 1.3.
pub fn encrypted_extensions(body: &[u8]) -> Result<Extensions<'_>, Short> {
    Extensions::read(&mut Reader::new(body))
}

/// The protocols of an ALPN extension ([RFC 7301 §3.1](https://www.rfc-editor.org/rfc/rfc7301#section-3.1)).
pub fn alpn_of<'a>(extensions: Extensions<'a>) -> impl Iterator<Item = &'a [u8]> {
    let body = extensions.find(extension::ALPN).unwrap_or_default();
    let mut list = Reader::new(vector16(&mut Reader::new(body)).unwrap_or_default());
    std::iter::from_fn(move || vector8(&mut list).ok())
}

/// The 16-bit numbers of a list without its length.
pub(crate) fn numbers(list: &[u8]) -> impl Iterator<Item = u16> + '_ {
    list.as_chunks::<2>().0.iter().map(|&pair| u16::from_be_bytes(pair))
}

/// Bytes behind an 8-bit length.
pub(crate) fn vector8<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Short> {
    let len = reader.u8()?;
    reader.take(len.into())
}

/// Bytes behind a 16-bit length.
pub(crate) fn vector16<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Short> {
    let len = reader.u16()?;
    reader.take(len.into())
}

/// Bytes behind a 24-bit length.
pub(crate) fn vector24<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Short> {
    let len = reader.u24()?;
    reader.take(len as usize)
}

/// Names go into URLs: nothing but what may stand in one.
fn is_name(name: &str) -> bool {
    (1..=255).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte))
}
