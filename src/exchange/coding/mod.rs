//! Content codings undone: gzip, deflate, br, zstd, and stacks of them (RFC 9110 §8.4), as a stream, piece by piece; gzip also as a whole.

mod brotli;
mod inflate;
mod zstd;

use std::ops::ControlFlow;

use brotli::Brotli;
use inflate::{Inflate, Wrapper};
use zstd::Zstd;

/// Receives decoded bytes; breaks off when no more are wanted.
pub type Emit<'e> = &'e mut dyn FnMut(&[u8]) -> ControlFlow<()>;

/// Why decoding stopped before the end of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The coded bytes break the rules of their coding.
    Broken,
    /// The receiver wanted no more.
    Refused,
}

/// A stack of codings, the one applied last undone first.
#[derive(Default)]
pub struct Codings {
    stages: Vec<Stage>,
}

impl Codings {
    /// Reads the values of Content-Encoding. `Err` names the first coding that is not known, as sent; more than `most` codings
    /// count as unknown too.
    pub fn parse<'v>(values: impl Iterator<Item = &'v [u8]>, most: usize) -> Result<Self, String> {
        let mut stages = Vec::new();
        for token in values.flat_map(|value| value.split(|&byte| byte == b',')).map(<[u8]>::trim_ascii) {
            let stage = match token.to_ascii_lowercase().as_slice() {
                b"" | b"identity" | b"none" => continue,
                b"gzip" | b"x-gzip" => Stage::Inflate(Inflate::new(Wrapper::Gzip)),
                b"deflate" => Stage::Inflate(Inflate::new(Wrapper::ZlibOrRaw)),
                b"br" => Stage::Brotli(Box::default()),
                b"zstd" => Stage::Zstd(Zstd::default()),
                _ => return Err(String::from_utf8_lossy(token).into_owned()),
            };
            if stages.len() == most {
                return Err(String::from_utf8_lossy(token).into_owned());
            }
            stages.push(stage);
        }
        stages.reverse();
        Ok(Self { stages })
    }

    /// True when the content is not coded.
    pub fn is_identity(&self) -> bool {
        self.stages.is_empty()
    }

    /// True for gzip and nothing else: as a whole it says how long it is decoded.
    pub fn is_gzip(&self) -> bool {
        matches!(self.stages.as_slice(), [Stage::Inflate(stage)] if stage.is_gzip())
    }

    /// Decodes gzip that is there as a whole, when all is well with it and it has at most `room` bytes.
    pub fn whole(coded: &[u8], room: usize) -> Option<Vec<u8>> {
        inflate::whole(coded, room)
    }

    /// Decodes the next coded bytes.
    pub fn push(&mut self, input: &[u8], emit: Emit<'_>) -> Result<(), Stop> {
        push_through(&mut self.stages, input, emit)
    }

    /// True when every coding came to its own end, as far as that can be told.
    pub fn is_complete(&self) -> bool {
        self.stages.iter().all(|stage| match stage {
            Stage::Inflate(stage) => stage.is_complete(),
            Stage::Brotli(stage) => stage.is_complete(),
            Stage::Zstd(stage) => stage.is_complete(),
        })
    }

    /// About how many bytes the decoders allocate.
    pub fn memory(&self) -> usize {
        let of_stage = |stage: &Stage| match stage {
            Stage::Inflate(stage) => stage.memory(),
            Stage::Brotli(stage) => stage.memory(),
            Stage::Zstd(stage) => stage.memory(),
        };
        self.stages.iter().map(of_stage).sum()
    }
}

