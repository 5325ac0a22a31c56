#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| salver_fuzz::checks::client::check(input));
