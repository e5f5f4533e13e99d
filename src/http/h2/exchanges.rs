//! Sections of messages find their streams; streams begin and end.

use super::connection::{Block, Core, Roles};
use crate::base::anomaly::AnomalyKind;
use crate::base::{Reader, Stamp};
use crate::http::section::Section;
use crate::http::stream::{Frames, Stream};
use crate::http::{Abort, HttpEvent, Version};
use crate::tcp::Side;

type Sink<'s> = &'s mut dyn FnMut(HttpEvent<'_>);

impl Core {
    /// A section that the client sent.
    pub(super) fn client_section(&mut self, block: Block, mut section: Section, out: Sink<'_>) {
        if self.streams.contains_key(&block.stream) {
            return self.section(Side::Client, block, section, out);
        }
        let [highest, _] = &mut self.highest;
        // A closed stream; or, in a capture that starts later, trailers of a request from before.
        if block.stream <= *highest || !section.is_request() && self.directions.iter().any(|it| it.has_lost) {
            return;
        }
        if block.stream.is_multiple_of(2) {
            return self.note(AnomalyKind::FrameMalformed, block.span.last);
        }
        *highest = block.stream;
        self.authorities.complete(&mut section);
        self.make_room(block.span.last, out);
        let mut stream = Stream::open(self.name(block.stream), section, block.frames(), out);
        if block.is_end_stream {
            stream.end(Side::Client, block.span, out);
        }
        self.streams.insert(block.stream, stream);
        self.account();
    }

    /// A section that the server sent.
    pub(super) fn server_section(&mut self, block: Block, section: Section, out: Sink<'_>) {
        if self.streams.contains_key(&block.stream) {
            return self.section(Side::Server, block, section, out);
        }
        // A closed stream, or one whose request was not seen.
        let [client, promised] = self.highest;
        let is_closed = block.stream <= if block.stream.is_multiple_of(2) { promised } else { client };
        if !is_closed && section.status().is_some_and(|status| status >= 200) {
            self.note(AnomalyKind::ResponseWithoutRequest, block.span.first);
        }
    }

    /// A section on a stream that is open.
    fn section(&mut self, role: Side, block: Block, section: Section, out: Sink<'_>) {
        self.on(block.stream, |stream| stream.section(role, section, block.frames(), block.is_end_stream, out));
    }

    /// A request that the server promises on a stream (RFC 9113 §8.4).
    pub(super) fn promise(&mut self, promised: u32, block: Block, mut section: Section, out: Sink<'_>) {
        let [_, highest] = &mut self.highest;
        if !promised.is_multiple_of(2) || promised <= *highest {
            return self.note(AnomalyKind::FrameMalformed, block.span.last);
        }
        *highest = promised;
        self.authorities.complete(&mut section);
        self.make_room(block.span.last, out);
        let (id, parent) = (self.name(promised), self.name(block.stream));
        let stream = Stream::promised(id, parent, section, block.frames(), out);
        self.streams.insert(promised, stream);
        self.account();
    }

    /// Does something with a stream, if it is open, and forgets the stream when it is over with that.
    pub(super) fn on(&mut self, id: u32, act: impl FnOnce(&mut Stream)) {
        if let Some(stream) = self.streams.get_mut(&id) {
            act(stream);
            if stream.is_done() {
                self.streams.remove(&id);
                self.account();
            }
        }
    }

    /// Before a stream opens: the oldest one makes room.
    fn make_room(&mut self, stamp: Stamp, out: Sink<'_>) {
        while self.streams.len() >= self.open_exchanges
            && let Some((_, mut oldest)) = self.streams.pop_first()
        {
            self.note(AnomalyKind::TooManyExchanges, stamp);
            oldest.abandon(Abort::Evicted, stamp, out);
        }
    }

    /// RST_STREAM.
    pub(super) fn reset(&mut self, id: u32, code: u64, stamp: Stamp, out: Sink<'_>) {
        self.on(id, |stream| {
            // NO_ERROR says that the rest of the request is not needed (RFC 9113 §8.1).
            if code != 0 {
                stream.fault(AnomalyKind::StreamError, stamp, out);
            }
            stream.abandon(Abort::StreamReset(code), stamp, out);
        });
    }

    /// Streams above the last one named were not acted on and will not be (RFC 9113 §6.8).
    pub(super) fn goaway(&mut self, side: Side, payload: &[u8], stamp: Stamp, out: Sink<'_>) {
        let mut reader = Reader::new(payload);
        let (Ok(last), Ok(code)) = (reader.u32(), reader.u32()) else { return };
        if code != 0 {
            self.note(AnomalyKind::StreamError, stamp);
        }
        if self.roles == Roles::Unknown {
            return;
        }
        let is_promised = self.role(side) == Side::Client;
        let from = (last & 0x7fff_ffff).saturating_add(1);
        let refused = self.streams.range_mut(from..).filter(|(id, _)| id.is_multiple_of(2) == is_promised);
        for (_, stream) in refused {
            stream.abandon(Abort::Closed, stamp, out);
        }
        self.sweep();
    }

    /// One side sends no more.
    pub(super) fn fin(&mut self, side: Side, stamp: Stamp, out: Sink<'_>) {
        let role = self.role(side);
        for stream in self.streams.values_mut() {
            stream.abort(role, Abort::Closed, stamp, out);
        }
        self.sweep();
    }

    /// Nothing more will come.
    pub(super) fn finish(&mut self, reason: Abort, stamp: Stamp, out: Sink<'_>) {
        for stream in self.streams.values_mut() {
            stream.abandon(reason, stamp, out);
        }
        self.sweep();
    }

    /// Forgets the streams that are over.
    fn sweep(&mut self) {
        self.streams.retain(|_, stream| !stream.is_done());
        self.account();
    }
}

impl Block {
    fn frames(&self) -> Frames {
        Frames { version: Version::Http2, span: self.span, size: self.size, priority: self.priority }
    }
}
