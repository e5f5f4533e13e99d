//! The pcapng format.

use super::*;

#[test]
fn sections_and_interfaces_of_both_byte_orders() {
    for (one, two) in [(Little, Big), (Big, Little)] {
        let mut build = Build::new(one);
        build.section(one).interface(1, 0, &[]).interface(113, 3, &[(9, &[9]), (2, b"eth1")]);
        build.packet(1, 5, 4, b"abc", &[]).packet(0, 6, 4, b"abcd", &[(1, b"first\0"), (1, b"second")]);
        build.old_packet(1, u16::MAX, 7, b"xyz");
        build
            .section(two)
            .interface(101, 2, &[(14, &[])])
            .simple(9, b"ab")
            .packet(0, 1 << 33, 1, b"q", &[])
            .simple(2, b"cd");
        let (all, facts) = read(&build.bytes);
        let mut commented = frame(2, 6000, 0, 1, 4, b"abcd");
        if let Seen::Frame { comment, .. } = &mut commented {
            *comment = Some("first".into());
        }
        assert_eq!(
            all,
            [
                frame(1, 5, 1, 113, 4, b"abc"),
                commented,
                frame(3, 7, 1, 113, 3, b"xyz"),
                frame(4, 7, 2, 101, 9, b"ab"),
                frame(5, 1000 << 33, 2, 101, 1, b"q"),
                frame(6, 1000 << 33, 2, 101, 2, b"cd"),
            ]
        );
        assert_eq!((facts.damages, facts.cut_frames, facts.link_types.len()), (0, 2, 3));
    }
}

#[test]
fn resolution_and_offset_in_both_byte_orders() {
    for order in [Little, Big] {
        let mut seconds = Build::new(order);
        seconds.u64(100);
        let mut build = Build::new(order);
        build.section(order).interface(1, 0, &[(9, &[0x8a]), (14, &seconds.bytes)]);
        build.packet(0, 1536, 0, b"", &[]);
        assert_eq!(read(&build.bytes).0, [frame(1, 101_500_000_000, 0, 1, 0, b"")]);
    }
}

#[test]
fn frame_check_sequences_of_interface_and_packet() {
    for (len, flags) in [(4, 0u32), (32, 0), (0, 4 << 5), (2, 4 << 5)] {
        let mut build = Build::new(Big);
        build.section(Big).interface(1, 0, &[(13, &[len])]);
        build.packet(0, 0, 6, b"abFCS!", &[(2, &flags.to_be_bytes())]);
        assert_eq!(read(&build.bytes).0, [frame(1, 0, 0, 1, 2, b"ab")]);
    }
}

#[test]
fn secrets_are_handed_on_and_other_blocks_skipped() {
    let mut build = Build::new(Little);
    build.section(Little).secrets(0x544c_534b, b"CLIENT_RANDOM").interface(1, 0, &[]);
    build.block(4, b"names").block(5, b"statistics").block(0x7777_7777, b"").block(0x0bad, b"\xc5\x2a\0\0");
    build.packet(0, 0, 1, b"a", &[]).secrets(0x5747_4b4c, b"wireguard");
    let (all, facts) = read(&build.bytes);
    assert_eq!(
        all,
        [
            Seen::Secrets(SecretsKind::TlsKeyLog, b"CLIENT_RANDOM".to_vec()),
            frame(1, 0, 0, 1, 1, b"a"),
            Seen::Secrets(SecretsKind::Other(0x5747_4b4c), b"wireguard".to_vec()),
        ]
    );
    assert_eq!(facts.damages, 0);
}

/// As tshark 4.0 counts them.
#[test]
fn blocks_that_are_frames_to_wireshark_take_a_number() {
    let mut build = Build::new(Big);
    build.section(Big).interface(1, 0, &[]).block(9, b"journal").block(0x0bad, b"entr").block(0x4000_0bad, b"entr");
    build.packet(0, 0, 1, b"a", &[]).block(0x216, b"event").packet(0, 0, 1, b"b", &[]);
    let numbers: Vec<Seen> = vec![frame(4, 0, 0, 1, 1, b"a"), frame(6, 0, 0, 1, 1, b"b")];
    assert_eq!(read(&build.bytes).0, numbers);
}

