#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pushline::fuzzing::socketio_client::session(data));
