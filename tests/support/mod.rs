//! What the tests of long runs and of faults share: packets of any traffic, and processes that are watched from outside.
#![allow(dead_code, reason = "each test uses a part of it")]

pub mod blocks;
pub mod days;
pub mod lossy;
pub mod process;
pub mod steady;
pub mod wire;

use std::path::{Path, PathBuf};

/// A capture of tests/data.
pub fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}
