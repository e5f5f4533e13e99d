//! Cutting and joining capture files without knowing what is in their packets.

/// Kinds of pcapng blocks (draft-ietf-opsawg-pcapng §4).
pub const SECRETS: u32 = 10;
pub const PACKET: u32 = 6;

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// The blocks of a little-endian pcapng file, each with its kind.
pub fn blocks(mut file: &[u8]) -> Vec<(u32, &[u8])> {
    let mut all = Vec::new();
    while !file.is_empty() {
        let (block, rest) = file.split_at(word(file, 4) as usize);
        all.push((word(block, 0), block));
        file = rest;
    }
    all
}

/// The records of a little-endian pcap file, without its header.
pub fn records(file: &[u8]) -> Vec<&[u8]> {
    let mut rest = &file[24..];
    let mut all = Vec::new();
    while !rest.is_empty() {
        let (record, after) = rest.split_at(16 + word(rest, 8) as usize);
        all.push(record);
        rest = after;
    }
    all
}

/// Time of an Enhanced Packet Block in the units of its interface.
pub fn time(block: &[u8]) -> u64 {
    u64::from(word(block, 12)) << 32 | u64::from(word(block, 16))
}

/// The same Enhanced Packet Block at another time.
pub fn at_time(block: &[u8], time: u64) -> Vec<u8> {
    let mut moved = block.to_vec();
    moved[12..16].copy_from_slice(&((time >> 32) as u32).to_le_bytes());
    moved[16..20].copy_from_slice(&(time as u32).to_le_bytes());
    moved
}

/// An Enhanced Packet Block of the first interface.
pub fn packet_block(time: u64, packet: &[u8]) -> Vec<u8> {
    let padded = packet.len().next_multiple_of(4);
    let len = (32 + padded) as u32;
    let words = [PACKET, len, 0, (time >> 32) as u32, time as u32, packet.len() as u32, packet.len() as u32];
    let mut block = words.map(u32::to_le_bytes).concat();
    block.extend_from_slice(packet);
    block.resize(28 + padded, 0);
    block.extend_from_slice(&len.to_le_bytes());
    block
}
