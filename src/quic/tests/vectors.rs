//! The samples of RFC 9001 appendix A and RFC 9369 appendix A. Where a sample is long, its header, its first bytes and its tag
//! stand for all of it: the tag covers every byte.

use super::writer::{hex, seal};
use crate::quic::header::{self, ConnectionId, Header};
use crate::quic::protection::{Cipher, Keys, PacketKey, initial_keys};
use crate::quic::retry;
use crate::quic::version::Version;
use crate::tls::Secret;
use crate::tls::aead::AeadKind;
use crate::tls::schedule::{Hash, hkdf_expand_label, hkdf_extract};

const DCID: &str = "8394c8f03e515708";

/// The ClientHello in a CRYPTO frame.
const CLIENT_FRAME: &str = "
    060040f1010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e868
    04fe3a47f06a2b69484c00000413011302010000c000000010000e00000b6578
    616d706c652e636f6dff01000100000a00080006001d00170018001000070005
    04616c706e000500050100000000003300260024001d00209370b2c9caa47fba
    baf4559fedba753de171fa71f50f1ce15d43e994ec74d748002b000302030400
    0d0010000e0403050306030203080408050806002d00020101001c0002400100
    3900320408ffffffffffffffff05048000ffff07048000ffff08011001048000
    75300901100f088394c8f03e51570806048000ffff";

/// ACK and the ServerHello in a CRYPTO frame.
const SERVER_FRAMES: &str = "
    02000000000600405a020000560303eefce7f7b37ba1d1632e96677825ddf739
    88cfc79825df566dc5430b9a045a1200130100002e00330024001d00209d3c94
    0d89690b84d08a60993c144eca684d1081287c834d5311bcf32bb9da1a002b00
    020304";

const CHACHA_SECRET: &str = "9ac312a7f877468ebe69422748ad00a15443f18203a07d6060f688f30f21632b";

struct Samples {
    version: Version,
    client_header: &'static str,
    client_start: &'static str,
    client_tag: &'static str,
    server_packet: &'static str,
    retry: &'static str,
    chacha: &'static str,
}

const SAMPLES: [Samples; 2] = [
    Samples {
        version: Version::V1(1),
        client_header: "c300000001088394c8f03e5157080000449e00000002",
        client_start: "c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11d242b123dc9bd8bab936b47d92ec356c",
        client_tag: "e221af44860018ab0856972e194cd934",
        server_packet: "
            cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a
            5816b6394100f37a1c69797554780bb38cc5a99f5ede4cf73c3ec2493a1839b3
            dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f3bded74b562bfb19fb84
            022f8ef4cdd93795d77d06edbb7aaf2f58891850abbdca3d20398c276456cbc4
            2158407dd074ee",
        retry: "ff000000010008f067a5502a4262b5746f6b656e04a265ba2eff4d829058fb3f0f2496ba",
        chacha: "4cfe4189655e5cd55c41f69080575d7999c25a5bfb",
    },
    Samples {
        version: Version::V2,
        client_header: "d36b3343cf088394c8f03e5157080000449e00000002",
        client_start: "d76b3343cf088394c8f03e5157080000449ea0c95e82ffe67b6abcdb4298b485dd04de806071bf03dceebfa162e75d6c",
        client_tag: "a18b2faa745b6fe189cf772a9f84cbfc",
        server_packet: "
            dc6b3343cf0008f067a5502a4262b5004075d92faaf16f05d8a4398c47089698
            baeea26b91eb761d9b89237bbf87263017915358230035f7fd3945d88965cf17
            f9af6e16886c61bfc703106fbaf3cb4cfa52382dd16a393e42757507698075b2
            c984c707f0a0812d8cd5a6881eaf21ceda98f4bd23f6fe1a3e2c43edd9ce7ca8
            4bed8521e2e140",
        retry: "cf6b3343cf0008f067a5502a4262b5746f6b656ec8646ce8bfe33952d955543665dcc7b6",
        chacha: "5558b1c60ae7b6b932bc27d786f4bc2bb20f2162ba",
    },
];

fn id(text: &str) -> ConnectionId {
    ConnectionId::new(&hex(text)).unwrap()
}

