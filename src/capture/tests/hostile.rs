//! Split, cut and mutated captures.

use super::*;

fn samples() -> Vec<Vec<u8>> {
    let mut pcap = Build::pcap(Big, 0xa1b2_3c4d, 1);
    let mut pcapng = Build::new(Little);
    pcapng.section(Little).interface(1, 0, &[(9, &[9]), (2, b"lo")]).secrets(0x544c_534b, b"CLIENT_RANDOM 1 2");
    for turn in 0..20u32 {
        let data = vec![turn as u8; turn as usize * 5];
        pcap.record(turn, turn, 100, &data);
        let options: &[super::build::Opt<'_>] = if turn % 3 == 0 { &[(1, b"why"), (2, &[0; 4])] } else { &[] };
        pcapng.packet(0, u64::from(turn), 100, &data, options).simple(3, b"abc").old_packet(0, 1, 9, &data);
        if turn == 10 {
            pcapng.section(Big).interface(101, 4, &[(13, &[4])]);
        }
    }
    vec![pcap.bytes, pcapng.bytes]
}

/// A small generator that gives the same numbers in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }
}

#[test]
fn any_split_gives_the_same() {
    let mut dice = Dice(1);
    for bytes in samples() {
        let wanted = read(&bytes);
        assert!(wanted.0.len() >= 20 && wanted.1.damages == 0);
        for size in 1..64 {
            assert_eq!(read_pieces(&bytes, &[size]).unwrap(), wanted);
        }
        for _ in 0..100 {
            let pieces: Vec<usize> = (0..50).map(|_| 1 + dice.roll(200)).collect();
            assert_eq!(read_pieces(&bytes, &pieces).unwrap(), wanted);
        }
    }
}

#[test]
fn cut_at_every_byte_all_before_the_cut_is_read() {
    for bytes in samples() {
        let wanted = read(&bytes).0;
        let mut longest = 0;
        let mut clean = 0;
        for len in 0..bytes.len() {
            match read_pieces(&bytes[..len], &[usize::MAX]) {
                Ok((all, facts)) => {
                    assert_eq!(all, wanted[..all.len()]);
                    assert!(all.len() == longest || all.len() == longest + 1);
                    longest = all.len();
                    clean += usize::from(facts.damages == 0);
                    assert!(facts.damages <= 1);
                    assert!(
                        facts.damage.iter().all(|damage| damage.offset < len as u64 && damage.what.contains("ends"))
                    );
                }
                Err(CaptureError::Empty { .. }) => assert_eq!(len, 0),
                Err(CaptureError::NotACapture { .. }) => assert!(len < 4),
                Err(CaptureError::HeaderCut { .. }) => assert!((4..24).contains(&len)),
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(longest, wanted.len() - 1);
        // Only a cut between two records is none.
        assert!(clean >= longest && clean <= longest + 5, "{clean} {longest}");
    }
}

#[test]
fn mutations_neither_panic_nor_run_away() {
    let mut dice = Dice(7);
    for bytes in samples() {
        for _ in 0..4000 {
            let mut bad = bytes.clone();
            for _ in 0..1 + dice.roll(6) {
                let at = dice.roll(bad.len());
                match dice.roll(5) {
                    0 => bad[at] ^= 1 << dice.roll(8),
                    1 => bad[at] = [0, 0xff, 0x7f, 0x80][dice.roll(4)],
                    2 => bad.truncate(at.max(1)),
                    3 => drop(bad.splice(at..at, vec![0xff; dice.roll(9)])),
                    _ => drop(bad.drain(at..(at + dice.roll(40)).min(bad.len()))),
                }
                if bad.is_empty() {
                    bad.push(0);
                }
            }
            let Ok((all, facts)) = read_pieces(&bad, &[usize::MAX]) else { continue };
            // No frame without at least its own record header in the file.
            assert!(all.len() <= bad.len() / 16);
            let out: usize = all
                .iter()
                .map(|seen| match seen {
                    Seen::Frame { data, .. } | Seen::Secrets(_, data) => data.len(),
                })
                .sum();
            assert!(out <= bad.len());
            assert!(facts.damage.len() <= Limits::default().anomalies_kept);
        }
    }
}

/// A length field that promises much makes no buffer for it.
#[test]
fn buffers_grow_with_what_came() {
    struct Endless(u64);
    impl Read for Endless {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            // The buffer offered is never larger than what was read before, once past the first megabyte.
            assert!(into.len() as u64 <= (self.0 + 36).max(1 << 20));
            let len = into.len().min(4096);
            into[..len].fill(0);
            self.0 += len as u64;
            Ok(len)
        }
    }
    let mut build = Build::new(Little);
    build.section(Little).u32(6).u32(20 << 20);
    let limits = Limits { capture_block: 32 << 20, ..Limits::default() };
    let source = std::io::Cursor::new(build.bytes).chain(Endless(0));
    let mut reader = Reader::from_read(Box::new(source), "test", &limits).unwrap();
    assert_eq!(drain(&mut reader), []);
    assert!(reader.facts().damage[0].what.contains("two lengths differ"));
}

/// A pipe gives each record as soon as its last byte is there.
#[test]
fn a_live_pipe_is_not_waited_for() {
    struct Live {
        bytes: std::io::Cursor<Vec<u8>>,
    }
    impl Read for Live {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            let read = self.bytes.read(into)?;
            assert!(read > 0, "read on although everything needed was there");
            Ok(read)
        }
    }
    for bytes in samples() {
        let frames = read(&bytes).0.len();
        let source = Live { bytes: std::io::Cursor::new(bytes) };
        let mut reader = Reader::from_read(Box::new(source), "test", &Limits::default()).unwrap();
        for _ in 0..frames {
            assert!(reader.next().unwrap().is_some());
        }
    }
}
