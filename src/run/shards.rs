//! Shards on threads: the front hands out rounds of packets, each shard turns its part into news, and the writer puts the news of
//! all shards together again.
//!
//! ```text
//!            ┌─ batch ─► shard 0 ─ news ─┐
//!  front ────┼─ batch ─► shard 1 ─ news ─┼──► writer
//!            └─ batch ─► shard … ─ news ─┘
//! ```
//!
//! The writer takes the news of one round of all shards at a time, so nothing depends on who was faster.

use std::collections::{HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{Builder, JoinHandle};

use foldhash::fast::RandomState;

use super::batch::{Batch, Part};
use crate::base::Anomalies;
use crate::capture::{Block, Frame};
use crate::engine::{Clock, Finished, Front, Options, Rest, Rounds, Route, Shard, route};
use crate::har::{self, News, Totals, WriteError, Writer};
use crate::net::{FlowKey, Packet, Transport};
use crate::tls::KeyLog;

/// Rounds that wait for a shard: enough that nobody waits for long.
const AHEAD: usize = 4;
/// Rounds whose news wait for the writer, when they are small: shards are rarely done with a round at the same time.
const NEWS_AHEAD: usize = 6;

/// Blocks of the captures that a round may keep: as many as its bytes fill, and some, for there are gaps between them. Captures can have
/// more, where packets lie far apart; those packets are copied.
const BLOCKS_KEPT: usize = 8;

/// Flows that began as QUIC connections do, to tell what goes on from what came from elsewhere; the packets of more go to all shards.
const FLOWS_KEPT: usize = 65_536;

/// The front of several shards.
pub(super) struct Shards {
    front: Front,
    rounds: Rounds,
    batches: Vec<Batch>,
    /// Blocks that the batches of this round are to keep.
    blocks: Vec<Block>,
    to_shards: Vec<SyncSender<(Batch, Option<Clock>)>>,
    /// Batches to be filled again.
    spare: Receiver<Batch>,
    quic: HashSet<FlowKey, RandomState>,
    shards: Vec<JoinHandle<(Totals, Anomalies)>>,
    writer: JoinHandle<Result<Writer, WriteError>>,
    keep: usize,
}

impl Shards {
    /// Starts `count` shards and `writer`; temporary files lie in `folder`.
    pub(super) fn start(
        options: &Options,
        keys: &KeyLog,
        folder: Option<&PathBuf>,
        count: usize,
        writer: Writer,
    ) -> Result<Self, std::io::Error> {
        let (give_back, spare) = sync_channel(count * (AHEAD + 2));
        let (mut to_shards, mut news, mut shards) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..count {
            let (to_shard, batches) = sync_channel(AHEAD);
            let (to_writer, from_shard) = sync_channel(NEWS_AHEAD);
            let shard = Shard::new(options, keys.clone(), folder.cloned(), count);
            let give_back = give_back.clone();
            let (took, taken) = channel();
            let room = Shard::room(&options.limits, count);
            let way = Way { to_writer, taken, bytes: 0, most: 2 * room };
            let lent = Lent { entries: VecDeque::new(), bytes: 0, most: 3 * room / 2 };
            let work = move || follow(shard, &batches, way, &give_back, lent, 2 * Rounds::BYTES / count);
            shards.push(Builder::new().name(format!("shard {number}")).spawn(work)?);
            to_shards.push(to_shard);
            news.push((from_shard, took));
        }
        let writer = Builder::new().name("writer".into()).spawn(move || write(writer, &news))?;
        Ok(Self {
            front: Front::new(&options.limits, options.share),
            rounds: Rounds::default(),
            batches: (0..count).map(|_| Batch::default()).collect(),
            blocks: Vec::new(),
            to_shards,
            spare,
            quic: HashSet::default(),
            shards,
            writer,
            keep: options.limits.anomalies_kept,
        })
    }

    /// Takes the next frame; false when the writer has stopped.
    pub(super) fn push(&mut self, frame: &Frame<'_>) -> bool {
        let Self { front, batches, blocks, quic, .. } = self;
        let block = frame.block.and_then(|block| Some((number(blocks, block)?, block)));
        if let Some(text) = frame.comment {
            batches.iter_mut().for_each(|batch| batch.comment(frame.number, text));
        }
        front.push(frame, &mut |packet| hand_out(packet, block, batches, quic));
        if self.rounds.count(frame) {
            let clock = self.front.end_round();
            self.send(Some(clock))
        } else {
            true
        }
    }

    /// Gives the shards what was gathered for them; with a clock when a round is over.
    fn send(&mut self, clock: Option<Clock>) -> bool {
        for (batch, to_shard) in self.batches.iter_mut().zip(&self.to_shards) {
            batch.keep(&self.blocks);
            let fresh = self.spare.try_recv().unwrap_or_default();
            if to_shard.send((std::mem::replace(batch, fresh), clock)).is_err() {
                return false;
            }
        }
        self.blocks.clear();
        true
    }

    /// The capture ends: all connections are closed, and the writer has what all shards had to tell.
    pub(super) fn finish(mut self) -> Result<Finished, WriteError> {
        self.send(None);
        drop(self.to_shards);
        let (mut totals, mut seen) = (Totals::default(), self.front.finish());
        for shard in self.shards {
            let (counted, anomalies) = end(shard);
            totals.merge(counted, self.keep);
            seen.anomalies.merge(&anomalies, self.keep);
        }
        Ok(Finished { writer: end(self.writer)?, totals, seen })
    }
}

/// What a thread came to; its panic goes on here.
fn end<T>(thread: JoinHandle<T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// The number of `block` among those that are kept; it becomes the next one while there is room.
#[inline]
fn number(blocks: &mut Vec<Block>, block: &Block) -> Option<usize> {
    if let Some(known) = blocks.iter().rposition(|known| known.is(block)) {
        return Some(known);
    }
    if blocks.len() == BLOCKS_KEPT {
        return None;
    }
    blocks.push(block.clone());
    Some(blocks.len() - 1)
}

/// Puts a packet, which may lie in a block of that number, into the batch of its shard, or of all.
#[inline]
fn hand_out(
    packet: &Packet<'_>,
    block: Option<(usize, &Block)>,
    batches: &mut [Batch],
    quic: &mut HashSet<FlowKey, RandomState>,
) {
    let Route { home, is_stray } = route(packet, batches.len(), |flow| quic.contains(flow));
    if is_stray {
        for (number, batch) in batches.iter_mut().enumerate() {
            batch.push(packet, block, number != home);
        }
        return;
    }
    if packet.transport == Transport::Udp && packet.payload.first().is_some_and(|first| first & 0x80 != 0) {
        let (flow, _) = FlowKey::new(packet.source, packet.destination);
        if quic.len() < FLOWS_KEPT || quic.contains(&flow) {
            quic.insert(flow);
        }
    }
    if let Some(batch) = batches.get_mut(home) {
        batch.push(packet, block, false);
    }
}

/// Small entries on their way through the writer. The shard that took their memory gives it back: where the writer does, both wait for the
/// lock of that part of the allocator, many times an entry.
struct Lent {
    entries: VecDeque<(har::Handle, usize)>,
    /// What they take.
    bytes: usize,
    /// Bytes that are waited for.
    most: usize,
}

impl Lent {
    fn lend(&mut self, news: &News) {
        for (handle, bytes) in news.handles() {
            self.bytes += bytes;
            self.entries.push_back((handle, bytes));
        }
    }

    /// Gives back what the writer is done with, in about the order in which it takes them, and what it keeps for long.
    fn give_back(&mut self) {
        while let Some(&(ref handle, bytes)) = self.entries.front()
            && (handle.is_last() || self.bytes > self.most)
        {
            self.entries.pop_front();
            self.bytes -= bytes;
        }
    }
}

/// The way to the writer, bounded in rounds and in bytes.
struct Way {
    to_writer: SyncSender<News>,
    /// Bytes of news that the writer took.
    taken: Receiver<usize>,
    /// Bytes on their way.
    bytes: usize,
    /// With more of them on their way nothing may follow.
    most: usize,
}

impl Way {
    /// Sends news as soon as there is room; false when the writer has stopped.
    fn send(&mut self, news: News) -> bool {
        self.bytes -= self.taken.try_iter().sum::<usize>();
        while self.bytes > self.most {
            let Ok(taken) = self.taken.recv() else { return false };
            self.bytes -= taken;
        }
        self.bytes += news.allocated();
        self.to_writer.send(news).is_ok()
    }
}

/// The work of a shard; batches keep `room` bytes for the next round.
fn follow(
    mut shard: Shard,
    batches: &Receiver<(Batch, Option<Clock>)>,
    mut way: Way,
    give_back: &SyncSender<Batch>,
    mut lent: Lent,
    room: usize,
) -> (Totals, Anomalies) {
    while let Ok((mut batch, clock)) = batches.recv() {
        batch.each(|part| match part {
            Part::Comment(frame, text) => shard.comment(frame, text),
            Part::Packet(packet) => shard.push(&packet),
            Part::Stray(packet) => shard.push_stray(&packet),
        });
        batch.clear(room);
        // When nobody wants it back it is dropped.
        let _ = give_back.try_send(batch);
        let Some(clock) = clock else { continue };
        let news = std::mem::take(shard.end_round(clock));
        lent.give_back();
        lent.lend(&news);
        if !way.send(news) {
            break;
        }
    }
    let Rest { news, totals, anomalies } = shard.finish();
    // A writer that is gone has said why.
    let _ = way.send(news);
    (totals, anomalies)
}

/// The work of the writer.
fn write(mut writer: Writer, from_shards: &[(Receiver<News>, Sender<usize>)]) -> Result<Writer, WriteError> {
    let take = |(news, took): &(Receiver<News>, Sender<usize>)| {
        let news = news.recv().ok()?;
        // A shard that has ended wants to know no more.
        let _ = took.send(news.allocated());
        Some(news)
    };
    loop {
        let mut round: Vec<News> = from_shards.iter().map_while(take).collect();
        if round.len() < from_shards.len() {
            return Ok(writer);
        }
        writer.take(&mut round)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Stamp;
    use crate::dns::Lookup;
    use crate::net::Endpoint;

    #[test]
    fn news_follow_when_the_writer_took_enough() {
        let news = || {
            let mut news = News::default();
            let lookup = Lookup {
                client: [10, 0, 0, 1].into(),
                resolver: Endpoint { address: [10, 0, 0, 2].into(), port: 53 },
                name: "a.example".into(),
                query_type: 1,
                query: Stamp::default(),
                answer: None,
                response_code: 0,
                addresses: Vec::new(),
                aliases: Vec::new(),
            };
            news.look_up(lookup, usize::MAX);
            news
        };
        let bytes = news().allocated();
        assert!(bytes > 0);
        let (to_writer, from_shard) = sync_channel(NEWS_AHEAD);
        let (took, taken) = channel();
        let mut way = Way { to_writer, taken, bytes: 0, most: bytes };
        assert!(way.send(news()) && way.send(news()));
        took.send(bytes).unwrap();
        assert!(way.send(news()), "one of three was taken");
        // Nobody is left to take one of the two that are on their way.
        drop(took);
        assert!(!way.send(news()));
        assert_eq!(from_shard.try_iter().count(), 3);
    }

    #[test]
    fn a_round_keeps_few_blocks() {
        let blocks: Vec<Block> = (0..100).map(|_| Block::of(&[0; 8])).collect();
        let mut kept = Vec::new();
        for _ in 0..2 {
            let numbers: Vec<_> = blocks.iter().map(|block| number(&mut kept, block)).collect();
            assert_eq!(numbers, (0..100).map(|at| (at < BLOCKS_KEPT).then_some(at)).collect::<Vec<_>>());
        }
        assert_eq!(kept.len(), BLOCKS_KEPT);
    }
}
