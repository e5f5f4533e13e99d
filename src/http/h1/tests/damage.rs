//! Holes, cuts and mutations.

use super::*;

#[test]
fn a_gap_of_known_length_inside_content_is_only_a_gap() {
    check(
        &[
            c("GET /a HTTP/1.1\r\n\r\n"),
            s("HTTP/1.1 200 A\r\nContent-Length: 10\r\n\r\nabc"),
            Step::Gap(Server, 4),
            c("GET /b HTTP/1.1\r\n\r\n"),
            s("hijHTTP/1.1 "),
            s("200 B\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nab"),
            Step::Gap(Server, 4),
            s("\r\n0\r\n\r\n"),
            c("GET /c HTTP/1.1\r\n\r\n"),
            s("HTTP/1.1 200 C\r\n\r\nabc"),
            Step::Gap(Server, 0),
            s("def"),
            Step::Fin(Server),
        ],
        &[
            "0 > GET /a",
            "0 > end 19",
            "0 < 200 A [Content-Length=10]",
            "0 < \"abc\"",
            "0 < lost 4",
            "1 > GET /b",
            "1 > end 19",
            "0 < \"hij\"",
            "0 < end 48",
            "1 < 200 B [Transfer-Encoding=chunked]",
            "1 < \"ab\"",
            "1 < lost 4",
            "1 < end 62",
            "2 > GET /c",
            "2 > end 19",
            "2 < 200 C",
            "2 < \"abc\"",
            "2 < lost 0",
            "2 < \"def\"",
            "2 < end 24",
        ],
    );
}

#[test]
fn a_gap_over_the_end_of_content_swallows_what_follows() {
    check(
        &[
            c("GET /a HTTP/1.1\r\n\r\n"),
            s("HTTP/1.1 200 A\r\nContent-Length: 10\r\n\r\nabc"),
            Step::Gap(Server, 30),
            s("ent: lost\r\n\r\n"),
            c("GET /b HTTP/1.1\r\n\r\n"),
            s("HTTP/1.1 204 B\r\n\r\n"),
        ],
        &[
            "0 > GET /a",
            "0 > end 19",
            "0 < 200 A [Content-Length=10]",
            "0 < \"abc\"",
            "0 < lost 7",
            "0 < end 48",
            "1 > GET /b",
            "1 > end 19",
            "1 < 204 B",
            "1 < end 18",
        ],
    );
}

#[test]
fn a_lost_request_does_not_shift_the_pairs() {
    check(
        &[
            c("GET /a HTTP/1.1\r\n\r\n"),
            s("HTTP/1.1 200 A\r\nContent-Length: 1\r\n\r\nA"),
            Step::Gap(Client, 19),
            s("HTTP/1.1 200 B\r\nContent-Length: 1\r\n\r\nB"),
            c("GET /c HTTP/1.1\r\n\r\n"),
            s("HTTP/1.1 200 C\r\nContent-Length: 1\r\n\r\nC"),
        ],
        &[
            "0 > GET /a",
            "0 > end 19",
            "0 < 200 A [Content-Length=1]",
            "0 < \"A\"",
            "0 < end 38",
            "1 > GET /c",
            "1 > end 19",
            "1 < 200 C [Content-Length=1]",
            "1 < \"C\"",
            "1 < end 38",
        ],
    );
}

#[test]
fn a_lost_response_does_not_shift_the_pairs() {
    check(
        &[
            c("GET /a HTTP/1.1\r\n\r\n"),
            Step::Gap(Server, 38),
            c("GET /b HTTP/1.1\r\n\r\n"),
            s("HTTP/1.1 200 B\r\nContent-Length: 1\r\n\r\nB"),
            c("GET /c HTTP/1.1\r\n\r\n"),
            s("HTTP/1.1 204 C\r\n\r\n"),
        ],
        &[
            "0 > GET /a",
            "0 > end 19",
            "1 > GET /b",
            "1 > end 19",
            "0 ! response-lost",
            "0 < abort Lost 0",
            "1 < 200 B [Content-Length=1]",
            "1 < \"B\"",
            "1 < end 38",
            "2 > GET /c",
            "2 > end 19",
            "2 < 204 C",
            "2 < end 18",
        ],
    );
}

