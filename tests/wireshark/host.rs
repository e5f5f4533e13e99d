//! A Wireshark to try the plugin in: the installed one, or one in a folder of its own that is entered with chroot.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

/// `nobody`: the host ignores personal plugins of root.
const NOBODY: &str = "65534";

/// A home with the plugin in it, and a host to run.
pub struct Host {
    home: TempDir,
    /// The folder to enter; the machine itself when `None`.
    root: Option<PathBuf>,
}

impl Host {
    /// The installed host; says why when there is none to try.
    pub fn installed() -> Option<Self> {
        let version = Command::new("tshark").arg("--version").output();
        if !version.is_ok_and(|output| output.status.success()) {
            println!("skipped: no tshark is installed");
            return None;
        }
        Some(Self::new(None))
    }

    /// The host in a folder.
    pub fn inside(root: &Path) -> Self {
        Self::new(Some(root.to_owned()))
    }

    fn new(root: Option<PathBuf>) -> Self {
        let folder = root.as_ref().map_or_else(std::env::temp_dir, |root| root.join("tmp"));
        let home = tempfile::Builder::new().prefix("harshark-home-").tempdir_in(folder).unwrap();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o777)).unwrap();
        for minor in ["4.0", "4.4", "4.6"] {
            let folder = home.path().join(".local/lib/wireshark/plugins").join(minor).join("epan");
            fs::create_dir_all(&folder).unwrap();
            fs::copy(library(), folder.join("harshark.so")).unwrap();
        }
        let status = Command::new("chmod").args(["-R", "a+rwX"]).arg(home.path()).status();
        assert!(status.is_ok_and(|status| status.success()));
        Self { home, root }
    }

    /// A path in the home as the test sees it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// The same path as the host sees it.
    pub fn inner(&self, name: &str) -> String {
        let path = self.path(name);
        let path = match &self.root {
            Some(root) => Path::new("/").join(path.strip_prefix(root).unwrap()),
            None => path,
        };
        path.to_str().unwrap().to_owned()
    }

    /// Puts a file into the home, and gives the path there.
    pub fn lend(&self, file: &Path) -> String {
        let name = file.file_name().unwrap().to_str().unwrap();
        fs::copy(file, self.path(name)).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o666)).unwrap();
        self.inner(name)
    }

    /// A capture of tests/data, lent.
    pub fn capture(&self, name: &str) -> String {
        self.lend(&data(name))
    }

    /// A command of the host, as a user who has this home.
    pub fn command(&self, program: &str) -> Command {
        let is_root = run_text("id", &["-u"]).trim() == "0";
        let mut command = match (&self.root, is_root) {
            (Some(root), _) => {
                let mut command = Command::new("chroot");
                command.arg(format!("--userspec={NOBODY}:{NOBODY}")).arg(root).args(["env"]);
                command
            }
            (None, true) => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "env"]);
                command
            }
            (None, false) => Command::new("env"),
        };
        command.arg(format!("HOME={}", self.inner(""))).arg(program).current_dir("/").stdin(Stdio::null());
        command
    }

    /// Runs tshark.
    pub fn tshark<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Output {
        self.command("tshark").args(words).output().unwrap()
    }

    /// Runs tshark with `-z har` to a file of the home, and reads the HAR.
    pub fn export(&self, words: &[&str]) -> Value {
        let file = self.inner("export.har");
        let _ = fs::remove_file(self.path("export.har"));
        let output = self.tshark(words.iter().copied().chain(["-q", "-z", &format!("har,{file}")]));
        assert!(output.status.success(), "{}", said(&output));
        self.har("export.har")
    }

    /// Reads a HAR of the home.
    pub fn har(&self, name: &str) -> Value {
        comparable(&fs::read(self.path(name)).unwrap())
    }
}

/// A capture in tests/data.
pub fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// What a command said on standard error.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Standard output as lines of fields.
pub fn table(output: &Output) -> Vec<Vec<String>> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

/// The HAR that the command makes of the same capture.
pub fn standalone(capture: &Path, options: &[&str]) -> Value {
    let output =
        Command::new(env!("CARGO_BIN_EXE_harshark")).arg("-q").arg(capture).args(options).args(["-o", "-"]).output();
    comparable(&output.unwrap().stdout)
}

/// A HAR without what may differ between the doors: comments of its creator.
pub fn comparable(text: &[u8]) -> Value {
    let mut har: Value = serde_json::from_slice(text).unwrap_or_else(|error| panic!("no HAR: {error}"));
    let log = har["log"].as_object_mut().unwrap();
    log.remove("comment");
    log.get_mut("creator").and_then(Value::as_object_mut).map(|creator| creator.remove("comment"));
    har
}

/// How many entries a HAR has.
pub fn entries(har: &Value) -> usize {
    har["log"]["entries"].as_array().unwrap().len()
}

/// Standard output of a command that must succeed.
pub fn run_text(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).output().unwrap();
    assert!(output.status.success(), "{program}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// True when a program can be started.
pub fn has(program: &str) -> bool {
    Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .output()
        .is_ok_and(|output| output.status.success())
}

/// The plugin, built by cargo beside these tests.
fn library() -> PathBuf {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY
        .get_or_init(|| {
            let deps = std::env::current_exe().unwrap().parent().unwrap().to_owned();
            let library = deps.join("libharshark.so");
            assert!(library.exists(), "cargo has built no {}", library.display());
            library
        })
        .clone()
}
