#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| axum_sockjs::fuzzing::read_cluster(data));