/// The whole client Initial, sealed by the tests' own writer and checked against the sample.
fn client_initial(samples: &Samples) -> Vec<u8> {
    let initial = hkdf_extract(Hash::Sha256, samples.version.initial_salt(), &hex(DCID)).unwrap();
    let secret = hkdf_expand_label(Hash::Sha256, initial.as_bytes(), b"client in", b"", 32).unwrap();
    let mut payload = hex(CLIENT_FRAME);
    payload.resize(1162, 0);
    let packet = seal(samples.version, Cipher::INITIAL, &secret, &hex(samples.client_header), 4, 2, &payload);
    assert_eq!(packet.len(), 1200);
    assert!(packet.starts_with(&hex(samples.client_start)));
    assert!(packet.ends_with(&hex(samples.client_tag)));
    packet
}

#[test]
fn client_initials_open() {
    for samples in &SAMPLES {
        let mut packet = client_initial(samples);
        let Ok(Header::Long(long)) = header::parse(&packet, 0) else { panic!() };
        let (number_at, dcid) = (long.number_at, long.dcid);
        assert_eq!(dcid, id(DCID));
        let [client, _] = initial_keys(samples.version, &dcid).unwrap();
        let (unmasked, payload) = client.open(&mut packet, number_at, None).unwrap();
        assert_eq!((unmasked.number, unmasked.header_len), (2, 22));
        assert!(payload.starts_with(&hex(CLIENT_FRAME)));
        assert_eq!(payload.len(), 1162);
    }
}

#[test]
fn server_initials_open() {
    for samples in &SAMPLES {
        let mut packet = hex(samples.server_packet);
        let Ok(Header::Long(long)) = header::parse(&packet, 0) else { panic!() };
        let number_at = long.number_at;
        let [client, server] = initial_keys(samples.version, &id(DCID)).unwrap();
        assert!(client.open(&mut packet.clone(), number_at, None).is_none());
        let (unmasked, payload) = server.open(&mut packet, number_at, None).unwrap();
        assert_eq!(unmasked.number, 1);
        assert_eq!(payload, hex(SERVER_FRAMES));
    }
}

#[test]
fn retries_are_genuine_for_their_id_only() {
    for samples in &SAMPLES {
        let mut packet = hex(samples.retry);
        let check = |packet: &[u8], original: &str| {
            let Ok(Header::Long(long)) = header::parse(packet, 0) else { panic!() };
            assert_eq!(long.token, b"token");
            retry::is_genuine(&long, &id(original))
        };
        assert!(check(&packet, DCID));
        assert!(!check(&packet, "8394c8f03e515709"));
        *packet.last_mut().unwrap() ^= 1;
        assert!(!check(&packet, DCID));
    }
}

#[test]
fn chacha20_short_headers_open() {
    let cipher = Cipher { aead: AeadKind::ChaCha20Poly1305, hash: Hash::Sha256 };
    let secret = Secret::new(&hex(CHACHA_SECRET)).unwrap();
    for samples in &SAMPLES {
        let keys = Keys::derive(samples.version, cipher, &secret).unwrap();
        let mut packet = hex(samples.chacha);
        let (unmasked, payload) = keys.open(&mut packet, 1, Some(654_360_563)).unwrap();
        assert_eq!((unmasked.number, unmasked.first, unmasked.header_len), (654_360_564, 0x42, 4));
        assert_eq!(payload, [0x01]);
    }
}

/// RFC 9001 §A.5 also gives the secret after a key update.
#[test]
fn key_updates_follow_their_label() {
    let secret = Secret::new(&hex(CHACHA_SECRET)).unwrap();
    let next = hkdf_expand_label(Hash::Sha256, secret.as_bytes(), Version::V1(1).labels().ku.as_bytes(), b"", 32);
    let expected = hex("1223504755036d556342ee9361d253421a826c9ecdf3c7148684b36b714881f9");
    assert_eq!(next.unwrap().as_bytes(), expected);
    let cipher = Cipher { aead: AeadKind::ChaCha20Poly1305, hash: Hash::Sha256 };
    assert!(PacketKey::derive(Version::V1(1), cipher, &secret).is_some());
}
