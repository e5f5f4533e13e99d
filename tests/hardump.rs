//! The recorder as hosts use it: what it says, what it captures, how it stops, what it says when something fails.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may fail by panic and tell why it was skipped"
)]
#![allow(clippy::disallowed_methods, reason = "waits for other processes")]
#![cfg(unix)]

mod support;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::blocks::{PACKET, at_time, blocks, time};

const HARDUMP: &str = env!("CARGO_BIN_EXE_hardump");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The library of this build: cargo put it beside this test.
fn library() -> PathBuf {
    std::env::current_exe().unwrap().with_file_name("libharshark.so")
}

/// A folder with a FIFO, and a program in the place of dumpcap.
struct Stage {
    folder: tempfile::TempDir,
}

impl Stage {
    fn new(dumpcap: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for pipe in ["fifo", "in", "out"] {
            assert!(Command::new("mkfifo").arg(folder.path().join(pipe)).status().unwrap().success());
        }
        let program = folder.path().join("dumpcap");
        fs::write(&program, format!("#!/bin/sh\n{dumpcap}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn start(&self, har: &Path, more: &[&str]) -> Child {
        Command::new(HARDUMP)
            .args(["--capture", "--extcap-interface", "har", "--source", "small-clear.pcapng", "--fifo"])
            .arg(self.path("fifo"))
            .arg("--har")
            .arg(har)
            .args(more)
            .env("HARDUMP_DUMPCAP", self.path("dumpcap"))
            .env("HARSHARK_LIBRARY", library())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Reads the FIFO as the host does.
    fn host(&self) -> JoinHandle<Vec<u8>> {
        let fifo = self.path("fifo");
        std::thread::spawn(move || {
            let mut all = Vec::new();
            File::open(fifo).unwrap().read_to_end(&mut all).unwrap();
            all
        })
    }
}

fn har(path: &Path) -> Value {
    let mut har: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    har["log"]["creator"].take();
    har
}

fn entries(har: &Value) -> usize {
    har["log"]["entries"].as_array().unwrap().len()
}

fn capture() -> PathBuf {
    root().join("tests/data/small-clear.pcapng")
}

fn standalone(capture: &Path, folder: &Path) -> Value {
    let out = folder.join("standalone.har");
    let status =
        Command::new(env!("CARGO_BIN_EXE_harshark")).arg("-q").arg(capture).arg("-o").arg(&out).status().unwrap();
    assert!(status.success());
    har(&out)
}

fn ask(words: &[&str]) -> Output {
    Command::new(HARDUMP).args(words).env("HARSHARK_LIBRARY", library()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn terminate(child: &Child) {
    // One that is gone already says itself why.
    let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
}

/// Waits until something is so; it must become so within seconds.
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_secs(20), "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn it_says_what_it_is() {
    let interfaces = text(&ask(&["--extcap-interfaces", "--extcap-version=4.0"]).stdout);
    assert!(interfaces.contains("interface {value=har}{display=HAR recorder}"), "{interfaces}");
    assert!(interfaces.contains("{type=button}{display=Export HAR now}"));
    assert!(text(&ask(&["--extcap-dlts", "--extcap-interface", "har"]).stdout).starts_with("dlt {number="));
    assert!(text(&ask(&["--version"]).stdout).starts_with("hardump "));
    let config = text(&ask(&["--extcap-config", "--extcap-interface", "har"]).stdout);
    for part in [
        "{call=--source}",
        "{call=--har}{display=HAR file}{type=fileselect}",
        "{call=--rotate-minutes}",
        "{call=--key-log}",
        "{call=--response-bodies}",
        "{type=boolean}",
        "{value=strict}{display=strict}{default=false}",
        "{group=Bodies}",
        "{group=Privacy}",
    ] {
        assert!(config.contains(part), "{part} is not in\n{config}");
    }
    // Numbers of arguments count from 0 without a hole, and values belong to an argument that was told before.
    let mut next = 0;
    for line in config.lines() {
        let number = |key: &str| -> Option<u32> { line.split(key).nth(1)?.split('}').next()?.parse().ok() };
        match line.split(' ').next() {
            Some("arg") => {
                assert_eq!(number("{number="), Some(next), "{line}");
                // A longer title ends Wireshark.
                let title = line.split("{display=").nth(1).and_then(|rest| rest.split('}').next()).unwrap();
                assert!(title.len() <= 80, "{title}");
                next += 1;
            }
            Some("value") => assert_eq!(number("{arg="), Some(next - 1), "{line}"),
            _ => panic!("{line}"),
        }
    }
    let bad = ask(&["--rotate-minutes", "often", "--capture"]);
    assert!(!bad.status.success() && text(&bad.stderr).contains("--rotate-minutes"));
}

#[test]
fn wireshark_may_ask_about_a_capture_filter() {
    // Whatever is said is a fault, and Wireshark then starts no capture.
    for filter in ["tcp port 80", "ether host 02:77:00:00:00:01", ""] {
        let said = ask(&["--extcap-capture-filter", filter, "--extcap-interface", "har"]);
        assert!(said.status.success() && said.stdout.is_empty(), "{filter}: {}", text(&said.stdout));
    }
    let stage = Stage::new("[ \"$1\" = -D ] && echo '1. eth0' || echo \"no good ($*): syntax error\" >&2");
    let mut command = Command::new(HARDUMP);
    command.args(["--extcap-interface=har", "--extcap-capture-filter=tcp prt 80"]);
    let said = command.env("HARDUMP_DUMPCAP", stage.path("dumpcap")).output().unwrap();
    assert!(said.status.success());
    assert_eq!(text(&said.stdout), "no good (-q -d -i eth0 -f tcp prt 80): syntax error");
}

#[test]
fn it_says_where_it_looked_for_the_library() {
    let output = Command::new(HARDUMP)
        .args(["--extcap-config", "--extcap-interface", "har"])
        .env("HARSHARK_LIBRARY", "/no/such/libharshark.so")
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("/no/such/libharshark.so: not there"), "{}", text(&output.stderr));
    // What is no harshark is not used.
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.so");
    fs::write(&other, "no library").unwrap();
    let output = Command::new(HARDUMP).arg("--extcap-config").env("HARSHARK_LIBRARY", &other).output().unwrap();
    assert!(!output.status.success() && text(&output.stderr).contains("other.so"));
}

#[test]
fn a_replayed_capture_gives_the_standalones_har() {
    let stage = Stage::new(&format!("exec cat {}", capture().display()));
    let out = stage.path("out.har");
    let host = stage.host();
    let output = stage.start(&out, &[]).wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
    assert!(host.join().unwrap() == fs::read(capture()).unwrap(), "the packets were touched");
    let expected = standalone(&capture(), stage.folder.path());
    assert!(entries(&expected) > 0);
    assert!(har(&out) == expected);
    assert_eq!(fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_silent_capture_stops_within_a_second_and_the_har_is_whole() {
    let stage = Stage::new(&format!("cat {}; exec sleep 60", capture().display()));
    let out = stage.path("out.har");
    let host = stage.host();
    let child = stage.start(&out, &["--sanitize", "strict", "--pages=false"]);
    // The HAR grows while it captures.
    wait_until("a HAR while capturing", || out.exists());
    let growing = entries(&har(&out));
    assert!(growing > 0);
    terminate(&child);
    let asked = Instant::now();
    let output = child.wait_with_output().unwrap();
    let took = asked.elapsed();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert!(host.join().unwrap() == fs::read(capture()).unwrap());
    assert_eq!(entries(&har(&out)), entries(&standalone(&capture(), stage.folder.path())));
}

#[test]
fn a_host_that_goes_away_ends_it() {
    let stage = Stage::new(&format!("cat {}; exec sleep 60", capture().display()));
    let out = stage.path("out.har");
    let fifo = stage.path("fifo");
    let host = std::thread::spawn(move || {
        let mut some = [0; 1000];
        File::open(fifo).unwrap().read_exact(&mut some).unwrap();
    });
    let output = stage.start(&out, &[]).wait_with_output().unwrap();
    host.join().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(entries(&har(&out)) > 0);
}

#[test]
fn what_dumpcap_complains_about_is_told() {
    let stage = Stage::new("echo 'You do not have permission to capture on lo' >&2; exit 2");
    let host = stage.host();
    let output = stage.start(&stage.path("out.har"), &[]).wait_with_output().unwrap();
    host.join().unwrap();
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("You do not have permission"), "{}", text(&output.stderr));

    // Dead in the middle of a block: the HAR of what came.
    let stage = Stage::new(&format!("head -c 50000 {}; kill -9 $$", capture().display()));
    let out = stage.path("out.har");
    let host = stage.host();
    let output = stage.start(&out, &[]).wait_with_output().unwrap();
    assert_eq!(host.join().unwrap().len(), 50_000);
    assert!(!output.status.success() && text(&output.stderr).contains("dumpcap failed"), "{}", text(&output.stderr));
    assert!(entries(&har(&out)) > 0);
}

#[test]
fn a_har_that_cannot_be_written_is_told_and_packets_go_on() {
    let stage = Stage::new(&format!("exec cat {}", capture().display()));
    let host = stage.host();
    let output = stage.start(&stage.path("no/such/folder/out.har"), &[]).wait_with_output().unwrap();
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("no/such/folder/out.har"), "{}", text(&output.stderr));
    assert!(host.join().unwrap() == fs::read(capture()).unwrap());
    let full = stage.host();
    let output = stage.start(Path::new("/dev/full"), &[]).wait_with_output().unwrap();
    assert!(!output.status.success() && text(&output.stderr).contains("/dev/full"), "{}", text(&output.stderr));
    full.join().unwrap();
}

#[test]
fn files_rotate_without_losing_an_entry() {
    // The capture again and again, in time that lets it rotate in between.
    let times = 30_u64;
    let once = fs::read(capture()).unwrap();
    let again = |turn: u64| -> Vec<u8> {
        let later = |&(kind, block): &(u32, &[u8])| match kind {
            // A minute later each time, in microseconds.
            PACKET => at_time(block, time(block) + turn * 60_000_000),
            _ => block.to_vec(),
        };
        blocks(&once).iter().flat_map(later).collect()
    };
    let turns: Vec<Vec<u8>> = (0..times).map(again).collect();
    let bytes = turns.concat();
    assert!(bytes.len() > 2_000_000);
    let folder = tempfile::tempdir().unwrap();
    for (turn, bytes) in turns.iter().enumerate() {
        fs::write(folder.path().join(turn.to_string()), bytes).unwrap();
    }
    let source = folder.path().display();
    let stage = Stage::new(&format!("for n in $(seq 0 {}); do cat {source}/$n; sleep 0.08; done", times - 1));
    let out = stage.path("out.har");
    let host = stage.host();
    let output = stage.start(&out, &["--rotate-megabytes", "1"]).wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(host.join().unwrap() == bytes);
    let mut parts: Vec<PathBuf> = fs::read_dir(stage.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "har"))
        .collect();
    parts.sort();
    assert!(parts.len() > 1, "{parts:?}");
    assert!(parts[0].file_name().unwrap().to_string_lossy().starts_with("out_00001_"), "{parts:?}");
    // All of them hold what one file of the same packets holds.
    let repeated = stage.path("small-clear.pcapng");
    fs::write(&repeated, bytes).unwrap();
    let all: usize = parts.iter().map(|part| entries(&har(part))).sum();
    assert_eq!(all, entries(&standalone(&repeated, stage.folder.path())));
}

#[test]
fn a_key_log_is_followed_while_it_grows() {
    // The secrets are in the capture as well: cut them off, so that the key log alone tells.
    let h2 = fs::read(root().join("tests/data/small-h2.pcapng")).unwrap();
    let mut bare = Vec::new();
    let mut rest = h2.as_slice();
    while let Some(head) = rest.first_chunk::<8>() {
        let kind = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let (block, later) = rest.split_at(length);
        if kind != 10 {
            bare.extend(block);
        }
        rest = later;
    }
    let stage = Stage::new(
        "cat bare.pcapng; exec sleep 60".replace("bare.pcapng", "\"$(dirname \"$0\")/bare.pcapng\"").as_str(),
    );
    fs::write(stage.path("bare.pcapng"), bare).unwrap();
    let keys = fs::read(root().join("tests/data/small-h2.keys")).unwrap();
    let log = stage.path("keys.log");
    let out = stage.path("out.har");
    let host = stage.host();
    let child = stage.start(&out, &["--key-log", log.to_str().unwrap()]);
    std::thread::sleep(Duration::from_millis(700));
    // It is made late, and written in pieces that cut lines.
    let mut file = File::create(&log).unwrap();
    for piece in keys.chunks(keys.len() / 3 + 1) {
        file.write_all(piece).unwrap();
        std::thread::sleep(Duration::from_millis(200));
    }
    terminate(&child);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    host.join().unwrap();
    assert!(entries(&har(&out)) > 5, "{}", entries(&har(&out)));
}

/// Control, command and text of what the toolbar is told until the pipe ends.
fn messages_in(pipe: PathBuf) -> JoinHandle<Vec<(u8, u8, String)>> {
    std::thread::spawn(move || {
        let mut all = Vec::new();
        File::open(pipe).unwrap().read_to_end(&mut all).unwrap();
        let mut rest = all.as_slice();
        let mut messages = Vec::new();
        while let [b'T', high, middle, low, control, command, more @ ..] = rest {
            let length = u32::from_be_bytes([0, *high, *middle, *low]) as usize - 2;
            let (payload, later) = more.split_at(length);
            messages.push((*control, *command, text(payload)));
            rest = later;
        }
        assert!(rest.is_empty());
        messages
    })
}

#[test]
fn what_was_dropped_stands_in_the_log_and_in_the_har() {
    let counted = root().join("tests/data/dropped.pcapng");
    let words = "Packets received/dropped on interface 'eth0': 120/8 (pcap:5/dumpcap:1/flushed:2/ps_ifdrop:0) (93.8%)";
    // With dumpcap's words, and without.
    for (last, said) in [
        (format!("; echo \"{words}\" >&2"), "; dumpcap dropped 8 of 128 packets on eth0 (kernel: 5, dumpcap: 3)\n"),
        (String::new(), "; the capture program dropped 8 packets\n"),
    ] {
        let stage = Stage::new(&format!("cat {}{last}", counted.display()));
        let out = stage.path("out.har");
        let host = stage.host();
        let toolbar = stage.path("out");
        let child = stage.start(&out, &["--extcap-control-out", toolbar.to_str().unwrap()]);
        let heard = messages_in(toolbar);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{}", text(&output.stderr));
        host.join().unwrap();
        let messages = heard.join().unwrap();
        let whole = messages.iter().find(|(_, _, text)| text.starts_with("the HAR is whole")).unwrap();
        assert!(whole.2.ends_with(said), "{messages:?}");
        assert_eq!(har(&out)["log"]["_capture"]["dropped"]["packets"], 8);
    }
}

#[test]
fn the_toolbar_works() {
    let stage = Stage::new(&format!("cat {}; exec sleep 60", capture().display()));
    let (from_host, to_host) = (stage.path("in"), stage.path("out"));
    let out = stage.path("out.har");
    let host = stage.host();
    let child = stage.start(
        &out,
        &["--extcap-control-in", from_host.to_str().unwrap(), "--extcap-control-out", to_host.to_str().unwrap()],
    );
    let heard = messages_in(to_host);
    let mut buttons = File::options().write(true).open(from_host).unwrap();
    // The log is initialised; then the button is pressed.
    buttons.write_all(&[b'T', 0, 0, 2, 1, 0]).unwrap();
    wait_until("the first HAR", || {
        buttons.write_all(&[b'T', 0, 0, 2, 0, 1]).unwrap();
        std::thread::sleep(Duration::from_millis(200));
        out.exists() && entries(&har(&out)) > 0
    });
    // The status bar is written twice a second.
    std::thread::sleep(Duration::from_millis(1200));
    terminate(&child);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    host.join().unwrap();
    let messages = heard.join().unwrap();
    let said = |control, command, what: &str| {
        messages.iter().any(|(c, m, text)| (*c, *m) == (control, command) && text.contains(what))
    };
    assert!(said(1, 2, "entries written to"), "{messages:?}");
    assert!(said(1, 2, "the HAR is whole"), "{messages:?}");
    assert!(said(0, 6, "entries so far"), "{messages:?}");
}

/// A web server on loopback that answers everything with a few words.
fn server() -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello");
        }
    });
    address
}

