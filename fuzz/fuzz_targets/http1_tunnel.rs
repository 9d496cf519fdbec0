#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pushline::fuzzing::tunnel::tunnel(data));
