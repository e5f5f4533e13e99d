//! WebSocket frames and messages ([RFC 6455](https://www.rfc-editor.org/rfc/rfc6455)), with permessage-deflate
//! ([RFC 7692](https://www.rfc-editor.org/rfc/rfc7692)).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-------+-+-------------+-------------------------------+
//! |F|R|R|R| opcode|M| length      | 126: length, 16 bits          |
//! |I|S|S|S|       |A|             | 127: length, 64 bits          |
//! |N|V|V|V|       |S|             |                               |
//! | |1|2|3|       |K|             |                               |
//! +-+-+-+-+-------+-+-------------+-------------------------------+
//! | masking key, 32 bits, when MASK is set                        |
//! +---------------------------------------------------------------+
//! | payload …                                                     |
//! ```

use flate2::Decompress;

use crate::base::anomaly::AnomalyKind;
use crate::base::{Budget, Lease, Limits, Reader, Short, Span, Stamp};
use crate::tcp::Side;

use super::Headers;
use super::inflate::{self, Fault};

/// What the decoder hands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebSocketEvent<'a> {
    /// A message, or a control frame.
    Message(WebSocketMessage<'a>),
    /// A fault in the bytes of that side.
    Anomaly(Side, AnomalyKind, Stamp),
}

/// A message, or a control frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebSocketMessage<'a> {
    /// Who sent it.
    pub side: Side,
    /// 1 text, 2 binary, 8 close, 9 ping, 10 pong.
    pub opcode: u8,
    /// Content after unmasking and inflation; of a close, see [`close`].
    pub data: &'a [u8],
    /// The frame and time of its last byte.
    pub stamp: Stamp,
    /// Bytes on the wire: frame headers and payloads as sent.
    pub wire_size: u64,
}

/// Status code and reason of the data of a close frame (RFC 6455 §5.5.1).
pub fn close(data: &[u8]) -> Option<(u16, &[u8])> {
    let (code, reason) = data.split_first_chunk::<2>()?;
    Some((u16::from_be_bytes(*code), reason))
}

/// Reads both sides of one WebSocket.
#[derive(Debug)]
pub struct Decoder {
    client: Half,
    server: Half,
}

impl Decoder {
    /// A decoder for what follows the 101 response with these fields.
    pub fn new(response: &Headers, limits: &Limits, budget: &Budget) -> Self {
        let deflate = Deflate::negotiated(response);
        Self {
            client: Half::new(Side::Client, deflate, limits, budget),
            server: Half::new(Side::Server, deflate, limits, budget),
        }
    }

