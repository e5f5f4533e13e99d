//! Two endpoints with their own clock talk over a network that loses, repeats, overtakes and delays; a tap in the middle
//! captures what passes it, loses and swaps packets itself, and the engine must make the best of it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::*;
use crate::tcp::Loss;

/// What may go wrong, in percent of the packets.
#[derive(Debug, Clone, Copy, Default)]
struct Troubles {
    loss: u64,
    repeats: u64,
    /// Packets that the tap does not write down.
    unseen: u64,
    /// Packets that the tap writes down a little late, with their late time.
    swapped: u64,
    /// Packets of which the tap keeps only the beginning.
    cut: u64,
}

/// A packet under way.
#[derive(Debug, Clone)]
struct Wire {
    from: Side,
    header: TcpHeader,
    range: (u64, u64),
}

#[derive(Debug)]
enum Action {
    /// Passes the tap, then goes on.
    Tap(Wire),
    /// The tap writes it down.
    Note(Wire),
    Arrive(Wire),
    /// A timer of this side.
    Timer(Side),
}

/// One end: the application asks (or answers) in turns, the transport repeats what is not acknowledged.
struct End {
    isn: u32,
    /// Sizes of the messages it sends, in turn.
    messages: Vec<u64>,
    /// End of what the application has written.
    written: u64,
    sent: u64,
    acked: u64,
    received: Vec<bool>,
    in_order: u64,
    fin_received: bool,
    fin_acked: bool,
    fin_at: Option<u64>,
}

/// The byte at an offset of a side's stream; never 0.
fn byte(side: Side, offset: u64) -> u8 {
    1 + ((offset * 31 + offset / 251 + side.index() as u64 * 97) % 255) as u8
}

struct World {
    dice: Dice,
    troubles: Troubles,
    now: i64,
    queue: BinaryHeap<Reverse<(i64, u64)>>,
    actions: std::collections::HashMap<u64, Action>,
    serial: u64,
    ends: [End; 2],
    bench: Bench,
    /// Which bytes the capture has.
    captured: [Vec<bool>; 2],
    /// A repetition may bring what was cut; but then the gap has been told already.
    is_exact: bool,
    is_early: bool,
}

const MILLI: i64 = 1_000_000;

impl World {
    fn new(seed: u64, troubles: Troubles) -> Self {
        let mut dice = Dice(seed);
        let turns = 1 + dice.below(8);
        let mut end = |largest: u64| {
            let messages: Vec<u64> = (0..turns).map(|_| 1 + dice.below(largest)).collect();
            let total: u64 = messages.iter().sum();
            End {
                isn: (dice.below(1 << 31) as u32).wrapping_mul(2).wrapping_sub(2000),
                messages,
                written: 0,
                sent: 0,
                acked: 0,
                received: vec![],
                in_order: 0,
                fin_received: false,
                fin_acked: false,
                fin_at: Some(total),
            }
        };
        let mut ends = [end(3000), end(40_000)];
        // Sequence numbers wrap within the transfer.
        ends[1].isn = u32::MAX - 5000;
        let totals = ends.each_ref().map(|end| end.fin_at.unwrap() as usize);
        ends[0].received = vec![false; totals[1]];
        ends[1].received = vec![false; totals[0]];
        let captured = totals.map(|total| vec![false; total]);
        let (queue, actions) = Default::default();
        let bench = Bench::new();
        let is_exact = troubles.cut == 0;
        Self {
            dice,
            troubles,
            now: 1_000_000_000,
            queue,
            actions,
            serial: 0,
            ends,
            bench,
            captured,
            is_exact,
            is_early: false,
        }
    }

    fn later(&mut self, delay: i64, action: Action) {
        self.serial += 1;
        self.queue.push(Reverse((self.now + delay, self.serial)));
        self.actions.insert(self.serial, action);
    }

    fn send(&mut self, from: Side, flags: TcpFlags, start: u64, end: u64) {
        let (ours, theirs) = (&self.ends[from.index()], &self.ends[from.other().index()]);
        let is_syn = flags.has(SYN);
        let sequence = ours.isn.wrapping_add(u32::from(!is_syn)).wrapping_add(start as u32);
        let expected = 1 + ours.in_order + u64::from(ours.fin_received);
        let header =
            TcpHeader { sequence, acknowledgment: theirs.isn.wrapping_add(expected as u32), flags, window: 9000 };
        let wire = Wire { from, header, range: (start, end) };
        let copies = 1 + usize::from(self.dice.percent(self.troubles.repeats));
        for _ in 0..copies {
            // The handshake is spared, so that everything is about the data.
            if is_syn || !self.dice.percent(self.troubles.loss) {
                let jitter = if is_syn { 0 } else { self.dice.below(2 * MILLI as u64) as i64 };
                self.later(3 * MILLI + jitter, Action::Tap(wire.clone()));
            }
        }
    }