#[test]
fn bad_blocks_cost_only_themselves() {
    let mut build = Build::new(Little);
    build.section(Little).interface(1, 0, &[]);
    build.packet(9, 0, 1, b"a", &[]).packet(0, 1, 1, b"b", &[]).block(6, b"short");
    // A captured length beyond the block.
    let mut lie = Build::new(Little);
    lie.u32(0).u32(0).u32(2).u32(4000).u32(5000).raw(b"cccc");
    build.block(6, &lie.bytes);
    // An option that runs over, behind a good comment.
    let mut lie = Build::new(Little);
    lie.u32(0).u32(0).u32(3).u32(4).u32(4).raw(b"dddd").u16(1).u16(2).raw(b"hi\0\0").u16(2988).u16(60_000).u32(0);
    build.block(6, &lie.bytes).packet(0, 4, 1, b"e", &[]);
    let (all, facts) = read(&build.bytes);
    let mut commented = frame(5, 3000, 0, 1, 4, b"dddd");
    if let Seen::Frame { comment, .. } = &mut commented {
        *comment = Some("hi".into());
    }
    assert_eq!(
        all,
        [frame(2, 1000, 0, 1, 1, b"b"), frame(4, 2000, 0, 1, 5000, b"cccc"), commented, frame(6, 4000, 0, 1, 1, b"e"),]
    );
    assert_eq!(facts.damages, 4);
    assert_eq!(facts.damage[0].offset, 28 + 20);
}

#[test]
fn broken_framing_ends_the_reading() {
    let good = || {
        let mut build = Build::new(Little);
        build.section(Little).interface(1, 0, &[]).packet(0, 1, 1, b"b", &[]);
        build
    };
    let at = good().bytes.len() as u64;
    type Add = fn(&mut Build) -> &mut Build;
    let broken: [(&str, Add); 5] = [
        ("length 8,", |build| build.u32(6).u32(8).u64(0)),
        ("length 4294967295", |build| build.u32(6).u32(u32::MAX).u64(0)),
        ("lengths differ", |build| build.u32(6).u32(16).u32(0).u32(20).u64(0)),
        ("byte-order magic", |build| build.u32(0x0a0d_0d0a).u32(28).raw(&[0; 20])),
        ("version 2.0", |build| build.u32(0x0a0d_0d0a).u32(28).u32(0x1a2b_3c4d).u16(2).u16(0).raw(&[0; 12])),
    ];
    for (what, add) in broken {
        let mut build = good();
        add(&mut build);
        build.packet(0, 9, 1, b"z", &[]);
        let (all, facts) = read(&build.bytes);
        assert_eq!(all.len(), 1, "{what}");
        assert!(facts.damage[0].what.contains(what), "{}", facts.damage[0]);
        assert_eq!((facts.damages, facts.damage[0].offset), (1, at));
    }
}

type Counts = Vec<(&'static str, u64)>;

/// The counts of a capture by name, read whole and looked at from afar.
fn dropped(build: &Build) -> (Counts, Counts) {
    let (_, facts) = read(&build.bytes);
    assert_eq!(facts.damages, 0);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &build.bytes).unwrap();
    let ahead = secrets_ahead(file.path(), &Limits::default(), &mut |_| {}).unwrap();
    (facts.dropped.counts().collect(), ahead.counts().collect())
}

fn eight(order: crate::capture::order::Order, count: u64) -> Vec<u8> {
    let mut build = Build::new(order);
    build.u64(count).bytes.clone()
}

#[test]
fn the_last_statistics_of_each_interface_and_section_add_up() {
    for (one, two) in [(Little, Big), (Big, Little)] {
        let mut build = Build::new(one);
        let count = |count| eight(one, count);
        build.section(one).interface(1, 0, &[]).interface(1, 0, &[]);
        assert_eq!(dropped(&build).0, [], "nobody counted");
        build.statistics(0, &[(4, &count(90)), (5, &count(3))]).packet(0, 1, 1, b"a", &[]);
        build.statistics(1, &[(5, &count(100)), (6, &count(50)), (7, &count(10)), (8, &count(38))]);
        // Later ones hold what earlier ones did; what they do not say again stays known.
        build.statistics(0, &[(5, &count(7))]).statistics(1, &[(7, &count(11))]);
        let first = [("packets", 119), ("interface", 107), ("kernel", 11), ("writer", 1)];
        assert_eq!(dropped(&build), (first.to_vec(), first.to_vec()));
        build.section(two).interface(1, 0, &[]).statistics(0, &[(2, b"when"), (7, &eight(two, 1000))]);
        let both = [("packets", 1119), ("interface", 107), ("kernel", 1011), ("writer", 1)];
        assert_eq!(dropped(&build), (both.to_vec(), both.to_vec()));
    }
}