    /// Takes in the next bytes of a side.
    pub fn push(&mut self, side: Side, data: &[u8], span: Span, out: &mut dyn FnMut(WebSocketEvent<'_>)) {
        self.half(side).push(data, span, out);
    }

    /// Passes over missing bytes of a side; 0 when their number is unknown.
    pub fn lose(&mut self, side: Side, len: u64, out: &mut dyn FnMut(WebSocketEvent<'_>)) {
        self.half(side).lose(len, out);
    }

    fn half(&mut self, side: Side) -> &mut Half {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }
}

/// What was agreed on compression: whether each side forgets its window behind every message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Deflate {
    client_forgets: bool,
    server_forgets: bool,
}

impl Deflate {
    /// Of `Sec-WebSocket-Extensions`. The window sizes do not matter: a decoder with the largest reads all.
    fn negotiated(response: &Headers) -> Option<Self> {
        response.all("sec-websocket-extensions").flat_map(|value| value.split(|&byte| byte == b',')).find_map(|item| {
            let mut parts = item.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
            if !parts.next()?.eq_ignore_ascii_case(b"permessage-deflate") {
                return None;
            }
            let mut deflate = Self { client_forgets: false, server_forgets: false };
            for part in parts {
                deflate.client_forgets |= part.eq_ignore_ascii_case(b"client_no_context_takeover");
                deflate.server_forgets |= part.eq_ignore_ascii_case(b"server_no_context_takeover");
            }
            Some(deflate)
        })
    }
}

/// Memory of one inflater: window and tables.
const INFLATER_SIZE: usize = 48 << 10;
/// Longest frame header.
const HEADER_MAX: usize = 14;

#[derive(Debug)]
struct Half {
    side: Side,
    limit: usize,
    deflate: Option<Deflate>,
    /// Made with the first compressed message.
    inflater: Option<Box<Decompress>>,
    /// The window was lost with missing or broken bytes.
    is_inflater_lost: bool,
    /// Header of the next frame, as far as it came.
    header: Vec<u8>,
    frame: Option<Frame>,
    /// The data message whose frames are coming.
    message: Option<Message>,
    /// The control frame that is coming.
    control: Message,
    inflated: Vec<u8>,
    lease: Lease,
    last: Stamp,
    /// The frames can no longer be told apart.
    is_over: bool,
    wants_mask: bool,
}

/// A frame whose payload is coming.
#[derive(Debug, Clone, Copy)]
struct Frame {
    is_final: bool,
    opcode: u8,
    mask: [u8; 4],
    left: u64,
}

#[derive(Debug, Default)]
struct Message {
    opcode: u8,
    is_compressed: bool,
    data: Vec<u8>,
    wire_size: u64,
    is_too_large: bool,
    has_gap: bool,
}

impl Half {
    fn new(side: Side, deflate: Option<Deflate>, limits: &Limits, budget: &Budget) -> Self {
        Self {
            side,
            limit: limits.message,
            deflate,
            inflater: None,
            is_inflater_lost: false,
            header: Vec::new(),
            frame: None,
            message: None,
            control: Message::default(),
            inflated: Vec::new(),
            lease: budget.lease(),
            last: Stamp::default(),
            is_over: false,
            wants_mask: side == Side::Client,
        }
    }

