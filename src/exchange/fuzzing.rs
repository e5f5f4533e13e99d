//! Fuzz body of the content codings.

#![allow(clippy::panic, reason = "a body that panics is how a fuzzer learns of a fault")]

use std::ops::ControlFlow;

use super::coding::{Codings, Stop};
use crate::base::Reader;
use crate::base::fuzzing::{Dice, pieces};

/// What Content-Encoding says, by the first octet of the input.
pub const STACKS: [&str; 8] =
    ["gzip", "deflate", "br", "zstd", "deflate, gzip", "gzip, br", "zstd, gzip", "identity, x-gzip"];

/// Sixty lines of a page, as the reference encoder writes them.
pub const BROTLI: &[u8] = &[
    0x1b, 0xa5, 0x04, 0x20, 0x8c, 0xd4, 0x56, 0x77, 0xe2, 0x4c, 0x8f, 0x50, 0xe9, 0x3a, 0x38, 0x24, 0x0d, 0xb0, 0xbd,
    0x4e, 0x2b, 0x80, 0x98, 0xbd, 0x21, 0x5c, 0x9c, 0x73, 0xf7, 0x38, 0xb4, 0x34, 0xb2, 0x48, 0x57, 0x96, 0x55, 0x2e,
    0x2a, 0x9c, 0xc5, 0xb7, 0xeb, 0xbe, 0x90, 0x47, 0x05, 0x40, 0x08, 0x46, 0x30, 0x58, 0x1c, 0xbe, 0xe2, 0xa0, 0x81,
    0x28, 0xc9, 0x8a, 0x46, 0xab, 0xc3, 0x27, 0xb6, 0x20, 0x4a, 0xb2, 0xa2, 0xd1, 0xea, 0xf0, 0x49, 0x2d, 0x88, 0x92,
    0xac, 0x68, 0xb4, 0x3a, 0x7c, 0x72, 0x0b, 0xa2, 0x24, 0x2b, 0x1a, 0xad, 0x0e, 0x9f, 0xd2, 0x82, 0x28, 0xc9, 0x8a,
    0x46, 0xab, 0x9b, 0x0f,
];

/// Decoded bytes after which the receiver wants no more.
const MOST: usize = 256 << 10;

fn run(stack: &str, data: &[u8], dice: Option<Dice>) -> (Vec<u8>, Result<(), Stop>, bool) {
    let Ok(mut codings) = Codings::parse([stack.as_bytes()].into_iter(), 5) else { panic!("{stack} is known") };
    let mut out = Vec::new();
    let mut emit = |bytes: &[u8]| {
        out.extend_from_slice(&bytes[..bytes.len().min(MOST - out.len())]);
        if out.len() < MOST { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let mut result = Ok(());
    let mut rest = data;
    for cut in dice.map_or(vec![data.len()], |mut dice| pieces(&mut dice, data.len())) {
        let (piece, after) = rest.split_at(cut);
        result = result.and_then(|()| codings.push(piece, &mut emit));
        rest = after;
    }
    let complete = result.is_ok() && codings.is_complete();
    (out, result, complete)
}

/// Coded content behind an octet that says how: the same whatever the pieces are, and as a whole.
pub fn codings(data: &[u8]) {
    let mut reader = Reader::new(data);
    let stack = STACKS[usize::from(reader.u8().unwrap_or_default()) % STACKS.len()];
    let (out, result, complete) = run(stack, reader.rest(), None);
    let (again, other, also) = run(stack, reader.rest(), Some(Dice::of(data)));
    assert_eq!((result, complete), (other, also), "{stack}");
    // What stands before a fault may be lost with the piece that has it.
    let is_same = if result.is_ok() { out == again } else { out.starts_with(&again) || again.starts_with(&out) };
    assert!(is_same, "{stack}: {} bytes, then {}", out.len(), again.len());
    let is_gzip = matches!(Codings::parse([stack.as_bytes()].into_iter(), 5), Ok(codings) if codings.is_gzip());
    if let Some(whole) = Codings::whole(reader.rest(), MOST - 1).filter(|_| is_gzip) {
        // A stream minds what stands behind the content, and a few codes that the other decoder lets pass.
        let is_same = if result.is_ok() { out == whole } else { whole.starts_with(&out) };
        assert!(is_same, "{stack}: {} bytes, as a whole {}", out.len(), whole.len());
    }
}
