//! The Huffman code of HPACK and QPACK ([RFC 7541 §5.2, appendix B](https://www.rfc-editor.org/rfc/rfc7541#appendix-B)).
//!
//! The code is canonical: symbols of one length are numbered in order, and longer codes follow shorter ones. So the lengths
//! alone give the code, and every table here is computed from them by the compiler.

/// The bits are no sequence of symbols: end-of-string inside, or padding that is longer than 7 bits or not all ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HuffmanError;

/// Appends the decoded octets to `out`; at most 8/5 of the coded length.
pub fn decode(coded: &[u8], out: &mut Vec<u8>) -> Result<(), HuffmanError> {
    out.reserve(coded.len() + coded.len() / 2 + coded.len() / 8 + 1);
    // Bits not yet decoded, from the highest bit down; `have` of them are real.
    let mut bits: u64 = 0;
    let mut have: u32 = 0;
    let mut rest = coded;
    loop {
        if let Some((next, _)) = rest.split_first_chunk::<8>() {
            bits |= u64::from_be_bytes(*next) >> have;
            let whole = (63 - have) / 8;
            rest = &rest[whole as usize..];
            have += whole * 8;
        } else {
            while have <= 56
                && let Some((&byte, tail)) = rest.split_first()
            {
                bits |= u64::from(byte) << (56 - have);
                have += 8;
                rest = tail;
            }
            if rest.is_empty() && have < 32 {
                break;
            }
        }
        // No code is longer than 30 bits.
        while have >= 30 {
            let fast = FAST[(bits >> (64 - FAST_BITS)) as usize];
            let used = match fast.count {
                0 => {
                    let (symbol, length) = long(bits).ok_or(HuffmanError)?;
                    out.push(symbol);
                    length
                }
                1 => {
                    out.push(fast.symbols[0]);
                    u32::from(fast.bits)
                }
                _ => {
                    out.extend_from_slice(&fast.symbols);
                    u32::from(fast.bits)
                }
            };
            bits <<= used;
            have -= used;
        }
    }
    // The last few symbols, one by one; what is missing is padded with ones, as an encoder does.
    loop {
        bits |= u64::MAX.checked_shr(have).unwrap_or(0);
        let fast = FAST[(bits >> (64 - FAST_BITS)) as usize];
        let symbol = if fast.count == 0 { long(bits) } else { Some((fast.symbols[0], u32::from(fast.first))) };
        match symbol {
            Some((symbol, length)) if length <= have => {
                out.push(symbol);
                bits <<= length;
                have -= length;
            }
            _ => break,
        }
    }
    // All ones down to the lowest bit, for the padding above was ones as well.
    if have < 8 && bits == u64::MAX { Ok(()) } else { Err(HuffmanError) }
}

/// The symbol of a code that is too long for [`FAST`], and its length; `None` for end-of-string.
fn long(bits: u64) -> Option<(u8, u32)> {
    let mut length = FAST_BITS as usize + 1;
    while length <= LONGEST {
        let code = (bits >> (64 - length)) as u32;
        let within = code.wrapping_sub(CODES.first[length]);
        if within < CODES.count[length] {
            let symbol = CODES.symbols[(CODES.start[length] + within) as usize];
            return u8::try_from(symbol).ok().map(|symbol| (symbol, length as u32));
        }
        length += 1;
    }
    None
}

const LONGEST: usize = 30;
const FAST_BITS: u32 = 12;

/// What the next 12 bits begin with.
#[derive(Clone, Copy)]
struct Fast {
    symbols: [u8; 2],
    /// Symbols that are whole within the 12 bits: 0 to 2.
    count: u8,
    /// Length of the first code.
    first: u8,
    /// Length of all of them.
    bits: u8,
}

/// The canonical code by length.
struct Codes {
    /// First code of each length.
    first: [u32; LONGEST + 1],
    /// Codes of each length.
    count: [u32; LONGEST + 1],
    /// Where the symbols of each length start in `symbols`.
    start: [u32; LONGEST + 1],
    /// Symbols in the order of their codes; 256 is end-of-string.
    symbols: [u16; 257],
}

static CODES: Codes = codes();
static FAST: [Fast; 1 << FAST_BITS] = fast();

const fn codes() -> Codes {
    let mut codes =
        Codes { first: [0; LONGEST + 1], count: [0; LONGEST + 1], start: [0; LONGEST + 1], symbols: [0; 257] };
    let (mut length, mut code, mut placed) = (1, 0, 0);
    while length <= LONGEST {
        code <<= 1;
        codes.first[length] = code;
        codes.start[length] = placed;
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == length {
                codes.symbols[placed as usize] = symbol as u16;
                placed += 1;
                code += 1;
            }
            symbol += 1;
        }
        codes.count[length] = placed - codes.start[length];
        length += 1;
    }
    codes
}

