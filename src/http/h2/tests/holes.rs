//! What holes leave of the header tables.

use super::*;

fn headers(stream: u32, block: &[u8]) -> Vec<u8> {
    frame(kind::HEADERS, BOTH, stream, block)
}

/// A request that puts `:authority`, `:path` and a field in the table.
fn inserting() -> Vec<u8> {
    [&[0x82, 0x87, 0x41, 3][..], b"a.b", &[0x44, 3], b"/in", &[0x40, 1, b'x', 1, b'y']].concat()
}

/// The same request, while `newer` entries stand in front of its own.
fn naming(newer: u8) -> Vec<u8> {
    vec![0x82, 0x87, 0xc0 + newer, 0xbf + newer, 0xbe + newer]
}

fn heads(sent: &[Sent]) -> Vec<String> {
    whole(sent).into_iter().filter(|line| !line.contains(" end ") && !line.contains(" abort ")).collect()
}

#[test]
fn a_hole_without_room_for_a_block_changes_nothing() {
    let first = Bytes(C, [preface(), headers(1, &inserting())].concat());
    // WINDOW_UPDATE, SETTINGS with ACK, both, PING; each of a known length, or not even that: the next stream says that no other came.
    for len in [13, 9, 22, 17, 500, 0] {
        let lines = heads(&[first.clone(), Gap(C, len), Bytes(C, headers(3, &naming(0))), Fin(C)]);
        assert_eq!(lines[1..], ["3 > GET https://a.b/in 14B x=y"], "{len}");
    }
}

#[test]
fn a_hole_in_content_of_the_only_stream_is_no_loss_of_fields() {
    let answer = |stream, block: &[u8]| frame(kind::HEADERS, flag::END_HEADERS, stream, block);
    let data = |flags| frame(kind::DATA, flags, 1, &[b'd'; 300]);
    let sent = [
        Bytes(C, [preface(), headers(1, &request("/"))].concat()),
        Bytes(S, [frame(kind::SETTINGS, 0, 0, &[]), answer(1, &[0x88, 0x40, 1, b's', 1, b't'])].concat()),
        Bytes(S, data(0)[..100].to_vec()),
        Gap(S, 300),
        Bytes(S, [&data(0)[91..], &data(flag::END_STREAM)].concat()),
        Bytes(C, headers(3, &request("/next"))),
        Bytes(S, [answer(3, &[0x88, 0xbe]), frame(kind::DATA, flag::END_STREAM, 3, b"end")].concat()),
    ];
    let lines = heads(&sent);
    assert_eq!(lines[lines.len() - 3..], ["3 < 200 11B s=t", "3 ! header-state-recovered", "3 < body end"]);
}

#[test]
fn lost_inserts_are_counted_by_what_follows() {
    // The request on stream 3 put one entry in the table.
    let lost = headers(3, &[&naming(0)[..4], &[0x40, 1, b'z', 1, b'z']].concat());
    let lines = heads(&[
        Bytes(C, [preface(), headers(1, &inserting())].concat()),
        Gap(C, lost.len() as u64),
        Bytes(C, headers(5, &naming(1))),
        // One that names the lost entry.
        Bytes(C, headers(7, &[0x82, 0x87, 0xc1, 0xc0, 0xbe])),
        Fin(C),
    ]);
    let expected = [
        "1 > GET https://a.b/in 26B x=y",
        "5 > GET https://a.b/in 14B x=y",
        "5 ! header-state-recovered",
        "7 > GET https://a.b/in 14B",
        "7 ! header-state-lost",
        "7 ! header-state-recovered",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_lost_authority_is_the_one_that_was_always_named() {
    let gap = |first: Vec<u8>| {
        let lost = [0x82, 0x87, 0x04, 2, b'/', b'q', 0xbe];
        heads(&[Bytes(C, [preface(), first].concat()), Gap(C, 40), Bytes(C, headers(7, &lost)), Fin(C)])
    };
    let lines = gap(headers(1, &request("/one")));
    assert_eq!(lines[1..], ["7 > GET https://a.example/q 16B", "7 ! header-state-lost"]);
    // Two of them, or none.
    let other = block(&[(":method", "GET"), (":scheme", "https"), (":authority", "b.example"), (":path", "/two")]);
    let lines = gap([headers(1, &request("/one")), headers(3, &other)].concat());
    assert_eq!(lines[2..], ["7 > GET https://-/q 16B", "7 ! header-state-lost"]);
    let none = block(&[(":method", "GET"), (":scheme", "https"), (":path", "/"), ("host", "a.example")]);
    assert_eq!(gap(headers(1, &none))[1..], ["7 > GET https://-/q 16B", "7 ! header-state-lost"]);
}
