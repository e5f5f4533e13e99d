//! Captures that lack frames, converted in this process.

use std::ops::Range;

use harshark::engine::Options;
use harshark::run::Session;
use harshark::tls::KeyLog;
use serde_json::Value;

use super::wire::End;

/// Where the frames of a little-endian capture lie in it.
pub fn frames(capture: &[u8]) -> Vec<Range<usize>> {
    let word = |at: usize| u32::from_le_bytes(capture[at..at + 4].try_into().unwrap()) as usize;
    let mut frames = Vec::new();
    if word(0) == 0xa1b2_c3d4 {
        let mut at = 24;
        while at < capture.len() {
            frames.push(at + 16..at + 16 + word(at + 8));
            at += 16 + word(at + 8);
        }
        return frames;
    }
    let mut at = 0;
    while at < capture.len() {
        if word(at) == 6 {
            frames.push(at + 28..at + 28 + word(at + 20));
        }
        at += word(at + 4);
    }
    frames
}

/// The entries of a capture in which these frames (from 0) are something else than they were.
pub fn entries(capture: &[u8], lost: &[usize]) -> Vec<Value> {
    let mut bytes = capture.to_vec();
    let all = frames(capture);
    for &frame in lost {
        // A protocol for local experiments: the frame keeps its number.
        bytes[all[frame].start + 12..][..2].copy_from_slice(&[0x88, 0xb5]);
    }
    let mut session = Session::new(&Options::default(), "x", KeyLog::default());
    session.push_capture(&bytes).unwrap();
    let mut har = Vec::new();
    session.finish(&mut har).unwrap();
    let har: Value = serde_json::from_slice(&har).unwrap();
    har["log"]["entries"].as_array().unwrap().clone()
}

/// A TCP segment over IPv4: its ends, from sender to receiver, and the length of its content.
pub fn segment(frame: &[u8]) -> Option<([End; 2], usize)> {
    let half = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
    if half(12) != 0x0800 || frame[23] != 6 {
        return None;
    }
    let tcp = 14 + usize::from(frame[14] & 15) * 4;
    let content = tcp + usize::from(frame[tcp + 12] >> 4) * 4;
    let address = |at: usize| frame[at..at + 4].try_into().unwrap();
    let ends = [(address(26), half(tcp)), (address(30), half(tcp + 2))];
    Some((ends, (14 + usize::from(half(16))).saturating_sub(content)))
}
