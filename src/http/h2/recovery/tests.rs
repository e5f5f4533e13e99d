use super::*;
use crate::base::Budget;
use crate::http::h2::hpack::Decoder;
use crate::http::h2::hpack::tests::{Fields, headers, hex, stories};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

type Known = Vec<(Option<String>, Option<String>)>;

fn noise(state: &mut u64, bound: usize) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as usize % bound.max(1)
}

fn decode(decoder: &mut Decoder, block: &[u8], expected: &Expected<'_>) -> Result<Known, CodingError> {
    let mut fields = Vec::new();
    let text = |part: Option<&[u8]>| part.map(|part| String::from_utf8_lossy(part).into_owned());
    decoder.decode(block, expected, &mut |field| {
        fields.push((text(field.name), text(field.value)));
        ControlFlow::Continue(())
    })?;
    Ok(fields)
}

/// How fields were decoded.
#[derive(Debug, Default)]
struct Score {
    right: usize,
    recovered: usize,
    unknown: usize,
    /// Wrong, in a block that says so.
    wrong: usize,
    /// Wrong, in a block that does not.
    silent: usize,
    errors: usize,
}

impl Score {
    fn add(&mut self, known: &Known, truth: &Fields, is_marked: bool) {
        assert_eq!(known.len(), truth.len());
        for ((name, value), (true_name, true_value)) in known.iter().zip(truth) {
            let is_wrong = name.as_ref().is_some_and(|name| name != true_name)
                || value.as_ref().is_some_and(|value| value != true_value);
            match (name, value) {
                _ if is_wrong && is_marked => self.wrong += 1,
                _ if is_wrong => self.silent += 1,
                (Some(_), Some(_)) if is_marked => self.recovered += 1,
                (Some(_), Some(_)) => self.right += 1,
                _ => self.unknown += 1,
            }
        }
    }
}

/// Plays a story of which blocks are missing.
fn play(path: &Path, seed: u64, is_measured: bool, score: &mut Score) {
    let story: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut state = seed;
    let mut decoder = Decoder::new(1 << 17, &Budget::new(1 << 22));
    let mut authorities: Vec<Vec<u8>> = Vec::new();
    let mut gone: Option<usize> = None;
    for case in story["cases"].as_array().unwrap() {
        if let Some(size) = case["header_table_size"].as_u64() {
            decoder.allow(size as usize);
        }
        let block = hex(case["wire"].as_str().unwrap());
        if noise(&mut state, 12) == 0 {
            gone = Some(gone.unwrap_or_default() + block.len());
            continue;
        }
        if let Some(bytes) = gone.take() {
            decoder.tear(is_measured.then_some(bytes as u64 / 2), true);
        }
        let truth = headers(case);
        let has = |name: &str| truth.iter().any(|(known, _)| known == name);
        let head = match (has(":method"), has(":status")) {
            (true, _) => Expectation::Request,
            (_, true) => Expectation::Response,
            _ => Expectation::Anything,
        };
        match decode(&mut decoder, &block, &Expected { head, authorities: &authorities }) {
            Ok(known) => score.add(&known, &truth, decoder.is_recovered()),
            Err(_) => {
                score.errors += 1;
                decoder.lose();
            }
        }
        let authority =
            truth.iter().find(|(name, _)| name == ":authority").map(|(_, value)| value.clone().into_bytes());
        authorities.extend(authority.filter(|authority| !authorities.contains(authority)));
    }
}

#[test]
fn blocks_of_other_encoders_go_missing() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/hpack");
    let all = std::env::var_os("HARSHARK_HPACK_STORIES").map(PathBuf::from);
    let mut score = Score::default();
    for folder in [Some(own), all].into_iter().flatten() {
        let mut last = (PathBuf::new(), Score::default());
        for story in stories(&folder) {
            let encoder = story.parent().unwrap().to_path_buf();
            if encoder != last.0 {
                println!("{} {:?}", last.0.display(), last.1);
                last = (encoder, Score::default());
            }
            for seed in 0..6 {
                play(&story, seed, seed % 2 == 0, &mut score);
                play(&story, seed, seed % 2 == 0, &mut last.1);
            }
        }
        println!("{} {:?}", last.0.display(), last.1);
    }
    println!("{score:?}");
    assert_eq!(score.silent, 0, "{score:?}");
    assert!(score.wrong * 100 < score.recovered && score.unknown < score.recovered, "{score:?}");
}

