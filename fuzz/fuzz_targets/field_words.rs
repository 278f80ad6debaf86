#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| spandrel::fuzz::field_words(data));