fn push_through(stages: &mut [Stage], input: &[u8], emit: Emit<'_>) -> Result<(), Stop> {
    let Some((first, rest)) = stages.split_first_mut() else {
        return match emit(input) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Stop::Refused),
        };
    };
    let mut inner = Ok(());
    let outer = first.push(input, &mut |bytes| {
        inner = push_through(rest, bytes, emit);
        if inner.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    inner.and(outer)
}

enum Stage {
    Inflate(Inflate),
    Brotli(Box<Brotli>),
    Zstd(Zstd),
}

impl Stage {
    fn push(&mut self, input: &[u8], emit: Emit<'_>) -> Result<(), Stop> {
        match self {
            Stage::Inflate(stage) => stage.push(input, emit),
            Stage::Brotli(stage) => stage.push(input, emit),
            Stage::Zstd(stage) => stage.push(input, emit),
        }
    }
}

fn hand_on(bytes: &[u8], emit: Emit<'_>) -> Result<(), Stop> {
    if !bytes.is_empty() && emit(bytes).is_break() { Err(Stop::Refused) } else { Ok(()) }
}

/// Size of the pieces that decoders hand on.
const PIECE: usize = 32 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::fuzzing::BROTLI;
    use std::io::Write;

    fn text() -> Vec<u8> {
        (0..20_000u32)
            .flat_map(|n| format!("line {} {}\n", n, n.wrapping_mul(2_654_435_761) >> 20).into_bytes())
            .collect()
    }

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn raw(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(data: &[u8]) -> Vec<u8> {
        ::zstd::encode_all(data, 3).unwrap()
    }

    fn decode(codings: &str, coded: &[u8], step: usize) -> (Vec<u8>, Result<(), Stop>, bool) {
        let mut codings = Codings::parse([codings.as_bytes()].into_iter(), 5).ok().unwrap();
        let mut out = Vec::new();
        let mut result = Ok(());
        for piece in coded.chunks(step) {
            result = codings.push(piece, &mut |bytes| {
                out.extend_from_slice(bytes);
                ControlFlow::Continue(())
            });
            if result.is_err() {
                break;
            }
        }
        let complete = codings.is_complete();
        (out, result, complete)
    }

    /// "line 0 of the page\n" to "line 59 …", made with the reference encoder at quality 11.
    fn brotli_plain() -> Vec<u8> {
        (0..60).flat_map(|n| format!("line {n} of the page\n").into_bytes()).collect()
    }

    #[test]
    fn any_split_decodes_to_the_same() {
        let plain = text();
        let stacked = gzip(&zlib(&plain));
        let two_members = [gzip(&plain[..1000]), gzip(&plain[1000..])].concat();
        let cases: [(&str, Vec<u8>); 7] = [
            ("gzip", gzip(&plain)),
            ("x-gzip", two_members),
            ("deflate", zlib(&plain)),
            ("deflate", raw(&plain)),
            ("zstd", zstd(&plain)),
            ("deflate, gzip", stacked),
            ("identity", plain.clone()),
        ];
        for (coding, coded) in &cases {
            for step in [1, 2, 3, 7, 1000, 1 << 20] {
                let (out, result, complete) = decode(coding, coded, step);
                assert_eq!(result, Ok(()), "{coding} by {step}");
                assert!(out == plain, "{coding} by {step}: {} bytes", out.len());
                assert!(complete, "{coding} by {step}");
            }
        }
    }

    #[test]
    fn only_a_single_sound_member_is_decoded_as_a_whole() {
        let plain = text();
        let coded = gzip(&plain);
        let whole = |coded: &[u8]| Codings::whole(coded, plain.len());
        assert_eq!(whole(&coded).as_ref(), Some(&plain));
        assert_eq!(Codings::whole(&coded, plain.len() - 1), None, "no room");
        assert_eq!(whole(&coded[..coded.len() - 1]), None, "cut");
        assert_eq!(whole(&[coded.as_slice(), &coded].concat()), None, "the same twice");
        assert_eq!(whole(&[coded.as_slice(), b"\0\0\0\0"].concat()), None, "padding");
        assert_eq!(whole(&gzip(b"")), None, "empty");
        for at in [0, 12, coded.len() / 2, coded.len() - 5] {
            let mut broken = coded.clone();
            broken[at] ^= 0x20;
            assert_eq!(whole(&broken), None, "{at}");
        }
        let is_gzip = |value: &'static str| Codings::parse([value.as_bytes()].into_iter(), 2).ok().unwrap().is_gzip();
        assert_eq!(
            ["gzip", "x-gzip", "deflate", "gzip, gzip", "br", ""].map(is_gzip),
            [true, true, false, false, false, false]
        );
    }

    #[test]
    fn brotli_in_any_split() {
        for step in [1, 2, 5, 1000] {
            assert_eq!(decode("br", BROTLI, step), (brotli_plain(), Ok(()), true));
        }
        let (out, result, complete) = decode("br", &BROTLI[..BROTLI.len() - 10], 7);
        assert!(result.is_ok() && !complete && out.len() > 100 && brotli_plain().starts_with(&out), "{}", out.len());
    }

    /// Server-sent events are dated by this.
    #[test]
    fn what_a_server_flushed_is_there_with_its_last_byte() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        let mut zstd = ::zstd::Encoder::new(Vec::new(), 3).unwrap();
        let mut all = [Codings::parse([&b"gzip"[..]].into_iter(), 1), Codings::parse([&b"zstd"[..]].into_iter(), 1)]
            .map(|codings| codings.ok().unwrap());
        let mut passed = [0, 0];
        for number in 0..50 {
            let event = format!("data: {number}\n\n").into_bytes();
            gzip.write_all(&event).unwrap();
            zstd.write_all(&event).unwrap();
            gzip.flush().unwrap();
            zstd.flush().unwrap();
            let coded = [gzip.get_ref(), zstd.get_ref()];
            for ((codings, coded), passed) in all.iter_mut().zip(coded).zip(&mut passed) {
                let mut out = Vec::new();
                let result = codings.push(&coded[*passed..], &mut |bytes| {
                    out.extend_from_slice(bytes);
                    ControlFlow::Continue(())
                });
                assert_eq!((result, &out), (Ok(()), &event));
                *passed = coded.len();
            }
        }
    }

    #[test]
    fn a_cut_stream_decodes_as_far_as_it_goes() {
        let plain = text();
        for (coding, coded) in [("gzip", gzip(&plain)), ("deflate", zlib(&plain)), ("zstd", zstd(&plain))] {
            let (out, result, complete) = decode(coding, &coded[..coded.len() * 3 / 4], 1000);
            assert_eq!(result, Ok(()));
            assert!(!complete);
            assert!(out.len() > plain.len() / 3 && plain.starts_with(&out), "{coding}: {}", out.len());
        }
    }

    #[test]
    fn mutations_do_no_harm() {
        let plain = text();
        let mut seed = 7u64;
        let mut random = move || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as usize
        };
        for (coding, coded) in
            [("gzip", gzip(&plain)), ("deflate", raw(&plain)), ("zstd", zstd(&plain)), ("br", BROTLI.to_vec())]
        {
            for _ in 0..60 {
                let mut coded = coded.clone();
                for _ in 0..1 + random() % 4 {
                    let at = random() % coded.len();
                    coded[at] ^= 1 << (random() % 8);
                }
                let mut codings = Codings::parse([coding.as_bytes()].into_iter(), 5).ok().unwrap();
                let mut total = 0;
                let _ = codings.push(&coded, &mut |bytes| {
                    total += bytes.len();
                    if total > 4 << 20 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                });
                assert!(total <= (4 << 20) + (1 << 20));
            }
        }
    }

    #[test]
    fn unknown_and_too_many_codings_are_named() {
        let parse = |value: &'static str| Codings::parse([value.as_bytes()].into_iter(), 2).err();
        assert_eq!(parse("gzip, aws-chunked").as_deref(), Some("aws-chunked"));
        assert_eq!(parse("gzip, gzip, br").as_deref(), Some("br"));
        assert_eq!(parse("GZIP, identity"), None);
    }
}
