#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| spandrel_ring::file::fuzz::ring_file(data));
