//! Name lookups, and which connection waited for which.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::net::IpAddr;

use foldhash::fast::RandomState;

use crate::base::{FrameNumber, Limits, Stamp, Timestamp};
use crate::dns::Lookup;
use crate::net::Endpoint;

/// A connection that waited for a lookup follows its answer within the resolution delay and the connection attempt delay of
/// [RFC 8305](https://www.rfc-editor.org/rfc/rfc8305#section-8) (50 + 250 ms), or faster than the lookup itself was.
const CLOSE: i64 = 300_000_000;

/// From the answer's packet to the connection attempt the answer goes through the client's resolver, which browsers count as part of
/// the lookup. More than the resolution delay of RFC 8305 (50 ms) is something else that the client waited for.
const HAND_OVER: i64 = 50_000_000;

/// How long a lookup that nobody may wait for any more is kept for the sake of one that was made beside it: as long as a query is
/// repeated.
const BESIDE: i64 = 30_000_000_000;

/// Lookups that are not worth a look at whether somebody may still wait for them.
const CROWD: usize = 1024;

/// Lookups of one name looked at for one connection.
const LOOKED_AT: usize = 64;

/// The lookup that a connection waited for; those made beside it (A and AAAA, HTTPS) are one with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waited {
    /// The name in question.
    pub name: String,
    /// Who was asked.
    pub resolver: Endpoint,
    /// Every address answered.
    pub addresses: Vec<IpAddr>,
    /// The answer that gave the address.
    pub answer: Stamp,
    /// First query and last answer, nanoseconds since 1970.
    pub span: (i64, i64),
}

#[derive(Debug, Clone)]
struct Answered {
    lookup: Lookup,
    answer: Stamp,
    is_claimed: bool,
}

impl Answered {
    /// The order of the lookups of a name.
    fn key(&self) -> (Timestamp, FrameNumber, FrameNumber) {
        (self.answer.time, self.answer.frame, self.lookup.query.frame)
    }

    /// Start and end of the time in which a connection that waited for it opens, nanoseconds since 1970.
    fn window(&self) -> (i64, i64) {
        let (query, answer) = (self.lookup.query.time.0, self.answer.time.0);
        (answer, answer.saturating_add(CLOSE.max(answer.saturating_sub(query))))
    }
}

/// The last answered lookups of a capture, up to a bound.
#[derive(Debug, Clone)]
pub struct Lookups {
    most: usize,
    most_bytes: usize,
    bytes: usize,
    /// How many there were when those that nobody may wait for were last taken out.
    seen: usize,
    /// In order of arrival; the first has the number `forgotten`.
    all: VecDeque<Answered>,
    forgotten: u64,
    /// Numbers of the lookups of a name, in the order of their answers.
    by_name: HashMap<(IpAddr, String), Vec<u64>, RandomState>,
    /// Query times and numbers of lookups that may still be claimed, and of some that may not.
    open: BinaryHeap<Reverse<(i64, u64)>>,
}

