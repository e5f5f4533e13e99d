//! Killed without warning, at each of many moments.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use crate::scene::{Scene, capture, faulty, waiting_capture};

/// Kills the command before its 1st, 2nd, 3rd, 5th… call of that kind on files of the folder, until it comes through. After each the
/// target is as it was, and neither folder has anything new in it. Gives the calls that it survived.
fn kill_at(call: &str, folder: &str, capture: &[u8]) -> usize {
    let scene = Scene::new();
    let input = scene.put("big.pcap", capture);
    let expected = scene.har(&input);
    let target = scene.put("out/page.har", b"old");
    for at in std::iter::successors(Some(1), |at| Some(at + 1 + at / 4)) {
        let mut command = scene.command();
        command.arg("-q").arg(&input).arg("-o").arg(&target);
        let ended = faulty(&mut command, call, at, &scene.path(folder), None);
        assert_eq!(scene.names("out"), ["page.har"], "killed before {call} {at}");
        assert!(scene.names("temporary").is_empty(), "killed before {call} {at}");
        if ended.status.success() {
            assert!(fs::read(&target).unwrap() == expected);
            return at;
        }
        assert_eq!(ended.status.signal(), Some(9), "{ended:?}");
        assert_eq!(fs::read(&target).unwrap(), b"old", "killed before {call} {at}");
    }
    unreachable!()
}

#[test]
fn killed_while_it_reads_the_target_is_as_it_was() {
    assert!(kill_at("read", "big.pcap", &capture(40, 60_000)) > 3);
}

#[test]
fn killed_while_it_writes_the_target_is_as_it_was() {
    assert!(kill_at("write", "out", &capture(40, 60_000)) > 3);
}

#[test]
fn killed_while_it_uses_its_temporary_file_nothing_is_left_there() {
    assert!(kill_at("write", "temporary", &waiting_capture()) > 1);
}

#[test]
fn what_a_killed_run_may_have_left_goes_with_the_next() {
    // Where the file system has no unnamed files, or when killed in the moment before the name changes.
    let scene = Scene::new();
    let input = scene.put("a.pcap", &capture(1, 10));
    let half = fs::File::create(scene.path("out/.page.har.aB3dE9.part")).unwrap();
    half.set_modified(half.metadata().unwrap().modified().unwrap() - Duration::from_secs(100)).unwrap();
    drop(half);
    let others = [".page.har.part", ".page.har.aB3dE9.part.txt", ".other.har.aB3dE9.part", "page.har.aB3dE9.part"];
    for other in others {
        scene.put(&format!("out/{other}"), b"somebody's");
    }
    let mut command = scene.command();
    let ended = command.arg("-q").arg(&input).arg("-o").arg(scene.path("out/page.har")).output().unwrap();
    assert!(ended.status.success());
    let mut wanted: Vec<String> = others.iter().map(ToString::to_string).collect();
    wanted.push("page.har".into());
    wanted.sort();
    assert_eq!(scene.names("out"), wanted);
}
