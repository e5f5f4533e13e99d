//! `tshark -z har`: the same HAR as the command's, however packets come.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use serde_json::Value;

use super::host::{Host, comparable, data, entries, has, said, standalone};

const CLEAR: [&str; 4] = ["small-clear.pcapng", "errors-clear.pcapng", "raw-h1.pcapng", "sse-clear.pcapng"];

#[test]
fn the_har_is_the_one_of_the_command() {
    let Some(host) = Host::installed() else { return };
    for name in CLEAR {
        let wanted = standalone(&data(name), &[]);
        assert!(entries(&wanted) > 0, "{name}");
        let capture = host.capture(name);
        assert_eq!(host.export(&["-r", &capture]), wanted, "{name}");
        assert_eq!(host.export(&["-2", "-r", &capture]), wanted, "{name} in two passes");
    }
}

#[test]
fn secrets_come_from_the_preference_of_the_host() {
    let Some(host) = Host::installed() else { return };
    for name in ["small-h2", "small-h3"] {
        let keys = host.lend(&data(&format!("{name}.keys")));
        let capture = data(&format!("{name}.pcapng"));
        let wanted = standalone(&capture, &["--keylog", data(&format!("{name}.keys")).to_str().unwrap()]);
        let preference = format!("tls.keylog_file:{keys}");
        assert_eq!(host.export(&["-o", &preference, "-r", &host.lend(&capture)]), wanted, "{name}");
    }
}

#[test]
fn secrets_inside_the_capture_reach_the_host_too() {
    let Some(host) = Host::installed() else { return };
    let capture = fs::read(data("small-h2.pcapng")).unwrap();
    let secrets = fs::read(data("small-h2.keys")).unwrap();
    // A Decryption Secrets Block behind the Section Header Block: type, length, kind, length of the secrets, padding, length.
    let header = u32::from_le_bytes(capture[4..8].try_into().unwrap()) as usize;
    let len = 20 + secrets.len().next_multiple_of(4);
    let mut block: Vec<u8> =
        [10, len as u32, 0x544c_534b, secrets.len() as u32].iter().flat_map(|n| n.to_le_bytes()).collect();
    block.extend_from_slice(&secrets);
    block.resize(len - 4, 0);
    block.extend_from_slice(&(len as u32).to_le_bytes());
    fs::write(host.path("with-keys.pcapng"), [&capture[..header], &block, &capture[header..]].concat()).unwrap();
    let with_keys = host.inner("with-keys.pcapng");
    let wanted = standalone(&host.path("with-keys.pcapng"), &[]);
    assert!(entries(&wanted) > 0);
    assert_eq!(host.export(&["-r", &with_keys]), wanted);
    // The TLS dissector still gets what the plugin took its place for.
    let output =
        host.tshark(["-r", &with_keys, "-Y", "http2.headers.path", "-z", &format!("har,{}", host.inner("x.har"))]);
    assert!(!output.stdout.is_empty(), "{}", said(&output));
}

#[test]
fn packets_come_from_a_pipe_and_from_compressed_files() {
    let Some(host) = Host::installed() else { return };
    let wanted = standalone(&data(CLEAR[0]), &[]);
    let text = fs::read(data(CLEAR[0])).unwrap();
    let output = host.inner("piped.har");
    let mut child = host
        .command("tshark")
        .args(["-r", "-", "-q", "-z", &format!("har,{output}")])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&text).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(nameless(host.har("piped.har")), nameless(wanted.clone()));

    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&text).unwrap();
    fs::write(host.path("packed.pcapng.gz"), packed.finish().unwrap()).unwrap();
    assert_eq!(nameless(host.export(&["-r", &host.inner("packed.pcapng.gz")])), nameless(wanted));
}

/// Without the name of the capture, which pages have too.
fn nameless(mut har: Value) -> Value {
    har["log"]["_capture"]["file"] = Value::Null;
    for page in har["log"]["pages"].as_array_mut().unwrap() {
        page["title"] = Value::Null;
    }
    har
}

#[test]
fn several_go_beside_each_other_and_one_to_standard_output() {
    let Some(host) = Host::installed() else { return };
    let capture = host.capture(CLEAR[0]);
    let file = format!("har,{}", host.inner("one.har"));
    let output = host.tshark(["-q", "-r", &capture, "-z", &file, "-z", "har,-"]);
    assert!(output.status.success(), "{}", said(&output));
    let wanted = standalone(&data(CLEAR[0]), &[]);
    assert_eq!(comparable(&output.stdout), wanted);
    assert_eq!(host.har("one.har"), wanted);
}