/// Names compare without case and without the root's dot.
pub fn canonical_name(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// The names that an answer is about.
fn names(lookup: &Lookup) -> Vec<String> {
    let mut names: Vec<String> =
        std::iter::once(&lookup.name).chain(&lookup.aliases).map(|name| canonical_name(name)).collect();
    names.sort();
    names.dedup();
    names
}

impl Lookups {
    /// Remembers at most as many lookups as is allowed.
    pub fn new(limits: &Limits) -> Self {
        Self {
            most: limits.lookups,
            most_bytes: limits.lookup_memory,
            bytes: 0,
            seen: 0,
            all: VecDeque::new(),
            forgotten: 0,
            by_name: HashMap::default(),
            open: BinaryHeap::new(),
        }
    }

    /// True when it is time to [pass](Self::pass): there are many more than the last time.
    pub fn is_crowded(&self) -> bool {
        self.all.len() >= 2 * self.seen + CROWD
    }

    /// Remembers a lookup, in the place of the oldest when there are too many.
    pub fn insert(&mut self, lookup: Lookup) {
        let Some(answer) = lookup.answer else { return };
        if answer.time < lookup.query.time || self.most == 0 {
            return;
        }
        let answered = Answered { lookup, answer, is_claimed: false };
        self.bytes += answered.lookup.memory();
        while !self.all.is_empty() && (self.all.len() >= self.most || self.bytes > self.most_bytes) {
            self.forget_oldest();
        }
        let lookup = &answered.lookup;
        let number = self.forgotten + self.all.len() as u64;
        let (client, names, query) = (lookup.client, names(lookup), lookup.query.time.0);
        for name in names {
            let list = self.by_name.entry((client, name)).or_default();
            let (all, forgotten) = (&self.all, self.forgotten);
            let key = |number: u64| all.get((number - forgotten) as usize).map(Answered::key);
            // Mostly at the end: answers come in the order of time, but for those of several shards.
            let behind = list.iter().rev().take_while(|&&other| key(other) > Some(answered.key())).count();
            list.insert(list.len() - behind, number);
        }
        self.all.push_back(answered);
        self.open.push(Reverse((query, number)));
        // Most of it is over: the heap holds no more than the list does.
        if self.open.len() > 2 * self.all.len() + 64 {
            self.open = std::mem::take(&mut self.open)
                .into_iter()
                .filter(|&Reverse((_, number))| self.get(number).is_some_and(|known| !known.is_claimed))
                .collect();
        }
    }

    fn get(&self, number: u64) -> Option<&Answered> {
        self.all.get(number.checked_sub(self.forgotten)? as usize)
    }

    fn forget_oldest(&mut self) {
        let Some(oldest) = self.all.pop_front() else { return };
        self.bytes -= oldest.lookup.memory();
        for name in names(&oldest.lookup) {
            let key = (oldest.lookup.client, name);
            if let Some(list) = self.by_name.get_mut(&key) {
                list.retain(|&number| number != self.forgotten);
                if list.is_empty() {
                    self.by_name.remove(&key);
                }
            }
        }
        self.forgotten += 1;
    }

    /// Says that no connection that opened before `moment` will ask any more.
    pub fn pass(&mut self, moment: i64) {
        while self.all.front().is_some_and(|known| known.window().1.saturating_add(BESIDE) < moment) {
            self.forget_oldest();
        }
        self.seen = self.all.len();
    }

    /// The earliest query of a lookup that a connection opened at `moment` or later may still claim.
    pub fn earliest(&mut self, moment: i64) -> i64 {
        while let Some(&Reverse((query, number))) = self.open.peek() {
            if self.get(number).is_some_and(|known| !known.is_claimed && known.window().1 >= moment) {
                return query;
            }
            self.open.pop();
        }
        i64::MAX
    }

    /// The lookup that the connection from `client` to `server`, opened at `opened`, waited for. Each is given out once: to the
    /// first that asks.
    pub fn claim(&mut self, client: IpAddr, server: IpAddr, host: &str, opened: i64) -> Option<Waited> {
        if self.all.is_empty() {
            return None;
        }
        let list = self.by_name.get(&(client, canonical_name(host)))?;
        let known = |number: u64| self.get(number);
        let before = list.partition_point(|&number| known(number).is_some_and(|known| known.answer.time.0 <= opened));
        let candidates = list.get(before.saturating_sub(LOOKED_AT)..before)?;
        let chosen = candidates.iter().rev().find_map(|&number| {
            let known = known(number)?;
            (known.lookup.addresses.contains(&server) && opened <= known.window().1).then_some(known)
        })?;
        let (query, answer) = (chosen.lookup.query.time, chosen.answer.time);
        let is_beside = |known: &Answered| known.lookup.query.time <= answer && known.answer.time >= query;
        let beside: Vec<u64> =
            candidates.iter().copied().filter(|&number| known(number).is_some_and(is_beside)).collect();
        if beside.iter().any(|&number| known(number).is_some_and(|known| known.is_claimed)) {
            return None;
        }
        let mut waited = Waited {
            name: chosen.lookup.name.clone(),
            resolver: chosen.lookup.resolver,
            addresses: chosen.lookup.addresses.clone(),
            answer: chosen.answer,
            span: (query.0, answer.0),
        };
        for number in beside {
            let Some(known) = self.all.get_mut((number - self.forgotten) as usize) else { continue };
            known.is_claimed = true;
            waited.span.0 = waited.span.0.min(known.lookup.query.time.0);
            waited.span.1 = waited.span.1.max(known.answer.time.0);
            for &address in &known.lookup.addresses {
                if !waited.addresses.contains(&address) {
                    waited.addresses.push(address);
                }
            }
        }
        if (0..=HAND_OVER).contains(&(opened - waited.span.1)) {
            waited.span.1 = opened;
        }
        Some(waited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str, query: i64, answer: i64) -> Lookup {
        let stamp = |time: i64| Stamp { frame: FrameNumber(time as u64), time: Timestamp(time) };
        Lookup {
            client: IpAddr::from([10, 0, 0, 1]),
            resolver: Endpoint { address: IpAddr::from([10, 0, 0, 53]), port: 53 },
            name: name.into(),
            query_type: 1,
            query: stamp(query),
            answer: Some(stamp(answer)),
            response_code: 0,
            addresses: vec![IpAddr::from([192, 0, 2, 1])],
            aliases: Vec::new(),
        }
    }

    fn claim(lookups: &mut Lookups, host: &str, opened: i64) -> Option<i64> {
        let (client, server) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([192, 0, 2, 1]));
        lookups.claim(client, server, host, opened).map(|waited| waited.span.0)
    }

    #[test]
    fn the_newest_lookups_are_remembered_for_ever() {
        let mut lookups = Lookups::new(&Limits { lookups: 100, ..Limits::default() });
        for n in 0..100_000i64 {
            lookups.insert(lookup(&format!("host{}", n % 777), n * 1000, n * 1000 + 10));
        }
        assert!(lookups.all.len() == 100 && lookups.by_name.len() == 100 && lookups.open.len() <= 264);
        assert_eq!(claim(&mut lookups, &format!("host{}", 99_999 % 777), 99_999_100), Some(99_999_000));
        assert_eq!(claim(&mut lookups, &format!("host{}", 99_899 % 777), 99_899_100), None);
    }

    #[test]
    fn order_of_arrival_does_not_matter() {
        let mut lookups = Lookups::new(&Limits { lookups: 100, ..Limits::default() });
        for n in [3, 1, 2] {
            lookups.insert(lookup("a", n * 1000, n * 1000 + 10));
        }
        assert_eq!(claim(&mut lookups, "A.", 2500), Some(2000));
        assert_eq!(claim(&mut lookups, "a", 2600), None);
        assert_eq!(claim(&mut lookups, "a", 3600), Some(3000));
    }

    #[test]
    fn the_earliest_query_is_that_of_what_may_be_claimed() {
        let mut lookups = Lookups::new(&Limits { lookups: 100, ..Limits::default() });
        lookups.insert(lookup("a", 1000, 2000));
        lookups.insert(lookup("b", 500, 3000));
        assert_eq!(lookups.earliest(4000), 500);
        claim(&mut lookups, "b", 3500);
        assert_eq!(lookups.earliest(4000), 1000);
        assert_eq!(lookups.earliest(2000 + CLOSE + 1), i64::MAX);
        lookups.pass(3000 + CLOSE + BESIDE + 1);
        assert!(lookups.all.is_empty() && lookups.by_name.is_empty());
    }
}
