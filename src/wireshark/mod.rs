//! Floor 9: the plugin inside Wireshark and tshark.
//!
//! One binary for every version in [`layout`]: the host's functions are looked up when the plugin is loaded, its structures are
//! read by offset, and a constructor states the version that the loader wants to read. A version without a row is refused by
//! the loader itself.
//!
//! Everything here runs on the host's own thread, and everything that the host calls goes through the guard.
#![allow(unsafe_code, reason = "the host speaks C; every block says why it is sound")]

pub mod layout;

mod encap;
mod export;
mod fields;
mod guard;
mod host;
mod loaded;
mod menu;
mod objects;
mod packet;
mod plugin;
mod prefs;
mod report;
mod reread;
mod save_dialog;
mod secrets;
mod tap;
mod window;
