//! The pcap format.

use super::*;

#[test]
fn every_magic_is_read() {
    for (order, magic, unit, extra) in [
        (Little, 0xa1b2_c3d4, 1000, 0),
        (Big, 0xa1b2_c3d4, 1000, 0),
        (Little, 0xa1b2_3c4d, 1, 0),
        (Big, 0xa1b2_3c4d, 1, 0),
        (Little, 0xa1b2_cd34, 1000, 8),
        (Big, 0xa1b2_cd34, 1000, 8),
    ] {
        let mut build = Build::pcap(order, magic, 113);
        for (seconds, fraction, data) in [(1, 5, &b"abc"[..]), (u32::MAX, u32::MAX, b""), (0, 0, b"wxyz1")] {
            build.u32(seconds).u32(fraction).u32(data.len() as u32).u32(9).raw(&[7; 8][..extra]).raw(data);
        }
        let (all, facts) = read(&build.bytes);
        let late = i64::from(u32::MAX) * (1_000_000_000 + unit);
        assert_eq!(
            all,
            [
                frame(1, 1_000_000_000 + 5 * unit, 0, 113, 9, b"abc"),
                frame(2, late, 0, 113, 9, b""),
                frame(3, 0, 0, 113, 9, b"wxyz1"),
            ]
        );
        assert_eq!(facts.first, Some(Timestamp(0)));
        assert_eq!(facts.last, Some(Timestamp(late)));
        assert_eq!((facts.frames, facts.cut_frames, facts.damages), (3, 3, 0));
        assert_eq!(facts.link_types.into_iter().collect::<Vec<_>>(), [LinkType(113)]);
    }
}

#[test]
fn frame_check_sequences_are_taken_off() {
    // Two units of two bytes, and bits of a class that nobody reads.
    let mut build = Build::pcap(Little, 0xa1b2_c3d4, 0x2400_0000 | 0x0224_0000 | 1);
    build
        .record(0, 0, 10, b"123456FCS!")
        .record(0, 0, 10, b"12345678")
        .record(0, 0, 10, b"12345")
        .record(0, 0, 2, b"12");
    let (all, facts) = read(&build.bytes);
    assert_eq!(all[0], frame(1, 0, 0, 1, 6, b"123456"));
    assert_eq!(all[1], frame(2, 0, 0, 1, 6, b"123456"));
    assert_eq!(all[2], frame(3, 0, 0, 1, 6, b"12345"));
    assert_eq!(all[3], frame(4, 0, 0, 1, 0, b""));
    assert_eq!(facts.cut_frames, 1);
    // Without the flag the length says nothing.
    let mut build = Build::pcap(Little, 0xa1b2_c3d4, 0x2000_0001);
    build.record(0, 0, 4, b"1234");
    assert_eq!(read(&build.bytes).0, [frame(1, 0, 0, 1, 4, b"1234")]);
}

#[test]
fn old_versions_have_their_lengths_swapped() {
    for (minor, captured, original) in [(2u8, 8, 3), (3, 8, 3), (3, 3, 8), (4, 3, 8)] {
        let mut build = Build::pcap(Little, 0xa1b2_c3d4, 1);
        build.bytes[6] = minor;
        build.u32(0).u32(0).u32(captured).u32(original).raw(b"abc");
        assert_eq!(read(&build.bytes).0, [frame(1, 0, 0, 1, 8, b"abc")]);
    }
}

#[test]
fn a_record_that_lies_ends_the_reading() {
    let mut build = Build::pcap(Little, 0xa1b2_c3d4, 1);
    build.record(1, 0, 3, b"abc").u32(2).u32(0).u32(0x4000_0000).u32(5).raw(&[0; 100]);
    let (all, facts) = read(&build.bytes);
    assert_eq!(all.len(), 1);
    assert_eq!((facts.damages, facts.damage[0].offset), (1, 24 + 19));
    assert!(facts.damage[0].to_string().starts_with("test: at byte 43: a record of 1073741824 bytes"));
}

#[test]
fn pcap_parser_reads_the_same() {
    use pcap_parser::{LegacyPcapReader, PcapBlockOwned, PcapError, traits::PcapReaderIterator};
    for (order, magic) in [(Little, 0xa1b2_c3d4), (Big, 0xa1b2_3c4d)] {
        let mut build = Build::pcap(order, magic, 1);
        for turn in 0..2000u32 {
            build.record(turn, turn * 7, 2000, &vec![turn as u8; turn as usize % 1500]);
        }
        let ours = read(&build.bytes).0;
        let mut theirs = LegacyPcapReader::new(65536, build.bytes.as_slice()).unwrap();
        let mut count = 0;
        loop {
            match theirs.next() {
                Ok((len, block)) => {
                    if let PcapBlockOwned::Legacy(block) = block {
                        let unit = if magic == 0xa1b2_c3d4 { 1000 } else { 1 };
                        let time = i64::from(block.ts_sec) * 1_000_000_000 + i64::from(block.ts_usec) * unit;
                        assert_eq!(ours[count], frame(count as u64 + 1, time, 0, 1, block.origlen, block.data));
                        count += 1;
                    }
                    theirs.consume(len);
                }
                Err(PcapError::Eof) => break,
                Err(PcapError::Incomplete(_)) => theirs.refill().unwrap(),
                Err(error) => panic!("{error:?}"),
            }
        }
        assert_eq!(count, ours.len());
    }
}
