//! What the program does, step by step.
//!
//! 1. `config::load`: what was asked for.
//! 2. `logging`: where lines go.
//! 3. `listen`: the sockets.
//! 4. `signals`: how it is stopped.
//! 5. `banner`: what it says when it is ready.

mod banner;
mod listen;
mod log_writer;
mod logging;
mod signals;

use std::io::Write as _;
use std::{env, fmt, io};

use log::{info, warn};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use salver::cli::Args;
use salver::config::{self, Config};
use salver::files::Files;
use salver::http::Service;
use salver::socketserver::{Server, descriptors_reserved};

/// Why the program ends before it was asked to, in one line that doesn't start with its name.
#[derive(Debug)]
pub(crate) enum Failure {
    Configuration(config::Error),
    Listen(listen::Error),
    /// What the system refuses; with what it was asked for.
    System(&'static str, io::Error),
}

impl Failure {
    /// 2 for a mistake of the user's, 1 for what the system refuses.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::Configuration(error) => error.status(),
            Self::Listen(_) | Self::System(..) => 1,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration(error) => error.fmt(f),
            Self::Listen(error) => error.fmt(f),
            Self::System(what, error) => write!(f, "{what}: {error}"),
        }
    }
}

/// Serves until a signal says stop.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    raise_descriptor_limit();
    let current_dir = env::current_dir().map_err(|error| Failure::System("the current directory", error))?;
    let config = config::load(args, env::vars_os(), &current_dir).map_err(Failure::Configuration)?;
    if args.check_config {
        return print(&config::describe(&config));
    }
    logging::start(&config).map_err(|error| Failure::System("starting the log", error))?;
    let result = serve(config);
    logging::flush();
    result
}

fn serve(config: Config) -> Result<(), Failure> {
    config.notes.iter().for_each(|note| warn!("{note}"));
    let listeners = listen::all(&config).map_err(Failure::Listen)?;
    let text = banner::text(&config, &listeners);
    let mut files = config.files;
    files.cache_descriptors_max = files.cache_descriptors_max.min(descriptors_reserved() / 2);
    let service = Service::new(Files::new(files), config.limits);
    let (workers, connections) = (config.server.workers, config.server.connections_max);
    let server = Server::new(listeners, service, config.server).map_err(|error| Failure::System("starting", error))?;
    signals::stop_on_signal(&server.stopper()).map_err(|error| Failure::System("handling signals", error))?;
    print(&text)?;
    info!("{workers} workers, up to {connections} connections");
    server.serve_forever().map_err(|error| Failure::System("starting threads", error))?;
    info!("stopped");
    Ok(())
}

/// Idle connections are cheap here, so the only limit that makes sense is the highest there is.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    // Where it can't be raised, `connections_max` fits what there is.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// A closed standard output is no reason not to serve.
fn print(text: &str) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::System("standard output", error)),
        _ => Ok(()),
    }
}