    fn push(&mut self, data: &[u8], span: Span, out: &mut dyn FnMut(WebSocketEvent<'_>)) {
        self.last = span.last;
        let mut rest = data;
        while !self.is_over {
            if self.frame.is_some() {
                rest = self.payload(rest, out);
            } else if !rest.is_empty() {
                rest = self.header(rest, out);
            }
            if rest.is_empty() && self.frame.is_none_or(|frame| frame.left > 0) {
                break;
            }
        }
        self.account();
    }

    /// Takes in bytes of a frame header and gives back what follows it.
    fn header<'a>(&mut self, data: &'a [u8], out: &mut dyn FnMut(WebSocketEvent<'_>)) -> &'a [u8] {
        let before = self.header.len();
        let wanted = HEADER_MAX.saturating_sub(before).min(data.len());
        self.header.extend_from_slice(&data[..wanted]);
        let Ok(header) = Header::read(&self.header) else { return &data[wanted..] };
        self.header.clear();
        self.begin(header, out);
        data.get(header.len.saturating_sub(before)..).unwrap_or_default()
    }

    fn begin(&mut self, header: Header, out: &mut dyn FnMut(WebSocketEvent<'_>)) {
        let Header { first, mask, payload: left, len } = header;
        let (is_final, opcode) = (first & 0x80 != 0, first & 0x0f);
        let (is_compressed, reserved) = (first & 0x40 != 0, first & 0x30);
        let is_control = opcode & 8 != 0;
        let starts = matches!(opcode, 1 | 2);
        let is_good = reserved == 0
            && left >> 63 == 0
            && !(is_compressed && (self.deflate.is_none() || !starts))
            && match opcode {
                0 => self.message.is_some(),
                1 | 2 => self.message.is_none(),
                8..=10 => is_final && left <= 125,
                _ => false,
            };
        if !is_good {
            return self.give_up(AnomalyKind::MessageMalformed, out);
        }
        if mask.is_some() != self.wants_mask {
            // Told once: the side does it always.
            self.wants_mask = mask.is_some();
            out(WebSocketEvent::Anomaly(self.side, AnomalyKind::MessageMalformed, self.last));
        }
        if starts {
            self.message = Some(Message { opcode, is_compressed, ..Message::default() });
        }
        if is_control {
            self.control.opcode = opcode;
        }
        if let Some(message) = if is_control { Some(&mut self.control) } else { self.message.as_mut() } {
            message.wire_size = message.wire_size.saturating_add(len as u64);
        }
        self.frame = Some(Frame { is_final, opcode, mask: mask.unwrap_or_default(), left });
    }

    /// Takes in bytes of a payload and gives back what follows it.
    fn payload<'a>(&mut self, data: &'a [u8], out: &mut dyn FnMut(WebSocketEvent<'_>)) -> &'a [u8] {
        let Some(frame) = &mut self.frame else { return data };
        let len = usize::try_from(frame.left).unwrap_or(usize::MAX).min(data.len());
        let (payload, rest) = data.split_at(len);
        frame.left -= len as u64;
        let message = if frame.opcode & 8 != 0 { Some(&mut self.control) } else { self.message.as_mut() };
        if let Some(message) = message {
            message.wire_size = message.wire_size.saturating_add(len as u64);
            let from = message.data.len();
            // Behind a hole nothing can be inflated.
            let is_useless = message.is_compressed && message.has_gap;
            let kept = if is_useless { 0 } else { payload.len().min(self.limit.saturating_sub(from)) };
            message.is_too_large |= kept < payload.len() && !is_useless;
            message.data.extend_from_slice(&payload[..kept]);
            unmask(&mut message.data[from..], frame.mask);
        }
        frame.mask.rotate_left(len % 4);
        if frame.left == 0 {
            self.end_frame(out);
        }
        rest
    }

    fn end_frame(&mut self, out: &mut dyn FnMut(WebSocketEvent<'_>)) {
        let Some(frame) = self.frame.take() else { return };
        if frame.opcode & 8 != 0 {
            let control = std::mem::take(&mut self.control);
            self.hand_on(&control, None, out);
        } else if frame.is_final
            && let Some(message) = self.message.take()
        {
            if message.is_compressed {
                let mut inflated = std::mem::take(&mut self.inflated);
                self.inflate(&message, &mut inflated, out);
                self.hand_on(&message, Some(&inflated), out);
                inflated.clear();
                if inflated.capacity() <= 64 << 10 {
                    self.inflated = inflated;
                }
            } else {
                self.hand_on(&message, None, out);
            }
        }
    }

    fn hand_on(&self, message: &Message, inflated: Option<&[u8]>, out: &mut dyn FnMut(WebSocketEvent<'_>)) {
        if message.has_gap {
            out(WebSocketEvent::Anomaly(self.side, AnomalyKind::BytesLost, self.last));
        }
        if message.is_too_large {
            out(WebSocketEvent::Anomaly(self.side, AnomalyKind::BodyTooLarge, self.last));
        }
        out(WebSocketEvent::Message(WebSocketMessage {
            side: self.side,
            opcode: message.opcode,
            data: inflated.unwrap_or(&message.data),
            stamp: self.last,
            wire_size: message.wire_size,
        }));
    }

    /// Inflates a message as far as it is there (RFC 7692 §7.2.2).
    fn inflate(&mut self, message: &Message, output: &mut Vec<u8>, out: &mut dyn FnMut(WebSocketEvent<'_>)) {
        /// What the sender leaves out at the end of each message.
        const TAIL: &[u8] = &[0, 0, 0xff, 0xff];
        let forgets = self.deflate.is_some_and(|deflate| match self.side {
            Side::Client => deflate.client_forgets,
            Side::Server => deflate.server_forgets,
        });
        let inflater = self.inflater.get_or_insert_with(|| Box::new(Decompress::new(false)));
        if forgets {
            inflater.reset(false);
            self.is_inflater_lost = false;
        }
        if self.is_inflater_lost {
            out(WebSocketEvent::Anomaly(self.side, AnomalyKind::CodingBroken, self.last));
            return;
        }
        let mut outcome = inflate::message(inflater, &message.data, self.limit, output);
        let is_cut = message.has_gap || message.is_too_large;
        if outcome == Ok(false) && !is_cut {
            outcome = inflate::message(inflater, TAIL, self.limit, output);
        }
        if outcome == Ok(true) {
            // A final block: the next message begins a new stream.
            inflater.reset(false);
        }
        self.is_inflater_lost = outcome.is_err() || is_cut;
        match outcome {
            Ok(_) => {}
            Err(Fault::Broken) => out(WebSocketEvent::Anomaly(self.side, AnomalyKind::CodingBroken, self.last)),
            Err(Fault::TooLarge) => out(WebSocketEvent::Anomaly(self.side, AnomalyKind::BodyTooLarge, self.last)),
        }
    }

    /// Missing bytes inside one payload leave the frames in step; anywhere else they end the side.
    fn lose(&mut self, len: u64, out: &mut dyn FnMut(WebSocketEvent<'_>)) {
        if self.is_over {
            return;
        }
        let Some(frame) = self.frame.as_mut().filter(|frame| len > 0 && len <= frame.left) else {
            return self.give_up(AnomalyKind::BytesLost, out);
        };
        frame.left -= len;
        frame.mask.rotate_left((len % 4) as usize);
        let message = if frame.opcode & 8 != 0 { Some(&mut self.control) } else { self.message.as_mut() };
        if let Some(message) = message {
            message.has_gap = true;
            message.wire_size = message.wire_size.saturating_add(len);
        }
        if frame.left == 0 {
            self.end_frame(out);
        }
        self.account();
    }

    fn give_up(&mut self, kind: AnomalyKind, out: &mut dyn FnMut(WebSocketEvent<'_>)) {
        out(WebSocketEvent::Anomaly(self.side, kind, self.last));
        self.is_over = true;
        self.frame = None;
        self.message = None;
        self.control = Message::default();
        self.header = Vec::new();
        self.inflater = None;
        self.inflated = Vec::new();
        self.account();
    }

    fn account(&mut self) {
        let message = self.message.as_ref().map_or(0, |message| message.data.capacity());
        let inflater = if self.inflater.is_some() { INFLATER_SIZE } else { 0 };
        let own = self.header.capacity() + self.control.data.capacity() + self.inflated.capacity();
        self.lease.set(message + inflater + own);
    }
}

/// A frame header.
#[derive(Debug, Clone, Copy)]
struct Header {
    /// FIN, reserved bits and opcode.
    first: u8,
    mask: Option<[u8; 4]>,
    /// Bytes of the payload.
    payload: u64,
    /// Bytes of the header itself.
    len: usize,
}

impl Header {
    fn read(bytes: &[u8]) -> Result<Self, Short> {
        let mut reader = Reader::new(bytes);
        let [first, second] = reader.array()?;
        let payload = match second & 0x7f {
            126 => u64::from(reader.u16()?),
            127 => reader.u64()?,
            len => u64::from(len),
        };
        let mask = if second & 0x80 != 0 { Some(reader.array()?) } else { None };
        Ok(Self { first, mask, payload, len: reader.position() })
    }
}

fn unmask(data: &mut [u8], mask: [u8; 4]) {
    if mask == [0; 4] {
        return;
    }
    let wide = u32::from_ne_bytes(mask);
    let mut words = data.chunks_exact_mut(4);
    for word in &mut words {
        if let Some(bytes) = word.first_chunk_mut::<4>() {
            *bytes = (u32::from_ne_bytes(*bytes) ^ wide).to_ne_bytes();
        }
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(mask) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests;