const fn fast() -> [Fast; 1 << FAST_BITS] {
    let codes = codes();
    let mut fast = [Fast { symbols: [0; 2], count: 0, first: 0, bits: 0 }; 1 << FAST_BITS];
    let mut length = 1;
    while length <= FAST_BITS as usize {
        let mut nth = 0;
        while nth < codes.count[length] {
            let symbol = codes.symbols[(codes.start[length] + nth) as usize] as u8;
            let free = FAST_BITS - length as u32;
            let from = (codes.first[length] + nth) << free;
            let mut low = 0;
            while low < 1 << free {
                let entry = &mut fast[(from + low) as usize];
                *entry = Fast { symbols: [symbol, 0], count: 1, first: length as u8, bits: length as u8 };
                low += 1;
            }
            nth += 1;
        }
        length += 1;
    }
    let single = fast;
    let mut at = 0;
    while at < fast.len() {
        if single[at].count == 1 {
            let next = single[(at << single[at].first) & (fast.len() - 1)];
            if next.count == 1 && single[at].first + next.first <= FAST_BITS as u8 {
                fast[at].symbols[1] = next.symbols[0];
                fast[at].count = 2;
                fast[at].bits += next.first;
            }
        }
        at += 1;
    }
    fast
}

/// Length in bits of the code of each octet, then of end-of-string.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The reference encoder of the tests.
    pub(crate) fn encode(plain: &[u8]) -> Vec<u8> {
        let mut code = [(0u32, 0usize); 257];
        for length in 1..=LONGEST {
            for nth in 0..CODES.count[length] {
                code[usize::from(CODES.symbols[(CODES.start[length] + nth) as usize])] =
                    (CODES.first[length] + nth, length);
            }
        }
        let bits: String = plain
            .iter()
            .map(|&byte| code[usize::from(byte)])
            .map(|(code, length)| format!("{code:0length$b}"))
            .collect();
        bits.as_bytes()
            .chunks(8)
            .map(|chunk| {
                (0..8).fold(0, |byte, nth| byte << 1 | u8::from(chunk.get(nth).is_none_or(|&bit| bit == b'1')))
            })
            .collect()
    }

    fn decoded(coded: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        decode(coded, &mut out).ok().map(|()| out)
    }

    #[test]
    fn the_code_is_complete() {
        let filled: u64 = LENGTHS.iter().map(|&length| 1u64 << (LONGEST - usize::from(length))).sum();
        assert_eq!(filled, 1 << LONGEST);
        // Some codes as the RFC writes them.
        assert_eq!(encode(&[0]), [0xff, 0xc7]);
        assert_eq!(encode(&[10]), [0xff, 0xff, 0xff, 0xf3]);
        assert_eq!(encode(b"\\"), [0xff, 0xfe, 0x1f]);
        assert_eq!(encode(&[249]), [0xff, 0xff, 0xff, 0xef]);
    }

    #[test]
    fn strings_of_the_rfc() {
        let sample = |hex: &[u8]| decoded(hex).map(|text| String::from_utf8(text).unwrap());
        let authority = [0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff];
        assert_eq!(sample(&authority).as_deref(), Some("www.example.com"));
        assert_eq!(sample(&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf]).as_deref(), Some("no-cache"));
        assert_eq!(sample(&[]).as_deref(), Some(""));
    }

    #[test]
    fn every_octet_survives_at_every_place() {
        for first in 0..=255u8 {
            for len in [1, 2, 3, 7, 40] {
                let plain: Vec<u8> = (0..len).map(|nth: u8| first.wrapping_add(nth.wrapping_mul(37))).collect();
                assert_eq!(decoded(&encode(&plain)).as_ref(), Some(&plain));
                let mut framed = vec![b'a'; usize::from(len)];
                framed.push(first);
                framed.extend_from_slice(b"zz-top");
                assert_eq!(decoded(&encode(&framed)).as_ref(), Some(&framed));
            }
        }
    }

    #[test]
    fn bad_padding_and_end_of_string_are_errors() {
        for bad in [&[0xff][..], &[0x18], &[0x07, 0xff], &[0xff; 4], &[0xff; 40], &[0x1c, 0xff, 0xff, 0xff, 0xff, 0x1c]]
        {
            assert_eq!(decoded(bad), None, "{bad:x?}");
        }
        assert_eq!(decoded(&[0x1f]).unwrap(), b"a");
    }
}
