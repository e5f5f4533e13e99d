//! Messages built in code: pairing, streams, and what hostile messages cost.

use std::net::IpAddr;

use super::{Dns, DnsStream, Lookup};
use crate::base::anomaly::AnomalyKind;
use crate::base::{Budget, FrameNumber, Limits, Span, Stamp, Timestamp};
use crate::net::{Endpoint, Packet, Transport};
use crate::tcp::{Chunk, Position, Side, StreamEvent};

const SECOND: i64 = 1_000_000_000;
const A: u16 = 1;
const CNAME: u16 = 5;
const AAAA: u16 = 28;
const HTTPS: u16 = 65;

fn client() -> Endpoint {
    Endpoint { address: IpAddr::from([10, 0, 0, 1]), port: 40_000 }
}

fn resolver() -> Endpoint {
    Endpoint { address: IpAddr::from([10, 0, 0, 53]), port: 53 }
}

fn stamp(at: i64) -> Stamp {
    Stamp { frame: FrameNumber((at / 1000) as u64), time: Timestamp(at) }
}

fn labels(name: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        wire.push(label.len() as u8);
        wire.extend_from_slice(label.as_bytes());
    }
    wire.push(0);
    wire
}

fn message(id: u16, flags: u16, questions: &[(&str, u16)], answers: &[Vec<u8>]) -> Vec<u8> {
    let counts = [questions.len() as u16, answers.len() as u16, 0, 0];
    let mut wire: Vec<u8> = [id, flags].iter().chain(&counts).flat_map(|field| field.to_be_bytes()).collect();
    for (name, kind) in questions {
        wire.extend_from_slice(&labels(name));
        wire.extend_from_slice(&kind.to_be_bytes());
        wire.extend_from_slice(&[0, 1]);
    }
    wire.extend(answers.iter().flatten());
    wire
}

fn query(id: u16, name: &str, kind: u16) -> Vec<u8> {
    message(id, 0x0120, &[(name, kind)], &[])
}

fn answer(id: u16, code: u16, name: &str, kind: u16, answers: &[Vec<u8>]) -> Vec<u8> {
    message(id, 0x8180 | code, &[(name, kind)], answers)
}

/// A record whose owner is a pointer to the question.
fn record(kind: u16, data: &[u8]) -> Vec<u8> {
    let mut wire = vec![0xc0, 12];
    wire.extend_from_slice(&kind.to_be_bytes());
    wire.extend_from_slice(&[0, 1, 0, 0, 0, 60]);
    wire.extend_from_slice(&(data.len() as u16).to_be_bytes());
    wire.extend_from_slice(data);
    wire
}

struct Bench {
    dns: Dns,
    budget: Budget,
    lookups: Vec<Lookup>,
}

impl Bench {
    fn new() -> Self {
        Self::with(&Limits::default())
    }

    fn with(limits: &Limits) -> Self {
        let budget = Budget::new(limits.memory);
        Self { dns: Dns::new(limits, &budget), budget, lookups: Vec::new() }
    }

    fn push(&mut self, at: i64, source: Endpoint, destination: Endpoint, payload: &[u8], cut: usize) {
        let transport = Transport::Udp;
        let packet = Packet { stamp: stamp(at), selected: false, source, destination, transport, payload, cut };
        self.dns.push_udp(&packet, &mut |lookup| self.lookups.push(lookup));
    }

    fn ask(&mut self, at: i64, payload: &[u8]) {
        self.push(at, client(), resolver(), payload, 0);
    }

    fn reply(&mut self, at: i64, payload: &[u8]) {
        self.push(at, resolver(), client(), payload, 0);
    }

    fn malformed(&self) -> u64 {
        self.dns.anomalies().count(AnomalyKind::DnsMalformed)
    }
}

