//! Packets of Ethernet, IPv4, TCP and UDP on a tape that is a pcap file. Checksums stay empty, as network cards that fill them in
//! leave them.

/// One end: address and port.
pub type End = ([u8; 4], u16);

pub const FIN: u8 = 0x01;
pub const SYN: u8 = 0x02;
pub const RST: u8 = 0x04;
pub const PSH: u8 = 0x08;
pub const ACK: u8 = 0x10;

/// Largest payload of a segment.
const MSS: usize = 1448;

/// Microseconds between two packets.
const STEP: u64 = 40;

/// A pcap file as it grows, and its clock.
pub struct Tape {
    /// What was not taken away yet.
    pub bytes: Vec<u8>,
    /// Microseconds since 1970 of the last packet.
    pub micros: u64,
    /// Packets so far.
    pub packets: u64,
}

impl Tape {
    /// A tape with the header of the file on it.
    pub fn new() -> Self {
        Self { bytes: header(), micros: 1_700_000_000_000_000, packets: 0 }
    }

    /// Lets the clock go on; it never goes back.
    pub fn until(&mut self, micros: u64) {
        self.micros = self.micros.max(micros);
    }

    /// Lets the clock go on by seconds.
    pub fn wait(&mut self, seconds: u64) {
        self.micros += seconds * 1_000_000;
    }

    /// Records a packet.
    pub fn packet(&mut self, packet: &[u8]) {
        self.micros += STEP;
        self.packets += 1;
        let len = packet.len() as u32;
        let words = [(self.micros / 1_000_000) as u32, (self.micros % 1_000_000) as u32, len, len];
        self.bytes.extend_from_slice(&words.map(u32::to_le_bytes).concat());
        self.bytes.extend_from_slice(packet);
    }

    /// Takes away what was recorded.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }
}

/// The header of a pcap file of Ethernet packets.
pub fn header() -> Vec<u8> {
    [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 262_144, 1].map(u32::to_le_bytes).concat()
}

fn ip(from: End, to: End, protocol: u8, identification: u16, rest: &[&[u8]]) -> Vec<u8> {
    let len = 24 + rest.iter().map(|part| part.len()).sum::<usize>();
    let mut packet = Vec::with_capacity(14 + len);
    packet.extend_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0]);
    packet.extend_from_slice(&(len as u16).to_be_bytes());
    packet.extend_from_slice(&identification.to_be_bytes());
    packet.extend_from_slice(&[0x40, 0, 64, protocol, 0, 0]);
    packet.extend_from_slice(&from.0);
    packet.extend_from_slice(&to.0);
    packet.extend_from_slice(&from.1.to_be_bytes());
    packet.extend_from_slice(&to.1.to_be_bytes());
    for part in rest {
        packet.extend_from_slice(part);
    }
    packet
}

/// A UDP packet.
pub fn datagram(from: End, to: End, payload: &[u8]) -> Vec<u8> {
    let len = (8 + payload.len()) as u16;
    let identification = from.1 ^ len;
    ip(from, to, 17, identification, &[&len.to_be_bytes(), &[0, 0], payload])
}

/// A TCP connection without loss.
#[derive(Clone)]
pub struct Tcp {
    pub client: End,
    pub server: End,
    /// Next sequence numbers of client and server.
    sequence: [u32; 2],
    sent: u16,
}

impl Tcp {
    /// A connection of which nothing was sent.
    pub fn new(client: End, server: End) -> Self {
        let seed = u32::from(client.1).wrapping_mul(0x9e37_79b1) ^ u32::from_be_bytes(server.0);
        Self { client, server, sequence: [seed, !seed], sent: 0 }
    }

    /// A connection whose handshake is on the tape.
    pub fn open(client: End, server: End, tape: &mut Tape) -> Self {
        let mut new = Self::new(client, server);
        new.segment(true, &[], SYN, tape);
        new.segment(false, &[], SYN | ACK, tape);
        new.segment(true, &[], ACK, tape);
        new
    }

