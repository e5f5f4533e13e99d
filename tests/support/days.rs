//! Days of traffic in simulated time: everything that a machine at the edge of a network sees, in a rhythm of minutes. Nothing
//! comes twice but what real traffic repeats: hosts, names, ports and pages are new all the time.

use super::wire::{Get, SYN, Tape, Tcp, client_hello, datagram, lookup, sealed, server_hello, text_frame};

/// Minutes of a day.
pub const DAY: u64 = 1440;

const RESOLVER: ([u8; 4], u16) = ([10, 9, 9, 9], 53);
/// Connections that are kept alive, each with a rhythm of its own.
const KEPT: usize = 20;
/// Port scans, in SYNs a minute that nobody answers.
const SCANNED: u32 = 60;
/// Flows of UDP a minute that carry nothing of the web.
const CHATTER: u32 = 30;
/// Lookups a minute that no connection follows.
const LOOKUPS: u32 = 36;
/// Encrypted connections a minute; every second one is never closed.
const SEALED: u32 = 4;
/// Content of more than this leaves memory at once.
const LARGE: usize = 300 << 10;

/// What was generated so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Made {
    /// Entries that come of it when everything is over.
    pub entries: u64,
    /// TCP connections.
    pub connections: u64,
    /// Documents, each on a host of its own that was looked up before.
    pub pages: u64,
    /// Messages on WebSockets that were closed.
    pub messages: u64,
}

/// The traffic.
pub struct Days {
    pub tape: Tape,
    pub made: Made,
    minute: u64,
    /// Numbers hosts, names and ports.
    next: u32,
    kept: Vec<Kept>,
    /// WebSockets that stay open all the time.
    endless: Vec<Tcp>,
    /// The WebSocket of the day.
    daily: Option<(Tcp, u64)>,
    large: Vec<u8>,
}

struct Kept {
    tcp: Tcp,
    /// Its place among all connections, as Wireshark numbers streams.
    stream: u64,
}

impl Days {
    pub fn new() -> Self {
        let large = b"All of it is text, and much of it the same. ".iter().copied().cycle().take(LARGE).collect();
        let (tape, made) = (Tape::new(), Made::default());
        Self { tape, made, minute: 0, next: 0, kept: Vec::new(), endless: Vec::new(), daily: None, large }
    }

    /// Records one minute more.
    pub fn minute(&mut self) {
        let begin = 1_700_000_000_000_000 + self.minute * 60_000_000;
        self.tape.until(begin);
        self.page();
        self.keep_alive();
        self.idle();
        self.sealed();
        self.tape.until(begin + 20_000_000);
        self.scan();
        self.chatter();
        self.tape.until(begin + 40_000_000);
        self.sockets();
        if self.minute % 60 == 7 {
            self.large();
        }
        if self.minute % 10 == 3 {
            self.unanswered();
        }
        self.minute += 1;
    }

