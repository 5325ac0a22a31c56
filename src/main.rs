//! The program: arguments to configuration, configuration to a server that runs until it is told to stop.

mod program;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use salver::cli::Args;

fn main() -> ExitCode {
    match program::run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Where standard error is closed there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "salver: {failure}");
            ExitCode::from(failure.status())
        }
    }
}