    /// One segment, up to the server or down to the client.
    pub fn segment(&mut self, up: bool, payload: &[u8], flags: u8, tape: &mut Tape) {
        let (mine, theirs) = if up { (0, 1) } else { (1, 0) };
        let (from, to) = if up { (self.client, self.server) } else { (self.server, self.client) };
        let acknowledged = if flags & ACK == 0 { 0 } else { self.sequence[theirs] };
        let mut head = [self.sequence[mine], acknowledged].map(u32::to_be_bytes).concat();
        head.extend_from_slice(&[0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        self.sent = self.sent.wrapping_add(1);
        tape.packet(&ip(from, to, 6, self.sent, &[&head, payload]));
        let advance = payload.len() as u32 + u32::from(flags & (SYN | FIN) != 0);
        self.sequence[mine] = self.sequence[mine].wrapping_add(advance);
    }

    /// Bytes, acknowledged.
    pub fn send(&mut self, up: bool, bytes: &[u8], tape: &mut Tape) {
        for payload in bytes.chunks(MSS) {
            self.segment(up, payload, PSH | ACK, tape);
        }
        self.segment(!up, &[], ACK, tape);
    }

    /// Both sides end it.
    pub fn close(&mut self, tape: &mut Tape) {
        self.segment(true, &[], FIN | ACK, tape);
        self.segment(false, &[], FIN | ACK, tape);
        self.segment(true, &[], ACK, tape);
    }

    /// A request and its response, whose content is `body`.
    pub fn exchange(&mut self, request: &Get<'_>, body: &[u8], tape: &mut Tape) {
        self.send(true, request.head().as_bytes(), tape);
        let mut response = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n",
            request.media_type,
            body.len()
        )
        .into_bytes();
        response.extend_from_slice(body);
        self.send(false, &response, tape);
    }
}

/// A request for something.
pub struct Get<'a> {
    pub host: &'a str,
    pub path: &'a str,
    pub referer: Option<&'a str>,
    pub media_type: &'a str,
}

impl Get<'_> {
    /// The head, as HTTP/1.1 has it.
    pub fn head(&self) -> String {
        let Self { host, path, .. } = self;
        let referer = self.referer.map_or(String::new(), |referer| format!("Referer: {referer}\r\n"));
        format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: soak/1\r\n{referer}\r\n")
    }
}

/// A DNS message that asks for the IPv4 address of a name, or answers with `address`.
pub fn lookup(id: u16, name: &str, address: Option<[u8; 4]>) -> Vec<u8> {
    let flags: u16 = if address.is_some() { 0x8180 } else { 0x0100 };
    let mut message = [id, flags, 1, u16::from(address.is_some()), 0, 0].map(u16::to_be_bytes).concat();
    for label in name.split('.') {
        message.push(label.len() as u8);
        message.extend_from_slice(label.as_bytes());
    }
    message.extend_from_slice(&[0, 0, 1, 0, 1]);
    if let Some(address) = address {
        message.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        message.extend_from_slice(&address);
    }
    message
}

/// A WebSocket text frame of less than 126 bytes; a client's is masked (with zeros).
pub fn text_frame(up: bool, text: &str) -> Vec<u8> {
    let mut frame = vec![0x81, text.len() as u8 | if up { 0x80 } else { 0 }];
    if up {
        frame.extend_from_slice(&[0; 4]);
    }
    frame.extend_from_slice(text.as_bytes());
    frame
}

/// A ClientHello of TLS 1.3 that names a server, and whose random begins with `number`.
pub fn client_hello(number: u32, server_name: &str) -> Vec<u8> {
    let name = server_name.as_bytes();
    let len = |extra: usize| ((name.len() + extra) as u16).to_be_bytes();
    let mut extensions = [&[0, 0][..], &len(5), &len(3), &[0], &len(0), name].concat();
    extensions.extend_from_slice(&[0, 43, 0, 3, 2, 3, 4]);
    let mut hello = vec![3, 3];
    hello.extend_from_slice(&number.to_be_bytes());
    hello.extend_from_slice(&[7; 28]);
    hello.extend_from_slice(&[0, 0, 2, 0x13, 0x01, 1, 0]);
    hello.extend_from_slice(&(extensions.len() as u16).to_be_bytes());
    hello.extend_from_slice(&extensions);
    handshake(1, &hello)
}

/// A ServerHello that chooses TLS 1.3.
pub fn server_hello(number: u32) -> Vec<u8> {
    let mut hello = vec![3, 3];
    hello.extend_from_slice(&number.to_be_bytes());
    hello.extend_from_slice(&[9; 28]);
    hello.extend_from_slice(&[0, 0x13, 0x01, 0, 0, 6, 0, 43, 0, 2, 3, 4]);
    handshake(2, &hello)
}

fn handshake(kind: u8, body: &[u8]) -> Vec<u8> {
    let [_, high, middle, low] = (body.len() as u32).to_be_bytes();
    let mut record = vec![22, 3, 1];
    record.extend_from_slice(&(body.len() as u16 + 4).to_be_bytes());
    record.extend_from_slice(&[kind, high, middle, low]);
    record.extend_from_slice(body);
    record
}

/// An encrypted record.
pub fn sealed(len: u16) -> Vec<u8> {
    let mut record = vec![23, 3, 3];
    record.extend_from_slice(&len.to_be_bytes());
    record.resize(5 + usize::from(len), 0xa5);
    record
}
