#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| spandrel_export::fuzz::fields(data));
