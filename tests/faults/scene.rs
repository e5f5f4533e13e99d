//! A folder with a capture in it, and what is done to the command there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use crate::support::process::{harshark, run};
use crate::support::wire::{Get, Tape, Tcp};

/// A folder of its own, with subfolders `temporary` and `out`.
pub struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["temporary", "out"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        Self { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file.
    pub fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Names in a subfolder.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder)).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The command, its temporary file in the subfolder.
    pub fn command(&self) -> Command {
        let mut command = harshark();
        command.arg("--temporary").arg(self.path("temporary"));
        command
    }

    /// The HAR of a capture when nothing fails.
    pub fn har(&self, capture: &Path) -> Vec<u8> {
        let output = run(self.command().arg("-q").arg(capture).args(["-o", "-"]));
        assert!(output.status.success());
        output.stdout
    }
}

/// A command that is made to fail by the shim.
pub fn faulty(command: &mut Command, call: &str, at: usize, path: &Path, error: Option<i32>) -> Output {
    command.env("LD_PRELOAD", shim()).env("FAULT_CALL", call).env("FAULT_AT", at.to_string()).env("FAULT_PATH", path);
    if let Some(error) = error {
        command.env("FAULT_ERROR", error.to_string());
    }
    run(command)
}

/// The shim, compiled once.
fn shim() -> &'static Path {
    static SHIM: OnceLock<PathBuf> = OnceLock::new();
    SHIM.get_or_init(|| {
        let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let mut build = cc::Build::new();
        let compiler = build.target(&target).host(&target).opt_level(0).cargo_metadata(false).get_compiler();
        // Whole before it has its name: other tests may run at once.
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let made = tempfile::Builder::new().suffix(".so").tempfile_in(folder).unwrap().into_temp_path();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/shim.c");
        let output = run(compiler.to_command().args(["-shared", "-fPIC", "-o"]).arg(&made).arg(source).arg("-ldl"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let path = folder.join("shim.so");
        made.persist(&path).unwrap();
        path
    })
}

/// A connection with `exchanges`, each with a content of `size` bytes and a second after the one before; the path tells which.
pub fn exchanges(tape: &mut Tape, name: &str, exchanges: usize, size: usize) {
    let mut tcp = Tcp::open(([10, 0, 0, 1], 40_000 + name.len() as u16), ([10, 0, 0, 2], 80), tape);
    let body: Vec<u8> = b"0123456789abcde\n".iter().copied().cycle().take(size).collect();
    for number in 0..exchanges {
        let path = format!("/{name}/{number}");
        let get = Get { host: "faults.example", path: &path, referer: None, media_type: "text/plain" };
        tcp.exchange(&get, &body, tape);
        tape.wait(1);
    }
}

/// A capture of one connection.
pub fn capture(count: usize, size: usize) -> Vec<u8> {
    let mut tape = Tape::new();
    exchanges(&mut tape, "a", count, size);
    tape.take()
}

/// A capture of which everything must wait until its end: the entry that comes first is answered last. More than any run keeps in
/// memory.
pub fn waiting_capture() -> Vec<u8> {
    let mut tape = Tape::new();
    let mut first = Tcp::open(([10, 0, 0, 3], 50_000), ([10, 0, 0, 2], 80), &mut tape);
    let get = Get { host: "faults.example", path: "/first/0", referer: None, media_type: "text/plain" };
    first.send(true, get.head().as_bytes(), &mut tape);
    exchanges(&mut tape, "a", 1000, 64_000);
    first.send(false, b"HTTP/1.1 204 No Content\r\n\r\n", &mut tape);
    tape.take()
}

/// Paths of the entries of a HAR, in order.
pub fn paths(har: &[u8]) -> Vec<String> {
    let har: serde_json::Value = serde_json::from_slice(har).unwrap();
    har["log"]["entries"].as_array().unwrap().iter().map(path_of).collect()
}

/// Paths of entries that stand in lines.
pub fn line_paths(lines: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(lines).unwrap();
    text.lines().map(|line| path_of(&serde_json::from_str(line).unwrap())).collect()
}

fn path_of(entry: &serde_json::Value) -> String {
    let url = entry["request"]["url"].as_str().unwrap();
    url.strip_prefix("http://faults.example").unwrap().to_owned()
}

/// The first `count` paths of the connection of [`exchanges`] with that name.
pub fn first(name: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("/{name}/{number}")).collect()
}
