//! One exchange of HTTP/2 or HTTP/3: what comes on its stream becomes events, and its two messages keep their state
//! ([RFC 9113 §5.1](https://www.rfc-editor.org/rfc/rfc9113#section-5.1)).

use super::section::{Faults, Section};
use super::{Abort, Headers, HttpEvent, HttpEventKind, PushPromise, StreamId, StreamPriority, Upgrade, Version};
use crate::base::anomaly::AnomalyKind;
use crate::base::{Span, Stamp};
use crate::tcp::{Chunk, Side};

type Sink<'s> = &'s mut dyn FnMut(HttpEvent<'_>);

/// How far a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Progress {
    /// Its (final) head has not come.
    #[default]
    Idle,
    /// Its head has come.
    Body,
    /// End or Abort was told.
    Done,
}

/// One message.
#[derive(Debug, Default)]
struct Message {
    progress: Progress,
    /// Octets on the wire so far.
    wire_size: u64,
    /// Content octets so far, lost ones as well.
    content: u64,
    /// Content-Length, when the head has one.
    stated: Option<u64>,
    /// Frames may be missing since the last content.
    may_lack: bool,
    /// Frames were missing since the head: the end may be among them.
    is_torn: bool,
}

/// What a request asks of its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// Content, as its length says.
    Content,
    /// Nothing is known of it.
    Unknown,
    /// No content: HEAD.
    Head,
    /// CONNECT: to become this when it is answered with 2xx.
    Upgrade(Upgrade),
}

/// Frames of one field section.
#[derive(Debug, Clone, Copy)]
pub struct Frames {
    /// Version of HTTP.
    pub version: Version,
    /// Frames of the capture.
    pub span: Span,
    /// Octets on the wire.
    pub size: u64,
    /// Priority that came with them.
    pub priority: Option<StreamPriority>,
}

/// A stream whose messages are not both over.
#[derive(Debug)]
pub struct Stream {
    id: StreamId,
    wish: Wish,
    messages: [Message; 2],
}

impl Stream {
    /// A stream that begins with a request.
    pub fn open(id: StreamId, section: Section, frames: Frames, out: Sink<'_>) -> Self {
        let (head, faults) = section.into_request(frames.version, frames.span, frames.size, frames.priority);
        let wish = match (head.method.as_slice(), head.protocol.as_deref()) {
            (b"CONNECT", None) => Wish::Upgrade(Upgrade::Tunnel),
            (b"CONNECT", Some(b"websocket")) => Wish::Upgrade(Upgrade::WebSocket),
            (b"CONNECT", Some(_)) => Wish::Upgrade(Upgrade::Other),
            (b"HEAD", _) => Wish::Head,
            _ => Wish::Content,
        };
        let mut stream = Self::with(id, wish);
        let [request, _] = &mut stream.messages;
        *request = Message {
            progress: Progress::Body,
            stated: stated_length(&head.headers),
            wire_size: frames.size,
            ..Message::default()
        };
        stream.tell(HttpEventKind::Request(head), out);
        stream.tell_faults(faults, frames.span.last, out);
        stream
    }

    /// A stream that begins with the promise of a request; that is all there is of the request.
    pub fn promised(id: StreamId, parent: StreamId, section: Section, frames: Frames, out: Sink<'_>) -> Self {
        let (head, faults) = section.into_request(frames.version, frames.span, frames.size, None);
        let mut stream = Self::with(id, if head.method == b"HEAD" { Wish::Head } else { Wish::Content });
        let [request, _] = &mut stream.messages;
        *request = Message { progress: Progress::Body, wire_size: frames.size, ..Message::default() };
        stream.tell(HttpEventKind::Push(Box::new(PushPromise { parent, head: *head })), out);
        stream.tell_faults(faults, frames.span.last, out);
        stream.end(Side::Client, frames.span, out);
        stream
    }

    /// A stream whose request was told elsewhere, and has ended there.
    pub fn answering(id: StreamId) -> Self {
        let mut stream = Self::with(id, Wish::Unknown);
        let [request, _] = &mut stream.messages;
        request.progress = Progress::Done;
        stream
    }

    fn with(id: StreamId, wish: Wish) -> Self {
        Self { id, wish, messages: Default::default() }
    }

