#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| harshark::fuzzing::run("recovery", data));
