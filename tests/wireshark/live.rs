//! Packets that are captured while the test runs.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use super::host::{Host, entries, has, run_text};

#[test]
fn a_live_capture_ends_in_a_har() {
    let Some(host) = Host::installed() else { return };
    let is_root = run_text("id", &["-u"]).trim() == "0";
    if !is_root || !has("dumpcap") || !has("setpriv") {
        return println!("skipped: no right to capture");
    }
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let filter = format!("tcp port {}", address.port());
    let file = host.inner("live.har");
    let mut tshark = Command::new("setpriv");
    tshark.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    tshark.args(["--inh-caps", "+net_raw,+net_admin", "--ambient-caps", "+net_raw,+net_admin"]);
    tshark.args(["env", &format!("HOME={}", host.inner("")), "tshark", "-q", "-i", "lo", "-f", &filter]);
    let mut tshark = tshark.args(["-z", &format!("har,{file}")]).stderr(Stdio::piped()).spawn().unwrap();
    // It says so when it captures; until then its child may not listen yet.
    thread::sleep(Duration::from_secs(3));
    if let Some(status) = tshark.try_wait().unwrap() {
        let mut words = String::new();
        tshark.stderr.take().unwrap().read_to_string(&mut words).unwrap();
        return println!("skipped: cannot capture here ({status}): {words}");
    }
    let answering = thread::spawn(move || {
        let (mut stream, _) = server.accept().unwrap();
        let mut request = [0; 1024];
        let _ = stream.read(&mut request).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nlive!").unwrap();
    });
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut response = String::new();
    client.read_to_string(&mut response).unwrap();
    answering.join().unwrap();
    drop(client);
    thread::sleep(Duration::from_secs(2));
    let pid = tshark.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert!(tshark.wait().unwrap().success());
    let har = host.har("live.har");
    assert_eq!(entries(&har), 1);
    assert_eq!(har["log"]["entries"][0]["response"]["content"]["text"], "live!");
}