#[test]
fn a_query_finds_its_answer() {
    let mut bench = Bench::new();
    bench.ask(1000, &query(7, "WWW.Example.com", A));
    let records = [
        record(CNAME, &[3, b'c', b'd', b'n', 0xc0, 16]),
        record(46, b"a signature that nobody reads"),
        record(A, &[192, 0, 2, 1]),
        record(A, &[192, 0, 2, 2]),
    ];
    bench.reply(5000, &answer(7, 0, "www.eXample.com", A, &records));
    let expected = Lookup {
        client: client().address,
        resolver: resolver(),
        name: "www.example.com".into(),
        query_type: A,
        query: stamp(1000),
        answer: Some(stamp(5000)),
        response_code: 0,
        addresses: vec![IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2])],
        aliases: vec!["cdn.example.com".into()],
    };
    assert_eq!(bench.lookups, [expected]);
    assert_eq!((bench.malformed(), bench.budget.used()), (0, 0));
}

#[test]
fn only_the_same_question_matches() {
    let mut bench = Bench::new();
    bench.ask(1000, &query(7, "a.test", A));
    bench.ask(1000, &query(7, "a.test", AAAA));
    bench.ask(1000, &query(8, "b.test", A));
    bench.reply(2000, &answer(8, 0, "a.test", A, &[]));
    let stranger = Endpoint { port: 5353, ..resolver() };
    bench.push(2000, stranger, client(), &answer(7, 0, "a.test", A, &[]), 0);
    assert_eq!(bench.lookups, []);
    bench.reply(3000, &answer(8, 3, "b.test", A, &[]));
    bench.reply(4000, &answer(7, 0, "a.test", AAAA, &[record(AAAA, &[0x20; 16])]));
    let seen: Vec<_> =
        bench.lookups.iter().map(|seen| (seen.name.as_str(), seen.query_type, seen.response_code)).collect();
    assert_eq!(seen, [("b.test", A, 3), ("a.test", AAAA, 0)]);
    assert_eq!(bench.lookups[1].addresses, [IpAddr::from([0x20; 16])]);
}

#[test]
fn a_repeated_query_began_with_the_first() {
    let mut bench = Bench::new();
    for at in [1000, SECOND, 2 * SECOND] {
        bench.ask(at, &query(7, "slow.test", A));
    }
    for at in [3 * SECOND, 4 * SECOND] {
        bench.reply(at, &answer(7, 0, "slow.test", A, &[]));
    }
    assert_eq!(bench.lookups.len(), 1);
    assert_eq!((bench.lookups[0].query, bench.lookups[0].answer), (stamp(1000), Some(stamp(3 * SECOND))));
    // After its answer the same question is a new lookup.
    bench.ask(5 * SECOND, &query(7, "slow.test", A));
    bench.reply(6 * SECOND, &answer(7, 2, "", 0, &[])[..12]);
    bench.reply(6 * SECOND, &message(7, 0x8182, &[], &[]));
    assert_eq!((bench.lookups.len(), bench.lookups[1].response_code), (2, 2));
    assert_eq!(bench.lookups[1].query, stamp(5 * SECOND));
}

#[test]
fn lost_answers_expire() {
    let mut bench = Bench::new();
    bench.ask(1000, &query(1, "old.test", A));
    bench.ask(20 * SECOND, &query(2, "young.test", A));
    bench.ask(31 * SECOND, &query(3, "now.test", A));
    assert_eq!(bench.lookups.len(), 1);
    bench.reply(32 * SECOND, &answer(1, 0, "old.test", A, &[]));
    let Bench { dns, lookups, .. } = &mut bench;
    dns.finish(&mut |lookup| lookups.push(lookup));
    let seen: Vec<_> = bench.lookups.iter().map(|seen| (seen.name.as_str(), seen.answer)).collect();
    assert_eq!(seen, [("old.test", None), ("young.test", None), ("now.test", None)]);
    assert_eq!(bench.budget.used(), 0);
}

