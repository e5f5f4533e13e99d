//! Deterministic captures of any size: interleaved keep-alive connections with mixed bodies, every segment acknowledged.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

/// Largest payload of a segment: Ethernet's 1500 bytes less IP, TCP and timestamp option.
const MSS: usize = 1448;

/// What was generated.
#[derive(Debug, Clone, Copy, Default)]
pub struct Made {
    /// Bytes of the file.
    pub bytes: u64,
    /// Packets in it.
    pub packets: u64,
    /// Requests with their responses.
    pub exchanges: u64,
}

/// A small deterministic generator of numbers (SplitMix64).
pub struct Random(u64);

impl Random {
    /// Starts at a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number less than `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.draw() % bound as u64) as usize
    }
}

/// A kind of content: its type, the source it is cut from, and whether it travels as gzip.
struct Content {
    media_type: &'static str,
    source: Vec<u8>,
    gzip: bool,
}

const SIZES: &[usize] = &[200, 900, 3_000, 12_000, 12_000, 40_000, 40_000, 120_000, 300_000, 1 << 20];

fn words(random: &mut Random, len: usize, separator: u8) -> Vec<u8> {
    let mut text = Vec::with_capacity(len + 16);
    while text.len() < len {
        for _ in 0..2 + random.below(8) {
            text.push(b'a' + random.below(26) as u8);
        }
        text.push(separator);
    }
    text.truncate(len);
    text
}

fn contents(random: &mut Random) -> Vec<Content> {
    let mut html = b"<!doctype html><html><body>".to_vec();
    let mut script = Vec::new();
    let mut json = b"[".to_vec();
    while html.len() < 1 << 20 {
        html.extend_from_slice(b"<p class=\"x\">");
        html.extend(words(random, 300, b' '));
        html.extend_from_slice(b"</p>\n");
        script.extend_from_slice(b"function f(a,b){return a+\"");
        script.extend(words(random, 200, b'_'));
        script.extend_from_slice(b"\"+b}\n");
        script.extend(words(random, 90, b' '));
        json.extend_from_slice(b"{\"id\":1,\"name\":\"");
        json.extend(words(random, 250, b' '));
        json.extend_from_slice(b"\",\"said\":\"\\\"hi\\\"\\n\",\"v\":[1,2,null,true]},");
    }
    let noise: Vec<u8> = (0..1 << 17).flat_map(|_| random.draw().to_le_bytes()).collect();
    let content = |media_type, source: &Vec<u8>, gzip| Content { media_type, source: source.clone(), gzip };
    vec![
        content("text/html; charset=utf-8", &html, false),
        content("application/javascript", &script, false),
        content("application/json", &json, false),
        content("image/jpeg", &noise, false),
        content("application/octet-stream", &noise, false),
        content("text/html", &html, true),
    ]
}

/// One connection that goes on for ever: its packets wait in a queue.
struct Connection {
    client: [u8; 4],
    server: [u8; 4],
    port: u16,
    sequence: [u32; 2],
    requests: u64,
    queue: std::collections::VecDeque<Vec<u8>>,
}

impl Connection {
    fn new(number: usize, random: &mut Random) -> Self {
        let [high, low] = (number as u16).to_be_bytes();
        let sequence = [random.draw() as u32, random.draw() as u32];
        let server = [10, 1, 0, 1 + (number % 4) as u8];
        let port = 20_000 + number as u16;
        let mut new =
            Self { client: [10, 0, high, low], server, port, sequence, requests: 0, queue: Default::default() };
        new.packet(true, &[], 0x02);
        new.packet(false, &[], 0x12);
        new.packet(true, &[], 0x10);
        new
    }

