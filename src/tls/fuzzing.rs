//! Fuzz bodies of key logs and sessions.

use super::{Decryption, KeyLog, KeyLogReport, KeyLogTail, SecretSource, Session};
use crate::base::fuzzing::{Dice, pieces};
use crate::base::{Budget, Limits, Reader};
use crate::tcp::fuzzing::{What, play, steps};
use crate::tcp::{Side, StreamEvent};

/// Key log text: the same in one piece and in any others, and never more secrets than the limit.
pub fn keylog(data: &[u8]) {
    let new = || KeyLog::new(&Limits { secrets: 20, ..Limits::default() });
    let whole = new();
    let expected = whole.parse(data, SecretSource::KeyLog);
    assert_eq!(expected.lines, expected.used + expected.broken + expected.unknown);
    let (keys, mut tail, mut sum) = (new(), KeyLogTail::default(), KeyLogReport::default());
    let mut rest = data;
    for piece in pieces(&mut Dice::of(data), data.len()) {
        let (part, after) = rest.split_at(piece);
        sum.add(tail.push(part, SecretSource::KeyLog, &keys));
        rest = after;
    }
    sum.add(tail.finish(SecretSource::KeyLog, &keys));
    assert_eq!((sum, keys.len()), (expected, whole.len()));
    assert!(keys.len() <= 20);
}

/// What stands before a script: how many octets of key log there are, 16 bits, and the key log.
pub fn keys_and_script(data: &[u8]) -> (KeyLog, &[u8]) {
    let keys = KeyLog::default();
    let mut reader = Reader::new(data);
    let len = usize::from(reader.u16().unwrap_or_default()).min(reader.remaining());
    keys.parse(reader.take(len).unwrap_or_default(), SecretSource::KeyLog);
    (keys, reader.rest())
}

/// Writes what [`keys_and_script`] reads.
pub fn with_keys(key_log: &[u8], script: &[u8]) -> Vec<u8> {
    let key_log = &key_log[..key_log.len().min(0xffff)];
    [&(key_log.len() as u16).to_be_bytes()[..], key_log, script].concat()
}

/// Plaintext of each side; gaps and ends as marks.
#[derive(Debug, Default, PartialEq)]
struct Plain {
    bytes: [Vec<u8>; 2],
    gaps: [u64; 2],
    ends: [u32; 2],
}

impl Plain {
    fn take(&mut self, side: Side, event: StreamEvent<'_>) {
        let at = side.index();
        match event {
            StreamEvent::Data(chunk) => {
                assert_eq!(chunk.offset, self.bytes[at].len() as u64 + self.gaps[at], "offsets follow each other");
                self.bytes[at].extend_from_slice(chunk.data);
            }
            StreamEvent::Gap { len, .. } => self.gaps[at] += len,
            StreamEvent::Fin(_) | StreamEvent::Reset(_) => self.ends[at] += 1,
        }
    }
}

/// What came out, and whether everything could be read.
fn run(data: &[u8], dice: Option<Dice>) -> (Plain, bool) {
    let (keys, script) = keys_and_script(data);
    let limits = Limits { tls_held: 20_000, tls_message: 10_000, ..Limits::default() };
    let budget = Budget::new(limits.memory);
    let mut session = Session::new(&limits, &budget);
    let mut plain = Plain::default();
    play(script, dice, &mut |_, side, event| {
        session.push(side, event, &keys, &mut |side, event| plain.take(side, event));
        // Both sides: what waits, a message, a record, each allocated up to twice its size.
        assert!(budget.used() < 2 * 2 * (20_000 + 10_000 + 0x4800), "{}", budget.used());
    });
    session.finish(&keys, &mut |side, event| plain.take(side, event));
    let is_clean = session.anomalies().is_empty() && !matches!(session.info().decryption, Decryption::Failed(_));
    drop(session);
    assert_eq!(budget.used(), 0);
    (plain, is_clean)
}

/// A TLS connection with its secrets: the same plaintext whatever the segments are, as long as nothing is wrong or missing:
/// where reading goes on behind that may depend on them.
pub fn session(data: &[u8]) {
    let (whole, is_clean) = run(data, None);
    let (pieces, _) = run(data, Some(Dice::of(data)));
    let (_, script) = keys_and_script(data);
    if !is_clean || steps(script).iter().any(|step| matches!(step.what, What::Gap(_))) {
        return;
    }
    // Whether an end is told depends on what still waits for secrets when it comes.
    let read = |plain: &Plain| (plain.bytes.each_ref().map(Vec::len), plain.gaps);
    assert_eq!(read(&whole), read(&pieces), "not the same in pieces");
    assert!(whole.bytes == pieces.bytes, "other bytes in pieces");
}