    /// Sends what the window allows.
    fn transmit(&mut self, side: Side) {
        loop {
            let end = &self.ends[side.index()];
            let limit = end.written.min(end.acked + 9000);
            if end.sent >= limit {
                break;
            }
            let start = end.sent;
            let until = limit.min(start + 1 + self.dice.below(1400));
            let end = &mut self.ends[side.index()];
            end.sent = until;
            let flags = if Some(until) == end.fin_at { ACK | FIN } else { ACK };
            self.send(side, flags, start, until);
        }
    }

    /// The application writes its next message when the other side's last one has come.
    fn write(&mut self, side: Side) {
        let turn = {
            let heard = self.ends[side.index()].in_order;
            let mut sum = 0;
            let theirs = &self.ends[side.other().index()].messages;
            theirs
                .iter()
                .take_while(|&&len| {
                    sum += len;
                    sum <= heard
                })
                .count()
        };
        let end = &mut self.ends[side.index()];
        let turns = if side == Side::Client { turn + 1 } else { turn };
        end.written = end.messages.iter().take(turns).sum();
        self.transmit(side);
    }

    fn arrive(&mut self, wire: Wire) {
        let side = wire.from.other();
        if wire.header.flags.has(SYN) {
            match side {
                Side::Server => self.send(side, SYN | ACK, 0, 0),
                Side::Client => {
                    self.send(side, ACK, 0, 0);
                    self.write(side);
                }
            }
            return;
        }
        let sender = &self.ends[wire.from.index()];
        let fin_at = sender.fin_at;
        let end = &mut self.ends[side.index()];
        let acked = u64::from(wire.header.acknowledgment.wrapping_sub(end.isn).wrapping_sub(1));
        if acked <= end.sent + 1 && acked >= end.acked {
            end.fin_acked |= end.fin_at.is_some_and(|fin| acked > fin);
            end.acked = acked.min(end.sent);
        }
        for at in wire.range.0..wire.range.1 {
            end.received[at as usize] = true;
        }
        while end.received.get(end.in_order as usize) == Some(&true) {
            end.in_order += 1;
        }
        if fin_at == Some(end.in_order) && wire.header.flags.has(FIN) {
            end.fin_received = true;
        }
        if wire.range.0 < wire.range.1 || wire.header.flags.has(FIN) {
            self.send(side, ACK, self.ends[side.index()].sent, self.ends[side.index()].sent);
        }
        self.write(side);
    }

    fn note(&mut self, wire: &Wire) {
        let (start, end) = wire.range;
        let data: Vec<u8> = (start..end).map(|at| byte(wire.from, at)).collect();
        let kept = match self.dice.percent(self.troubles.cut) {
            true => self.dice.below(1 + data.len() as u64) as usize,
            false => data.len(),
        };
        self.captured[wire.from.index()][start as usize..start as usize + kept].fill(true);
        self.bench.now = self.now;
        self.bench.packet(wire.from, wire.header, &data[..kept], data.len() - kept);
        self.is_early |= self.is_answer_early();
    }

    /// True when an answer's bytes were handed on before the whole question was, or was declared lost.
    fn is_answer_early(&self) -> bool {
        let seen = &self.bench.seen.all[0];
        Side::BOTH.into_iter().any(|side| {
            let told = |side: Side| seen.lanes[side.index()].bytes.len() as u64;
            let mut end = 0;
            let begun = |&&len: &&u64| {
                let is_begun = end < told(side);
                end += len;
                is_begun
            };
            let turn = self.ends[side.index()].messages.iter().take_while(begun).count();
            let needs = if side == Side::Client { turn.saturating_sub(1) } else { turn };
            let needed: u64 = self.ends[side.other().index()].messages.iter().take(needs).sum();
            // A single missing byte at the end is taken for a FIN.
            told(side.other()) + 1 < needed
        })
    }

