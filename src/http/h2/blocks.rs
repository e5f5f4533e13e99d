//! Header blocks: fragments are gathered, decoded, and become sections of messages.

use super::connection::{Block, Core};
use super::frame::{Fragment, FrameHeader, flag, kind};
use crate::base::Span;
use crate::base::anomaly::AnomalyKind;
use crate::http::HttpEvent;
use crate::http::section::Section;
use crate::tcp::Side;

type Sink<'s> = &'s mut dyn FnMut(HttpEvent<'_>);

impl Core {
    pub(super) fn headers(
        &mut self,
        side: Side,
        header: FrameHeader,
        payload: &[u8],
        whole: bool,
        span: Span,
        out: Sink<'_>,
    ) {
        let parsed = Fragment::parse(header, payload, whole);
        if parsed.is_err() && whole {
            self.note(AnomalyKind::FrameMalformed, span.last);
        }
        let fragment = parsed.unwrap_or(Fragment { promised: None, priority: None, block: &[] });
        let block = Block {
            stream: header.stream,
            promised: fragment.promised,
            priority: fragment.priority,
            is_end_stream: header.kind == kind::HEADERS && header.has(flag::END_STREAM),
            span,
            size: header.size(),
            is_whole: whole && parsed.is_ok(),
        };
        if header.kind == kind::PUSH_PROMISE && fragment.promised.is_none() {
            self.directions[side.index()].decoder.lose();
            return;
        }
        if header.has(flag::END_HEADERS) {
            return self.decode(side, block, fragment.block, out);
        }
        let direction = &mut self.directions[side.index()];
        let is_kept = direction.gather(fragment.block);
        direction.block = Some(Block { is_whole: block.is_whole && is_kept, ..block });
    }

    pub(super) fn continuation(
        &mut self,
        side: Side,
        header: FrameHeader,
        payload: &[u8],
        whole: bool,
        span: Span,
        out: Sink<'_>,
    ) {
        let direction = &mut self.directions[side.index()];
        let Some(block) = &mut direction.block else {
            // The start of the block is missing.
            direction.decoder.lose();
            if !direction.has_lost {
                self.note(AnomalyKind::FrameMalformed, span.last);
            }
            return;
        };
        block.span = block.span.join(span);
        block.size += header.size();
        let mut gathered = *block;
        // Fragments behind a hole are of no use: fields have no marks to find them by.
        let is_kept = !gathered.is_whole || direction.gather(payload);
        gathered.is_whole &= is_kept && whole;
        direction.block = Some(gathered);
        if header.has(flag::END_HEADERS) {
            direction.block = None;
            let bytes = std::mem::take(&mut direction.bytes);
            self.decode(side, gathered, &bytes, out);
            self.directions[side.index()].lease.set(0);
        }
    }

    /// A header block is complete, or as complete as it gets.
    pub(super) fn decode(&mut self, side: Side, block: Block, bytes: &[u8], out: Sink<'_>) {
        let mut section = Section::new(&self.limits);
        let decoder = &mut self.directions[side.index()].decoder;
        let result = decoder.decode(bytes, &mut |field| section.push(field));
        if !block.is_whole {
            section.has_unknown = true;
        } else if result.is_err() {
            section.is_malformed = true;
        }
        if !block.is_whole || result.is_err() {
            decoder.lose();
        }
        if block.promised.is_some() {
            self.settle(side, Side::Server);
        } else if section.is_request() {
            self.settle(side, Side::Client);
        } else if section.status().is_some() {
            self.settle(side, Side::Server);
        }
        if let Some(promised) = block.promised {
            return self.promise(promised, block, section, out);
        }
        match self.role(side) {
            Side::Client => self.client_section(block, section, out),
            Side::Server => self.server_section(block, section, out),
        }
    }
}
