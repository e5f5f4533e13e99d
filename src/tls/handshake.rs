//! Handshake messages become the facts of a session; TLS over TCP and QUIC share it.

use zeroize::Zeroizing;

use crate::base::{Reader, Short, Span};
use crate::tcp::Side;

use super::certificate::{self, Chain};
use super::fingerprint;
use super::hello::{self, ClientHello, ServerHello, extension};
use super::info::TlsInfo;
use super::keylog::Random;
use super::message::{Message, kind};
use super::schedule::Hash;
use super::suite::{KeyExchange, Suite};

/// TLS 1.3 as it stands in messages.
pub const TLS13: u16 = 0x0304;

/// What carries the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// TLS records over TCP.
    Tcp,
    /// CRYPTO frames.
    Quic,
}

/// What a message meant; only what key schedules act upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The client's first hello, or its first after the handshake was over.
    ClientHello,
    /// The client's second hello after a HelloRetryRequest.
    ClientHelloAgain,
    /// The server asks for another hello.
    HelloRetryRequest,
    /// Version and cipher suite are known.
    ServerHello,
    /// The end of the server's hello before TLS 1.3.
    ServerHelloDone,
    /// The client's key exchange before TLS 1.3.
    ClientKeyExchange,
    /// The client's early data ends.
    EndOfEarlyData,
    /// A side is done.
    Finished,
    /// A side takes its next key.
    KeyUpdate,
    /// Anything else.
    Other,
}

/// A message that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

impl From<Short> for Malformed {
    fn from(_: Short) -> Self {
        Malformed
    }
}

/// The handshake as it goes on: facts for people in [`Handshake::info`], and what key schedules need.
#[derive(Debug, Clone)]
pub struct Handshake {
    /// Facts.
    pub info: TlsInfo,
    /// The client's random bytes.
    pub client_random: Option<Random>,
    /// The server's random bytes.
    pub server_random: Option<Random>,
    /// The session id the two ends agreed on, before TLS 1.3.
    pub session_id: Vec<u8>,
    /// The chosen suite, when the registry has it.
    pub suite: Option<Suite>,
    /// True when the MAC is made of the ciphertext (RFC 7366).
    pub encrypt_then_mac: bool,
    /// True when the master secret is bound to the whole handshake (RFC 7627).
    pub extended_master_secret: bool,
    /// True when the hello seen may hide another one, by whose random the key log knows the session
    /// ([RFC 9849](https://www.rfc-editor.org/rfc/rfc9849)).
    pub(crate) is_veiled: bool,
    /// True when the client offered early data in its last hello.
    pub early_data_offered: bool,
    /// The first suite the client offered together with a pre-shared key, which its early data uses.
    pub offered_suites: Vec<u16>,
    /// True when the server's EncryptedExtensions were read.
    pub extensions_seen: bool,
    /// True when the handshake since the last ServerHello was a whole one, not a resumption (before TLS 1.3).
    pub is_full: bool,
    /// True when records are compressed (before TLS 1.3).
    pub is_compressed: bool,
    /// What the client encrypted with the server's RSA key.
    pub encrypted_pre_master: Vec<u8>,
    /// Secrets before the master secret that private or pre-shared keys gave.
    pub(crate) pre_masters: Vec<Zeroizing<Vec<u8>>>,
    /// Name of the ticket that the client offered, and of the one that the server issued (RFC 5077).
    pub(crate) ticket_offered: Option<Vec<u8>>,
    pub(crate) ticket_issued: Option<Vec<u8>>,
    /// All messages up to the client's key exchange, kept only while somebody may need their hash.
    transcript: Option<Vec<u8>>,
    is_exchanged: bool,
    retry_seen: bool,
    carrier: Carrier,
}

/// Suites of TLS 1.3 that a client may offer: those of the registry and GREASE fit by far.
const SUITES_KEPT: usize = 32;
/// Certificate chains make a handshake large, but hardly larger than this.
const TRANSCRIPT_MAX: usize = 256 << 10;
/// The largest RSA key of use has 16384 bits.
const RSA_MAX: usize = 2048;
/// Application protocols shown; RFC 7301 sets no bound.
const ALPN_KEPT: usize = 16;

