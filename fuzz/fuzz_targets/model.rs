#![no_main]

use libfuzzer_sys::fuzz_target;
use openagent_messaging_fuzz::targets::model::check;

fuzz_target!(|data: &[u8]| check(data));