#[test]
fn cut_heads_show_what_came_of_them() {
    check(
        &[
            c("GET /a HTTP/1.1\r\nHost: x\r\nAcc"),
            Step::Gap(Client, 100),
            s("HTTP/1.1 200 OK\r\nContent-Le"),
            Step::Gap(Server, 2000),
            c("GET /b HTTP/1.1\r\nHost: y\r\n\r\n"),
            s("HTTP/1.1 204 B\r\n\r\n"),
        ],
        &[
            "0 > GET /a [Host=x]",
            "0 ! bytes-lost",
            "0 > abort Lost 29",
            "0 < 200 OK",
            "0 ! bytes-lost",
            "0 < abort Lost 27",
            "1 > GET /b [Host=y]",
            "1 > end 28",
            "1 < 204 B",
            "1 < end 18",
        ],
    );
}

#[test]
fn cut_start_lines_show_what_came_of_them() {
    check(
        &[
            c("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
            s("HTTP/1.1 204 A\r\n\r\n"),
            c("GET /images/a.gif HTT"),
            Step::Gap(Client, 100),
            s("HTTP/1.1 200 O"),
            Step::Gap(Server, 0),
        ],
        &[
            "0 > GET / [Host=x]",
            "0 > end 27",
            "0 < 204 A",
            "0 < end 18",
            "1 > GET /images/a.gif",
            "1 ! bytes-lost",
            "1 > abort Lost 21",
            "1 < 200 O",
            "1 ! bytes-lost",
            "1 < abort Lost 14",
        ],
    );
    let cut = ["0 > GET /im", "0 ! head-cut", "0 > abort CaptureEnd 7", "0 < abort CaptureEnd 0"];
    check(&[c("GET /im")], &cut);
}

#[test]
fn a_message_may_begin_behind_a_packet_of_garbage() {
    let lines = whole(&[c("\0"), c("GET /a HTTP/1.1\r\n\r\n"), s("\0\0"), s("HTTP/1.1 204 A\r\n\r\n")]);
    assert_eq!(lines, ["0 > GET /a", "0 > end 19", "0 ! garbage-skipped", "0 < 204 A", "0 < end 18"]);
}

#[test]
fn a_capture_that_begins_in_the_middle() {
    let steps = [
        s("rest of content\r\nmore\r\nHTTP/1.1 200 HEAD?\r\nContent-Length: 100\r\n\r\n"),
        s("HTTP/1.1 200 A\r\nContent-Length: 1\r\n\r\nA"),
        c("GET /b HTTP/1.1\r\n\r\n"),
        s("HTTP/1.1 204 B\r\n\r\n"),
    ];
    let (lines, conversation) = play(&steps, false, &mut |len| len);
    assert_eq!(lines, ["0 > GET /b", "0 > end 19", "0 < 204 B", "0 < end 18"]);
    let count = |kind| conversation.anomalies().count(kind);
    assert_eq!(count(crate::base::anomaly::AnomalyKind::ResponseWithoutRequest), 2);
    assert_eq!(count(crate::base::anomaly::AnomalyKind::GarbageSkipped), 1);
}

#[test]
fn garbage_between_messages_is_passed_over() {
    check(
        &[
            c("GET /a HTTP/1.1\r\n\r\n\0\0binary\n words and words\nGET /b HTTP/1.1\r\n\r\n"),
            s("HTTP/1.1 204 A\r\n\r\nleft over\nHTTP/1.1 204 B\r\n\r\n"),
        ],
        &[
            "0 > GET /a",
            "0 > end 19",
            "1 > GET /b",
            "1 > end 19",
            "0 < 204 A",
            "0 < end 18",
            "1 ! garbage-skipped",
            "1 < 204 B",
            "1 < end 18",
        ],
    );
}

#[test]
fn requests_beyond_the_limit_are_given_up_without_a_shift() {
    let requests: String = (0..10).map(|number| format!("GET /{number} HTTP/1.1\r\n\r\n")).collect();
    let responses: String = (0..10).map(|number| format!("HTTP/1.1 204 {number}\r\n\r\n")).collect();
    let lines = whole(&[c(&requests), s(&responses)]);
    assert!(lines.contains(&"0 < abort Evicted 0".to_string()));
    assert!(lines.contains(&"1 < abort Evicted 0".to_string()));
    for number in 2..10 {
        assert!(lines.contains(&format!("{number} < 204 {number}")), "{lines:#?}");
    }
}

#[test]
fn targets_longer_than_detection_looks() {
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(3000));
    for cut in [1, 100, 1460] {
        let lines = play(&[c(&long)], false, &mut |len| cut.min(len)).0;
        assert_eq!(lines[1], "0 > end 3018");
    }
}