fn fetch(address: std::net::SocketAddr, path: &str) {
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    // In one piece: the server reads once.
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("hello"));
}

/// Fetches until the recorder has told of it, or is gone.
fn fetch_until_recorded(address: std::net::SocketAddr, out: &Path, child: &mut Child) {
    let started = Instant::now();
    let mut number = 0;
    while started.elapsed() < Duration::from_secs(25) && child.try_wait().unwrap().is_none() {
        if fs::read(out).is_ok_and(|text| serde_json::from_slice::<Value>(&text).is_ok_and(|har| entries(&har) > 0)) {
            return;
        }
        number += 1;
        fetch(address, &format!("/live/{number}"));
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn assert_live(har: &Value, address: std::net::SocketAddr) {
    let first = &har["log"]["entries"][0];
    let url = first["request"]["url"].as_str().unwrap();
    assert!(url.starts_with(&format!("http://{address}/live/")), "{url}");
    assert_eq!(
        (first["response"]["status"].as_u64(), first["response"]["content"]["text"].as_str()),
        (Some(200), Some("hello"))
    );
}

#[test]
fn it_records_live_traffic() {
    let stage = Stage::new("exit 1");
    let out = stage.path("out.har");
    let address = server();
    let host = stage.host();
    let mut child = Command::new(HARDUMP)
        .args(["--capture", "--extcap-interface", "har", "--source", "lo", "--fifo"])
        .arg(stage.path("fifo"))
        .args(["--extcap-capture-filter", &format!("tcp port {}", address.port()), "--har"])
        .arg(&out)
        .env_remove("HARDUMP_DUMPCAP")
        .env("HARSHARK_LIBRARY", library())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    fetch_until_recorded(address, &out, &mut child);
    terminate(&child);
    let output = child.wait_with_output().unwrap();
    let said = text(&output.stderr);
    if ["permission", "cannot start", "not permitted"].iter().any(|word| said.contains(word)) {
        println!("skipped: dumpcap may not capture here: {said}");
        return;
    }
    assert!(output.status.success(), "{said}");
    assert!(!host.join().unwrap().is_empty());
    assert_live(&har(&out), address);
}

#[test]
fn tshark_records_with_it() {
    let words = |program: &str, arguments: &[&str]| {
        Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
    };
    // Root's tshark ignores folders that are not the system's: an unprivileged one that may capture is needed.
    let drop = [
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "--inh-caps=+net_raw,+net_admin",
        "--ambient-caps=+net_raw,+net_admin",
    ];
    if !words("tshark", &["--version"]) || !words("setpriv", &[&drop[..], &["true"]].concat()) {
        return println!("skipped: there is no tshark, or setpriv may not give it the right to capture");
    }
    let stage = Stage::new("exit 1");
    let folder = stage.folder.path();
    for (from, name) in [(Path::new(HARDUMP), "extcap/hardump"), (&library(), "libharshark.so")] {
        fs::create_dir_all(folder.join("extcap")).unwrap();
        fs::copy(from, folder.join(name)).unwrap();
    }
    fs::set_permissions(folder.join("libharshark.so"), fs::Permissions::from_mode(0o644)).unwrap();
    let free = folder.join("free");
    fs::create_dir(&free).unwrap();
    for open in [folder, &free] {
        fs::set_permissions(open, fs::Permissions::from_mode(0o777)).unwrap();
    }
    let out = free.join("out.har");
    let address = server();
    let mut child = Command::new("setpriv")
        .args(drop)
        .args(["tshark", "-q", "-i", "har", "-o", "extcap.har.source:lo", "-o"])
        .arg(format!("extcap.har.har:{}", out.display()))
        .args(["-f", &format!("tcp port {}", address.port()), "-w"])
        .arg(free.join("out.pcapng"))
        .env("HOME", &free)
        .env("WIRESHARK_EXTCAP_DIR", folder.join("extcap"))
        .env_remove("HARDUMP_DUMPCAP")
        .env("HARSHARK_LIBRARY", folder.join("libharshark.so"))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    fetch_until_recorded(address, &out, &mut child);
    terminate(&child);
    let output = child.wait_with_output().unwrap();
    let said = text(&output.stderr);
    if said.contains("permission") {
        return println!("skipped: dumpcap may not capture here: {said}");
    }
    assert!(out.exists(), "{said}");
    assert_live(&har(&out), address);
    assert!(fs::metadata(free.join("out.pcapng")).unwrap().len() > 0);
}
