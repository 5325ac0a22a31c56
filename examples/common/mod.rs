//! What is the same in all examples, and no business of their protocols: arguments, errors, and Ctrl-C.

use std::env;
use std::fmt::Display;
use std::io;
use std::process::ExitCode;

use salver::socketserver::Stopper;

/// Runs `serve` with the arguments of the command line, `defaults` for those that aren't given. `usage` begins with the
/// example's name and shows its arguments. The exit status is 0 for a stop, 1 for an error, and 2 for a wrong usage.
pub fn run<const N: usize>(
    usage: &str,
    defaults: [&str; N],
    serve: impl FnOnce([String; N]) -> io::Result<()>,
) -> ExitCode {
    let given: Vec<_> = env::args_os().skip(1).map(|argument| argument.into_string().unwrap_or_default()).collect();
    if given.len() > N || given.iter().any(|argument| argument.is_empty() || argument.starts_with('-')) {
        eprintln!("usage: {usage}   (without arguments: {})", defaults.join(" "));
        return ExitCode::from(2);
    }
    let mut arguments = defaults.map(str::to_owned);
    arguments.iter_mut().zip(given).for_each(|(argument, given)| *argument = given);
    if let Err(error) = serve(arguments) {
        eprintln!("{}: {error}", usage.split(' ').next().unwrap_or_default());
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Prints where the server listens (which is news where it was told to take port 0), and has Ctrl-C stop it: then its
/// connections can say goodbye, and no file of a UNIX socket is left behind.
pub fn ready(addresses: impl IntoIterator<Item = impl Display>, stopper: Stopper) -> io::Result<()> {
    ctrlc::set_handler(move || stopper.shutdown()).map_err(io::Error::other)?;
    addresses.into_iter().for_each(|address| println!("{address}"));
    Ok(())
}
