//! What is asked for and answered: mixed bodies, the same whatever carries them.

use std::cell::RefCell;
use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::Random;

/// A kind of content: its type, the source it is cut from, and whether it travels as gzip.
pub struct Content {
    /// Value of `Content-Type`.
    pub media_type: &'static str,
    /// A mebibyte, or a little more.
    pub source: Vec<u8>,
    /// True when it travels as gzip.
    pub gzip: bool,
}

/// Lengths of bodies that are drawn from.
const MIXED: &[usize] = &[200, 900, 3_000, 12_000, 12_000, 40_000, 40_000, 120_000, 300_000, 1 << 20];

/// Lengths as interfaces between programs have them: what counts is the cost of an exchange.
const SMALL: &[usize] = &[0, 20, 60, 150, 400, 900];

/// All kinds of content, and the lengths of their bodies.
pub struct Contents {
    kinds: Vec<Content>,
    sizes: &'static [usize],
    /// Kind and length of the next bodies. They are dealt, not thrown: captures of every size have the same mixture.
    deck: RefCell<Vec<(usize, usize)>>,
}

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

impl Contents {
    /// Bodies of all lengths up to a mebibyte.
    pub fn mixed(random: &mut Random) -> Self {
        Self { kinds: kinds(random), sizes: MIXED, deck: RefCell::default() }
    }

    /// Bodies of a few hundred bytes.
    pub fn small(random: &mut Random) -> Self {
        Self { kinds: kinds(random), sizes: SMALL, deck: RefCell::default() }
    }

    /// The next body: its kind, and how long it is.
    fn deal(&self, random: &mut Random) -> (&Content, usize) {
        let mut deck = self.deck.borrow_mut();
        let (kind, size) = deck.pop().unwrap_or_else(|| {
            deck.extend((0..self.kinds.len()).flat_map(|kind| self.sizes.iter().map(move |&size| (kind, size))));
            for last in (1..deck.len()).rev() {
                deck.swap(last, random.below(last + 1));
            }
            deck.pop().unwrap_or_default()
        });
        (&self.kinds[kind], size)
    }
}

/// All kinds of content there are.
fn kinds(random: &mut Random) -> Vec<Content> {
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

/// The host that the client of this port asks.
pub fn host(port: u16) -> String {
    format!("h{}.example", port % 7)
}

/// A request with its response.
pub struct Exchange<'c> {
    /// How many requests the connection had, with this one.
    pub number: u64,
    /// Who asks.
    pub port: u16,
    /// Who is asked.
    pub host: String,
    /// `GET` or `POST`.
    pub method: &'static str,
    /// Path and query.
    pub path: String,
    /// JSON that goes up; none but with `POST`.
    pub upload: &'c [u8],
    /// What comes down.
    pub content: &'c Content,
    /// Its bytes as they travel.
    pub body: Vec<u8>,
}

impl<'c> Exchange<'c> {
    /// Draws one.
    pub fn draw(port: u16, number: u64, contents: &'c Contents, random: &mut Random) -> io::Result<Self> {
        let Contents { kinds, sizes, .. } = contents;
        let (content, size) = contents.deal(random);
        let plain = &content.source[..size.min(content.source.len())];
        let body = match content.gzip {
            true => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
                encoder.write_all(plain)?;
                encoder.finish()?
            }
            false => plain.to_vec(),
        };
        let is_post = random.below(10) == 0;
        let upload: &[u8] = if is_post { &kinds[2].source[..sizes[random.below(6)]] } else { &[] };
        let query = String::from_utf8_lossy(&words(random, 8, b'+')).into_owned();
        let path = format!("/r/{port}/{number}?q={query}");
        let method = if is_post { "POST" } else { "GET" };
        Ok(Self { number, port, host: host(port), method, path, upload, content, body })
    }

    /// The request's fields, as HTTP/2 and HTTP/3 have them.
    pub fn request(&self) -> Vec<(&'static str, String)> {
        let mut fields = vec![
            (":method", self.method.into()),
            (":scheme", "https".into()),
            (":authority", self.host.clone()),
            (":path", self.path.clone()),
            ("user-agent", "generate/1 (X11; Linux x86_64)".into()),
            ("accept", "*/*".into()),
            ("accept-encoding", "gzip".into()),
            ("cookie", format!("sid={}; theme=dark", self.port)),
            ("referer", format!("https://{}/", self.host)),
        ];
        if !self.upload.is_empty() {
            fields.push(("content-type", "application/json".into()));
            fields.push(("content-length", self.upload.len().to_string()));
        }
        fields
    }

    /// The response's fields, as HTTP/2 and HTTP/3 have them. Each fourth response does not say its length.
    pub fn response(&self) -> Vec<(&'static str, String)> {
        let mut fields = vec![
            (":status", "200".into()),
            ("server", "generate".into()),
            ("date", "Sun, 22 Nov 2026 10:00:00 GMT".into()),
            ("content-type", self.content.media_type.into()),
            ("cache-control", "max-age=60".into()),
            ("set-cookie", format!("n={}; Path=/; HttpOnly", self.number)),
        ];
        if self.content.gzip {
            fields.push(("content-encoding", "gzip".into()));
        }
        if !self.number.is_multiple_of(4) {
            fields.push(("content-length", self.body.len().to_string()));
        }
        fields
    }
}