#[test]
fn open_questions_are_bounded() {
    let limits = Limits { lookups: 100, ..Limits::default() };
    let mut bench = Bench::with(&limits);
    for id in 0..5000 {
        bench.ask(1000, &query(id % 50, &format!("name-{id}.test"), A));
        assert!(bench.budget.used() <= 100 * 512);
    }
    // Eight of one id at most; the rest was not remembered, or handed on without an answer.
    let limits = Limits { memory: 2000, ..limits };
    let mut bench = Bench::with(&limits);
    for id in 0..1000 {
        bench.ask(1000, &query(id, "name.test", A));
        assert!(bench.budget.used() <= 2000);
    }
    assert!(bench.lookups.len() > 990);
}

#[test]
fn one_message_may_ask_for_both_families() {
    let mut bench = Bench::new();
    let both = [("both.test", A), ("both.test", AAAA)];
    bench.ask(1000, &message(7, 0x0100, &both, &[]));
    let records = [record(A, &[192, 0, 2, 1]), record(AAAA, &[0x20; 16])];
    bench.reply(2000, &message(7, 0x8180, &both, &records));
    let seen: Vec<_> = bench.lookups.iter().map(|seen| (seen.query_type, seen.addresses.clone())).collect();
    assert_eq!(seen, [(A, vec![IpAddr::from([192, 0, 2, 1])]), (AAAA, vec![IpAddr::from([0x20; 16])])]);
}

#[test]
fn service_bindings_hint_at_addresses() {
    let mut bench = Bench::new();
    bench.ask(1000, &query(7, "h3.test", HTTPS));
    let mut data = vec![0, 1, 0, 0, 1, 0, 3, 2, b'h', b'3', 0, 4, 0, 8, 192, 0, 2, 1, 192, 0, 2, 2, 0, 6, 0, 16];
    data.extend([0x20; 16]);
    bench.reply(2000, &answer(7, 0, "h3.test", HTTPS, &[record(HTTPS, &data)]));
    let expected = [IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]), IpAddr::from([0x20; 16])];
    assert_eq!(bench.lookups[0].addresses, expected);
    assert_eq!(bench.malformed(), 0);
}

#[test]
fn odd_headers_and_names_are_read() {
    let mut bench = Bench::new();
    // The reserved bit, and labels that are no plain text.
    let mut odd = message(7, 0x0140, &[("", A)], &[]);
    odd.splice(12..13, [4, b'a', b'.', 0xe9, b' ', 1, b'B', 0]);
    bench.ask(1000, &odd);
    odd[2] |= 0x80;
    bench.reply(2000, &odd);
    assert_eq!(bench.lookups[0].name, r"a\.\233\032.b");
    // The root has no labels.
    bench.ask(3000, &query(8, "", 2));
    bench.reply(4000, &answer(8, 0, "", 2, &[]));
    assert_eq!(bench.lookups[1].name, "");
    // Updates and other classes are no lookups.
    bench.ask(5000, &message(9, 0x2800, &[("a.test", A)], &[]));
    let mut chaos = query(9, "version.bind", 16);
    *chaos.last_mut().unwrap() = 3;
    bench.ask(5000, &chaos);
    assert_eq!((bench.budget.used(), bench.malformed()), (0, 0));
}

#[test]
fn other_ports_are_left_alone() {
    let mut bench = Bench::new();
    for port in [5353, 5355, 443] {
        bench.push(1000, client(), Endpoint { port, ..resolver() }, &query(7, "a.local", A), 0);
        bench.push(1000, client(), Endpoint { port, ..resolver() }, b"no dns", 0);
    }
    assert_eq!((bench.budget.used(), bench.malformed()), (0, 0));
}

#[test]
fn a_cut_answer_gives_what_is_left() {
    let whole = answer(7, 0, "cut.test", A, &[record(A, &[192, 0, 2, 1]), record(A, &[192, 0, 2, 2])]);
    for (cut, is_damaged) in [(3, false), (0, true)] {
        let mut bench = Bench::new();
        bench.ask(1000, &query(7, "cut.test", A));
        bench.push(2000, resolver(), client(), &whole[..whole.len() - 3], cut);
        assert_eq!(bench.lookups[0].addresses, [IpAddr::from([192, 0, 2, 1])]);
        assert_eq!(bench.malformed(), u64::from(is_damaged));
    }
}

