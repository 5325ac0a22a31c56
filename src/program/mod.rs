//! What the program does, step by step.
//!
//! 1. `config::load`: what was asked for.
//! 2. `logging`: where lines go.
//! 3. `listen`: the sockets.
//! 4. `signals`: how it is stopped.
//! 5. `banner`: what it says when it is ready.
//!
//! `routes` asks what would be served, in place of steps 2 to 5.

mod banner;
#[cfg(feature = "auth")]
mod hash_password;
mod listen;
mod log_file;
mod log_writer;
mod logging;
mod routes;
mod signals;
mod warnings;

use std::io::Write as _;
use std::path::PathBuf;
use std::{env, fmt, io};

use log::{info, warn};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use salver::cli::{Args, Cli, Command};
use salver::config::{self, Config};
use salver::files::Listing;
use salver::http::Service;
use salver::site::{self, SiteOptions, Sites};
use salver::socketserver::Server;

use self::log_file::LogFile;

/// Why the program ends before it was asked to, in one line that doesn't start with its name.
#[derive(Debug)]
pub(crate) enum Failure {
    Configuration(config::Error),
    Listen(listen::Error),
    LogFile(PathBuf, io::Error),
    /// What the system refuses; with what it was asked for.
    System(&'static str, io::Error),
    /// What was to be done in the place of serving can't be.
    Command(String),
}

impl Failure {
    /// 2 for a mistake of the user's, 1 for what the system refuses.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::Configuration(error) => error.status(),
            Self::Command(_) => 2,
            Self::Listen(_) | Self::LogFile(..) | Self::System(..) => 1,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration(error) => error.fmt(f),
            Self::Listen(error) => error.fmt(f),
            Self::LogFile(path, error) => {
                let path = logging::one_line(&path.display().to_string());
                write!(f, "log_file {path}: cannot be opened: {error}; make that possible, or name another file")
            }
            Self::System(what, error) => write!(f, "{what}: {error}"),
            Self::Command(message) => f.write_str(message),
        }
    }
}

/// Does what the command line says; mostly that is to serve until a signal says stop.
pub(crate) fn run(cli: &Cli) -> Result<(), Failure> {
    raise_descriptor_limit();
    match &cli.command {
        Some(Command::HashPassword { user }) => hash_password(user),
        Some(Command::Routes(routes)) => {
            let config = load(&routes.args)?;
            tell(&config, &routes::text(routes, &config).map_err(Failure::Configuration)?)
        }
        // One that this version doesn't know of can't be there.
        Some(_) => Ok(()),
        None if cli.args.check_config => {
            let config = load(&cli.args)?;
            tell(&config, &config::describe(&config))?;
            let check = |path: &PathBuf| log_file::check(path).map_err(|error| Failure::LogFile(path.clone(), error));
            config.log_file.as_ref().map_or(Ok(()), check)
        }
        None => run_server(&cli.args),
    }
}

#[cfg(feature = "auth")]
fn hash_password(user: &str) -> Result<(), Failure> {
    let line = hash_password::line(user)?;
    print(&format!("{line}\n")).map_err(|error| Failure::System("standard output", error))
}

#[cfg(not(feature = "auth"))]
fn hash_password(_user: &str) -> Result<(), Failure> {
    Err(Failure::Command("this salver was built without passwords (the feature `auth`)".to_owned()))
}

fn load(args: &Args) -> Result<Config, Failure> {
    let current_dir = env::current_dir().map_err(|error| Failure::System("the current directory", error))?;
    config::load(args, env::vars_os(), &current_dir).map_err(Failure::Configuration)
}

/// Prints this of a configuration, and what a server would warn of at its start.
fn tell(config: &Config, text: &str) -> Result<(), Failure> {
    let warnings = config.notes.iter().cloned().chain(warnings::of(config));
    // Where standard error is closed there is nobody to warn.
    warnings.for_each(|warning| drop(writeln!(io::stderr(), "salver: warning: {warning}")));
    print(text).map_err(|error| Failure::System("standard output", error))
}

fn run_server(args: &Args) -> Result<(), Failure> {
    let config = load(args)?;
    let open = |path: &PathBuf| LogFile::open(path).map_err(|error| Failure::LogFile(path.clone(), error));
    let log_file = config.log_file.as_ref().map(open).transpose()?;
    logging::start(&config, log_file).map_err(|error| Failure::System("starting the log", error))?;
    let result = serve(config);
    logging::flush();
    result
}

fn serve(config: Config) -> Result<(), Failure> {
    config.notes.iter().for_each(|note| warn!("{note}"));
    let listeners = listen::all(&config).map_err(Failure::Listen)?;
    warnings::of(&config).for_each(|warning| warn!("{warning}"));
    let text = banner::text(&config, &listeners);
    let service = Service::new(sites(&config, listen::is_local(&listeners)), config.limits);
    let service = service.behind(config.proxies).log_format(config.log_format);
    let (workers, connections) = (config.server.workers, config.server.connections_max);
    let server = Server::new(listeners, service, config.server).map_err(|error| Failure::System("starting", error))?;
    signals::stop_on_signal(&server.stopper()).map_err(|error| Failure::System("handling signals", error))?;
    if let Err(error) = print(&text) {
        warn!("standard output: {error}");
    }
    let descriptors = getrlimit(Resource::Nofile).current.map_or("any number of".to_owned(), |limit| limit.to_string());
    info!("{workers} workers, up to {connections} connections, {descriptors} descriptors");
    server.serve_forever().map_err(|error| Failure::System("starting threads", error))?;
    info!("stopped");
    Ok(())
}

/// `is_local` says that nobody but this machine can ask, unless through a proxy.
fn sites(config: &Config, is_local: bool) -> Sites {
    let is_local = is_local && config.proxies.trusted.is_empty();
    let mut files = config.files.clone();
    match is_local {
        _ if files.list != Listing::Auto => {}
        true => {
            info!(
                "directories without an index are listed, as nobody but this machine can ask (--no-list: they aren't)"
            );
        }
        false => {
            info!(
                "directories without an index are not listed, as others than this machine can ask (--list: they are)"
            );
        }
    }
    files.settle_listing(is_local);
    files.cache_descriptors_max = files.cache_descriptors_max.min(config::descriptors_kept_max());
    let mut options = site::Options::new(SiteOptions::new(files, config.rules.clone()));
    options.allow_host = config.allow_host.clone();
    options.passwords = config.passwords;
    options.hosts = config.hosts.iter().map(|host| (host.names.clone(), host.site.clone())).collect();
    for (names, site) in &mut options.hosts {
        site.files.settle_listing(is_local);
        info!("{names}: {}", logging::one_line(&site.files.root.display().to_string()));
    }
    Sites::new(options)
}

/// Idle connections are cheap here, so the only limit that makes sense is the highest there is.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    // Where it can't be raised, `connections_max` fits what there is.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// Where standard output is closed nobody wants to know.
fn print(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}
