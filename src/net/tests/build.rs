//! Packets from parts.

/// Joins parts.
macro_rules! join {
    ($($part:expr),* $(,)?) => {{
        let mut whole: Vec<u8> = Vec::new();
        $(whole.extend_from_slice(&$part[..]);)*
        whole
    }};
}
pub(super) use join;

pub(super) fn tcp(payload: &[u8]) -> Vec<u8> {
    join!([0x30, 0x39, 0, 80, 0, 0, 0, 7, 0, 0, 0, 9, 0x50, 0x18, 0x10, 0, 0xab, 0xcd, 0, 0], payload)
}

pub(super) fn udp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let len = 8 + payload.len() as u16;
    join!(source.to_be_bytes(), destination.to_be_bytes(), len.to_be_bytes(), [0, 0], payload)
}

/// IPv4 with what stands in its fragment field: flags and offset in units of 8.
pub(super) fn ipv4_fragment(id: u16, fragment: u16, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let len = 20 + payload.len() as u16;
    join!(
        [0x45, 0],
        len.to_be_bytes(),
        id.to_be_bytes(),
        fragment.to_be_bytes(),
        [64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2],
        payload
    )
}

pub(super) fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    ipv4_fragment(1, 0x4000, protocol, payload)
}

pub(super) fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let len = payload.len() as u16;
    let address = |last| {
        let mut bytes = [0; 16];
        (bytes[0], bytes[15]) = (0xfd, last);
        bytes
    };
    join!([0x60, 0, 0, 0], len.to_be_bytes(), [next, 64], address(1), address(2), payload)
}

pub(super) fn tcp4(payload: &[u8]) -> Vec<u8> {
    ipv4(6, &tcp(payload))
}

pub(super) fn tcp6(payload: &[u8]) -> Vec<u8> {
    ipv6(6, &tcp(payload))
}

pub(super) fn ethernet(kind: u16, payload: &[u8]) -> Vec<u8> {
    join!([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2], kind.to_be_bytes(), payload)
}

pub(super) fn snap(kind: u16, payload: &[u8]) -> Vec<u8> {
    join!([0xaa, 0xaa, 3, 0, 0, 0], kind.to_be_bytes(), payload)
}

/// Small, seeded, the same everywhere.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }
}
