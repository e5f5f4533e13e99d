//! In which order the bytes of both sides are handed on, and how long one side waits for the other.

use super::{Connection, Rules, Teller, pair};
use crate::base::{Stamp, Timestamp};
use crate::tcp::event::{Side, StreamEvent};
use crate::tcp::half::Half;
use crate::tcp::{Sink, Slot};

impl Connection {
    /// Hands on what became ready, and gives up what was waited for too long.
    pub(super) fn settle(&mut self, slot: Slot, now: Stamp, rules: &Rules, out: &mut Sink<'_>) {
        while self.halves.iter().any(Half::is_busy) {
            self.advance(slot, rules, out);
            // One at a time, and holes first: what waits for the other side may go on once that has given up its hole.
            let moved = Side::BOTH.into_iter().any(|side| {
                let (half, packets) = (&mut self.halves[side.index()], self.packets);
                telling!(self, side, slot, rules, out, |emit| half.lose_patience(packets, now, &rules.limits, emit))
            }) || Side::BOTH.into_iter().any(|side| {
                let half = &mut self.halves[side.index()];
                telling!(self, side, slot, rules, out, |emit| half.lose_wait(now, &rules.limits, emit))
            });
            if !moved {
                break;
            }
        }
    }

    /// Hands on what is ready on both sides, each waiting for what it had acknowledged of the other.
    fn advance(&mut self, slot: Slot, rules: &Rules, out: &mut Sink<'_>) {
        loop {
            let mut moved = false;
            for side in Side::BOTH {
                let (ours, theirs) = pair(&mut self.halves, side);
                let reached = theirs.reached();
                moved |= telling!(self, side, slot, rules, out, |emit| ours.advance(reached, emit));
            }
            if !moved && !self.untie(slot, rules, out) {
                break;
            }
        }
    }

    /// Breaks a tie: each side waits for the other's next bytes. One of them must be a repetition with a newer acknowledgment
    /// than its first transmission had; it was captured later, and goes first.
    fn untie(&mut self, slot: Slot, rules: &Rules, out: &mut Sink<'_>) -> bool {
        let waiting = |half: &Half| if half.fin_told { None } else { half.assembler.first_waiting() };
        let [Some(client), Some(server)] = self.halves.each_ref().map(waiting) else { return false };
        let side = if client.frame > server.frame { Side::Client } else { Side::Server };
        let half = &mut self.halves[side.index()];
        telling!(self, side, slot, rules, out, |emit| half.assembler.pop_first(emit))
    }

    /// Hands on all that waits, with gaps where bytes are missing: the connection is over.
    pub(in crate::tcp) fn flush(&mut self, slot: Slot, now: Stamp, rules: &Rules, out: &mut Sink<'_>) {
        for side in Side::BOTH {
            let are_bytes = !self.halves[side.index()].has_padded;
            self.take_padding(slot, side, are_bytes, rules, out);
        }
        loop {
            self.advance(slot, rules, out);
            // A side that waits for the other cannot be what the other waits for; so the one with a real hole goes first.
            let order = |side: Side| {
                let half = &self.halves[side.index()];
                if half.fin_told {
                    return None;
                }
                match half.assembler.first_hole() {
                    Some((hole, shown)) => Some((hole.is_empty(), shown.frame, hole.end)),
                    None if half.is_behind() => Some((false, now.frame, half.received())),
                    None => match &half.fin {
                        Some(fin) if half.assembler.next() < fin.offset => Some((false, fin.stamp.frame, fin.offset)),
                        _ => None,
                    },
                }
            };
            let first = Side::BOTH.into_iter().filter_map(|side| order(side).map(|order| (order, side))).min();
            let Some(((_, _, end), side)) = first else { break };
            let half = &mut self.halves[side.index()];
            telling!(self, side, slot, rules, out, |emit| half.give_up_hole(end, now, emit));
        }
    }

    /// A time that nothing held back is older than.
    pub(in crate::tcp) fn held_since(&self) -> Option<Timestamp> {
        let held =
            |half: &Half| half.assembler.held_since().into_iter().chain(half.padding.as_ref().map(|of| of.stamp.time));
        self.halves.iter().flat_map(held).min()
    }
}
