//! What stands between the quotes of a JSON string (RFC 8259 §7).

#[cfg(target_arch = "x86_64")]
mod avx2;

use multiversion::{multiversion, target::match_target};

/// Bytes that are looked at together; the compiler makes vector code of it.
const BLOCK: usize = 32;
/// Escaped bytes that are gathered before they are appended.
const WINDOW: usize = 2048;
/// What a block may become, and another block that is written over.
const ROOM: usize = 7 * BLOCK;

/// What stands behind the backslash; zero where there is no short form.
const SHORT: [u8; 256] = {
    let mut short = [0; 256];
    short[b'"' as usize] = b'"';
    short[b'\\' as usize] = b'\\';
    short[b'\n' as usize] = b'n';
    short[b'\r' as usize] = b'r';
    short[b'\t' as usize] = b't';
    short[0x08] = b'b';
    short[0x0c] = b'f';
    short
};

/// Appends `bytes`, which are part of valid UTF-8, escaped for the inside of a JSON string. A split in the middle of a character does
/// no harm.
pub fn escape(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len() + 2);
    let rest = if bytes.len() < 2 * BLOCK { bytes } else { escape_blocks(out, bytes) };
    escape_few(out, rest);
}

/// Appends whole blocks with what the processor has; gives what is left, less than two.
#[multiversion(targets("x86_64+avx2+bmi1+bmi2+popcnt"))]
fn escape_blocks<'b>(out: &mut Vec<u8>, bytes: &'b [u8]) -> &'b [u8] {
    match_target! {
        "x86_64+avx2" => avx2::escape_blocks(out, bytes),
        _ => escape_blocks_anywhere(out, bytes),
    }
}

/// Appends whole blocks; gives what is left, less than two.
///
/// Nothing is copied by length: a block is written as it is, and what follows an escape is written over what is behind it. So the cost
/// hangs on how many bytes need an escape, and little on where they are.
fn escape_blocks_anywhere<'b>(out: &mut Vec<u8>, mut rest: &'b [u8]) -> &'b [u8] {
    let mut window = [0; WINDOW];
    let mut at = 0;
    while let Some(two) = rest.first_chunk::<{ 2 * BLOCK }>()
        && let Some(block) = two.first_chunk::<BLOCK>()
    {
        if at > WINDOW - ROOM {
            out.extend_from_slice(window.get(..at).unwrap_or_default());
            at = 0;
        }
        rest = rest.get(BLOCK..).unwrap_or_default();
        put(&mut window, at, block);
        if is_clean(block) {
            at += BLOCK;
            continue;
        }
        let (mut mask, mut done) = (specials(block), 0);
        while mask != 0 {
            let next = mask.trailing_zeros() as usize;
            at += next - done;
            at += put_escape(&mut window, at, block[next % BLOCK]);
            done = next + 1;
            if let Some(after) = two.get(done..).and_then(<[u8]>::first_chunk::<BLOCK>) {
                put(&mut window, at, after);
            }
            mask &= mask - 1;
        }
        at += BLOCK - done;
    }
    out.extend_from_slice(window.get(..at).unwrap_or_default());
    rest
}

/// Appends less than two blocks, by words.
fn escape_few(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut rest = bytes;
    while let Some((word, after)) = rest.split_first_chunk::<8>() {
        out.extend_from_slice(word);
        rest = match first_special(*word) {
            None => after,
            Some(at) => {
                out.truncate(out.len() - (8 - at));
                append_escape(out, word[at % 8]);
                rest.get(at + 1..).unwrap_or_default()
            }
        };
    }
    for &byte in rest {
        if is_special(byte) {
            append_escape(out, byte);
        } else {
            out.push(byte);
        }
    }
}

fn put<const N: usize>(window: &mut [u8], at: usize, bytes: &[u8; N]) {
    if let Some(to) = window.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<N>) {
        *to = *bytes;
    }
}

/// Writes one escape; gives its length.
fn put_escape(window: &mut [u8], at: usize, byte: u8) -> usize {
    match SHORT[usize::from(byte)] {
        0 => {
            put(window, at, &long(byte));
            6
        }
        short => {
            put(window, at, &[b'\\', short]);
            2
        }
    }
}

