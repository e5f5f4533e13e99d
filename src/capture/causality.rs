//! Which order do the segments themselves speak for, that of the file or that of the times?
//!
//! Who acknowledges bytes has seen them. When a file stands in another order than its times say, either packets took different ways
//! into it, and the times are right; or several clocks were at work, and the file is.

use super::frame::Frame;
use crate::base::Timestamp;

/// What a frame says about the streams of a TCP connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// The connection; the same number for both directions.
    pub flow: u64,
    /// One of the two directions.
    pub is_forward: bool,
    /// Sequence number of the first byte; a SYN is one.
    pub start: u32,
    /// Sequence number behind the last byte.
    pub end: u32,
    /// What it acknowledges.
    pub acknowledgment: Option<u32>,
    /// True when it opens a connection.
    pub opens: bool,
}

/// Tells the segments of a frame.
pub type Segments = Box<dyn FnMut(&Frame<'_>, &mut dyn FnMut(Segment)) + Send>;

/// Connections that are followed at once; others take their places.
const FOLLOWED: usize = 4096;
/// Distance of sequence numbers that are believed to belong together.
const NEAR: u32 = 1 << 24;

/// Votes for and against the times.
pub(super) struct Votes {
    connections: Vec<Option<Connection>>,
    for_times: u64,
    against_times: u64,
    /// Time of the latest frame.
    latest: Timestamp,
    keeps_flows: bool,
}

#[derive(Clone, Copy)]
struct Connection {
    flow: u64,
    /// Time of the frame that stands first in the file.
    first: Timestamp,
    sides: [Side; 2],
}

#[derive(Clone, Copy, Default)]
struct Side {
    /// End of what it sent, and when it sent that.
    sent: Option<(u32, Timestamp)>,
    /// What it has acknowledged, and when.
    received: Option<(u32, Timestamp)>,
}

/// True when `later` is at `earlier` or behind it.
fn reaches(later: u32, earlier: u32) -> bool {
    later.wrapping_sub(earlier) < NEAR
}

impl Votes {
    pub(super) fn new() -> Self {
        let latest = Timestamp(i64::MIN);
        Self { connections: Vec::new(), for_times: 0, against_times: 0, latest, keeps_flows: true }
    }

    /// Takes a segment, in the order of the file.
    pub(super) fn take(&mut self, segment: Segment, time: Timestamp) {
        if self.connections.is_empty() {
            self.connections = vec![None; FOLLOWED];
        }
        let place = (segment.flow % FOLLOWED as u64) as usize;
        let Some(place) = self.connections.get_mut(place) else { return };
        let is_late = time < self.latest;
        self.latest = self.latest.max(time);
        let connection = match place {
            Some(known) if known.flow == segment.flow => {
                self.keeps_flows &= !is_late || time >= known.first && !segment.opens;
                known
            }
            _ => {
                self.keeps_flows &= !is_late;
                place.insert(Connection { flow: segment.flow, first: time, sides: [Side::default(); 2] })
            }
        };
        let [forward, backward] = &mut connection.sides;
        let (ours, theirs) = if segment.is_forward { (forward, backward) } else { (backward, forward) };
        if let Some(acknowledged) = segment.acknowledgment {
            if let Some((sent, then)) = theirs.sent
                && reaches(acknowledged, sent)
                && time < then
            {
                self.against_times += 1;
            }
            if ours.received.is_none_or(|(known, _)| known != acknowledged && reaches(acknowledged, known)) {
                ours.received = Some((acknowledged, time));
            }
        }
        if segment.start != segment.end {
            if let Some((received, then)) = theirs.received
                && reaches(received, segment.end)
                && time < then
            {
                self.for_times += 1;
            }
            if ours.sent.is_none_or(|(known, _)| known != segment.end && reaches(segment.end, known)) {
                ours.sent = Some((segment.end, time));
            }
        }
    }

    /// True when flows begin in the same order by time as in the file. Where that was not followed it is false.
    pub(super) fn keeps_flows(&self) -> bool {
        self.keeps_flows
    }

    /// True unless more speaks against the times than for them.
    pub(super) fn trusts_times(&self) -> bool {
        self.against_times <= self.for_times
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requests and answers of 100 bytes, as they were on the wire: time in milliseconds, and the segment.
    fn talk() -> Vec<(i64, Segment)> {
        let mut all = Vec::new();
        for turn in 0..20u32 {
            for (is_forward, base, other, step) in [(true, u32::MAX - 500, 1000, 0), (false, 1000, u32::MAX - 500, 1)] {
                let start = 100u32.wrapping_mul(turn).wrapping_add(base);
                let acknowledgment = Some(100u32.wrapping_mul(turn + step).wrapping_add(other));
                let segment =
                    Segment { flow: 7, is_forward, start, end: start.wrapping_add(100), acknowledgment, opens: false };
                all.push((i64::from(20 * turn + 5 * step), segment));
            }
        }
        all
    }

    #[test]
    fn it_is_known_whether_flows_begin_in_another_order() {
        let keeps = |frames: &[(i64, u64, bool)]| {
            let mut votes = Votes::new();
            for &(time, flow, opens) in frames {
                let segment = Segment { flow, is_forward: true, start: 0, end: 0, acknowledgment: None, opens };
                votes.take(segment, Timestamp(time));
            }
            votes.keeps_flows()
        };
        assert!(keeps(&[(1, 1, true), (5, 2, true), (3, 1, false), (4, 1, false), (6, 3, true)]));
        assert!(!keeps(&[(5, 2, true), (3, 1, false)]), "the flow was not known");
        assert!(!keeps(&[(2, 1, false), (5, 2, true), (1, 1, false)]), "it begins earlier than was known");
        assert!(!keeps(&[(1, 1, true), (5, 2, true), (3, 1, true)]), "another one of the same ends");
    }

    fn trusts(frames: impl IntoIterator<Item = (i64, Segment)>) -> (bool, u64, u64) {
        let mut votes = Votes::new();
        frames.into_iter().for_each(|(time, segment)| votes.take(segment, Timestamp(time)));
        (votes.trusts_times(), votes.for_times, votes.against_times)
    }

    #[test]
    fn times_are_trusted_when_the_file_has_the_answers_first() {
        assert_eq!(trusts(talk()), (true, 0, 0));
        let mut parted = talk();
        parted.sort_by_key(|(_, segment)| segment.is_forward);
        assert!(matches!(trusts(parted), (true, 10.., 0)));
        let mut swapped = talk();
        swapped.chunks_mut(4).for_each(<[_]>::reverse);
        assert!(matches!(trusts(swapped), (true, 5.., 0)));
    }

    #[test]
    fn a_clock_that_is_behind_or_ahead_is_not_trusted() {
        for offset in [-5000, -7, 5000] {
            let shifted = talk().into_iter().map(|(time, segment)| match segment.is_forward {
                true => (time, segment),
                false => (time + offset, segment),
            });
            assert!(matches!(trusts(shifted), (false, 0, 5..)), "{offset}");
        }
    }
}
