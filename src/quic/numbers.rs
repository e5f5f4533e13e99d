//! The packet numbers that one side used in one space: which were captured, which only the peer got, and how long answers take.

use super::frame::Ack;
use super::ranges::Ranges;
use crate::base::Timestamp;
use std::collections::VecDeque;

/// Holes in the captured numbers that are told apart.
const RANGES_KEPT: usize = 256;
/// Ranges of one ACK frame that are looked at; senders rarely put more than a few dozen in.
const ACK_RANGES: usize = 64;
/// Packets known to be lost that are remembered; newer ones say the same about the same holes.
const LOST_KEPT: usize = 64;

/// One side's packet numbers in one space.
#[derive(Debug, Clone)]
pub struct Numbers {
    captured: Ranges,
    /// All numbers below were compared with an acknowledgment.
    judged: u64,
    /// Numbers that the peer acknowledged and the capture does not have, and when that was found; ascending by time.
    lost: VecDeque<(u64, Timestamp)>,
    /// A packet whose acknowledgment is awaited to measure the round trip, as RFC 6298 times one segment at once.
    probe: Option<(u64, Timestamp)>,
}

/// What an acknowledgment showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Acked {
    /// Packets that reached the peer but are not in the capture.
    pub lost: u32,
    /// Time in nanoseconds from a packet to this answer, without the time that the peer let it wait.
    pub sample: Option<u64>,
}

/// What a packet number says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// The next one, or one after lost ones.
    Newest,
    /// It comes behind later ones.
    Late,
    /// The same packet again.
    Again,
}

impl Default for Numbers {
    fn default() -> Self {
        let captured = Ranges::new(RANGES_KEPT);
        Self { captured, judged: 0, lost: VecDeque::new(), probe: None }
    }
}

impl Numbers {
    /// The greatest number so far.
    pub fn largest(&self) -> Option<u64> {
        self.captured.last()
    }

    /// Takes note of a captured packet.
    pub fn note(&mut self, number: u64) -> Arrival {
        let is_newest = self.largest().is_none_or(|largest| number > largest);
        match (self.captured.insert(number), is_newest) {
            (false, _) => Arrival::Again,
            (true, true) => Arrival::Newest,
            (true, false) => Arrival::Late,
        }
    }

    /// Takes note that a packet wants an answer.
    pub fn note_eliciting(&mut self, number: u64, time: Timestamp) {
        // A probe that nobody answers is given up.
        if self.probe.is_none_or(|(_, sent)| time.nanos_since(sent) > 3_000_000_000) {
            self.probe = Some((number, time));
        }
    }

    /// Takes note of an acknowledgment by the peer; `delay` in nanoseconds is what it says to have waited.
    pub fn note_ack(&mut self, ack: &Ack<'_>, delay: u64, time: Timestamp) -> Acked {
        let mut acked = Acked::default();
        for (low, high) in ack.ranges().take(ACK_RANGES) {
            if let Some((number, sent)) = self.probe
                && (low..=high).contains(&number)
            {
                self.probe = None;
                let waited = if number == ack.largest { delay } else { 0 };
                let elapsed = time.nanos_since(sent);
                acked.sample = Some(elapsed.checked_sub(waited).unwrap_or(elapsed));
            }
            let low = low.max(self.judged);
            // What was never captured at all tells nothing: the capture may begin here.
            if low > high || self.captured.last().is_none() {
                break;
            }
            if !self.captured.covers(low, high)
                && let Some(number) = self.captured.highest_absent(low, high)
            {
                acked.lost += 1;
                self.lost.push_back((number, time));
                if self.lost.len() > LOST_KEPT {
                    self.lost.pop_front();
                }
            }
        }
        self.judged = self.judged.max(ack.largest.saturating_add(1));
        acked
    }

    /// When it was found that a packet after `edge` reached the peer but not the capture; the first such time.
    pub fn lost_after(&self, edge: u64) -> Option<Timestamp> {
        self.lost.iter().find(|(number, _)| *number > edge).map(|&(_, time)| time)
    }

    /// Allocated bytes.
    pub fn allocated(&self) -> usize {
        self.captured.allocated() + self.lost.capacity() * size_of::<(u64, Timestamp)>()
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::{Frame, Frames};
    use super::*;

    fn ack(payload: &[u8]) -> Ack<'_> {
        match Frames::new(payload).next() {
            Some(Ok(Frame::Ack(ack))) => ack,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_was_acknowledged_but_not_captured_is_lost() {
        let mut numbers = Numbers::default();
        for number in [0, 1, 2, 5, 6] {
            assert_eq!(numbers.note(number), Arrival::Newest);
        }
        assert_eq!(numbers.note(1), Arrival::Again);
        assert_eq!(numbers.note_ack(&ack(&[2, 2, 0, 0, 2]), 0, Timestamp(7)), Acked::default());
        assert_eq!(numbers.note_ack(&ack(&[2, 6, 0, 0, 6]), 0, Timestamp(9)).lost, 1);
        assert_eq!(numbers.note_ack(&ack(&[2, 6, 0, 0, 6]), 0, Timestamp(10)).lost, 0);
        assert_eq!(numbers.lost_after(2), Some(Timestamp(9)));
        assert_eq!(numbers.lost_after(4), None);
        assert_eq!(numbers.note(4), Arrival::Late);
    }

    #[test]
    fn answers_are_timed_without_the_delay_of_the_peer() {
        let mut numbers = Numbers::default();
        numbers.note(0);
        numbers.note_eliciting(0, Timestamp(1000));
        assert_eq!(numbers.note_ack(&ack(&[2, 0, 0, 0, 0]), 300, Timestamp(2000)).sample, Some(700));
        assert_eq!(numbers.note_ack(&ack(&[2, 0, 0, 0, 0]), 300, Timestamp(3000)).sample, None);
    }
}