fn append_escape(out: &mut Vec<u8>, byte: u8) {
    match SHORT[usize::from(byte)] {
        0 => out.extend_from_slice(&long(byte)),
        short => out.extend_from_slice(&[b'\\', short]),
    }
}

fn long(byte: u8) -> [u8; 6] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    [b'\\', b'u', b'0', b'0', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]
}

/// True for a byte that must not stand in a string as it is.
pub fn is_special(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

fn is_clean(block: &[u8; BLOCK]) -> bool {
    !block.iter().fold(false, |found, &byte| found | is_special(byte))
}

const ONES: u64 = 0x0101_0101_0101_0101;

/// The highest bit of each byte that needs an escape.
fn special_bytes(word: u64) -> u64 {
    // No sum of seven bits and less than 0x80 carries into the next byte.
    let no_less = |word: u64, than: u8| ((word & (ONES * 0x7f)) + ONES * u64::from(0x80 - than)) | word;
    let not = |byte: u8| no_less(word ^ (ONES * u64::from(byte)), 1);
    !(no_less(word, 0x20) & not(b'"') & not(b'\\')) & (ONES * 0x80)
}

/// A bit for each byte that needs an escape, the first byte lowest.
fn specials(block: &[u8; BLOCK]) -> u32 {
    let (words, _) = block.as_chunks::<8>();
    // The product brings the bits of eight bytes together in the highest byte.
    let bits = |word: &[u8; 8]| {
        ((special_bytes(u64::from_le_bytes(*word)) >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u32
    };
    words.iter().rev().fold(0, |mask, word| mask << 8 | bits(word))
}

/// Where the first byte is that needs an escape.
fn first_special(word: [u8; 8]) -> Option<usize> {
    let found = special_bytes(u64::from_le_bytes(word));
    (found != 0).then(|| (found.trailing_zeros() / 8) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_escaped_parses_back(
            text in "\\PC*",
            raw in proptest::collection::vec(0u8..0x80, 0..200),
            short in "[a-zé\"\\\\\n\r\t\x08\x0c]{0,200}",
            cut in 0usize..300,
        ) {
            for bytes in [text.as_bytes(), &raw, short.as_bytes(), &[text.as_bytes(), &raw, text.as_bytes()].concat()] {
                let (head, tail) = bytes.split_at(cut.min(bytes.len()));
                let mut out = vec![b'"'];
                escape(&mut out, head);
                escape(&mut out, tail);
                out.push(b'"');
                let back: String = serde_json::from_slice(&out).unwrap();
                prop_assert_eq!(back.as_bytes(), bytes);
                let mut same = vec![b'"'];
                for part in [head, tail] {
                    let rest = escape_blocks_anywhere(&mut same, part);
                    escape_few(&mut same, rest);
                }
                same.push(b'"');
                prop_assert_eq!(&same, &out);
            }
        }

        #[test]
        fn special_bytes_are_found(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            for block in bytes.windows(BLOCK) {
                let block: &[u8; BLOCK] = block.first_chunk().unwrap();
                let mask = (0..BLOCK).fold(0, |mask, at| mask | u32::from(is_special(block[at])) << at);
                prop_assert_eq!((specials(block), is_clean(block)), (mask, mask == 0));
                let first = block[..8].iter().position(|&byte| is_special(byte));
                prop_assert_eq!(first_special(*block.first_chunk().unwrap()), first);
            }
        }
    }

    #[test]
    fn what_becomes_longest_has_room() {
        for lead in 0..BLOCK {
            let bytes = [vec![b'a'; lead], vec![1; 3 * WINDOW], vec![b'"'; 3 * WINDOW]].concat();
            let expected = ["a".repeat(lead), "\\u0001".repeat(3 * WINDOW), "\\\"".repeat(3 * WINDOW)].concat();
            let (mut out, mut anywhere) = (Vec::new(), Vec::new());
            escape(&mut out, &bytes);
            let rest = escape_blocks_anywhere(&mut anywhere, &bytes);
            escape_few(&mut anywhere, rest);
            assert!(out == expected.as_bytes() && anywhere == expected.as_bytes(), "{lead}");
        }
    }
}
