#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| salver_fuzz::checks::conditional::check(input));