    /// How the exchange is called.
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// True when both messages are over.
    pub fn is_done(&self) -> bool {
        self.messages.iter().all(|message| message.progress == Progress::Done)
    }

    /// How far a message is.
    pub fn progress(&self, side: Side) -> Progress {
        let [request, response] = &self.messages;
        if side == Side::Client { request.progress } else { response.progress }
    }

    fn message(&mut self, side: Side) -> &mut Message {
        let [request, response] = &mut self.messages;
        if side == Side::Client { request } else { response }
    }

    fn tell(&self, kind: HttpEventKind<'_>, out: Sink<'_>) {
        out(HttpEvent { stream: self.id, kind });
    }

    /// Tells a fault of the exchange.
    pub fn fault(&self, kind: AnomalyKind, stamp: Stamp, out: Sink<'_>) {
        self.tell(HttpEventKind::Anomaly(kind, stamp), out);
    }

    fn tell_faults(&self, faults: Faults, stamp: Stamp, out: Sink<'_>) {
        for kind in faults.kinds() {
            self.fault(kind, stamp, out);
        }
    }

    /// A field section of a side: a response, or trailers; `is_end` when the message ends with it.
    pub fn section(&mut self, side: Side, section: Section, frames: Frames, is_end: bool, out: Sink<'_>) {
        let stamp = frames.span.last;
        match self.progress(side) {
            Progress::Done => return self.fault(AnomalyKind::FrameMalformed, stamp, out),
            Progress::Body => self.trailers(side, section, frames, is_end, out),
            // Trailers of a response whose head is missing.
            Progress::Idle if section.is_trailers() && self.message(side).is_torn => {
                return if is_end {
                    self.abort(side, Abort::Lost, stamp, out)
                };
            }
            Progress::Idle => self.response(section, frames, is_end, out),
        }
        if is_end {
            self.end(side, frames.span, out);
        }
    }

    fn response(&mut self, section: Section, frames: Frames, is_end: bool, out: Sink<'_>) {
        let (head, faults) = section.into_response(frames.version, frames.span, frames.size);
        let status = head.status;
        let mut upgrade = None;
        if status >= 200 || status == 0 || is_end {
            let mut stated = None;
            match self.wish {
                Wish::Upgrade(wish) if (200..300).contains(&status) => upgrade = Some(wish),
                Wish::Head | Wish::Unknown => {}
                _ if matches!(status, 204 | 304) => {}
                _ => stated = stated_length(&head.headers),
            }
            // Whatever was missing came before the head.
            *self.message(Side::Server) =
                Message { progress: Progress::Body, wire_size: frames.size, stated, ..Message::default() };
        }
        self.tell(HttpEventKind::Response(head), out);
        self.tell_faults(faults, frames.span.last, out);
        if let Some(upgrade) = upgrade {
            self.tell(HttpEventKind::Upgrade(upgrade), out);
        }
    }

    fn trailers(&mut self, side: Side, section: Section, frames: Frames, is_end: bool, out: Sink<'_>) {
        self.message(side).wire_size += frames.size;
        let (headers, faults) = section.into_trailers();
        // Nothing may follow trailers (RFC 9113 §8.1). In HTTP/3 the end is told apart from them.
        let is_followed = frames.version == Version::Http2 && !is_end;
        let faults = Faults { is_malformed: faults.is_malformed || is_followed, ..faults };
        self.tell_end_lack(side, frames.span.first, out);
        self.tell(HttpEventKind::Trailers(side, headers), out);
        self.tell_faults(faults, frames.span.last, out);
    }

    /// True when content of that side may come now. Content before the head or behind the end is a fault, unless something is
    /// missing that would explain it.
    fn takes_content(&mut self, side: Side, stamp: Stamp, out: Sink<'_>) -> bool {
        let message = self.message(side);
        if message.progress == Progress::Body {
            return true;
        }
        if !std::mem::replace(&mut message.is_torn, true) {
            self.fault(AnomalyKind::FrameMalformed, stamp, out);
        }
        false
    }

    /// Content, with `framing` octets around it.
    pub fn content(&mut self, side: Side, chunk: Chunk<'_>, framing: u64, out: Sink<'_>) {
        let stamp = chunk.span.first;
        if self.takes_content(side, stamp, out) {
            let message = self.message(side);
            let len = chunk.data.len() as u64;
            message.wire_size += framing + len;
            message.content += len;
            self.tell_lack(side, stamp, out);
            self.tell(HttpEventKind::Body(side, chunk), out);
        }
    }

