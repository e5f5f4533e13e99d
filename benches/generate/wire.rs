//! Packets: Ethernet, IPv4, and TCP or UDP. Checksums stay empty, as network cards that fill them in leave them.

use std::collections::VecDeque;

use super::Random;

/// Largest payload of a segment: Ethernet's 1500 bytes less IP, TCP and timestamp option.
const MSS: usize = 1448;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// Who talks to whom.
#[derive(Debug, Clone, Copy)]
pub struct Flow {
    client: [u8; 4],
    server: [u8; 4],
    /// Port of the client: another for each connection.
    pub client_port: u16,
    server_port: u16,
}

impl Flow {
    /// The flow of the connection of that number.
    pub fn new(number: usize, server_port: u16) -> Self {
        let [high, low] = (number as u16).to_be_bytes();
        let server = [10, 1, 0, 1 + (number % 4) as u8];
        Self { client: [10, 0, high, low], server, client_port: 20_000u16.wrapping_add(number as u16), server_port }
    }

    /// Ethernet and IPv4 headers, and the ports; `len` bytes follow the IPv4 header.
    fn start(&self, up: bool, protocol: u8, identification: u16, len: usize) -> Vec<u8> {
        let (from, to) = if up { (self.client, self.server) } else { (self.server, self.client) };
        let ports = if up { [self.client_port, self.server_port] } else { [self.server_port, self.client_port] };
        let mut packet = Vec::with_capacity(34 + len);
        packet.extend_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]);
        packet.extend_from_slice(&[0x45, 0]);
        packet.extend_from_slice(&(20 + len as u16).to_be_bytes());
        packet.extend_from_slice(&identification.to_be_bytes());
        packet.extend_from_slice(&[0x40, 0, 64, protocol, 0, 0]);
        packet.extend_from_slice(&from);
        packet.extend_from_slice(&to);
        packet.extend_from_slice(&ports[0].to_be_bytes());
        packet.extend_from_slice(&ports[1].to_be_bytes());
        packet
    }

    /// A datagram.
    pub fn datagram(&self, up: bool, identification: u16, payload: &[u8]) -> Vec<u8> {
        let len = 8 + payload.len();
        let mut packet = self.start(up, UDP, identification, len);
        packet.extend_from_slice(&(len as u16).to_be_bytes());
        packet.extend_from_slice(&[0, 0]);
        packet.extend_from_slice(payload);
        packet
    }
}

/// A connection without loss; each second segment is acknowledged.
pub struct Tcp {
    /// Its ends.
    pub flow: Flow,
    /// Packets that wait.
    pub queue: VecDeque<Vec<u8>>,
    /// Next sequence numbers of client and server.
    sequence: [u32; 2],
}

impl Tcp {
    /// A connection whose handshake waits.
    pub fn open(flow: Flow, random: &mut Random) -> Self {
        let sequence = [random.draw() as u32, random.draw() as u32];
        let mut new = Self { flow, queue: VecDeque::new(), sequence };
        new.segment(true, &[], 0x02);
        new.segment(false, &[], 0x12);
        new.segment(true, &[], 0x10);
        new
    }

    fn segment(&mut self, up: bool, payload: &[u8], flags: u8) {
        let (mine, theirs) = if up { (0, 1) } else { (1, 0) };
        // A different identification for each packet, as real hosts have.
        let identification = self.sequence[mine] as u16 ^ (self.sequence[theirs] as u16).rotate_left(7);
        let mut packet = self.flow.start(up, TCP, identification, 20 + payload.len());
        packet.extend_from_slice(&self.sequence[mine].to_be_bytes());
        packet.extend_from_slice(&self.sequence[theirs].to_be_bytes());
        packet.extend_from_slice(&[0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        packet.extend_from_slice(payload);
        let advance = payload.len() as u32 + u32::from(flags & 0x03 != 0);
        self.sequence[mine] = self.sequence[mine].wrapping_add(advance);
        self.queue.push_back(packet);
    }

    /// Sends bytes up to the server or down to the client.
    pub fn send(&mut self, up: bool, bytes: &[u8]) {
        for (number, payload) in bytes.chunks(MSS).enumerate() {
            self.segment(up, payload, 0x18);
            if number % 2 == 1 {
                self.segment(!up, &[], 0x10);
            }
        }
    }

    /// Both ends close, the server first.
    pub fn close(&mut self) {
        self.segment(false, &[], 0x11);
        self.segment(true, &[], 0x11);
        self.segment(false, &[], 0x10);
    }
}
