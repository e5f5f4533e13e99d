//! Files of secrets that are not what they should be.

use std::process::Output;

use crate::scene::{Scene, capture, paths};
use crate::support::data;
use crate::support::process::{run, said};

fn with(scene: &Scene, option: &str, value: &str) -> Output {
    let input = scene.put("a.pcap", &capture(1, 10));
    run(scene.command().arg(input).args([option, value, "-o"]).arg(scene.path("out/page.har")))
}

#[test]
fn secrets_that_cannot_be_read_are_named_before_anything_is_done() {
    let scene = Scene::new();
    let garbage = scene.put("garbage", &[0, 255, 10, 13, 200, 10, 7].repeat(1000));
    let out = scene.path("out");
    for (option, value, words) in [
        ("--keylog", "/no/such/keys.log", "No such file"),
        ("--keylog", out.to_str().unwrap(), "directory"),
        ("--keylog", "/proc/self/mem", "error"),
        ("--rsa-key", "/no/such/key.pem", "No such file"),
        ("--rsa-key", out.to_str().unwrap(), "directory"),
        ("--rsa-key", garbage.to_str().unwrap(), ""),
    ] {
        let output = with(&scene, option, value);
        assert_eq!(output.status.code(), Some(2), "{option} {value}");
        assert!(said(&output).contains(value) && said(&output).contains(words), "{}", said(&output));
        assert_eq!(said(&output).lines().count(), 1, "{}", said(&output));
        assert!(scene.names("out").is_empty());
    }
}

#[test]
fn a_file_that_only_root_may_read_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let scene = Scene::new();
    let keys = scene.put("keys.log", b"");
    std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o000)).unwrap();
    if std::fs::read(&keys).is_ok() {
        return println!("skipped: root may read everything");
    }
    let output = with(&scene, "--keylog", keys.to_str().unwrap());
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("keys.log: Permission denied"), "{}", said(&output));
}

#[test]
fn a_key_log_of_garbage_spoils_nothing_and_is_told() {
    let scene = Scene::new();
    let lines = [&[0, 255, 10, 13, 200, 10, 7][..]; 1000].concat();
    let no_line = vec![0xa5; 3 << 20];
    for garbage in [lines, no_line] {
        let output = with(&scene, "--keylog", scene.put("garbage", &garbage).to_str().unwrap());
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        assert!(said(&output).contains("broken line"), "{}", said(&output));
        assert_eq!(paths(&std::fs::read(scene.path("out/page.har")).unwrap()), ["/a/0"]);
    }
}

#[test]
fn good_lines_between_garbage_are_used() {
    let scene = Scene::new();
    let keys = std::fs::read(data("small-h2.keys")).unwrap();
    let mixed = [b"\xff\x00\xfe\n\n\nCLIENT_RANDOM zz\n", keys.as_slice(), b"\r\n\x80", &vec![b'a'; 100_000]].concat();
    let bare: Vec<u8> = crate::support::blocks::blocks(&std::fs::read(data("small-h2.pcapng")).unwrap())
        .into_iter()
        .filter(|(kind, _)| *kind != crate::support::blocks::SECRETS)
        .flat_map(|(_, block)| block.to_vec())
        .collect();
    let (input, keys) = (scene.put("bare.pcapng", &bare), scene.put("mixed.log", &mixed));
    let output = run(scene.command().arg(input).arg("--keylog").arg(keys).args(["-o", "-"]));
    assert!(output.status.success(), "{}", said(&output));
    let har: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(har["log"]["entries"].as_array().unwrap().len(), 15);
}
