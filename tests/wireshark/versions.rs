//! The same binary in other versions: Debian's next releases in folders of their own, made once by tests/hosts.sh.

use std::path::Path;
use std::process::Command;

use super::gui;
use super::host::{Host, data, said, standalone, table};

/// The folder of a suite with its tshark, when it is there or can be made.
fn host(suite: &str) -> Option<Host> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hosts.sh");
    let output = Command::new(script).arg(suite).output().unwrap();
    if !output.status.success() {
        println!("skipped: {}", said(&output).lines().last().unwrap_or_default());
        return None;
    }
    Some(Host::inside(Path::new(String::from_utf8_lossy(&output.stdout).trim())))
}

fn exports(suite: &str, version: &str) {
    let Some(host) = host(suite) else { return };
    let output = host.tshark(["-G", "plugins"]);
    let plugins = table(&output);
    assert!(
        plugins
            .iter()
            .any(|row| row[0].starts_with("harshark.so") && row.last().is_some_and(|path| path.contains(version))),
        "{}",
        said(&output)
    );
    for name in ["small-clear.pcapng", "errors-clear.pcapng"] {
        let capture = host.capture(name);
        let wanted = standalone(&data(name), &[]);
        assert_eq!(host.export(&["-r", &capture]), wanted, "{name}");
        assert_eq!(host.export(&["-2", "-r", &capture]), wanted, "{name} in two passes");
        let output = host.tshark(["-2", "-r", &capture, "-Y", "har.response_in", "-T", "fields", "-e", "har.url"]);
        assert!(table(&output).len() >= 3, "{}", said(&output));
    }
    let keys = host.lend(&data("small-h2.keys"));
    let capture = host.capture("small-h2.pcapng");
    let wanted = standalone(&data("small-h2.pcapng"), &["--keylog", data("small-h2.keys").to_str().unwrap()]);
    assert_eq!(host.export(&["-o", &format!("tls.keylog_file:{keys}"), "-r", &capture]), wanted);
    let output = host.tshark(["-q", "-r", &capture, "-z", "har,/no/such/x.har"]);
    assert!(!output.status.success());
    gui::menu_export(&host);
}

#[test]
fn wireshark_4_4() {
    exports("trixie", "4.4");
}

#[test]
fn wireshark_4_6() {
    exports("sid", "4.6");
}