#[test]
fn a_filter_selects_entries_and_reassembly_sees_everything() {
    let Some(host) = Host::installed() else { return };
    let capture = host.capture(CLEAR[0]);
    let wanted = standalone(&data(CLEAR[0]), &[]);
    let export = |filter: &str| {
        let output = host.tshark(["-q", "-r", &capture, "-z", &format!("har,-,{filter}")]);
        assert!(output.status.success(), "{}", said(&output));
        comparable(&output.stdout)["log"]["entries"].as_array().unwrap().clone()
    };
    let all = wanted["log"]["entries"].as_array().unwrap();
    // The head of a response of several frames: the body must be there all the same.
    let is_jpeg = |entry: &Value| entry["response"]["content"]["mimeType"] == "image/jpeg";
    let jpeg = all.iter().find(|entry| is_jpeg(entry)).expect("an image in the capture");
    let first = jpeg["_packet"]["responseFrames"][0].as_u64().unwrap();
    let some = export(&format!("frame.number == {first} && tcp.port in {{80, 8080}}"));
    assert_eq!(some.len(), 1);
    assert_eq!(some[0]["response"]["content"], jpeg["response"]["content"]);
    assert_eq!(export("frame").len(), all.len());
    assert_eq!(export("udp").len(), 0);
    // `-Y` is about what is shown, not about taps.
    let output = host.tshark(["-q", "-r", &capture, "-Y", "udp", "-z", "har,-"]);
    assert_eq!(entries(&comparable(&output.stdout)), all.len());
}

#[test]
fn preferences_are_options() {
    let Some(host) = Host::installed() else { return };
    let capture = host.capture(CLEAR[0]);
    let file = data(CLEAR[0]);
    for (preferences, options) in [
        (&["har.bodies:FALSE"][..], &["--no-bodies"][..]),
        (&["har.sanitize:strict", "har.pages:FALSE"][..], &["--sanitize", "strict", "--no-pages"][..]),
        (&["har.max_body_size:1k"][..], &["--max-body-size", "1k"][..]),
    ] {
        let mut words = vec!["-r", capture.as_str()];
        for preference in preferences {
            words.extend(["-o", preference]);
        }
        let wanted = standalone_with(&file, preferences, options);
        assert_eq!(host.export(&words), wanted, "{preferences:?}");
    }
}

/// The command's HAR with options of the table, set through the library: the words of the command are its own business.
fn standalone_with(file: &std::path::Path, preferences: &[&str], _words: &[&str]) -> Value {
    use harshark::capture::{Captures, Item};
    use harshark::engine::Options;
    use harshark::run::Session;
    use harshark::tls::KeyLog;
    let mut options = Options::default();
    for preference in preferences {
        let (name, value) = preference.strip_prefix("har.").unwrap().split_once(':').unwrap();
        match name {
            "bodies" => ["request-bodies", "response-bodies"].iter().for_each(|name| options.set(name, value).unwrap()),
            name => options.set(&name.replace('_', "-"), value).unwrap(),
        }
    }
    let name = file.file_name().unwrap().to_str().unwrap();
    let mut session = Session::new(&options, name, KeyLog::new(&options.limits));
    let mut captures = Captures::open(&[file.to_owned()], &options.limits).unwrap();
    while let Some(item) = captures.next().unwrap() {
        match item {
            Item::Frame(frame) => session.push(&frame).unwrap(),
            Item::Secrets(secrets) => session.secrets(&secrets),
        }
    }
    let mut har = Vec::new();
    session.finish(&mut har).unwrap();
    comparable(&har)
}

#[test]
fn comments_of_packets_are_comments_of_entries() {
    let Some(host) = Host::installed() else { return };
    if !has("editcap") {
        return println!("skipped: no editcap");
    }
    let plain = host.capture(CLEAR[0]);
    let commented = host.inner("commented.pcapng");
    let output = host.command("editcap").args(["-a", "17:look here", &plain, &commented]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let wanted = standalone(&host.path("commented.pcapng"), &[]);
    assert_eq!(wanted["log"]["entries"][0]["comment"], "look here");
    assert_eq!(host.export(&["-r", &commented]), wanted);
}