/// A block that inserts these, and one that names them from this index on.
fn inserts(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.extend([0x40, name.len() as u8]);
        block.extend(name.as_bytes());
        block.push(value.len() as u8);
        block.extend(value.as_bytes());
    }
    block
}

fn text(known: &Known) -> String {
    let part = |part: &Option<String>| part.clone().unwrap_or("?".into());
    known.iter().map(|(name, value)| format!("{}={} ", part(name), part(value))).collect()
}

const NEVER: Expected<'_> = Expected { head: Expectation::Anything, authorities: &[] };

#[test]
fn what_several_numbers_explain_is_known_as_far_as_they_agree() {
    let mut decoder = Decoder::new(1 << 16, &Budget::new(1 << 20));
    // Nothing tells these from one another.
    let fields = [("x-a", "1"), ("x-a", "1"), ("x-a", "2"), ("x-a", "2"), ("x-b", "3")];
    decode(&mut decoder, &inserts(&fields), &NEVER).unwrap();
    // None or one is missing: the third one or the fourth, the first or the second, the second or the third, the last or a lost one.
    decoder.tear(Some(1), true);
    assert_eq!(text(&decode(&mut decoder, &[0xc0, 0xc2, 0xc1, 0xbe], &NEVER).unwrap()), "x-a=2 x-a=1 x-a=? ?=? ");
    assert!(decoder.is_recovered());
}

#[test]
fn a_number_that_cannot_be_is_given_up() {
    let mut decoder = Decoder::new(1 << 16, &Budget::new(1 << 20));
    decode(&mut decoder, &inserts(&[("x-a", "1"), ("x-b", "2")]), &NEVER).unwrap();
    // No more than one is missing, and yet there are four entries.
    decoder.tear(Some(1), true);
    assert_eq!(text(&decode(&mut decoder, &[0xc1, 0xbe], &NEVER).unwrap()), "?=? ?=? ");
    assert!(!decoder.is_recovered());
    // What comes later is known.
    decode(&mut decoder, &inserts(&[("x-c", "3")]), &NEVER).unwrap();
    assert_eq!(text(&decode(&mut decoder, &[0xbe, 0xbf], &NEVER).unwrap()), "x-c=3 ?=? ");
}

#[test]
fn what_is_evicted_is_no_longer_named() {
    let mut decoder = Decoder::new(1 << 16, &Budget::new(1 << 20));
    decoder.allow(128);
    decode(&mut decoder, &inserts(&[("x-a", "1"), ("x-b", "2")]), &NEVER).unwrap();
    // The table holds three entries of 36 octets: with one or two missing the second index leads nowhere but to a lost entry.
    decoder.tear(Some(2), true);
    assert_eq!(text(&decode(&mut decoder, &[0xc0], &NEVER).unwrap()), "?=? ");
    // New entries push out everything that is not certain.
    decode(&mut decoder, &inserts(&[("x-c", "3"), ("x-d", "4"), ("x-e", "5")]), &NEVER).unwrap();
    assert_eq!(text(&decode(&mut decoder, &[0xbe, 0xbf, 0xc0], &NEVER).unwrap()), "x-e=5 x-d=4 x-c=3 ");
    assert!(!decoder.is_recovered());
    assert!(decode(&mut decoder, &[0xc1], &NEVER).is_err());
}

#[test]
fn numbers_cost_no_more_than_what_is_allowed() {
    let budget = Budget::new(1 << 20);
    let mut decoder = Decoder::new(1 << 16, &budget);
    decode(&mut decoder, &inserts(&[("x", "1"); 100]), &NEVER).unwrap();
    let all: Vec<u8> = vec![0xfe; 200];
    let mut kept = 0;
    for _ in 0..100 {
        decode(&mut decoder, &inserts(&[("x", "1")]), &NEVER).unwrap();
        decoder.tear(None, true);
        let known = decode(&mut decoder, &all, &NEVER).unwrap();
        kept += usize::from(known.iter().any(|(name, _)| name.is_some()));
        assert!(budget.used() < 60_000, "{}", budget.used());
    }
    // All numbers fit, so that each hole would cost as much as the first.
    assert!(kept < 10, "{kept}");
}
