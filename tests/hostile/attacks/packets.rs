//! A capture as it grows, and packets from parts.

use std::io::{self, Write};

use crate::generate::Random;

/// TCP flags.
pub const FIN: u8 = 1;
pub const SYN: u8 = 2;
pub const RST: u8 = 4;
pub const ACK: u8 = 16;

/// A pcapng of Ethernet frames, a millisecond apart.
pub struct Lane<'o> {
    out: &'o mut dyn Write,
    micros: u64,
    /// Numbers for what has to be made up.
    pub random: Random,
    /// Connections that were opened.
    ports: u16,
    /// Microseconds from one frame to the next.
    pub step: u64,
}

fn words<const N: usize>(words: [u32; N]) -> Vec<u8> {
    words.map(u32::to_le_bytes).concat()
}

impl<'o> Lane<'o> {
    pub fn new(out: &'o mut dyn Write) -> io::Result<Self> {
        let mut new = Self { out, micros: 1_795_300_000_000_000, random: Random::new(7), ports: 0, step: 1000 };
        new.block(0x0a0d_0d0a, &words([0x1a2b_3c4d, 1, u32::MAX, u32::MAX]))?;
        new.block(1, &words([1, 0]))?;
        Ok(new)
    }

    /// A block of any kind.
    pub fn block(&mut self, kind: u32, body: &[u8]) -> io::Result<()> {
        let padded = body.len().next_multiple_of(4);
        let len = (12 + padded) as u32;
        self.out.write_all(&words([kind, len]))?;
        self.out.write_all(body)?;
        self.out.write_all(&[0; 3][..padded - body.len()])?;
        self.out.write_all(&len.to_le_bytes())
    }

    /// Secrets of TLS.
    pub fn key_log(&mut self, text: &str) -> io::Result<()> {
        self.block(10, &[words([0x544c_534b, text.len() as u32]), text.as_bytes().to_vec()].concat())
    }

    /// A frame, with pcapng options behind it.
    pub fn frame_with(&mut self, frame: &[u8], options: &[u8]) -> io::Result<()> {
        self.micros += self.step;
        let len = frame.len() as u32;
        let padding = vec![0; frame.len().next_multiple_of(4) - frame.len()];
        let fields = words([0, (self.micros >> 32) as u32, self.micros as u32, len, len]);
        self.block(6, &[&fields[..], frame, &padding, options].concat())
    }

    pub fn frame(&mut self, frame: &[u8]) -> io::Result<()> {
        self.frame_with(frame, &[])
    }

    /// A frame with an IPv4 packet.
    pub fn ip(&mut self, packet: &[u8]) -> io::Result<()> {
        self.frame(&[&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0][..], packet].concat())
    }

    /// A frame with an IPv6 packet.
    pub fn ip6(&mut self, packet: &[u8]) -> io::Result<()> {
        self.frame(&[&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x86, 0xdd][..], packet].concat())
    }

    /// Opens a connection of an attacker.
    pub fn connect(&mut self, server_port: u16) -> io::Result<Connection> {
        self.ports = self.ports.wrapping_add(1);
        Connection::open(self, [10, 66, 0, 1], [10, 66, 0, 2], 1024 + self.ports, server_port)
    }

    /// A request with its answer, of somebody else.
    pub fn good(&mut self, number: u16) -> io::Result<()> {
        let (client, server) = ([10, 0, 0, 1], [10, 0, 0, 2]);
        let mut connection = Connection::open(self, client, server, 40_000 + number, 80)?;
        let request = format!("GET /good/{number} HTTP/1.1\r\nHost: good.example\r\n\r\n");
        connection.send(self, true, request.as_bytes())?;
        connection.send(self, false, b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine")?;
        connection.close(self)
    }
}

/// A TCP connection.
pub struct Connection {
    ends: [[u8; 4]; 2],
    ports: [u16; 2],
    /// Next sequence numbers of client and server.
    pub sequence: [u32; 2],
    identification: u16,
}

