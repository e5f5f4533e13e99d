//! What goes wrong gives a message and a non-zero exit, and never takes the host down.

use std::fs;
use std::process::Command;

use super::host::{Host, data, entries, has, said, standalone};

const CAPTURE: &str = "small-clear.pcapng";

#[test]
fn errors_are_said_and_end_the_run() {
    let Some(host) = Host::installed() else { return };
    let capture = host.capture(CAPTURE);
    for (argument, words) in [
        ("har", "a file is missing"),
        ("har,", "a file is missing"),
        ("har,/no/such/folder/x.har", "cannot write"),
        ("har,/dev/full", "cannot write"),
        ("har,/tmp/never.har,no such filter ===", "never.har"),
    ] {
        let output = host.tshark(["-q", "-r", &capture, "-z", argument]);
        assert!(!output.status.success(), "{argument}");
        if words != "never.har" {
            assert!(said(&output).contains(words), "{argument}: {}", said(&output));
        }
    }
    assert!(!std::path::Path::new("/tmp/never.har").exists());
    let output = host.tshark(["-q", "-r", &capture, "-o", "har.max_body_size:a lot", "-z", "har,-"]);
    assert!(!output.status.success() && said(&output).contains("max-body-size"), "{}", said(&output));
}

#[test]
fn one_failure_does_not_cost_the_others() {
    let Some(host) = Host::installed() else { return };
    let capture = host.capture(CAPTURE);
    let good = format!("har,{}", host.inner("good.har"));
    let output = host.tshark(["-q", "-r", &capture, "-z", "har,/dev/full", "-z", &good]);
    assert!(!output.status.success());
    assert_eq!(host.har("good.har"), standalone(&data(CAPTURE), &[]));
}

#[test]
fn a_full_disk_leaves_nothing_behind() {
    let Some(host) = Host::installed() else { return };
    fs::create_dir(host.path("small")).unwrap();
    let mount = ["-t", "tmpfs", "-o", "size=32k,mode=777", "tmpfs"];
    if !Command::new("mount").args(mount).arg(host.path("small")).output().is_ok_and(|output| output.status.success()) {
        return println!("skipped: no right to mount a small disk");
    }
    let capture = host.capture(CAPTURE);
    let output = host.tshark(["-q", "-r", &capture, "-z", &format!("har,{}", host.inner("small/x.har"))]);
    let left = fs::read_dir(host.path("small")).unwrap().count();
    assert!(Command::new("umount").arg(host.path("small")).status().unwrap().success());
    assert!(!output.status.success());
    assert!(said(&output).contains("cannot write"), "{}", said(&output));
    assert_eq!(left, 0);
}

#[test]
fn the_capture_is_not_overwritten() {
    let Some(host) = Host::installed() else { return };
    let capture = host.capture(CAPTURE);
    let output = host.tshark(["-q", "-r", &capture, "-z", &format!("har,{capture}")]);
    assert!(!output.status.success());
    assert_eq!(fs::read(host.path(CAPTURE)).unwrap(), fs::read(data(CAPTURE)).unwrap());
}

#[test]
fn of_a_damaged_capture_comes_what_there_is() {
    let Some(host) = Host::installed() else { return };
    let whole = fs::read(data(CAPTURE)).unwrap();
    fs::write(host.path("cut.pcapng"), &whole[..whole.len() / 2]).unwrap();
    let cut = host.inner("cut.pcapng");
    let output = host.tshark(["-q", "-r", &cut, "-z", &format!("har,{}", host.inner("cut.har"))]);
    // tshark says so itself.
    assert!(!output.status.success());
    let wanted = standalone(&host.path("cut.pcapng"), &[]);
    assert!(entries(&wanted) > 0);
    assert_eq!(host.har("cut.har"), wanted);
    let mut state = 9u64;
    for round in 0..8 {
        let mut bytes = whole.clone();
        for _ in 0..200 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let at = 64 + (state >> 33) as usize % (bytes.len() - 64);
            bytes[at] = (state >> 20) as u8;
        }
        fs::write(host.path("bad.pcapng"), bytes).unwrap();
        let output = host.tshark(["-2", "-r", &host.inner("bad.pcapng"), "-V", "-z", "har,/dev/null"]);
        assert!(output.status.code().is_some(), "round {round}: {:?}", output.status);
    }
}

#[test]
fn a_fault_inside_a_callback_is_a_message() {
    let Some(host) = Host::installed() else { return };
    let capture = host.capture(CAPTURE);
    for (part, is_fatal) in [("start", false), ("fields", false), ("objects", false), ("secrets", false), ("tap", true)]
    {
        let output = host
            .command("env")
            .arg(format!("HARSHARK_FAULT={part}"))
            .args(["tshark", "-r", &capture, "-Y", "http"])
            .args(if part == "start" { &[][..] } else { &["-z", "har,/dev/null"][..] })
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(i32::from(is_fatal)), "{part}: {}", said(&output));
        if part != "secrets" {
            assert!(
                said(&output).contains(&format!("internal fault in {part}: rehearsed")),
                "{part}: {}",
                said(&output)
            );
        }
        if !is_fatal {
            assert!(output.stdout.split(|&byte| byte == b'\n').count() > 10, "{part}");
        }
    }
}

#[test]
fn a_version_without_a_layout_is_refused() {
    let Some(host) = Host::installed() else { return };
    if !has("cc") {
        return println!("skipped: no C compiler");
    }
    let source = host.path("newer.c");
    fs::write(&source, "void epan_get_version_number(int *a, int *b, int *c) { *a = 4; *b = 9; *c = 1; }\n").unwrap();
    let library = host.path("newer.so");
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status().unwrap();
    assert!(built.success());
    let capture = host.capture(CAPTURE);
    let output = host
        .command("env")
        .arg(format!("LD_PRELOAD={}", host.inner("newer.so")))
        .args(["tshark", "-r", &capture, "-Y", "http"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("harshark"), "{}", said(&output));
    assert!(!output.stdout.is_empty());
}
