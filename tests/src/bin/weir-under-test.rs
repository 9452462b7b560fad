//! The program itself, built beside the tests that run it: Cargo hands a test the path of its own package's binaries
//! only, and this is all that the program's `main` is. On request it is as the next release will be, which knows one more
//! meaning of the rules, or as on a machine whose clock is wrong by some milliseconds.

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::var_os("WEIR_UNDER_TEST_RELEASE").is_some() {
        weir_engine::semantics::rehearse();
    }
    if let Some(wrong_ms) = std::env::var("WEIR_UNDER_TEST_CLOCK").ok().and_then(|text| text.parse().ok()) {
        weir::clock::set_wrong(wrong_ms);
    }
    weir::cli::main()
}
