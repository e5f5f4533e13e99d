//! Disks without room: for the output, for the temporary file.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::scene::{Scene, capture, faulty, first, line_paths, waiting_capture};
use crate::support::process::{harshark, run, said};

/// "No space left on device".
const ENOSPC: i32 = 28;

/// The command under a limit of `blocks` of 512 bytes for each file that it writes.
fn limited(scene: &Scene, blocks: usize, words: &[&str]) -> Output {
    let mut command = Command::new("sh");
    // Ignored, the signal becomes an error that is told.
    command.args(["-c", "trap '' XFSZ; ulimit -f \"$0\"; exec \"$@\""]).arg(blocks.to_string());
    let plain = scene.command();
    command.arg(plain.get_program()).args(plain.get_args()).args(words).env_remove("SSLKEYLOGFILE");
    run(&mut command)
}

#[test]
fn a_full_folder_leaves_the_old_har() {
    let scene = Scene::new();
    let input = scene.put("big.pcap", &capture(20, 60_000));
    let target = scene.put("out/page.har", b"old");
    let words = [input.to_str().unwrap(), "-o", target.to_str().unwrap()];
    let mut command = scene.command();
    for ended in
        [limited(&scene, 1000, &words), faulty(command.args(words), "write", 4, &scene.path("out"), Some(ENOSPC))]
    {
        assert_eq!(ended.status.code(), Some(2), "{}", said(&ended));
        assert!(said(&ended).contains("page.har: cannot write: "), "{}", said(&ended));
        assert!(said(&ended).contains("-o"), "says what to do: {}", said(&ended));
        assert_eq!(fs::read(&target).unwrap(), b"old");
        assert_eq!(scene.names("out"), ["page.har"]);
    }
}

#[test]
fn a_full_temporary_folder_is_named_with_the_way_out() {
    let scene = Scene::new();
    let input = scene.put("big.pcap", &waiting_capture());
    let target = scene.put("out/page.har", b"old");
    let words = [input.to_str().unwrap(), "-o", target.to_str().unwrap()];
    let mut command = scene.command();
    for ended in
        [limited(&scene, 600, &words), faulty(command.args(words), "write", 1, &scene.path("temporary"), Some(ENOSPC))]
    {
        assert_eq!(ended.status.code(), Some(2), "{}", said(&ended));
        let folder = scene.path("temporary");
        assert!(said(&ended).contains(folder.to_str().unwrap()), "{}", said(&ended));
        assert!(said(&ended).contains("--temporary"), "{}", said(&ended));
        assert_eq!(fs::read(&target).unwrap(), b"old");
        assert_eq!(scene.names("out"), ["page.har"]);
    }
    let ended = run(harshark().args(words).args(["--temporary", "/no/such/folder"]));
    assert_eq!(ended.status.code(), Some(2));
    assert!(said(&ended).contains("/no/such/folder") && said(&ended).contains("--temporary"), "{}", said(&ended));
}

#[test]
fn lines_on_a_full_disk_are_whole_as_far_as_they_go() {
    let scene = Scene::new();
    let input = scene.put("big.pcap", &capture(20, 60_000));
    let target = scene.path("out/lines.ndjson");
    let words = [input.to_str().unwrap(), "--format", "ndjson", "-o", target.to_str().unwrap()];
    let ended = limited(&scene, 1000, &words);
    assert_eq!(ended.status.code(), Some(2), "{}", said(&ended));
    assert!(said(&ended).contains("lines.ndjson: cannot write: "), "{}", said(&ended));
    let kept = line_paths(&fs::read(&target).unwrap());
    assert!(kept.len() > 3, "{kept:?}");
    assert_eq!(kept, first("a", kept.len()));
    assert_eq!(scene.names("out"), ["lines.ndjson"]);
}

#[test]
fn a_device_that_is_full_is_named() {
    let scene = Scene::new();
    let input = scene.put("big.pcap", &capture(3, 60_000));
    for format in ["har", "ndjson"] {
        let ended = run(scene.command().arg(&input).args(["--format", format, "-o", "/dev/full"]));
        assert_eq!(ended.status.code(), Some(2), "{format}");
        assert!(said(&ended).contains("/dev/full: cannot write: "), "{}", said(&ended));
    }
}

/// Runs a shell script with a mount of 1 MiB at `full`; nothing where mounts are not allowed.
fn with_small_disk(scene: &Scene, script: &str) -> Option<Output> {
    let full = scene.path("full");
    fs::create_dir_all(&full).unwrap();
    let script = format!("mount -t tmpfs -o size=1m none '{}' || exit 77\n{script}", full.display());
    let mut ways = [&["-m"][..], &["-rm"]].into_iter();
    let output = ways.find_map(|way| {
        let mut command = Command::new("unshare");
        let plain = scene.command();
        command.args(way).args(["sh", "-c", &script, "sh"]).arg(plain.get_program()).args(plain.get_args());
        let output = command.env_remove("SSLKEYLOGFILE").output().ok()?;
        let is_refused = output.status.code() == Some(77) || said(&output).contains("unshare failed");
        (!is_refused).then_some(output)
    });
    if output.is_none() {
        println!("skipped: no file system may be mounted here");
    }
    output
}

fn quoted(path: &Path) -> String {
    format!("'{}'", path.display())
}

#[test]
fn a_real_small_disk_leaves_the_old_har() {
    let scene = Scene::new();
    let input = quoted(&scene.put("big.pcap", &capture(40, 60_000)));
    let target = quoted(&scene.path("full/page.har"));
    // The file system is seen in here only: what is left on it is printed.
    let script = format!(
        "echo old > {target}; \"$@\" {input} -o {target}; echo $?; cat {target}; ls -A \"$(dirname {target})\""
    );
    let Some(ended) = with_small_disk(&scene, &script) else { return };
    assert_eq!(String::from_utf8_lossy(&ended.stdout), "2\nold\npage.har\n", "{}", said(&ended));
    assert!(said(&ended).contains("page.har: cannot write: No space left on device"), "{}", said(&ended));
}

#[test]
fn lines_on_a_real_small_disk_are_kept() {
    let scene = Scene::new();
    let input = quoted(&scene.put("big.pcap", &capture(40, 60_000)));
    let target = quoted(&scene.path("full/lines.ndjson"));
    for output in [format!("-o {target}"), format!("-o - > {target}")] {
        let script = format!("\"$@\" {input} --format ndjson {output}; echo $? >&2; cat {target}");
        let Some(ended) = with_small_disk(&scene, &script) else { return };
        assert!(said(&ended).ends_with("\n2\n") && said(&ended).contains("No space left"), "{}", said(&ended));
        // Standard output belongs to somebody else: there the last line may be cut.
        let whole = &ended.stdout[..=ended.stdout.iter().rposition(|&byte| byte == b'\n').unwrap()];
        let kept = line_paths(whole);
        assert!(kept.len() > 10, "{kept:?}");
        assert_eq!(kept, first("a", kept.len()));
        assert!(output.starts_with("-o -") || whole == ended.stdout, "{output}");
    }
}