impl Handshake {
    /// Nothing known yet.
    pub fn new(carrier: Carrier) -> Self {
        Self {
            info: TlsInfo::default(),
            client_random: None,
            server_random: None,
            session_id: Vec::new(),
            suite: None,
            encrypt_then_mac: false,
            extended_master_secret: false,
            is_veiled: false,
            early_data_offered: false,
            offered_suites: Vec::new(),
            extensions_seen: false,
            is_full: false,
            is_compressed: false,
            encrypted_pre_master: Vec::new(),
            pre_masters: Vec::new(),
            ticket_offered: None,
            ticket_issued: None,
            transcript: None,
            is_exchanged: false,
            retry_seen: false,
            carrier,
        }
    }

    /// True when the two agreed on TLS 1.3.
    pub fn is_tls13(&self) -> bool {
        self.info.version == Some(TLS13)
    }

    /// True while the server's wish for another hello is not fulfilled.
    pub fn is_retrying(&self) -> bool {
        self.retry_seen
    }

    /// The client's second hello was lost.
    pub(crate) fn end_retry(&mut self) {
        self.retry_seen = false;
    }

    /// True unless the client's hello is known to offer only versions before TLS 1.3.
    pub(crate) fn may_be_tls13(&self) -> bool {
        let is_tls13 = |&number: &u16| Suite::of(number).is_some_and(|suite| suite.key_exchange == KeyExchange::Tls13);
        self.offered_suites.is_empty() || self.offered_suites.iter().any(is_tls13)
    }

    /// A secret opened a record of this session, which says what a lost ServerHello of TLS 1.3 had said.
    pub(crate) fn suppose(&mut self, client_random: Random, suite: Suite) {
        self.client_random = Some(client_random);
        self.info.version = Some(TLS13);
        self.info.cipher_suite = Some(suite.number);
        self.suite = Some(suite);
    }

    /// Hash of the key derivation before TLS 1.3.
    pub fn prf_hash(&self) -> Option<Hash> {
        match self.info.version? {
            0x0303 => self.suite.map(|suite| suite.hash),
            _ => Some(Hash::Md5Sha1),
        }
    }

    /// Keeps the messages from now on, for [`Handshake::session_hash`].
    pub(crate) fn keep_transcript(&mut self) {
        self.transcript.get_or_insert_default();
    }

    /// Hash of the messages up to the client's key exchange, if they were kept
    /// ([RFC 7627 §3](https://www.rfc-editor.org/rfc/rfc7627#section-3)).
    pub(crate) fn session_hash(&self, hash: Hash) -> Option<Vec<u8>> {
        self.transcript.as_ref().map(|transcript| hash.digest(transcript))
    }

    /// Bytes allocated beside the struct itself.
    pub(crate) fn allocated(&self) -> usize {
        self.transcript.as_ref().map_or(0, Vec::capacity) + self.encrypted_pre_master.capacity()
    }

    /// Takes note of one message.
    pub fn note(&mut self, side: Side, message: &Message<'_>) -> Result<Step, Malformed> {
        if let Some(transcript) = &mut self.transcript {
            if message.kind == kind::CLIENT_HELLO {
                transcript.clear();
                self.is_exchanged = false;
                self.encrypted_pre_master.clear();
            }
            let is_open = !self.is_exchanged && message.kind != kind::HELLO_REQUEST;
            self.is_exchanged |= message.kind == kind::CLIENT_KEY_EXCHANGE;
            if is_open && transcript.len() + message.whole.len() <= TRANSCRIPT_MAX {
                transcript.extend_from_slice(message.whole);
            }
        }
        match (side, message.kind) {
            (Side::Client, kind::CLIENT_HELLO) => self.note_client_hello(message),
            (Side::Server, kind::SERVER_HELLO) => self.note_server_hello(message.body),
            (Side::Server, kind::ENCRYPTED_EXTENSIONS) => {
                let extensions = hello::encrypted_extensions(message.body)?;
                self.extensions_seen = true;
                self.info.early_data = extensions.has(extension::EARLY_DATA);
                if let Some(protocol) = hello::alpn_of(extensions).next() {
                    self.info.alpn = Some(shown(protocol));
                }
                Ok(Step::Other)
            }
            (Side::Server, kind::CERTIFICATE) => {
                let chain = if self.is_tls13() { Chain::Tls13 } else { Chain::Tls12 };
                self.note_certificate(certificate::leaf(message.body, chain)?);
                Ok(Step::Other)
            }
            (Side::Server, kind::COMPRESSED_CERTIFICATE) => {
                let plain = certificate::decompress(message.body).ok_or(Malformed)?;
                self.note_certificate(certificate::leaf(&plain, Chain::Tls13)?);
                Ok(Step::Other)
            }
            (Side::Server, kind::SERVER_KEY_EXCHANGE) => {
                self.note_key_exchange(message.body);
                Ok(Step::Other)
            }
            (Side::Server, kind::SERVER_HELLO_DONE) => {
                self.is_full = true;
                self.info.resumed = false;
                Ok(Step::ServerHelloDone)
            }
            (Side::Client, kind::CLIENT_KEY_EXCHANGE) => {
                if self.suite.is_some_and(|suite| suite.key_exchange == KeyExchange::Rsa) {
                    // Only SSL 3.0 has no length before it.
                    let encrypted = hello::vector16(&mut Reader::new(message.body)).unwrap_or(message.body);
                    self.encrypted_pre_master = encrypted.get(..RSA_MAX).unwrap_or(encrypted).to_vec();
                }
                Ok(Step::ClientKeyExchange)
            }
            (Side::Server, kind::NEW_SESSION_TICKET) if self.transcript.is_some() && !self.is_tls13() => {
                let mut reader = Reader::new(message.body);
                let _lifetime = reader.u32()?;
                self.ticket_issued = ticket_name(hello::vector16(&mut reader)?);
                Ok(Step::Other)
            }
            (Side::Client, kind::END_OF_EARLY_DATA) => Ok(Step::EndOfEarlyData),
            (_, kind::FINISHED) => {
                if side == Side::Client && self.info.end.is_none() {
                    self.info.end = Some(message.span.last);
                }
                Ok(Step::Finished)
            }
            (_, kind::KEY_UPDATE) if self.is_tls13() => Ok(Step::KeyUpdate),
            _ => Ok(Step::Other),
        }
    }