    fn run(mut self) -> Self {
        self.send(Side::Client, SYN, 0, 0);
        for side in Side::BOTH {
            self.later(100 * MILLI, Action::Timer(side));
        }
        let mut steps = 0;
        while let Some(Reverse((time, serial))) = self.queue.pop() {
            steps += 1;
            assert!(steps < 200_000, "the simulation itself must end");
            self.now = time;
            match self.actions.remove(&serial).unwrap() {
                Action::Tap(wire) => {
                    let is_syn = wire.header.flags.has(SYN);
                    if is_syn || !self.dice.percent(self.troubles.unseen) {
                        let is_swapped = !is_syn && self.dice.percent(self.troubles.swapped);
                        let delay = if is_swapped { self.dice.below(20 * MILLI as u64) as i64 } else { 0 };
                        self.later(delay, Action::Note(wire.clone()));
                    }
                    if is_syn || !self.dice.percent(self.troubles.loss) {
                        let jitter = if is_syn { 0 } else { self.dice.below(4 * MILLI as u64) as i64 };
                        self.later(7 * MILLI + jitter, Action::Arrive(wire));
                    }
                }
                Action::Note(wire) => self.note(&wire),
                Action::Arrive(wire) => self.arrive(wire),
                Action::Timer(side) => {
                    let end = &self.ends[side.index()];
                    if !end.fin_acked {
                        if end.acked < end.sent || Some(end.sent) == end.fin_at {
                            let start = end.acked;
                            let until = end.sent.min(start + 1 + self.dice.below(2000));
                            let fin = Some(until) == self.ends[side.index()].fin_at;
                            self.send(side, if fin { ACK | FIN } else { ACK }, start, until);
                        }
                        self.later(100 * MILLI, Action::Timer(side));
                    }
                }
            }
        }
        self.bench.finish();
        self.check();
        self
    }

    fn check(&self) {
        let seen = self.bench.only();
        for side in Side::BOTH {
            let lane = &seen.lanes[side.index()];
            let mut lost = vec![false; lane.bytes.len()];
            for &(start, len) in &lane.gaps {
                lost[start as usize..(start + len) as usize].fill(true);
            }
            let captured = &self.captured[side.index()];
            for (at, (&told, &lost)) in lane.bytes.iter().zip(&lost).enumerate() {
                if lost {
                    // Where the end was lost together with its FIN, the gap counts the FIN too.
                    let captured = captured.get(at).copied().unwrap_or(false);
                    assert!(!self.is_exact || !captured, "byte {at} of {side:?} was in the capture");
                } else {
                    assert!(captured[at]);
                    assert_eq!(told, byte(side, at as u64));
                }
            }
            let end = captured.iter().rposition(|&is_captured| is_captured).map_or(0, |at| at + 1);
            assert!(lane.bytes.len() >= end);
            if self.troubles.unseen + self.troubles.cut == 0 {
                assert_eq!(lane.bytes.len(), captured.len());
                assert!(lane.gaps.is_empty() && lane.fin);
            }
        }
        if self.troubles.unseen == 0 {
            assert_eq!(seen.close, Some(CloseReason::Finished));
        }
    }
}

fn runs(seeds: u64, troubles: Troubles) -> Loss {
    let (mut sum, mut early) = (Loss::default(), 0);
    for seed in 0..seeds {
        let world = World::new(seed, troubles).run();
        early += u64::from(world.is_early);
        for loss in world.bench.only().facts.loss {
            sum.retransmissions += loss.retransmissions;
            sum.out_of_order += loss.out_of_order;
            sum.lost_bytes += loss.lost_bytes;
        }
    }
    // When of both the question and the answer only repetitions were captured, nothing tells which came first.
    assert!(early <= if troubles.unseen > 0 { seeds / 20 } else { 0 }, "{early} answers before their questions");
    sum
}

#[test]
fn a_good_network() {
    let loss = runs(40, Troubles::default());
    assert!(loss.out_of_order > 0 && loss.lost_bytes == 0);
}

#[test]
fn a_bad_network() {
    let loss = runs(60, Troubles { loss: 5, repeats: 3, ..Troubles::default() });
    assert!(loss.retransmissions > 0 && loss.lost_bytes == 0);
}

#[test]
fn a_swapping_tap() {
    runs(60, Troubles { swapped: 20, ..Troubles::default() });
}

#[test]
fn a_lossy_tap() {
    let loss = runs(60, Troubles { unseen: 5, ..Troubles::default() });
    assert!(loss.lost_bytes > 0);
}

#[test]
fn a_bad_network_and_a_lossy_swapping_tap() {
    runs(100, Troubles { loss: 4, repeats: 2, unseen: 4, swapped: 5, cut: 0 });
}

#[test]
fn a_cutting_tap() {
    runs(40, Troubles { cut: 30, ..Troubles::default() });
    runs(40, Troubles { loss: 3, repeats: 3, unseen: 3, swapped: 5, cut: 30 });
}
