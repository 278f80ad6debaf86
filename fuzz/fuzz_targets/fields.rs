#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| spandrel_storage::fuzz::fields(data));
