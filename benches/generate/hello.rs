//! Handshake messages of TLS 1.3. Key shares, certificate and signatures are noise: who decrypts by a key log trusts nobody.

use super::Random;

/// TLS_AES_128_GCM_SHA256.
const SUITE: [u8; 2] = [0x13, 0x01];

/// What one session says in its handshake.
pub struct Hello<'a> {
    /// Name of the server.
    pub host: &'a str,
    /// The application protocol both agree on.
    pub protocol: &'a [u8],
    /// Transport parameters of client and server, in QUIC.
    pub parameters: Option<[Vec<u8>; 2]>,
}

impl Hello<'_> {
    /// The ClientHello, which names the session by its random bytes.
    pub fn client(&self, client_random: &[u8; 32], random: &mut Random) -> Vec<u8> {
        let share = [&[0, 0x1d][..], &vector16(&random.bytes::<32>())].concat();
        let extensions = [
            extension(0, &vector16(&[&[0][..], &vector16(self.host.as_bytes())].concat())),
            extension(10, &vector16(&[0, 0x1d])),
            extension(13, &vector16(&[4, 3, 8, 4])),
            self.alpn(),
            extension(43, &[2, 3, 4]),
            extension(45, &[1, 1]),
            extension(51, &vector16(&share)),
            self.parameters(0),
        ]
        .concat();
        let suites = vector16(&SUITE);
        message(1, &[&[3, 3][..], client_random, &self.session_id(), &suites, &[1, 0], &vector16(&extensions)].concat())
    }

    /// The ServerHello.
    pub fn server(&self, random: &mut Random) -> Vec<u8> {
        let share = [&[0, 0x1d][..], &vector16(&random.bytes::<32>())].concat();
        let extensions = [extension(43, &[3, 4]), extension(51, &share)].concat();
        let random: [u8; 32] = random.bytes();
        message(2, &[&[3, 3][..], &random, &self.session_id(), &SUITE, &[0], &vector16(&extensions)].concat())
    }

    /// The rest of the server's flight: EncryptedExtensions, an empty Certificate, CertificateVerify and Finished.
    pub fn server_flight(&self, random: &mut Random) -> Vec<u8> {
        let extensions = [self.alpn(), self.parameters(1)].concat();
        let signature = [&[8, 4][..], &vector16(&random.bytes::<256>())].concat();
        [message(8, &vector16(&extensions)), message(11, &[0; 4]), message(15, &signature), finished(random)].concat()
    }

    fn alpn(&self) -> Vec<u8> {
        extension(16, &vector16(&[&[self.protocol.len() as u8], self.protocol].concat()))
    }

    /// TLS over TCP repeats a session id for old middleboxes, QUIC has none.
    fn session_id(&self) -> Vec<u8> {
        if self.parameters.is_some() { vec![0] } else { [&[32][..], &[7; 32]].concat() }
    }

    fn parameters(&self, side: usize) -> Vec<u8> {
        self.parameters.as_ref().map_or_else(Vec::new, |parameters| extension(57, &parameters[side]))
    }
}

/// The Finished message of either side.
pub fn finished(random: &mut Random) -> Vec<u8> {
    message(20, &random.bytes::<32>())
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let [_, len @ ..] = (body.len() as u32).to_be_bytes();
    [&[kind][..], &len, body].concat()
}

fn extension(number: u16, body: &[u8]) -> Vec<u8> {
    if body.is_empty() { Vec::new() } else { [&number.to_be_bytes()[..], &vector16(body)].concat() }
}

fn vector16(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u16).to_be_bytes()[..], body].concat()
}
