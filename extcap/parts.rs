//! Names of the HAR files, one or many.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Local};

/// `NAME.har`, or `NAME_00001_20261123060000.har` and so on, as dumpcap names the files of a ring.
pub struct Parts {
    har: PathBuf,
    is_many: bool,
    number: u32,
    begun: DateTime<Local>,
}

impl Parts {
    /// Files of this name; without one, of a name made from the time, in the home folder.
    pub fn new(har: Option<&Path>, is_many: bool, now: DateTime<Local>) -> Self {
        let har = har.map(Path::to_owned).unwrap_or_else(|| {
            let home = std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_dir());
            home.unwrap_or_else(std::env::temp_dir).join(now.format("capture-%Y%m%d-%H%M%S.har").to_string())
        });
        Self { har, is_many, number: 1, begun: now }
    }

    /// The file that grows now.
    pub fn path(&self) -> PathBuf {
        if !self.is_many {
            return self.har.clone();
        }
        let text = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
        let (stem, end) = (text(self.har.file_stem()), text(self.har.extension()));
        let end = if end.is_empty() { "har".to_owned() } else { end };
        self.har.with_file_name(format!("{stem}_{:05}_{}.{end}", self.number, self.begun.format("%Y%m%d%H%M%S")))
    }

    /// Goes on to the next file.
    pub fn next(&mut self, now: DateTime<Local>) {
        self.number += 1;
        self.begun = now;
    }
}
