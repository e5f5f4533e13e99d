//! What can be wrong with a capture: errors that keep it from being opened, damages that end or spoil its reading.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why a capture cannot be read at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// There is nothing at this path.
    #[error("{}: no such file", name(path))]
    NotFound {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The path names a directory.
    #[error("{}: is a directory, not a capture file", name(path))]
    Directory {
        /// The directory.
        path: PathBuf,
    },
    /// The file cannot be opened or read.
    #[error("{}: cannot be read: {source}", name(path))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Not one byte is in it.
    #[error("{}: empty file (0 bytes)", name(path))]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// It ends before its header does.
    #[error("{}: cut short: the file ends inside its {format} header", name(path))]
    HeaderCut {
        /// The file.
        path: PathBuf,
        /// `pcap` or `pcapng`.
        format: &'static str,
    },
    /// It is something else.
    #[error("{}: not a capture file that can be read; it looks like {looks}", name(path))]
    NotACapture {
        /// The file.
        path: PathBuf,
        /// What it looks like.
        looks: &'static str,
    },
    /// A capture in a version of its format that nobody has described.
    #[error("{}: {format} version {major}.{minor} is not supported", name(path))]
    UnknownVersion {
        /// The file.
        path: PathBuf,
        /// `pcap` or `pcapng`.
        format: &'static str,
        /// Major version in the header.
        major: u16,
        /// Minor version in the header.
        minor: u16,
    },
    /// A file whose frames are out of order, and there is no room to sort them.
    #[error(
        "{}: frames are out of time order, and the temporary file that sorts them cannot be written: {source}",
        name(path)
    )]
    Temporary {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A compressed file of which nothing can be decompressed.
    #[error("{}: {coding} data that cannot be decompressed: {source}", name(path))]
    Compressed {
        /// The file.
        path: PathBuf,
        /// `gzip`, `zstd` or `lz4`.
        coding: &'static str,
        /// What the decompressor said.
        source: io::Error,
    },
}

/// A fault in a capture file; what could be read is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// Byte offset of the record at fault, in a compressed file that of its content.
    pub offset: u64,
    /// What is wrong.
    pub what: String,
}

impl Damage {
    /// A capture that was good when it was looked into, and cannot be read any more.
    pub(super) fn since_opened(path: PathBuf, error: &CaptureError) -> Self {
        let text = error.to_string();
        // The path stands in front of both.
        let what = text.strip_prefix(&*name(&path)).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(&text);
        Self { offset: 0, what: format!("{what}; it changed after the reading began"), path }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: at byte {}: {}", name(&self.path), self.offset, self.what)
    }
}

/// A path as people know it.
pub(super) fn name(path: &Path) -> std::borrow::Cow<'_, str> {
    if path.as_os_str() == "-" { "standard input".into() } else { path.to_string_lossy() }
}
