//! Community ID: a hash of a flow's ends, the same in every tool.

use std::net::IpAddr;

use sha1::{Digest, Sha1};

use crate::net::Endpoint;

/// Community ID version 1 with seed 0 ([specification](https://github.com/corelight/community-id-spec)).
///
/// ```text
/// SHA-1 over   0   1   2 .. 2+n  .. 2+2n   +1    +1    +2     +2
///            | seed  | lesser | greater | proto | 0 | port | port |    ports in the order of the addresses
/// ```
pub fn community_id(a: Endpoint, b: Endpoint, protocol: u8) -> String {
    let (low, high) = if a <= b { (a, b) } else { (b, a) };
    let mut hash = Sha1::new();
    hash.update([0, 0]);
    for end in [low, high] {
        match end.address {
            IpAddr::V4(address) => hash.update(address.octets()),
            IpAddr::V6(address) => hash.update(address.octets()),
        }
    }
    hash.update([protocol, 0]);
    hash.update(low.port.to_be_bytes());
    hash.update(high.port.to_be_bytes());
    let mut id = String::with_capacity(30);
    id.push_str("1:");
    base64_simd::STANDARD.encode_append(hash.finalize(), &mut id);
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Samples of the specification.
    #[test]
    fn samples() {
        let end = |address: &str, port| Endpoint { address: address.parse().unwrap(), port };
        let (a, b) = (end("128.232.110.120", 34855), end("66.35.250.204", 80));
        assert_eq!(community_id(a, b, 6), "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
        assert_eq!(community_id(b, a, 6), "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
        let (a, b) = (end("192.168.1.52", 54585), end("8.8.8.8", 53));
        assert_eq!(community_id(a, b, 17), "1:d/FP5EW3wiY1vCndhwleRRKHowQ=");
    }
}
