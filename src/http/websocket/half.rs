//! One direction of a WebSocket: its frames, its messages, and its window of permessage-deflate.

use flate2::Decompress;

use super::header::{HEADER_MAX, Header, Rules, unmask};
use super::{Deflate, WebSocketEvent, WebSocketMessage};
use crate::base::anomaly::AnomalyKind;
use crate::base::{Budget, Lease, Limits, Span, Stamp};
use crate::http::Completeness;
use crate::http::inflate::{self, Fault};
use crate::http::resync::{Resync, Unread};
use crate::tcp::Side;

type Out<'o> = &'o mut dyn FnMut(WebSocketEvent<'_>);

/// Memory of one inflater: window and tables.
const INFLATER_SIZE: usize = 48 << 10;

#[derive(Debug)]
pub(super) struct Half {
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
    state: State,
    /// Chunks among which frames are searched.
    resync: Resync,
    /// Bytes were missing: what does not fit is passed over up to frames that do.
    has_lost: bool,
    /// The next frame may go on with a message whose start is missing.
    may_be_inside: bool,
    /// Bytes passed over since frames were read last, and where the first of them were.
    unread: Unread,
    wants_mask: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Frames follow one another.
    InStep,
    /// The place of the next frame is not known.
    Searching,
    /// The sender broke the rules: the frames can no longer be told apart.
    Over,
}

/// A frame whose payload is coming.
#[derive(Debug, Clone, Copy)]
struct Frame {
    is_final: bool,
    opcode: u8,
    mask: [u8; 4],
    left: u64,
}

impl Frame {
    fn is_control(self) -> bool {
        self.opcode & 8 != 0
    }
}

#[derive(Debug, Default)]
struct Message {
    opcode: u8,
    is_compressed: bool,
    data: Vec<u8>,
    wire_size: u64,
    is_too_large: bool,
    has_gap: bool,
    /// Its start is missing: it is not handed on.
    is_orphan: bool,
}

impl Message {
    fn completeness(&self) -> Completeness {
        if self.has_gap { Completeness::Cut } else { Completeness::Whole }
    }
}

impl Half {
    pub(super) fn new(side: Side, deflate: Option<Deflate>, limits: &Limits, budget: &Budget) -> Self {
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
            state: State::InStep,
            resync: Resync::new(limits.message.saturating_add(HEADER_MAX), budget),
            has_lost: false,
            may_be_inside: false,
            unread: Unread::default(),
            wants_mask: side == Side::Client,
        }
    }

    pub(super) fn push(&mut self, data: &[u8], span: Span, out: Out<'_>) {
        self.last = span.last;
        match self.state {
            State::InStep => self.read(data, out),
            State::Searching => {
                self.resync.push(data, span);
                self.search(false, out);
            }
            State::Over => self.pass_over(data.len() as u64),
        }
        self.account();
    }

    /// Missing bytes inside one payload leave the frames in step; behind any others the next frame is searched.
    pub(super) fn lose(&mut self, len: u64, out: Out<'_>) {
        if self.state == State::Searching {
            self.search(true, out);
        }
        self.has_lost = true;
        if self.state == State::InStep {
            match self.frame.as_mut().filter(|frame| len > 0 && len <= frame.left) {
                Some(frame) => {
                    frame.left -= len;
                    frame.mask.rotate_left((len % 4) as usize);
                    let frame = *frame;
                    self.miss(frame, len);
                    if frame.left == 0 {
                        self.end_frame(out);
                    }
                }
                None => self.lose_step(out),
            }
        }
        self.account();
    }

    /// Nothing comes any more.
    pub(super) fn finish(&mut self, out: Out<'_>) {
        if self.state == State::Searching {
            self.search(true, out);
        }
        self.tell_unread(out);
        self.account();
    }

    /// Reads frames from the next byte on.
    fn read(&mut self, data: &[u8], out: Out<'_>) {
        let mut rest = data;
        while self.state == State::InStep {
            if self.frame.is_some() {
                rest = self.payload(rest, out);
            } else if !rest.is_empty() {
                rest = self.header(rest, out);
            }
            if rest.is_empty() && self.frame.is_none_or(|frame| frame.left > 0) {
                return;
            }
        }
        self.pass_over(rest.len() as u64);
    }

    /// Looks for a chunk that begins with frames, and reads on there.
    fn search(&mut self, is_over: bool, out: Out<'_>) {
        let rules = Rules { is_deflated: self.deflate.is_some(), is_masked: self.wants_mask };
        let mut chunk = Vec::new();
        while self.state == State::Searching {
            let (forgotten, is_found) = self.resync.look(is_over, |place| rules.judge(place));
            self.pass_over(forgotten);
            if !is_found {
                return;
            }
            self.tell_unread(out);
            self.state = State::InStep;
            while self.state == State::InStep
                && let Some(span) = self.resync.take(&mut chunk)
            {
                self.last = span.last;
                self.read(&chunk, out);
            }
        }
    }

    fn pass_over(&mut self, bytes: u64) {
        self.unread.add(bytes, self.last);
    }

    fn tell_unread(&mut self, out: Out<'_>) {
        if let Some((bytes, stamp)) = self.unread.take() {
            out(WebSocketEvent::Unread(self.side, bytes, stamp));
        }
    }

    /// Takes in bytes of a frame header and gives back what follows it.
    fn header<'a>(&mut self, data: &'a [u8], out: Out<'_>) -> &'a [u8] {
        let before = self.header.len();
        let wanted = HEADER_MAX.saturating_sub(before).min(data.len());
        self.header.extend_from_slice(&data[..wanted]);
        let Ok(header) = Header::read(&self.header) else { return &data[wanted..] };
        self.header.clear();
        self.begin(header, out);
        data.get(header.len.saturating_sub(before)..).unwrap_or_default()
    }

    fn begin(&mut self, header: Header, out: Out<'_>) {
        let opcode = header.opcode();
        let is_orphan = opcode == 0 && self.message.is_none() && self.may_be_inside;
        let is_good = header.is_legal(self.deflate.is_some())
            && match opcode {
                0 => self.message.is_some() || is_orphan,
                1 | 2 => self.message.is_none(),
                _ => true,
            };
        let is_mask_odd = header.mask.is_some() != self.wants_mask;
        if !is_good || is_mask_odd && self.has_lost {
            self.pass_over(header.len as u64);
            return if self.has_lost { self.lose_step(out) } else { self.give_up(out) };
        }
        if is_mask_odd {
            // Told once: the side does it always.
            self.wants_mask = header.mask.is_some();
            out(WebSocketEvent::Anomaly(self.side, AnomalyKind::MessageMalformed, self.last));
        }
        if header.starts_message() || is_orphan {
            let is_compressed = header.is_compressed();
            self.message = Some(Message { opcode, is_compressed, is_orphan, ..Message::default() });
            self.may_be_inside = false;
        }
        if header.is_control() {
            self.control.opcode = opcode;
        }
        let mask = header.mask.unwrap_or_default();
        let frame = Frame { is_final: header.is_final(), opcode, mask, left: header.payload };
        self.frame = Some(frame);
        if let Some(message) = self.message_of(frame) {
            message.wire_size = message.wire_size.saturating_add(header.len as u64);
        }
    }

    /// What a frame is a part of.
    fn message_of(&mut self, frame: Frame) -> Option<&mut Message> {
        if frame.is_control() { Some(&mut self.control) } else { self.message.as_mut() }
    }

    /// Takes in bytes of a payload and gives back what follows it.
    fn payload<'a>(&mut self, data: &'a [u8], out: Out<'_>) -> &'a [u8] {
        let limit = self.limit;
        let Some(frame) = self.frame else { return data };
        let len = usize::try_from(frame.left).unwrap_or(usize::MAX).min(data.len());
        let (payload, rest) = data.split_at(len);
        if let Some(message) = self.message_of(frame) {
            message.wire_size = message.wire_size.saturating_add(len as u64);
            let from = message.data.len();
            // What is kept is the start of a message: nothing behind a hole belongs to that.
            let is_useless = message.has_gap || message.is_orphan;
            let kept = if is_useless { 0 } else { payload.len().min(limit.saturating_sub(from)) };
            message.is_too_large |= kept < payload.len() && !is_useless;
            message.data.extend_from_slice(&payload[..kept]);
            unmask(&mut message.data[from..], frame.mask);
        }
        if let Some(frame) = &mut self.frame {
            frame.left -= len as u64;
            frame.mask.rotate_left(len % 4);
            if frame.left == 0 {
                self.end_frame(out);
            }
        }
        rest
    }

    fn end_frame(&mut self, out: Out<'_>) {
        let Some(frame) = self.frame.take() else { return };
        if frame.is_control() {
            let control = std::mem::take(&mut self.control);
            self.hand_on(&control, &control.data, control.completeness(), out);
        } else if frame.is_final
            && let Some(message) = self.message.take()
        {
            if message.is_orphan {
                self.pass_over(message.wire_size);
                self.tell_unread(out);
            } else if message.is_compressed {
                let mut inflated = std::mem::take(&mut self.inflated);
                let completeness = self.inflate(&message, &mut inflated, out);
                self.hand_on(&message, &inflated, completeness, out);
                inflated.clear();
                if inflated.capacity() <= 64 << 10 {
                    self.inflated = inflated;
                }
            } else {
                self.hand_on(&message, &message.data, message.completeness(), out);
            }
        }
    }

    fn hand_on(&self, message: &Message, data: &[u8], completeness: Completeness, out: Out<'_>) {
        if message.is_too_large {
            out(WebSocketEvent::Anomaly(self.side, AnomalyKind::BodyTooLarge, self.last));
        }
        out(WebSocketEvent::Message(WebSocketMessage {
            side: self.side,
            opcode: message.opcode,
            data,
            completeness,
            stamp: self.last,
            wire_size: message.wire_size,
        }));
    }

    /// Inflates a message as far as it is there (RFC 7692 §7.2.2).
    fn inflate(&mut self, message: &Message, output: &mut Vec<u8>, out: Out<'_>) -> Completeness {
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
            return Completeness::Undecodable;
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
        message.completeness()
    }

    /// So many bytes of a payload are missing.
    fn miss(&mut self, frame: Frame, len: u64) {
        if let Some(message) = self.message_of(frame) {
            message.has_gap = true;
            message.wire_size = message.wire_size.saturating_add(len);
        }
    }

    /// The place of the next frame is not known any more.
    fn lose_step(&mut self, out: Out<'_>) {
        self.state = State::Searching;
        self.pass_over(self.header.len() as u64);
        self.header.clear();
        if let Some(frame) = &mut self.frame
            && (frame.is_final || frame.is_control())
        {
            // Its end is missing, but its header says what it is and how large.
            let left = std::mem::take(&mut frame.left);
            let frame = *frame;
            self.miss(frame, left);
            self.end_frame(out);
        }
        self.forget_message();
        self.may_be_inside = true;
        self.is_inflater_lost = true;
    }

    fn give_up(&mut self, out: Out<'_>) {
        out(WebSocketEvent::Anomaly(self.side, AnomalyKind::MessageMalformed, self.last));
        self.state = State::Over;
        self.forget_message();
        self.header = Vec::new();
        self.inflater = None;
        self.inflated = Vec::new();
    }

    fn forget_message(&mut self) {
        self.frame = None;
        self.control = Message::default();
        if let Some(message) = self.message.take() {
            self.pass_over(message.wire_size);
        }
    }

    fn account(&mut self) {
        let message = self.message.as_ref().map_or(0, |message| message.data.capacity());
        let inflater = if self.inflater.is_some() { INFLATER_SIZE } else { 0 };
        let own = self.header.capacity() + self.control.data.capacity() + self.inflated.capacity();
        self.lease.set(message + inflater + own);
    }
}