/// A connection with everything in it.
const RICH: &[Step<'_>] = &[
    Step::Data(Client, b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\nT: 1\r\n\r\n"),
    Step::Data(Server, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond"),
    Step::Data(Client, b"HEAD /b HTTP/1.1\r\n\r\nGET /c HTTP/1.1\r\nContent-Length: 3\r\n\r\nxyz"),
    Step::Data(Server, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
    Step::Data(Client, b"GET /d HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"),
    Step::Data(Server, b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n\x81\x02hi"),
    Step::Data(Client, b"\x81\x82\0\0\0\0yo"),
    Step::Fin(Server),
    Step::Fin(Client),
];

#[test]
fn any_split_of_everything_gives_the_same() {
    let wanted = whole(RICH);
    let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
    assert!(wanted.contains(&"3 = WebSocket"));
    check(RICH, &wanted);
}

/// The record checks order and ends; here only that it holds wherever bytes are missing.
#[test]
fn gaps_at_every_place() {
    for (index, step) in RICH.iter().enumerate() {
        let Step::Data(side, data) = *step else { continue };
        for at in 0..data.len() {
            for len in [1, 7, data.len()] {
                for known in [true, false] {
                    let end = (at + len).min(data.len());
                    let gap = if known { (end - at) as u64 } else { 0 };
                    let mut steps = RICH[..index].to_vec();
                    steps.extend([Step::Data(side, &data[..at]), Step::Gap(side, gap), Step::Data(side, &data[end..])]);
                    steps.extend_from_slice(&RICH[index + 1..]);
                    play(&steps, false, &mut |len| len);
                    play(&steps, true, &mut |len| len.min(5));
                }
            }
        }
    }
}

#[test]
fn cut_off_at_every_place() {
    for (index, step) in RICH.iter().enumerate() {
        let Step::Data(side, data) = *step else { continue };
        for at in 0..data.len() {
            for end in [Step::Reset, Step::Fin(side), Step::Fin(side.other())] {
                let mut steps = RICH[..index].to_vec();
                steps.extend([Step::Data(side, &data[..at]), end]);
                play(&steps, false, &mut |len| len);
            }
        }
    }
}

#[test]
fn mutated_bytes_break_nothing() {
    let mut random = Random(0x1234_5678_9abc_def1);
    for _ in 0..4000 {
        let mut owned: Vec<(Side, Vec<u8>)> = RICH
            .iter()
            .filter_map(|step| if let Step::Data(side, data) = step { Some((*side, data.to_vec())) } else { None })
            .collect();
        for _ in 0..1 + random.below(6) {
            let which = random.below(owned.len());
            let data = &mut owned[which].1;
            let at = random.below(data.len());
            match random.below(5) {
                0 => data[at] = random.below(256) as u8,
                1 => data.insert(at, b"\r\n :;0fF\xff"[random.below(9)]),
                2 => data.truncate(at.max(1)),
                3 => {
                    let again = data[at..].to_vec();
                    data.extend(again);
                }
                _ => owned.swap(which, 0),
            }
        }
        let steps: Vec<Step<'_>> = owned.iter().map(|(side, data)| Step::Data(*side, data)).collect();
        play(&steps, false, &mut |len| 1 + random.below(len));
    }
}