    fn number(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    fn client(number: u32, port: u16) -> ([u8; 4], u16) {
        ([10, 0, (number >> 6) as u8 & 3, number as u8], port)
    }

    /// Opens a connection from a client to a host of its own; tells its place among all connections.
    fn open(&mut self, number: u32, port: u16) -> (Tcp, u64) {
        let [_, high, middle, low] = number.to_be_bytes();
        let client = Self::client(number, 20_000 + (number % 40_000) as u16);
        let tcp = Tcp::open(client, ([20, high, middle, low], port), &mut self.tape);
        self.made.connections += 1;
        (tcp, self.made.connections - 1)
    }

    /// One exchange, whose path tells the connection's stream number.
    fn exchange(&mut self, tcp: &mut Tcp, stream: u64, kind: &str, referer: Option<&str>, media_type: &str) {
        let [_, high, middle, low] = tcp.server.0;
        let host = format!("h{high}-{middle}-{low}.example");
        let path = format!("/{kind}?stream={stream}");
        let get = Get { host: &host, path: &path, referer, media_type };
        tcp.exchange(&get, b"<p>It is a page like any other.</p>", &mut self.tape);
        self.made.entries += 1;
    }

    /// A name is looked up, then a document and what belongs to it are fetched: a page that nobody saw before.
    fn page(&mut self) {
        let number = self.number();
        let [_, high, middle, low] = number.to_be_bytes();
        let host = format!("h{high}-{middle}-{low}.example");
        self.look_up(number, &host, [20, high, middle, low]);
        let (mut tcp, stream) = self.open(number, 80);
        self.exchange(&mut tcp, stream, "document", None, "text/html");
        let referer = format!("http://{host}/document?stream={stream}");
        self.exchange(&mut tcp, stream, "style", Some(&referer), "text/css");
        self.exchange(&mut tcp, stream, "script", Some(&referer), "text/javascript");
        tcp.close(&mut self.tape);
        self.made.pages += 1;
    }

    fn look_up(&mut self, number: u32, name: &str, address: [u8; 4]) {
        let client = Self::client(number, 20_000 + (number % 40_000) as u16);
        self.tape.packet(&datagram(client, RESOLVER, &lookup(number as u16, name, None)));
        self.tape.packet(&datagram(RESOLVER, client, &lookup(number as u16, name, Some(address))));
    }

    /// Connections that rest between exchanges, from 3 minutes to more than half an hour; all are made anew after six hours.
    fn keep_alive(&mut self) {
        for at in 0..KEPT {
            if self.minute % (6 * 60) == at as u64 {
                let number = self.number();
                let (tcp, stream) = self.open(number, 80);
                if at < self.kept.len() {
                    std::mem::replace(&mut self.kept[at], Kept { tcp, stream }).tcp.close(&mut self.tape);
                } else {
                    self.kept.push(Kept { tcp, stream });
                }
            }
            if at < self.kept.len() && self.minute.is_multiple_of(3 + 2 * at as u64) {
                let Kept { mut tcp, stream } = Kept { tcp: self.kept[at].tcp.clone(), stream: self.kept[at].stream };
                self.exchange(&mut tcp, stream, "again", None, "application/json");
                self.kept[at].tcp = tcp;
            }
        }
    }

    /// A connection that is used once and never closed.
    fn idle(&mut self) {
        let number = self.number();
        let (mut tcp, stream) = self.open(number, 80);
        self.exchange(&mut tcp, stream, "once", None, "text/plain");
    }

    /// A request that is never answered, on a connection that is never closed.
    fn unanswered(&mut self) {
        let number = self.number();
        let (mut tcp, stream) = self.open(number, 8080);
        let path = format!("/nobody?stream={stream}");
        let get = Get { host: "nobody.example", path: &path, referer: None, media_type: "" };
        tcp.send(true, get.head().as_bytes(), &mut self.tape);
        self.made.entries += 1;
    }

    /// TLS without secrets, each to another server.
    fn sealed(&mut self) {
        for _ in 0..SEALED {
            let number = self.number();
            let (mut tcp, _) = self.open(number, 443);
            tcp.send(true, &client_hello(number, &format!("sealed{number}.example")), &mut self.tape);
            tcp.send(false, &[server_hello(number), sealed(900)].concat(), &mut self.tape);
            tcp.send(true, &sealed(300), &mut self.tape);
            tcp.send(false, &sealed(1200), &mut self.tape);
            if number.is_multiple_of(2) {
                tcp.close(&mut self.tape);
            }
        }
    }

    /// SYNs that nobody answers.
    fn scan(&mut self) {
        for _ in 0..SCANNED {
            let number = self.number();
            let [_, high, middle, low] = number.to_be_bytes();
            let to = ([30, high, middle, low], 1 + (number % 60_000) as u16);
            let mut tcp = Tcp::new(([10, 66, 6, 6], 40_000 + (number % 20_000) as u16), to);
            tcp.segment(true, &[], SYN, &mut self.tape);
            self.made.connections += 1;
        }
    }

    /// Names that nobody connects to, time servers, and datagrams of an unknown kind to a QUIC port.
    fn chatter(&mut self) {
        for _ in 0..LOOKUPS {
            let number = self.number();
            self.look_up(number, &format!("n{number}.example"), [40, 0, 0, 1]);
        }
        for at in 0..CHATTER {
            let number = self.number();
            let [_, high, middle, low] = number.to_be_bytes();
            let client = Self::client(number, 10_000 + (number % 10_000) as u16);
            let (port, first) = if at % 4 == 0 { (443, 0x4a) } else { (123, 0x23) };
            let mut payload = [first; 48];
            payload[1..5].copy_from_slice(&number.to_be_bytes());
            self.tape.packet(&datagram(client, ([50, high, middle, low], port), &payload));
        }
    }

    fn socket(&mut self) -> Tcp {
        let number = self.number();
        let (mut tcp, stream) = self.open(number, 80);
        let upgrade = format!(
            "GET /socket?stream={stream} HTTP/1.1\r\nHost: socket.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        tcp.send(true, upgrade.as_bytes(), &mut self.tape);
        let switched = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        tcp.send(false, switched.as_bytes(), &mut self.tape);
        self.made.entries += 1;
        tcp
    }

    /// WebSockets: some stay open for ever, with a message each half hour; one is closed each day, with a message each ten minutes.
    fn sockets(&mut self) {
        if self.minute == 0 {
            self.endless = (0..3).map(|_| self.socket()).collect();
        }
        if self.minute % 30 == 11 {
            for tcp in &mut self.endless {
                tcp.send(true, &text_frame(true, "still there?"), &mut self.tape);
                tcp.send(false, &text_frame(false, "still here"), &mut self.tape);
            }
        }
        match self.minute % DAY {
            2 => self.daily = Some((self.socket(), 0)),
            1438 => {
                if let Some((mut tcp, messages)) = self.daily.take() {
                    tcp.close(&mut self.tape);
                    self.made.messages += messages;
                }
            }
            minute if minute % 10 == 5 => {
                if let Some((tcp, messages)) = &mut self.daily {
                    tcp.send(false, &text_frame(false, "message of the day"), &mut self.tape);
                    *messages += 1;
                }
            }
            _ => {}
        }
    }

    fn large(&mut self) {
        let number = self.number();
        let (mut tcp, stream) = self.open(number, 80);
        let path = format!("/large?stream={stream}");
        let get = Get { host: "large.example", path: &path, referer: None, media_type: "text/plain" };
        let large = std::mem::take(&mut self.large);
        tcp.exchange(&get, &large, &mut self.tape);
        self.large = large;
        tcp.close(&mut self.tape);
        self.made.entries += 1;
    }
}
