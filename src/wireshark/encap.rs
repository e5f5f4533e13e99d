//! The host's encapsulations as link types. libwiretap has such a function, but does not export it.

use crate::capture::LinkType;

/// Stands for everything this plugin cannot name; the engine counts it as not read.
const UNKNOWN: LinkType = LinkType(u32::MAX);

/// `WTAP_ENCAP_ERF`.
const ERF: i32 = 98;

/// The link type of a packet with this `WTAP_ENCAP_`. libwiretap moves direction bytes and the headers of some formats into a
/// pseudo header; `erf_type` is the type in that of ERF.
pub(super) fn link_type(encapsulation: i32, erf_type: impl FnOnce() -> u8) -> LinkType {
    if encapsulation == ERF {
        return match erf_type() & 0x7f {
            // HDLC with or without colour, hash, channel.
            1 | 10 | 15 => LinkType(50),
            2 | 11 | 16 | 20 => LinkType(1),
            22 => LinkType(228),
            23 => LinkType(229),
            _ => UNKNOWN,
        };
    }
    if let user @ 45..=60 = encapsulation {
        return LinkType(147 + user.unsigned_abs() - 45);
    }
    match PAIRS.binary_search_by_key(&encapsulation, |&(encapsulation, _)| encapsulation.into()) {
        Ok(at) => PAIRS.get(at).map_or(UNKNOWN, |&(_, link)| LinkType(link.into())),
        Err(_) => UNKNOWN,
    }
}

/// `WTAP_ENCAP_`, `LINKTYPE_`; sorted.
#[rustfmt::skip]
const PAIRS: &[(i16, u16)] = &[
    (1, 1), (2, 6), (3, 8), (4, 9), (5, 10), (7, 101), (8, 7), (9, 129), (10, 100), (11, 106), (15, 0), (18, 122),
    // Direction in the pseudo header.
    (19, 9),
    (20, 105), (21, 119), (23, 127), (24, 163), (25, 113), (26, 107), (27, 107), (28, 104), (29, 118), (30, 114), (33, 143),
    (36, 268), (37, 128), (38, 109), (39, 117), (40, 104), (42, 140), (43, 141), (44, 144), (61, 99), (62, 138), (63, 165),
    (66, 169), (67, 137), (68, 135),
    // NetTL: raw IP and Ethernet.
    (70, 101), (71, 1),
    (75, 139), (76, 167), (81, 130), (82, 131), (83, 178), (84, 179), (85, 180), (86, 133), (88, 177), (92, 186), (95, 189),
    (97, 192), (99, 201), (101, 142), (104, 195), (115, 220), (121, 225), (124, 226), (125, 227), (127, 230), (129, 228),
    (130, 229), (139, 51), (141, 239), (149, 248), (150, 247), (152, 249), (155, 252), (158, 253), (171, 258), (174, 108),
    (185, 271), (198, 274), (205, 280), (210, 276),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encapsulations_have_their_link_types() {
        assert!(PAIRS.is_sorted_by(|(one, _), (other, _)| one < other));
        let of = |encapsulation| link_type(encapsulation, || 2).0;
        for (encapsulation, link) in [(1, 1), (7, 101), (15, 0), (25, 113), (45, 147), (60, 162), (98, 1), (210, 276)] {
            assert_eq!(of(encapsulation), link);
        }
        assert_eq!(of(0), u32::MAX);
        assert_eq!(of(-1), u32::MAX);
        assert_eq!(link_type(98, || 0x80 | 23).0, 229);
    }
}
