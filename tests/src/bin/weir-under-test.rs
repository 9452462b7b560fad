//! The program itself, built beside the tests that run it: Cargo hands a test the path of its own package's binaries
//! only, and this is all that the program's `main` is. On request it is as the next release will be, which knows one more
//! meaning of the rules.

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::var_os("WEIR_UNDER_TEST_RELEASE").is_some() {
        weir_engine::semantics::rehearse();
    }
    weir::cli::main()
}