    fn note_client_hello(&mut self, message: &Message<'_>) -> Result<Step, Malformed> {
        let hello = ClientHello::read(message.body)?;
        self.early_data_offered = hello.extensions.has(extension::EARLY_DATA);
        self.is_veiled = hello.extensions.has(extension::ENCRYPTED_CLIENT_HELLO);
        self.client_random = Some(*hello.random);
        self.session_id = hello.session_id.to_vec();
        self.pre_masters.clear();
        self.ticket_issued = None;
        self.ticket_offered = match self.transcript {
            Some(_) => hello.extensions.find(extension::SESSION_TICKET).and_then(ticket_name),
            None => None,
        };
        self.offered_suites = hello.suites().take(SUITES_KEPT).collect();
        if std::mem::take(&mut self.retry_seen) {
            return Ok(Step::ClientHelloAgain);
        }
        let info = &mut self.info;
        // A renegotiation changes nothing of what the connection was opened for.
        if info.start.is_none() {
            info.start = Some(message.span.first);
            info.sni = hello.server_name().map(str::to_ascii_lowercase);
            info.alpn_offered = hello.alpn().take(ALPN_KEPT).map(shown).collect();
            info.ja3 = Some(fingerprint::ja3(&hello));
            info.ja4 = Some(fingerprint::ja4(&hello, self.carrier));
        }
        Ok(Step::ClientHello)
    }

    /// The beginning of the body of a ClientHello whose end is lost. It makes no fingerprint.
    pub(crate) fn note_torn_hello(&mut self, body: &[u8], span: Span) -> Result<(), Malformed> {
        let hello = ClientHello::read_torn(body)?;
        self.early_data_offered = hello.extensions.has(extension::EARLY_DATA);
        self.is_veiled = hello.extensions.has(extension::ENCRYPTED_CLIENT_HELLO);
        self.client_random = Some(*hello.random);
        self.session_id = hello.session_id.to_vec();
        self.offered_suites = hello.suites().take(SUITES_KEPT).collect();
        self.info.start.get_or_insert(span.first);
        self.info.sni = hello.server_name().map(str::to_ascii_lowercase);
        self.info.alpn_offered = hello.alpn().take(ALPN_KEPT).map(shown).collect();
        Ok(())
    }

    /// A ClientHello in the shape of SSL 2.0 without its two length bytes; its challenge stands for the random bytes
    /// ([RFC 5246 appendix E.2](https://www.rfc-editor.org/rfc/rfc5246#appendix-E.2)).
    pub(crate) fn note_ssl2_hello(&mut self, bytes: &[u8], span: Span) -> Result<(), Malformed> {
        let mut reader = Reader::new(bytes);
        let (_kind, version) = (reader.u8()?, reader.u16()?);
        let (suites, id, challenge) = (reader.u16()?, reader.u16()?, reader.u16()?);
        if version < 0x0300 {
            return Err(Malformed);
        }
        reader.skip(usize::from(suites) + usize::from(id))?;
        let challenge = reader.take(challenge.into())?;
        let mut random = [0; 32];
        random.iter_mut().rev().zip(challenge.iter().rev()).for_each(|(to, from)| *to = *from);
        self.client_random = Some(random);
        self.info.start.get_or_insert(span.first);
        Ok(())
    }