#[test]
fn pointer_loops_and_long_names_are_malformed() {
    let with_name = |name: &[u8]| {
        let mut wire = message(7, 0x0100, &[], &[]);
        wire[5] = 1;
        wire.extend_from_slice(name);
        wire.extend_from_slice(&[0, 1, 0, 1]);
        wire
    };
    let itself = with_name(&[0xc0, 12]);
    let forward = with_name(&[0xc0, 14, 0xc0, 12]);
    let grown = with_name(&[1, b'a', 0xc0, 12]);
    let long = with_name(&labels(&["x".repeat(63).as_str(); 5].join(".")));
    let reserved = with_name(&[0x80, 1, 0]);
    let mut bench = Bench::new();
    for (count, wire) in (1..).zip([itself, forward, grown, long, reserved]) {
        bench.ask(1000, &wire);
        assert_eq!((bench.malformed(), bench.budget.used()), (count, 0));
    }
    // Eight thousand pointers, each to the one before: an end after a few steps, and no deep recursion.
    let mut wire = with_name(&[0]);
    (wire[2], wire[7]) = (0x81, 2);
    wire.extend_from_slice(&[0, 0, 16, 0, 1, 0, 0, 0, 0, 0x3e, 0x80, 0]);
    let first = wire.len();
    for at in (first..).step_by(2).take(8000) {
        let target = if at == first { first - 1 } else { at - 2 };
        wire.extend_from_slice(&(0xc000 | target as u16).to_be_bytes());
    }
    let last = wire.len() as u16 - 2;
    wire.extend_from_slice(&[0, 0, 5, 0, 1, 0, 0, 0, 0, 0, 2]);
    wire.extend_from_slice(&(0xc000 | last).to_be_bytes());
    let before = bench.malformed();
    bench.reply(2000, &wire);
    assert_eq!(bench.malformed(), before + 1);
}

#[test]
fn mutations_are_harmless() {
    let limits = Limits { lookups: 50, ..Limits::default() };
    let mut seed = 0x5eed_u64;
    let mut below = |end: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % end as u64) as usize
    };
    let records = [record(CNAME, &[1, b'c', 0xc0, 12]), record(A, &[1; 4]), record(AAAA, &[2; 16])];
    let samples = [query(7, "some.name.test", A), answer(7, 0, "some.name.test", A, &records)];
    let mut bench = Bench::with(&limits);
    for round in 0..50_000 {
        let mut wire = samples[below(2)].clone();
        for _ in 0..1 + below(3) {
            let at = below(wire.len());
            match below(4) {
                0 => wire[at] = below(256) as u8,
                1 => wire[at] ^= 1 << below(8),
                2 => wire.truncate(at + 1),
                _ => wire.insert(at, 0xc0),
            }
        }
        if wire.get(2).is_some_and(|flags| flags & 0x80 == 0) {
            bench.ask(round, &wire)
        } else {
            bench.reply(round, &wire)
        }
        assert!(bench.budget.used() <= 51 * 600);
    }
    assert!(bench.malformed() > 0 && !bench.lookups.is_empty());
}

/// Feeds one direction of a stream in parts of these sizes.
fn feed(stream: &mut DnsStream, side: Side, bytes: &[u8], sizes: &mut dyn FnMut() -> usize, out: &mut Vec<Lookup>) {
    let mut at = 0;
    while at < bytes.len() {
        let end = (at + sizes().max(1)).min(bytes.len());
        let span = Span::of(stamp(1000), false);
        let chunk = Chunk { data: &bytes[at..end], span, offset: at as u64, position: Position::default() };
        stream.push(side, StreamEvent::Data(chunk), &mut |lookup| out.push(lookup));
        at = end;
    }
}

