//! HTTP/1.1 in the clear: one exchange after the other on each connection.

use std::io;

use super::content::{Contents, Exchange};
use super::wire::{Flow, Tcp};
use super::{Conversation, Random};

/// Exchanges of a connection that another one follows.
const TURN: u64 = 50;

/// A keep-alive connection.
pub struct Connection {
    tcp: Tcp,
    number: usize,
    /// From the number of a connection to that of the one that follows it.
    step: Option<usize>,
    requests: u64,
}

impl Connection {
    /// Opens the connection of that number. With a step, it is closed after some exchanges and another one follows.
    pub fn new(number: usize, step: Option<usize>, random: &mut Random) -> Self {
        Self { tcp: Tcp::open(Flow::new(number, 80), random), number, step, requests: 0 }
    }
}

impl Conversation for Connection {
    fn talk(&mut self, contents: &Contents, random: &mut Random) -> io::Result<u64> {
        if let (TURN, Some(step)) = (self.requests, self.step) {
            *self = Self::new(self.number + step, self.step, random);
        }
        self.requests += 1;
        let Exchange { number, port, host, method, path, upload, content, body } =
            Exchange::draw(self.tcp.flow.client_port, self.requests, contents, random)?;
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: generate/1 (X11; Linux x86_64)\r\nAccept: */*\r\n\
             Accept-Encoding: gzip\r\nCookie: sid={port}; theme=dark\r\nReferer: http://{host}/\r\n",
        );
        if !upload.is_empty() {
            request += &format!("Content-Type: application/json\r\nContent-Length: {}\r\n", upload.len());
        }
        self.tcp.send(true, &[request.as_bytes(), b"\r\n", upload].concat());
        let mut head = format!(
            "HTTP/1.1 200 OK\r\nServer: generate\r\nDate: Sun, 22 Nov 2026 10:00:00 GMT\r\nContent-Type: {}\r\n\
             Cache-Control: max-age=60\r\nSet-Cookie: n={number}; Path=/; HttpOnly\r\n",
            content.media_type
        );
        if content.gzip {
            head += "Content-Encoding: gzip\r\n";
        }
        let mut response = Vec::new();
        if number.is_multiple_of(4) {
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
        self.tcp.send(false, &response);
        if self.requests == TURN && self.step.is_some() {
            self.tcp.close();
        }
        Ok(1)
    }

    fn packet(&mut self) -> Option<Vec<u8>> {
        self.tcp.queue.pop_front()
    }
}
