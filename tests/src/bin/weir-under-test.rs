//! The program itself, built beside the tests that run it: Cargo hands a test the path of its own package's binaries
//! only, and this is all that the program's `main` is.

use std::process::ExitCode;

fn main() -> ExitCode {
    weir::cli::main()
}
