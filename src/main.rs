//! The program: arguments to configuration, configuration to a server that runs until it is told to stop.

mod program;

use std::io::Write as _;
use std::process::ExitCode;

use salver::cli::Cli;

fn main() -> ExitCode {
    let cli = Cli::read(std::env::args_os()).unwrap_or_else(|error| error.exit());
    match program::run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Where standard error is closed there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "salver: {failure}");
            ExitCode::from(failure.status())
        }
    }
}
