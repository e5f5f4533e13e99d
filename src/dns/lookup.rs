//! Queries and their answers become lookups.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use super::PORT;
use super::message::{Malformed, Message, Question, kind};
use crate::base::anomaly::AnomalyKind;
use crate::base::{Anomalies, Budget, Lease, Limits, Stamp, Timestamp};
use crate::net::{Endpoint, Packet, Transport};

/// Open questions under one message id between the same two ends: a second one is already odd.
const SAME_ID: usize = 8;
/// What an open question costs in the tables beside its name, roughly.
const OVERHEAD: usize = 256;

/// A name that was looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// Who asked.
    pub client: IpAddr,
    /// Who was asked.
    pub resolver: Endpoint,
    /// The name: lower case, without the dot at the end; bytes that are no plain text as `\DDD`.
    pub name: String,
    /// Record type asked for: 1 A, 28 AAAA, 65 HTTPS.
    pub query_type: u16,
    /// First transmission of the query.
    pub query: Stamp,
    /// The answer; `None` when there was none.
    pub answer: Option<Stamp>,
    /// Response code of the answer (0 no error, 2 server failure, 3 no such name), 0 without one.
    pub response_code: u8,
    /// Addresses in the answer, hints of service bindings included.
    pub addresses: Vec<IpAddr>,
    /// The CNAME chain.
    pub aliases: Vec<String>,
}

/// What a name takes besides its letters: in the lookup, and in an index.
const EACH_NAME: usize = 160;

impl Lookup {
    /// About how many bytes of memory it takes, remembered by its names.
    pub fn memory(&self) -> usize {
        let names = std::iter::once(&self.name).chain(&self.aliases).map(|name| 2 * name.len() + EACH_NAME);
        size_of::<Self>() + self.addresses.len() * size_of::<IpAddr>() + names.sum::<usize>()
    }
}

/// What an answer must match besides the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    client: Endpoint,
    resolver: Endpoint,
    id: u16,
}

#[derive(Debug)]
struct Open {
    question: Question,
    query: Stamp,
    serial: u64,
}

/// Pairs queries with answers.
#[derive(Debug)]
pub struct Dns {
    open: HashMap<Key, Vec<Open>, foldhash::fast::RandomState>,
    /// Open questions by serial number, oldest first.
    order: BTreeMap<u64, Key>,
    serial: u64,
    cap: usize,
    age: u64,
    held: usize,
    lease: Lease,
    budget: Budget,
    anomalies: Anomalies,
    anomalies_kept: usize,
}

impl Dns {
    /// Nothing asked yet.
    pub fn new(limits: &Limits, budget: &Budget) -> Self {
        Self {
            open: HashMap::default(),
            order: BTreeMap::new(),
            serial: 0,
            cap: limits.lookups,
            age: limits.lookup_age,
            held: 0,
            lease: budget.lease(),
            budget: budget.clone(),
            anomalies: Anomalies::default(),
            anomalies_kept: limits.anomalies_kept,
        }
    }

    /// Takes a datagram; one that is not from or to port 53 is left alone.
    ///
    /// A lookup is handed on with its answer, or without one when it is too old or there is no more room for it.
    pub fn push_udp(&mut self, packet: &Packet<'_>, out: &mut dyn FnMut(Lookup)) {
        if packet.transport != Transport::Udp || (packet.source.port != PORT && packet.destination.port != PORT) {
            return;
        }
        let is_cut = packet.cut > 0;
        self.push(packet.payload, is_cut, [packet.source, packet.destination], packet.stamp, packet.stamp, out);
    }

    /// Hands on what never got an answer.
    pub fn finish(&mut self, out: &mut dyn FnMut(Lookup)) {
        while self.give_up_oldest(out) {}
        self.account();
    }

    /// When the oldest question was asked that may still be answered.
    pub fn pending_since(&self, now: Timestamp) -> Option<Timestamp> {
        let asked = self.open.get(self.order.first_key_value()?.1)?.iter().map(|open| open.query.time).min()?;
        (now.nanos_since(asked) <= self.age).then_some(asked)
    }

    /// Messages that could not be read.
    pub fn anomalies(&self) -> &Anomalies {
        &self.anomalies
    }

