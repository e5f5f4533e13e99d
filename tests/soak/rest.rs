//! Connections that rest for long, while others come and go: the time of a coffee break is not the end of them.

use std::fs;

use serde_json::Value;

use crate::support::blocks::{PACKET, at_time, blocks, packet_block, time};
use crate::support::data;
use crate::support::process::{harshark, run, said};
use crate::support::wire::{SYN, Tape, Tcp, header};

/// Requests and statuses, in order.
fn told(input: &std::path::Path) -> Vec<(String, u64)> {
    let output = run(harshark().arg("-q").arg(input).args(["-o", "-"]));
    assert!(output.status.success(), "{}", said(&output));
    let har: Value = serde_json::from_slice(&output.stdout).unwrap();
    let entries = har["log"]["entries"].as_array().unwrap().iter();
    let told = entries.map(|entry| {
        let (request, response) = (&entry["request"], &entry["response"]);
        (request["url"].as_str().unwrap().to_owned(), response["status"].as_u64().unwrap())
    });
    let mut told: Vec<_> = told.collect();
    told.sort();
    told
}

/// Records of SYNs, one a second, that nobody answers.
fn others(seconds: u64) -> Vec<Vec<u8>> {
    let mut tape = Tape::new();
    for number in 0..seconds as u32 {
        let [_, high, middle, low] = number.to_be_bytes();
        Tcp::new(([10, 66, 6, 6], 40_000), ([30, high, middle, low], 80)).segment(true, &[], SYN, &mut tape);
    }
    let file = tape.take();
    assert_eq!(&file[..24], header());
    crate::support::blocks::records(&file).into_iter().map(|record| record[16..].to_vec()).collect()
}

#[test]
fn connections_that_rest_for_two_hours_go_on() {
    const REST: u64 = 7200;
    // Of these files, in microseconds.
    const SECOND: u64 = 1_000_000;
    let folder = tempfile::tempdir().unwrap();
    for name in ["small-clear", "small-h2"] {
        let whole = data(&format!("{name}.pcapng"));
        let bytes = fs::read(&whole).unwrap();
        let all = blocks(&bytes);
        let packets = all.iter().filter(|(kind, _)| *kind == PACKET).count();
        // In the middle of everything: requests are under way.
        for break_after in [packets / 3, packets / 2, packets * 3 / 4] {
            let (mut rested, mut seen) = (Vec::new(), 0);
            for (kind, block) in &all {
                if *kind != PACKET {
                    rested.extend_from_slice(block);
                    continue;
                }
                let late = if seen > break_after { REST * SECOND } else { 0 };
                rested.extend(at_time(block, time(block) + late));
                if seen == break_after {
                    for (number, other) in others(REST).iter().enumerate() {
                        rested.extend(packet_block(time(block) + number as u64 * SECOND, other));
                    }
                }
                seen += 1;
            }
            let path = folder.path().join("rested.pcapng");
            fs::write(&path, rested).unwrap();
            assert_eq!(told(&path), told(&whole), "{name} after {break_after} of {packets} packets");
        }
    }
}
