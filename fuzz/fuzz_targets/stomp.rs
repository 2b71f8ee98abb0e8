#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| stomp_codec::fuzzing::read_frames(data));