fn framed(messages: &[Vec<u8>]) -> Vec<u8> {
    messages.iter().flat_map(|wire| [&(wire.len() as u16).to_be_bytes()[..], wire.as_slice()].concat()).collect()
}

fn conversation() -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let names = ["one.test", "two.test", "three.test"];
    let asked = (1..).zip(names).map(|(id, name)| query(id, name, A)).collect();
    let answered = (1..).zip(names).map(|(id, name)| answer(id, 0, name, A, &[record(A, &[id as u8; 4])])).collect();
    (asked, answered)
}

#[test]
fn any_split_of_a_stream_gives_the_same_lookups() {
    let (asked, answered) = conversation();
    let limits = Limits::default();
    let mut seed = 1;
    let mut expected = None;
    for round in 0..200 {
        let budget = Budget::new(limits.memory);
        let mut stream = DnsStream::new(client(), resolver(), &limits, &budget);
        let mut lookups = Vec::new();
        let mut sizes = || {
            seed = (seed * 75 + 74) % 65_537;
            if round == 0 { usize::MAX >> 1 } else { seed % (round + 1) }
        };
        feed(&mut stream, Side::Client, &framed(&asked), &mut sizes, &mut lookups);
        feed(&mut stream, Side::Server, &framed(&answered), &mut sizes, &mut lookups);
        stream.finish(&mut |lookup| lookups.push(lookup));
        assert_eq!(lookups.len(), 3);
        assert_eq!(expected.get_or_insert_with(|| lookups.clone()), &lookups);
        assert!(stream.anomalies().is_empty());
        drop(stream);
        assert_eq!(budget.used(), 0);
    }
}

#[test]
fn a_gap_costs_only_the_messages_it_touches() {
    let (asked, answered) = conversation();
    let stream_bytes = framed(&answered);
    let first = 2 + answered[0].len();
    // A hole inside the first answer, one that ends with it, one of unknown length before the second.
    for (from, until, len) in [(20, 30, 10), (20, first, first - 20), (first, first, 0)] {
        let limits = Limits::default();
        let mut stream = DnsStream::new(client(), resolver(), &limits, &Budget::new(limits.memory));
        let mut lookups = Vec::new();
        feed(&mut stream, Side::Client, &framed(&asked), &mut || 1000, &mut lookups);
        feed(&mut stream, Side::Server, &stream_bytes[..from], &mut || 7, &mut lookups);
        let gap = StreamEvent::Gap { len: len as u64, stamp: stamp(1000) };
        stream.push(Side::Server, gap, &mut |lookup| lookups.push(lookup));
        feed(&mut stream, Side::Server, &stream_bytes[until..], &mut || 1000, &mut lookups);
        stream.finish(&mut |lookup| lookups.push(lookup));
        let answered: Vec<_> =
            lookups.iter().filter(|seen| seen.answer.is_some()).map(|seen| seen.name.as_str()).collect();
        let expected = ["one.test", "two.test", "three.test"];
        assert_eq!(answered, expected[usize::from(from == 20)..], "{from} {until} {len}");
        assert_eq!(lookups.len(), 3);
    }
}

#[test]
fn a_stream_that_is_no_dns_ends_quietly() {
    let limits = Limits::default();
    let budget = Budget::new(limits.memory);
    let mut stream = DnsStream::new(client(), resolver(), &limits, &budget);
    let mut lookups = Vec::new();
    let noise: Vec<u8> = (0..300_000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut sizes = || {
        assert!(budget.used() <= 2 * 65_537);
        1448
    };
    feed(&mut stream, Side::Client, &noise, &mut sizes, &mut lookups);
    stream.push(Side::Client, StreamEvent::Fin(stamp(2000)), &mut |lookup| lookups.push(lookup));
    stream.push(Side::Server, StreamEvent::Reset(stamp(2000)), &mut |lookup| lookups.push(lookup));
    assert!(lookups.is_empty() && !stream.anomalies().is_empty());
    assert_eq!(budget.used(), 0);
}