#[test]
fn packets_say_what_was_dropped_before_them() {
    let mut build = Build::new(Little);
    let count = |count| eight(Little, count);
    build.section(Little).interface(1, 0, &[]).interface(1, 0, &[]);
    build.packet(0, 1, 1, b"a", &[(1, b"text"), (4, &count(5))]).packet(0, 2, 1, b"b", &[(4, &count(2))]);
    build.old_packet(1, u16::MAX, 3, b"c").old_packet(1, 4, 4, b"d");
    let between = [("packets", 11), ("betweenPackets", 11)];
    assert_eq!(dropped(&build), (between.to_vec(), vec![]));
    // The same packets, counted at the end: interface 0 dropped 9 of which 7 were told, interface 1 has told more.
    build.statistics(0, &[(5, &count(9))]).statistics(1, &[(5, &count(1))]);
    let told = [("packets", 13), ("interface", 10), ("betweenPackets", 11)];
    assert_eq!(dropped(&build).0, told);
}

#[test]
fn damaged_statistics_cost_only_themselves() {
    let mut build = Build::new(Little);
    let count = |count| eight(Little, count);
    build.section(Little).interface(1, 0, &[]);
    // Of an interface that there is not, too short, of a wrong length, and one that runs over behind a good one.
    build.statistics(7, &[(5, &count(1))]).block(5, b"").block(5, &[0; 12]).statistics(0, &[(7, b"four")]);
    let mut lie = Build::new(Little);
    lie.u32(0).u64(0).u16(5).u16(8).u64(6).u16(7).u16(800).u64(9);
    build.block(5, &lie.bytes).packet(0, 1, 1, b"a", &[(4, b"four")]);
    assert_eq!(dropped(&build).0, [("packets", 6), ("interface", 6)]);
    // Sums of nonsense stay where they are.
    build.interface(1, 0, &[]).statistics(1, &[(5, &count(u64::MAX)), (6, &count(1)), (8, &count(u64::MAX))]);
    assert_eq!(dropped(&build).0, [("packets", u64::MAX), ("interface", u64::MAX), ("writer", 0)]);
}

#[test]
fn interfaces_are_bounded() {
    let mut build = Build::new(Little);
    build.section(Little);
    for _ in 0..10 {
        build.interface(1, 0, &[]);
    }
    build.packet(9, 0, 1, b"a", &[]).packet(3, 0, 1, b"a", &[]);
    let limits = Limits { capture_interfaces: 4, ..Limits::default() };
    let mut reader = Reader::from_read(Box::new(std::io::Cursor::new(build.bytes)), "test", &limits).unwrap();
    assert_eq!(drain(&mut reader), [frame(2, 0, 3, 1, 1, b"a")]);
    assert_eq!(reader.facts().damages, 7);
    assert_eq!(reader.facts().damage.len(), limits.anomalies_kept);
}

#[test]
fn pcap_parser_reads_the_same() {
    use pcap_parser::{Block, PcapBlockOwned, PcapError, PcapNGReader, traits::PcapReaderIterator};
    for order in [Little, Big] {
        let mut build = Build::new(order);
        build.section(order).interface(1, 0, &[]);
        for turn in 0..2000u32 {
            let comment: &[super::build::Opt<'_>] = if turn % 3 == 0 { &[(1, b"comment")] } else { &[] };
            build.packet(0, u64::from(turn) << 24, 2000, &vec![turn as u8; turn as usize % 1500], comment);
        }
        let ours = read(&build.bytes).0;
        let mut theirs = PcapNGReader::new(65536, build.bytes.as_slice()).unwrap();
        let mut count = 0;
        loop {
            match theirs.next() {
                Ok((len, block)) => {
                    if let PcapBlockOwned::NG(Block::EnhancedPacket(packet)) = block {
                        let stamp = i64::from(packet.ts_high) << 32 | i64::from(packet.ts_low);
                        let data = &packet.data[..packet.caplen as usize];
                        let mut wanted = frame(count as u64 + 1, stamp * 1000, 0, 1, packet.origlen, data);
                        if let (Seen::Frame { comment, .. }, Some(option)) = (&mut wanted, packet.options.first()) {
                            *comment = Some(option.as_str().unwrap().into());
                        }
                        assert_eq!(ours[count], wanted);
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