    fn note_server_hello(&mut self, body: &[u8]) -> Result<Step, Malformed> {
        let hello = ServerHello::read(body)?;
        let info = &mut self.info;
        info.version = Some(hello.version());
        info.cipher_suite = Some(hello.cipher_suite);
        self.suite = Suite::of(hello.cipher_suite);
        if let Some(group) = hello.group() {
            info.group = Some(group_name(group));
        }
        if hello.is_retry() {
            self.retry_seen = true;
            return Ok(Step::HelloRetryRequest);
        }
        self.server_random = Some(*hello.random);
        self.is_full = false;
        if info.version == Some(TLS13) {
            info.resumed = hello.extensions.has(extension::PRE_SHARED_KEY);
        } else {
            info.resumed = !hello.session_id.is_empty() && hello.session_id == self.session_id;
            self.session_id = hello.session_id.to_vec();
            self.is_compressed = hello.compression != 0;
            self.encrypt_then_mac = hello.extensions.has(extension::ENCRYPT_THEN_MAC);
            self.extended_master_secret = hello.extensions.has(extension::EXTENDED_MASTER_SECRET);
            if let Some(protocol) = hello.alpn() {
                info.alpn = Some(shown(protocol));
            }
        }
        Ok(Step::ServerHello)
    }

    fn note_certificate(&mut self, der: Option<&[u8]>) {
        self.info.resumed = false;
        if let Some(certificate) = der.and_then(certificate::facts) {
            self.info.certificate = Some(certificate);
        }
    }

    /// The parameters of ECDHE ([RFC 8422 §5.4](https://www.rfc-editor.org/rfc/rfc8422#section-5.4)) name a group; those
    /// of DHE bring a prime.
    fn note_key_exchange(&mut self, body: &[u8]) {
        let name = self.suite.map_or("", |suite| suite.name);
        let mut reader = Reader::new(body);
        if name.contains("PSK") && hello::vector16(&mut reader).is_err() {
            return;
        }
        if name.contains("_ECDHE_") || name.contains("_ECDH_") {
            if let (Ok(3), Ok(group)) = (reader.u8(), reader.u16()) {
                self.info.group = Some(group_name(group));
            }
        } else if (name.contains("_DHE_") || name.contains("_DH_"))
            && let Ok(prime) = hello::vector16(&mut reader)
        {
            self.info.group = Some(format!("DH {} bit", prime.len() * 8));
        }
    }
}

/// What a ticket is known by among resumable sessions: longer than any session id.
fn ticket_name(ticket: &[u8]) -> Option<Vec<u8>> {
    (!ticket.is_empty()).then(|| [b"ticket ", Hash::Sha256.digest(ticket).as_slice()].concat())
}

/// Bytes that should be text, fit to be shown.
fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().filter(|letter| !letter.is_control()).collect()
}

/// Name of a group in the IANA registry.
pub fn group_name(number: u16) -> String {
    let name = match number {
        0x0015 => "secp224r1",
        0x0017 => "secp256r1",
        0x0018 => "secp384r1",
        0x0019 => "secp521r1",
        0x001a => "brainpoolP256r1",
        0x001b => "brainpoolP384r1",
        0x001c => "brainpoolP512r1",
        0x001d => "x25519",
        0x001e => "x448",
        0x001f => "brainpoolP256r1tls13",
        0x0020 => "brainpoolP384r1tls13",
        0x0021 => "brainpoolP512r1tls13",
        0x0029 => "curveSM2",
        0x0100 => "ffdhe2048",
        0x0101 => "ffdhe3072",
        0x0102 => "ffdhe4096",
        0x0103 => "ffdhe6144",
        0x0104 => "ffdhe8192",
        0x0200 => "MLKEM512",
        0x0201 => "MLKEM768",
        0x0202 => "MLKEM1024",
        0x11eb => "SecP256r1MLKEM768",
        0x11ec => "X25519MLKEM768",
        0x11ed => "SecP384r1MLKEM1024",
        0x6399 => "X25519Kyber768Draft00",
        0x639a => "SecP256r1Kyber768Draft00",
        _ => return format!("0x{number:04x}"),
    };
    name.into()
}