    /// Takes one message between two ends; true when it could be read.
    pub(super) fn push(
        &mut self,
        bytes: &[u8],
        is_cut: bool,
        [source, destination]: [Endpoint; 2],
        first: Stamp,
        last: Stamp,
        out: &mut dyn FnMut(Lookup),
    ) -> bool {
        self.expire(last, out);
        let parsed = Message::parse(bytes);
        let is_damaged = match &parsed {
            Ok(message) => message.as_ref().is_some_and(|message| message.is_damaged),
            Err(Malformed) => true,
        };
        if is_damaged && !is_cut {
            self.note_malformed(first);
        }
        match parsed {
            Ok(Some(message)) if message.is_query && destination.port == PORT => {
                let key = Key { client: source, resolver: destination, id: message.id };
                for question in message.questions {
                    self.ask(key, question, first, out);
                }
            }
            Ok(Some(message)) if !message.is_query && source.port == PORT => {
                self.answer(Key { client: destination, resolver: source, id: message.id }, message, last, out);
            }
            _ => {}
        }
        self.account();
        !is_damaged
    }

    pub(super) fn note_malformed(&mut self, stamp: Stamp) {
        self.anomalies.note(AnomalyKind::DnsMalformed, Some(stamp), self.anomalies_kept);
    }

    fn ask(&mut self, key: Key, question: Question, query: Stamp, out: &mut dyn FnMut(Lookup)) {
        let asked = self.open.entry(key).or_default();
        // The same again: the client lost patience, and the lookup began with the first.
        if asked.iter().any(|open| open.question == question) {
            return;
        }
        if asked.len() >= SAME_ID {
            return;
        }
        self.serial += 1;
        self.held += OVERHEAD + question.name.capacity();
        asked.push(Open { question, query, serial: self.serial });
        self.order.insert(self.serial, key);
        self.account();
        // Others hold memory, too, and are asked in turn: one is enough.
        if self.order.len() > self.cap || self.budget.is_overdrawn() {
            self.give_up_oldest(out);
        }
    }

    fn answer(&mut self, key: Key, message: Message, stamp: Stamp, out: &mut dyn FnMut(Lookup)) {
        let Some(asked) = self.open.get_mut(&key) else { return };
        // Some errors come without the question (RFC 1035 §4.1.1 asks for it, servers that understand nothing cannot); then the id
        // must do, when it is the only one.
        let is_nameless = message.questions.is_empty() && asked.len() == 1;
        let found: Vec<Open> =
            asked.extract_if(.., |open| is_nameless || message.questions.contains(&open.question)).collect();
        if asked.is_empty() {
            self.open.remove(&key);
        }
        let is_shared = found.len() > 1;
        for open in found {
            let belongs = |address: &&IpAddr| match open.question.kind {
                kind::A => !is_shared || address.is_ipv4(),
                kind::AAAA => !is_shared || address.is_ipv6(),
                _ => true,
            };
            let addresses = message.addresses.iter().filter(belongs).copied().collect();
            self.order.remove(&open.serial);
            self.held = self.held.saturating_sub(OVERHEAD + open.question.name.capacity());
            out(Lookup {
                answer: Some(stamp),
                response_code: message.response_code,
                addresses,
                aliases: message.aliases.clone(),
                ..unanswered(key, open)
            });
        }
    }

    fn expire(&mut self, now: Stamp, out: &mut dyn FnMut(Lookup)) {
        while let Some((serial, key)) = self.order.first_key_value() {
            let is_young = self
                .open
                .get(key)
                .and_then(|asked| asked.iter().find(|open| open.serial == *serial))
                .is_some_and(|open| now.time.nanos_since(open.query.time) <= self.age);
            if is_young || !self.give_up_oldest(out) {
                break;
            }
        }
    }

    /// Hands on the oldest open question without an answer; false when there is none.
    fn give_up_oldest(&mut self, out: &mut dyn FnMut(Lookup)) -> bool {
        let Some((serial, key)) = self.order.pop_first() else { return false };
        let Some(asked) = self.open.get_mut(&key) else { return true };
        let found = asked.iter().position(|open| open.serial == serial).map(|at| asked.remove(at));
        if asked.is_empty() {
            self.open.remove(&key);
        }
        if let Some(open) = found {
            self.held = self.held.saturating_sub(OVERHEAD + open.question.name.capacity());
            out(unanswered(key, open));
        }
        true
    }

    fn account(&mut self) {
        self.lease.set(self.held);
    }
}

fn unanswered(key: Key, open: Open) -> Lookup {
    Lookup {
        client: key.client.address,
        resolver: key.resolver,
        name: open.question.name,
        query_type: open.question.kind,
        query: open.query,
        answer: None,
        response_code: 0,
        addresses: Vec::new(),
        aliases: Vec::new(),
    }
}
