//! Header blocks: fragments are gathered, decoded, and become sections of messages.

use super::connection::{Block, Chance, Core, Missing, Roles};
use super::frame::{Fragment, FrameHeader, HEADER_LEN, flag, kind};
use super::recovery::{Expectation, Expected, Outline};
use crate::base::Span;
use crate::base::anomaly::AnomalyKind;
use crate::http::HttpEvent;
use crate::http::section::Section;
use crate::http::stream::{Progress, Stream};
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
            lacking: parsed.is_ok().then(|| u64::from(header.length).saturating_sub(payload.len() as u64)),
        };
        if header.kind == kind::PUSH_PROMISE && fragment.promised.is_none() {
            self.directions[side.index()].missing = Some(Missing { room: None, chance: Chance::Heads });
            return;
        }
        if header.has(flag::END_HEADERS) {
            return self.decode(side, block, fragment.block, out);
        }
        let direction = &mut self.directions[side.index()];
        let is_kept = direction.gather(fragment.block);
        let lacking = block.lacking.filter(|_| is_kept);
        direction.block = Some(Block { is_whole: block.is_whole && is_kept, lacking, ..block });
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
            direction.missing = Some(Missing { room: None, chance: Chance::Heads });
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
        let lacking = u64::from(header.length).saturating_sub(payload.len() as u64);
        // Fragments behind a hole are lacking as well.
        let lacking = if gathered.is_whole { lacking } else { header.length.into() };
        gathered.lacking = gathered.lacking.filter(|_| is_kept).map(|before| before + lacking);
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
        let role = self.role(side);
        if let Some(missing) = self.directions[side.index()].missing.take() {
            let [highest, _] = self.highest;
            let is_next = block.stream > highest && block.stream <= highest.saturating_add(2);
            let now = match role {
                // Between the head of this stream and the last one there was no room for another (RFC 9113 §5.1.1).
                Side::Client if is_next && Outline::read(bytes, 0).has_pseudo() => self.chance(side),
                Side::Client => Chance::Heads,
                // This block is itself one that the server may send now; what counts is what it could send then.
                Side::Server if self.directions[side.other().index()].has_lost => Chance::Heads,
                Side::Server => Chance::Nothing,
            };
            let decoder = &mut self.directions[side.index()].decoder;
            match missing.chance.max(now) {
                Chance::Nothing => {}
                Chance::Trailers => decoder.tear(missing.inserts(), false),
                Chance::Heads => decoder.tear(missing.inserts(), true),
            }
        }
        let is_idle = |stream: &Stream| stream.progress(Side::Server) == Progress::Idle;
        let head = match role {
            _ if !block.is_whole || self.roles == Roles::Unknown => Expectation::Anything,
            _ if block.promised.is_some() => Expectation::Request,
            Side::Client if !self.streams.contains_key(&block.stream) => Expectation::Request,
            Side::Server if self.streams.get(&block.stream).is_some_and(is_idle) => Expectation::Response,
            _ => Expectation::Anything,
        };
        let expected = Expected { head, authorities: self.authorities.all() };
        let mut section = Section::new(&self.limits);
        let direction = &mut self.directions[side.index()];
        let is_first = direction.decoder.is_untouched();
        let result = direction.decoder.decode(bytes, &expected, &mut |field| section.push(field));
        // Whatever is missing before it: the client's first stream comes first.
        if is_first && result.is_ok() && block.stream == 1 && block.promised.is_none() && section.is_request() {
            direction.decoder.begin_here();
        }
        section.is_recovered = direction.decoder.is_recovered();
        if result.is_err() && block.is_whole {
            // After a loss it is more likely that the table is wrong than the sender.
            section.has_unknown |= direction.has_lost;
            section.is_malformed |= !direction.has_lost;
            direction.decoder.lose();
        }
        direction.has_trailers |= section.ends_in_trailers();
        if !block.is_whole {
            section.has_unknown = true;
            let missing = direction.missing.get_or_insert_default();
            missing.chance = Chance::Heads;
            // The field that is cut may be an entry as well, whose end alone is missing.
            missing.room = missing.room.and_then(|room| Some(room + block.lacking? + HEADER_LEN as u64 + 2));
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
