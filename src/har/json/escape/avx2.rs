//! Escaping with AVX2, a 32-byte block at a time: the cost of a block does not depend on how many of its bytes are escaped. One with
//! a control character that has no short form is written byte by byte.

use std::arch::x86_64::{
    __m128i, __m256i, _mm_cvtsi128_si64, _mm_extract_epi64, _mm_set_epi64x, _mm_shuffle_epi8, _mm256_and_si256,
    _mm256_blendv_epi8, _mm256_broadcastsi128_si256, _mm256_castsi256_si128, _mm256_cmpeq_epi8, _mm256_cmpgt_epi8,
    _mm256_extracti128_si256, _mm256_min_epu8, _mm256_movemask_epi8, _mm256_or_si256, _mm256_set_epi64x,
    _mm256_set1_epi8, _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_testz_si256,
};

use super::{BLOCK, ROOM, SHORT, WINDOW, is_special, put, put_escape};

/// Where in eight backslashes behind eight bytes the first backslash is.
const BACKSLASH: u8 = 8;

/// For each set of bytes among eight that are escaped (the first byte lowest): where each byte of the result comes from.
const SPREAD: [[u8; 16]; 256] = {
    let mut spread = [[0; 16]; 256];
    let mut mask = 0;
    while mask < 256 {
        let (mut from, mut to) = (0, 0);
        while from < 8 {
            if mask >> from & 1 == 1 {
                spread[mask][to] = BACKSLASH;
                to += 1;
            }
            spread[mask][to] = from as u8;
            to += 1;
            from += 1;
        }
        mask += 1;
    }
    spread
};

/// The letters of the control characters below 0x10 that have a short form.
const LETTERS: [u8; 16] = {
    let mut letters = [0; 16];
    let mut control = 0;
    while control < 16 {
        letters[control] = SHORT[control];
        control += 1;
    }
    letters
};

/// Appends whole blocks; gives what is left, less than one.
#[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
pub(super) fn escape_blocks<'b>(out: &mut Vec<u8>, mut rest: &'b [u8]) -> &'b [u8] {
    let quote = _mm256_set1_epi8(b'"' as i8);
    let backslash = _mm256_set1_epi8(b'\\' as i8);
    let last_control = _mm256_set1_epi8(0x1f);
    let last_letter = _mm256_set1_epi8(0x0f);
    let letters = _mm256_broadcastsi128_si256(load_16(&LETTERS));
    let mut window = [0; WINDOW];
    let mut at = 0;
    while let Some((block, after)) = rest.split_first_chunk::<BLOCK>() {
        if at > WINDOW - ROOM {
            out.extend_from_slice(window.get(..at).unwrap_or_default());
            at = 0;
        }
        rest = after;
        let bytes = load_32(block);
        let control = _mm256_cmpeq_epi8(_mm256_min_epu8(bytes, last_control), bytes);
        let itself = _mm256_or_si256(_mm256_cmpeq_epi8(bytes, quote), _mm256_cmpeq_epi8(bytes, backslash));
        let mut escaped = _mm256_movemask_epi8(_mm256_or_si256(control, itself)) as u32;
        if escaped == 0 {
            put(&mut window, at, block);
            at += BLOCK;
            continue;
        }
        let letter = _mm256_shuffle_epi8(letters, bytes);
        let has_none = _mm256_cmpeq_epi8(letter, _mm256_setzero_si256());
        let is_long = _mm256_and_si256(control, _mm256_or_si256(has_none, _mm256_cmpgt_epi8(bytes, last_letter)));
        if _mm256_testz_si256(is_long, is_long) == 0 {
            at += escape_bytes(&mut window, at, block);
            continue;
        }
        for eight in words(_mm256_blendv_epi8(bytes, letter, control)) {
            let mask = (escaped & 0xff) as usize;
            put(&mut window, at, &spread(eight, &SPREAD[mask]));
            at += 8 + mask.count_ones() as usize;
            escaped >>= 8;
        }
    }
    out.extend_from_slice(window.get(..at).unwrap_or_default());
    rest
}

/// Writes a block byte by byte; gives its length.
fn escape_bytes(window: &mut [u8], start: usize, block: &[u8; BLOCK]) -> usize {
    let mut at = start;
    for &byte in block {
        at += if is_special(byte) {
            put_escape(window, at, byte)
        } else {
            put(window, at, &[byte]);
            1
        };
    }
    at - start
}

/// Eight bytes with backslashes between them.
#[target_feature(enable = "avx2")]
fn spread(eight: i64, order: &[u8; 16]) -> [u8; 16] {
    let spread = _mm_shuffle_epi8(_mm_set_epi64x(i64::from_le_bytes([b'\\'; 8]), eight), load_16(order));
    let (low, high) = (_mm_cvtsi128_si64(spread) as u64, _mm_extract_epi64::<1>(spread) as u64);
    (u128::from(low) | u128::from(high) << 64).to_le_bytes()
}

#[target_feature(enable = "avx2")]
fn load_16(bytes: &[u8; 16]) -> __m128i {
    let bytes = u128::from_le_bytes(*bytes);
    _mm_set_epi64x((bytes >> 64) as i64, bytes as i64)
}

#[target_feature(enable = "avx2")]
fn load_32(block: &[u8; BLOCK]) -> __m256i {
    let (words, _) = block.as_chunks::<8>();
    let word = |at: usize| i64::from_le_bytes(words[at % 4]);
    _mm256_set_epi64x(word(3), word(2), word(1), word(0))
}

#[target_feature(enable = "avx2")]
fn words(bytes: __m256i) -> [i64; 4] {
    let (low, high) = (_mm256_castsi256_si128(bytes), _mm256_extracti128_si256::<1>(bytes));
    [_mm_cvtsi128_si64(low), _mm_extract_epi64::<1>(low), _mm_cvtsi128_si64(high), _mm_extract_epi64::<1>(high)]
}
