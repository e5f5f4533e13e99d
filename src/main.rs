//! The `harshark` command.

fn main() {}
