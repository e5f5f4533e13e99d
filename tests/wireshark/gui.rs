//! Wireshark under Xvfb, driven by xdotool: File > HAR > Export as HAR…

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::host::{Host, data, has, standalone};

/// How long a window may take on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(60);

/// A display without a screen; its frame buffer is a file that tests/screenshot.py reads.
struct Display {
    server: Child,
    name: String,
    buffer: tempfile::TempDir,
}

impl Display {
    fn open() -> Option<Self> {
        for program in ["Xvfb", "xdotool", "wireshark"] {
            if !has(program) {
                println!("skipped: no {program}");
                return None;
            }
        }
        let buffer = tempfile::tempdir().unwrap();
        for number in 90..120 {
            let name = format!(":{number}");
            let mut command = Command::new("Xvfb");
            command.args([&name, "-screen", "0", "1400x900x24", "-nolisten", "tcp", "-fbdir"]).arg(buffer.path());
            let mut server = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            sleep(Duration::from_millis(800));
            if server.try_wait().unwrap().is_none() {
                return Some(Self { server, name, buffer });
            }
        }
        println!("skipped: no free display");
        None
    }

    fn xdotool(&self, words: &[&str]) -> String {
        let output = Command::new("xdotool").env("DISPLAY", &self.name).args(words).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn key(&self, key: &str) {
        self.xdotool(&["key", key]);
        sleep(Duration::from_millis(600));
    }

    /// Windows that can be seen.
    fn windows(&self) -> usize {
        self.xdotool(&["search", "--onlyvisible", "--class", "wireshark"]).lines().count()
    }

    /// Waits until something is so.
    fn wait(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        #[allow(clippy::disallowed_methods, reason = "waits for a real program")]
        let start = Instant::now();
        while !is_so() {
            if start.elapsed() > PATIENCE {
                self.shoot("failed");
                panic!("waited in vain for {what}; see target/tmp/failed.png");
            }
            sleep(Duration::from_millis(200));
        }
        sleep(Duration::from_millis(500));
    }

    /// Gives the keyboard to the window with this title: nobody else does, without a window manager.
    fn focus(&self, title: &str) -> String {
        let mut window = String::new();
        self.wait(title, || {
            let found = self.xdotool(&["search", "--onlyvisible", "--name", title]);
            window = found.lines().last().unwrap_or_default().to_owned();
            !window.is_empty()
        });
        self.xdotool(&["windowfocus", &window]);
        sleep(Duration::from_millis(500));
        window
    }

    /// Keeps a picture of the screen.
    fn shoot(&self, name: &str) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/screenshot.py");
        let picture = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.png"));
        let _ = Command::new("python3").arg(script).arg(self.buffer.path().join("Xvfb_screen0")).arg(picture).status();
    }

    /// Opens File > HAR > Export as HAR…; the submenu is the last entry.
    fn open_menu(&self) {
        let window = self.xdotool(&["search", "--onlyvisible", "--class", "wireshark"]);
        let window = window.lines().next().unwrap_or_default();
        self.xdotool(&["mousemove", "--window", window, "20", "10", "click", "1"]);
        sleep(Duration::from_secs(1));
        for key in ["Up", "Right"] {
            self.key(key);
        }
        self.shoot("menu");
        self.key("Return");
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Wireshark on that display.
struct Wireshark(Child);

impl Wireshark {
    fn start(host: &Host, display: &Display, words: &[&str]) -> Self {
        let mut command = host.command("env");
        command.arg(format!("DISPLAY={}", display.name)).arg("QT_QPA_PLATFORM=xcb").arg("wireshark").args(words);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        display.wait("Wireshark", || display.windows() > 0);
        // The capture is loaded after the window is shown.
        sleep(Duration::from_secs(4));
        Self(child)
    }
}

impl Drop for Wireshark {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Exports from the menu to a file of the home.
fn export(host: &Host, display: &Display, file: &str) {
    display.open_menu();
    display.focus("Export as HAR");
    display.shoot("questions");
    display.key("Return");
    sleep(Duration::from_secs(2));
    display.focus("Export as HAR");
    display.key("ctrl+a");
    display.xdotool(&["type", &host.inner(file)]);
    display.shoot("save");
    display.key("Return");
    display.wait("the HAR", || host.path(file).exists());
    display.shoot("result");
}

/// The whole way in one host.
pub fn menu_export(host: &Host) {
    let Some(display) = Display::open() else { return };
    let name = "small-clear.pcapng";
    let capture = host.capture(name);
    let _wireshark = Wireshark::start(host, &display, &[&capture]);
    export(host, &display, "menu.har");
    assert_eq!(host.har("menu.har"), standalone(&data(name), &[]));
}

#[test]
fn the_menu_exports_what_is_loaded() {
    let Some(host) = Host::installed() else { return };
    menu_export(&host);
}

#[test]
fn only_what_is_displayed_is_exported() {
    let Some(host) = Host::installed() else { return };
    let Some(display) = Display::open() else { return };
    let name = "small-clear.pcapng";
    let capture = host.capture(name);
    let _wireshark = Wireshark::start(&host, &display, &["-r", &capture, "-Y", "http.response.code == 404"]);
    display.open_menu();
    // The first field stands at the top, right of its name.
    let window = display.focus("Export as HAR");
    display.xdotool(&["mousemove", "--window", &window, "400", "24", "click", "1"]);
    display.key("ctrl+a");
    display.xdotool(&["type", "displayed"]);
    display.shoot("displayed");
    display.key("Return");
    sleep(Duration::from_secs(2));
    display.focus("Export as HAR");
    display.key("ctrl+a");
    display.xdotool(&["type", &host.inner("displayed.har")]);
    display.key("Return");
    display.wait("the HAR", || host.path("displayed.har").exists());
    let har = host.har("displayed.har");
    let statuses: Vec<_> =
        har["log"]["entries"].as_array().unwrap().iter().map(|entry| &entry["response"]["status"]).collect();
    assert!(!statuses.is_empty() && statuses.iter().all(|status| **status == 404), "{statuses:?}");
}

#[test]
fn a_har_can_be_asked_for_on_the_command_line() {
    let Some(host) = Host::installed() else { return };
    let Some(display) = Display::open() else { return };
    let name = "small-clear.pcapng";
    let capture = host.capture(name);
    let argument = format!("har,{}", host.inner("asked.har"));
    let _wireshark = Wireshark::start(&host, &display, &["-r", &capture, "-z", &argument]);
    display.wait("the HAR", || host.path("asked.har").exists());
    assert_eq!(host.har("asked.har"), standalone(&data(name), &[]));
}

#[test]
fn without_a_capture_it_says_so() {
    let Some(host) = Host::installed() else { return };
    let Some(display) = Display::open() else { return };
    let mut wireshark = Wireshark::start(&host, &display, &[]);
    display.open_menu();
    display.wait("the message", || display.windows() > 1);
    display.shoot("nothing");
    assert!(wireshark.0.try_wait().unwrap().is_none());
    let left = fs::read_dir(host.path(""))
        .unwrap()
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|end| end == "har"));
    assert_eq!(left.count(), 0);
}