impl Connection {
    fn open(lane: &mut Lane<'_>, client: [u8; 4], server: [u8; 4], port: u16, server_port: u16) -> io::Result<Self> {
        let mut new =
            Self { ends: [client, server], ports: [port, server_port], sequence: [1000, 5000], identification: 0 };
        new.segment(lane, true, SYN, 0, &[])?;
        new.sequence[0] += 1;
        new.segment(lane, false, SYN | ACK, 0, &[])?;
        new.sequence[1] += 1;
        new.segment(lane, true, ACK, 0, &[])?;
        Ok(new)
    }

    /// A segment `ahead` bytes in front of where its stream is.
    pub fn segment(&mut self, lane: &mut Lane<'_>, up: bool, flags: u8, ahead: u32, payload: &[u8]) -> io::Result<()> {
        let (mine, theirs) = if up { (0, 1) } else { (1, 0) };
        self.identification = self.identification.wrapping_add(1);
        let segment = tcp(
            [self.ports[mine], self.ports[theirs]],
            self.sequence[mine].wrapping_add(ahead),
            self.sequence[theirs],
            flags,
            payload,
        );
        lane.ip(&ipv4(self.identification, 0x4000, 6, self.ends[mine], self.ends[theirs], &segment))
    }

    /// Sends bytes in segments of `size`.
    pub fn send_by(&mut self, lane: &mut Lane<'_>, up: bool, bytes: &[u8], size: usize) -> io::Result<()> {
        for payload in bytes.chunks(size) {
            self.segment(lane, up, ACK, 0, payload)?;
            let at = usize::from(!up);
            self.sequence[at] = self.sequence[at].wrapping_add(payload.len() as u32);
        }
        Ok(())
    }

    /// Sends bytes in segments of the usual size.
    pub fn send(&mut self, lane: &mut Lane<'_>, up: bool, bytes: &[u8]) -> io::Result<()> {
        self.send_by(lane, up, bytes, 1400)
    }

    /// Both sides end.
    pub fn close(&mut self, lane: &mut Lane<'_>) -> io::Result<()> {
        for up in [true, false] {
            self.segment(lane, up, FIN | ACK, 0, &[])?;
            self.sequence[usize::from(!up)] += 1;
        }
        self.segment(lane, true, ACK, 0, &[])
    }
}

pub fn tcp(ports: [u16; 2], sequence: u32, acknowledgment: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(20 + payload.len());
    ports.iter().for_each(|port| out.extend(port.to_be_bytes()));
    out.extend(sequence.to_be_bytes());
    out.extend(acknowledgment.to_be_bytes());
    out.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    out.extend(payload);
    out
}

pub fn udp(ports: [u16; 2], payload: &[u8]) -> Vec<u8> {
    let len = 8 + payload.len() as u16;
    [&ports[0].to_be_bytes()[..], &ports[1].to_be_bytes(), &len.to_be_bytes(), &[0, 0], payload].concat()
}

/// IPv4; `fragment` holds flags and offset.
pub fn ipv4(id: u16, fragment: u16, protocol: u8, from: [u8; 4], to: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let len = 20 + payload.len() as u16;
    let mut out = vec![0x45, 0];
    [len, id, fragment].iter().for_each(|field| out.extend(field.to_be_bytes()));
    out.extend([64, protocol, 0, 0]);
    out.extend(from);
    out.extend(to);
    out.extend(payload);
    out
}

/// IPv6 with a fragment header; `place` holds offset and the flag of more.
pub fn ipv6_fragment(id: u32, place: u16, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0x60, 0, 0, 0];
    out.extend((8 + payload.len() as u16).to_be_bytes());
    out.extend([44, 64]);
    for last in [1, 2] {
        out.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    }
    out.extend([protocol, 0]);
    out.extend(place.to_be_bytes());
    out.extend(id.to_be_bytes());
    out.extend(payload);
    out
}