    /// Content that is missing, `len` octets or 0 when that is not known, with `framing` octets around it.
    pub fn lost(&mut self, side: Side, len: u64, stamp: Stamp, framing: u64, out: Sink<'_>) {
        if self.takes_content(side, stamp, out) {
            let message = self.message(side);
            message.wire_size = message.wire_size.saturating_add(framing).saturating_add(len);
            message.content = message.content.saturating_add(len);
            message.may_lack = false;
            // With content of unknown length the stated length proves nothing.
            message.is_torn |= len == 0;
            self.tell(HttpEventKind::Lost(side, len, stamp), out);
        }
    }

    /// Octets of framing of a message.
    pub fn framing(&mut self, side: Side, octets: u64) {
        let message = self.message(side);
        if message.progress == Progress::Body {
            message.wire_size += octets;
        }
    }

    /// Frames of that side are missing, of this stream or another.
    pub fn tear(&mut self, side: Side) {
        let message = self.message(side);
        message.is_torn = true;
        message.may_lack |= message.progress == Progress::Body;
    }

    /// A message is complete.
    pub fn end(&mut self, side: Side, span: Span, out: Sink<'_>) {
        match self.progress(side) {
            Progress::Body => {}
            // There was no head.
            Progress::Idle => return self.abort(side, Abort::Malformed, span.last, out),
            Progress::Done => return,
        }
        self.tell_end_lack(side, span.last, out);
        let message = self.message(side);
        message.progress = Progress::Done;
        let Message { content, stated, is_torn, wire_size, .. } = *message;
        if let Some(stated) = stated
            && stated != content
            && !is_torn
        {
            let kind = if content < stated { AnomalyKind::BodyCutShort } else { AnomalyKind::LengthConflict };
            self.fault(kind, span.last, out);
        }
        self.tell(HttpEventKind::End { side, span, wire_size }, out);
        // The end of the request is among what is missing; waiting for it would keep the exchange for ever.
        if side == Side::Server && self.message(Side::Client).is_torn {
            self.abort(Side::Client, Abort::Lost, span.last, out);
        }
    }

    /// The sender of a message sends no more: what came is all of it, unless frames are missing.
    pub fn finish(&mut self, side: Side, span: Span, out: Sink<'_>) {
        let message = self.message(side);
        if message.is_torn && message.stated != Some(message.content) {
            self.abort(side, Abort::Lost, span.last, out);
        } else {
            self.end(side, span, out);
        }
    }

    /// A message will not become complete.
    pub fn abort(&mut self, side: Side, reason: Abort, stamp: Stamp, out: Sink<'_>) {
        let message = self.message(side);
        if message.progress == Progress::Done {
            return;
        }
        message.progress = Progress::Done;
        let is_told = matches!(reason, Abort::StreamReset(_) | Abort::Evicted);
        let reason = if message.is_torn && !is_told { Abort::Lost } else { reason };
        let wire_size = message.wire_size;
        self.tell(HttpEventKind::Abort { side, reason, stamp, wire_size }, out);
    }

    /// Neither message will become complete.
    pub fn abandon(&mut self, reason: Abort, stamp: Stamp, out: Sink<'_>) {
        for side in Side::BOTH {
            self.abort(side, reason, stamp, out);
        }
    }

    /// Frames are missing since the last content: content may be.
    fn tell_lack(&mut self, side: Side, stamp: Stamp, out: Sink<'_>) {
        if std::mem::take(&mut self.message(side).may_lack) {
            self.tell(HttpEventKind::Lost(side, 0, stamp), out);
        }
    }

    /// The same at the end, where the stated length can say that nothing is missing.
    fn tell_end_lack(&mut self, side: Side, stamp: Stamp, out: Sink<'_>) {
        let message = self.message(side);
        message.may_lack &= message.stated != Some(message.content);
        self.tell_lack(side, stamp, out);
    }
}

fn stated_length(headers: &Headers) -> Option<u64> {
    std::str::from_utf8(headers.first("content-length")?).ok()?.parse().ok()
}