    fn packet(&mut self, up: bool, payload: &[u8], flags: u8) {
        let (from, to) = if up { (self.client, self.server) } else { (self.server, self.client) };
        let (from_port, to_port) = if up { (self.port, 80) } else { (80, self.port) };
        let (mine, theirs) = if up { (0, 1) } else { (1, 0) };
        let mut frame = Vec::with_capacity(54 + payload.len());
        frame.extend_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]);
        frame.extend_from_slice(&[0x45, 0]);
        frame.extend_from_slice(&(40 + payload.len() as u16).to_be_bytes());
        // A different identification for each packet, as real hosts have.
        frame.extend_from_slice(
            &(self.sequence[mine] as u16 ^ (self.sequence[theirs] as u16).rotate_left(7)).to_be_bytes(),
        );
        frame.extend_from_slice(&[0x40, 0, 64, 6, 0, 0]);
        frame.extend_from_slice(&from);
        frame.extend_from_slice(&to);
        frame.extend_from_slice(&from_port.to_be_bytes());
        frame.extend_from_slice(&to_port.to_be_bytes());
        frame.extend_from_slice(&self.sequence[mine].to_be_bytes());
        frame.extend_from_slice(&self.sequence[theirs].to_be_bytes());
        frame.extend_from_slice(&[0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        frame.extend_from_slice(payload);
        let advance = payload.len() as u32 + u32::from(flags & 0x03 != 0);
        self.sequence[mine] = self.sequence[mine].wrapping_add(advance);
        self.queue.push_back(frame);
    }

    fn message(&mut self, up: bool, bytes: &[u8]) {
        for (number, segment) in bytes.chunks(MSS).enumerate() {
            self.packet(up, segment, 0x18);
            if number % 2 == 1 {
                self.packet(!up, &[], 0x10);
            }
        }
    }

    fn exchange(&mut self, contents: &[Content], random: &mut Random) -> io::Result<()> {
        self.requests += 1;
        let host = format!("h{}.example", self.port % 7);
        let content = &contents[random.below(contents.len())];
        let size = SIZES[random.below(SIZES.len())];
        let plain = &content.source[..size.min(content.source.len())];
        let body = match content.gzip {
            true => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
                encoder.write_all(plain)?;
                encoder.finish()?
            }
            false => plain.to_vec(),
        };
        let post = random.below(10) == 0;
        let upload: &[u8] = if post { &contents[2].source[..SIZES[random.below(6)]] } else { &[] };
        let query = String::from_utf8_lossy(&words(random, 8, b'+')).into_owned();
        let mut request = format!(
            "{} /r/{}/{}?q={query} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: generate/1 (X11; Linux x86_64)\r\nAccept: */*\r\n\
             Accept-Encoding: gzip\r\nCookie: sid={}; theme=dark\r\nReferer: http://{host}/\r\n",
            if post { "POST" } else { "GET" },
            self.port,
            self.requests,
            self.port
        );
        if post {
            request += &format!("Content-Type: application/json\r\nContent-Length: {}\r\n", upload.len());
        }
        self.message(true, &[request.as_bytes(), b"\r\n", upload].concat());
        let mut head = format!(
            "HTTP/1.1 200 OK\r\nServer: generate\r\nDate: Sun, 22 Nov 2026 10:00:00 GMT\r\nContent-Type: {}\r\n\
             Cache-Control: max-age=60\r\nSet-Cookie: n={}; Path=/; HttpOnly\r\n",
            content.media_type, self.requests
        );
        if content.gzip {
            head += "Content-Encoding: gzip\r\n";
        }
        let mut response = Vec::new();
        if self.requests.is_multiple_of(4) {
            response.extend_from_slice(format!("{head}Transfer-Encoding: chunked\r\n\r\n").as_bytes());
            for chunk in body.chunks(16_384) {
                response.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                response.extend_from_slice(chunk);
                response.extend_from_slice(b"\r\n");
            }
            response.extend_from_slice(b"0\r\n\r\n");
        } else {
            response.extend_from_slice(format!("{head}Content-Length: {}\r\n\r\n", body.len()).as_bytes());
            response.extend_from_slice(&body);
        }
        self.message(false, &response);
        Ok(())
    }
}

/// Writes a pcap of at least `bytes` with that many connections at once.
pub fn http1(out: &mut impl Write, bytes: u64, connections: usize, seed: u64) -> io::Result<Made> {
    let mut random = Random::new(seed);
    let contents = contents(&mut random);
    let mut open: Vec<Connection> = (0..connections).map(|number| Connection::new(number, &mut random)).collect();
    let mut made = Made { bytes: 24, ..Made::default() };
    out.write_all(&[0xa1b2_c3d4u32.to_le_bytes(), 0x0004_0002u32.to_le_bytes()].concat())?;
    out.write_all(&[0u32, 0, 262_144, 1].map(u32::to_le_bytes).concat())?;
    let mut micros = 1_795_300_000_000_000u64;
    while !open.is_empty() {
        let is_enough = made.bytes >= bytes;
        for connection in &mut open {
            for _ in 0..8 {
                if connection.queue.is_empty() && !is_enough {
                    connection.exchange(&contents, &mut random)?;
                    made.exchanges += 1;
                }
                let Some(frame) = connection.queue.pop_front() else { break };
                micros += 3;
                let len = frame.len() as u32;
                let record = [(micros / 1_000_000) as u32, (micros % 1_000_000) as u32, len, len];
                out.write_all(&record.map(u32::to_le_bytes).concat())?;
                out.write_all(&frame)?;
                made.bytes += 16 + u64::from(len);
                made.packets += 1;
            }
        }
        open.retain(|connection| !is_enough || !connection.queue.is_empty());
    }
    Ok(made)
}
