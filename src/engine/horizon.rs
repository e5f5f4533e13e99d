//! What may still come of the connections of a shard: so the writer knows when the order of entries is sure.

use std::collections::BTreeSet;

use crate::base::{Stamp, Timestamp};
use crate::har::handshake_deadline;

/// A connection by its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    Tcp(u32),
    Quic(u32),
}

/// For each connection a time before which no entry that it still gives can start.
///
/// A time is looked at again only when it is the earliest of all; until then it may be earlier than it need be. Connections that
/// hold nothing back are left out until they get something.
#[derive(Debug, Default)]
pub(super) struct Floors {
    order: BTreeSet<(Timestamp, Way)>,
    tcp: Vec<Option<Timestamp>>,
    quic: Vec<Option<Timestamp>>,
}

impl Floors {
    fn place(&mut self, way: Way) -> &mut Option<Timestamp> {
        let (places, slot) = match way {
            Way::Tcp(slot) => (&mut self.tcp, slot as usize),
            Way::Quic(slot) => (&mut self.quic, slot as usize),
        };
        if places.len() <= slot {
            places.resize(slot + 1, None);
        }
        &mut places[slot]
    }

    /// A connection got something at this time.
    #[inline]
    pub(super) fn touch(&mut self, way: Way, time: Timestamp) {
        let place = self.place(way);
        if place.is_none() {
            *place = Some(time);
            self.order.insert((time, way));
        }
    }

    /// A connection is over.
    pub(super) fn remove(&mut self, way: Way) {
        if let Some(time) = self.place(way).take() {
            self.order.remove(&(time, way));
        }
    }

    /// The earliest of all times; `since` says of a connection when the oldest thing came that it holds back.
    pub(super) fn earliest(&mut self, now: Timestamp, since: impl Fn(Way) -> Option<Timestamp>) -> Timestamp {
        while let Some(&(time, way)) = self.order.first() {
            let known = since(way);
            if known.is_some_and(|known| known <= time) {
                return time.min(now);
            }
            self.order.pop_first();
            *self.place(way) = known;
            self.order.extend(known.map(|known| (known, way)));
        }
        now
    }
}

/// When a connection opened whose first request may still count its handshake; `is_busy` while that goes on.
pub(super) fn fresh(
    opened: Option<Stamp>,
    connected: Option<Stamp>,
    is_busy: bool,
    now: Timestamp,
) -> Option<Timestamp> {
    let opened = opened?.time;
    let deadline = handshake_deadline(opened.0, connected.map(|connected| connected.time.0));
    (is_busy || now.0 <= deadline).then_some(opened)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_is_that_of_a_connection_that_holds_something() {
        let mut floors = Floors::default();
        let now = Timestamp(100);
        assert_eq!(floors.earliest(now, |_| None), now);
        floors.touch(Way::Tcp(3), Timestamp(10));
        floors.touch(Way::Quic(3), Timestamp(20));
        floors.touch(Way::Tcp(0), Timestamp(30));
        floors.touch(Way::Tcp(3), Timestamp(40));
        let since = |way| match way {
            Way::Tcp(3) => Some(Timestamp(25)),
            Way::Quic(_) => None,
            Way::Tcp(_) => Some(Timestamp(30)),
        };
        assert_eq!(floors.earliest(now, since), Timestamp(25));
        // What holds nothing is left out until it gets something.
        assert_eq!(floors.order.len(), 2);
        floors.remove(Way::Tcp(3));
        assert_eq!(floors.earliest(now, since), Timestamp(30));
        floors.touch(Way::Quic(3), Timestamp(5));
        assert_eq!(floors.earliest(now, |_| Some(Timestamp(5))), Timestamp(5));
    }

    #[test]
    fn a_fresh_connection_waits_for_its_first_request() {
        let at = |time| Some(Stamp { time: Timestamp(time), ..Stamp::default() });
        let (start, now) = (Some(Timestamp(0)), Timestamp(8_000_000_000));
        assert_eq!(fresh(at(0), None, false, Timestamp(1)), start);
        assert_eq!(fresh(at(0), None, false, now), None);
        assert_eq!(fresh(at(0), None, true, now), start);
        assert_eq!(fresh(at(0), at(5_000_000_000), false, now), start);
        assert_eq!(fresh(None, None, true, now), None);
    }
}
