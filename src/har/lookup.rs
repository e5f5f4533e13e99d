//! Name lookups, and which connection waited for which.

use std::collections::HashMap;
use std::net::IpAddr;

use foldhash::fast::RandomState;

use crate::base::Stamp;
use crate::dns::Lookup;
use crate::net::Endpoint;

/// A connection that waited for a lookup follows its answer within the resolution delay and the connection attempt delay of
/// [RFC 8305](https://www.rfc-editor.org/rfc/rfc8305#section-8) (50 + 250 ms), or faster than the lookup itself was.
const CLOSE: i64 = 300_000_000;

/// From the answer's packet to the connection attempt the answer goes through the client's resolver, which browsers count as part of
/// the lookup. More than the resolution delay of RFC 8305 (50 ms) is something else that the client waited for.
const HAND_OVER: i64 = 50_000_000;

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

/// All answered lookups of the capture, up to a bound.
#[derive(Debug, Clone, Default)]
pub struct Lookups {
    all: Vec<Answered>,
    by_name: HashMap<(IpAddr, String), Vec<u32>, RandomState>,
    is_sorted: bool,
}

/// Names compare without case and without the root's dot.
pub fn canonical_name(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

impl Lookups {
    /// Remembers a lookup; false when there are `most` already.
    pub fn insert(&mut self, lookup: Lookup, most: usize) -> bool {
        let Some(answer) = lookup.answer else { return true };
        if self.all.len() >= most || answer.time < lookup.query.time {
            return self.all.len() < most;
        }
        let index = self.all.len() as u32;
        let mut names: Vec<String> =
            std::iter::once(&lookup.name).chain(&lookup.aliases).map(|name| canonical_name(name)).collect();
        names.sort();
        names.dedup();
        for name in names {
            self.by_name.entry((lookup.client, name)).or_default().push(index);
        }
        self.all.push(Answered { lookup, answer, is_claimed: false });
        self.is_sorted = false;
        true
    }

    /// The lookup that the connection from `client` to `server`, opened at `opened`, waited for. Each is given out once: to the
    /// first that asks.
    pub fn claim(&mut self, client: IpAddr, server: IpAddr, host: &str, opened: i64) -> Option<Waited> {
        self.sort();
        let list = self.by_name.get(&(client, canonical_name(host)))?;
        let all = &self.all;
        let before = list.partition_point(|&index| all[index as usize].answer.time.0 <= opened);
        let from = before.saturating_sub(LOOKED_AT);
        let candidates = list.get(from..before)?;
        let &chosen = candidates.iter().rev().find(|&&index| {
            let known = &all[index as usize];
            let took = known.answer.time.0 - known.lookup.query.time.0;
            known.lookup.addresses.contains(&server) && opened - known.answer.time.0 <= CLOSE.max(took)
        })?;
        let (query, answer) = (all[chosen as usize].lookup.query.time, all[chosen as usize].answer.time);
        let beside: Vec<u32> = candidates
            .iter()
            .copied()
            .filter(|&index| {
                all[index as usize].lookup.query.time <= answer && all[index as usize].answer.time >= query
            })
            .collect();
        if beside.iter().any(|&index| all[index as usize].is_claimed) {
            return None;
        }
        let known = &all[chosen as usize];
        let mut waited = Waited {
            name: known.lookup.name.clone(),
            resolver: known.lookup.resolver,
            addresses: known.lookup.addresses.clone(),
            answer: known.answer,
            span: (query.0, answer.0),
        };
        for index in beside {
            let known = &mut self.all[index as usize];
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

    /// Brings the lookups of each name in the order of their answers: shards hand them in as they please.
    fn sort(&mut self) {
        if !self.is_sorted {
            let all = &self.all;
            for list in self.by_name.values_mut() {
                list.sort_by_key(|&index| {
                    let known = &all[index as usize];
                    (known.answer.time, known.answer.frame, known.lookup.query.frame)
                });
            }
            self.is_sorted = true;
        }
    }
}
