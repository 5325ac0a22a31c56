//! Flags, environment and file become one valid [`Config`], once, at the start.
//!
//! 1. `file` finds the configuration file and takes it apart.
//! 2. `setting` gives what flags, variables and file say one form, whoever wrote it.
//! 3. `keys` is the one table of keys: name, range, and the field that a key fills.
//! 4. `value` turns what was written into the field's type, and back into TOML.
//!
//! [`load`] lays the settings over the defaults, weakest first: file, environment, flags. A wrong value is a mistake
//! even where a stronger one hides it. The defaults themselves live in the option structs of the layers. Environment
//! and current directory are passed in, so a test can say what they are.

mod file;
mod keys;
mod setting;
#[cfg(test)]
mod tests;
mod value;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::{self, Write as _};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::ColorChoice;

use self::file::{File, HostTable, Written};
use self::keys::{KEYS, Key};
use self::setting::Setting;
use crate::cli::Args;
use crate::files::HEADERS_FILE;
use crate::http::ProxyHeader;
use crate::site::{Access, Names, PasswordLimits, REDIRECTS_FILE, RedirectsError, Rules, SiteOptions, Users};
use crate::{files, http, socketserver};

pub use self::setting::Source;
pub use self::value::Bind;

/// The port when nobody asks for one.
pub const PORT: u16 = 8_000;

/// Everything the program was told. Only [`load`] makes one, so every value in it is in range and the root is there.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Where to listen; never empty. Default: 127.0.0.1.
    pub bind: Vec<Bind>,
    /// The port of each address in `bind` that has none of its own; 0 is any free port. Default: [`PORT`].
    pub port: u16,
    /// Somebody wrote `port`: it is this port or none.
    pub port_asked: bool,
    /// On standard error no access log, only warnings and errors.
    pub quiet: bool,
    /// What a line of the access log looks like.
    pub log_format: http::LogFormat,
    /// The file of the access log; standard error, if there is none. It is among `files.withheld` too.
    pub log_file: Option<PathBuf>,
    /// How often `-v` was given.
    pub verbose: u8,
    /// Whether the log is colored.
    pub color: ColorChoice,
    /// How connections are run.
    pub server: socketserver::Options,
    /// How sockets are opened.
    pub sockets: socketserver::SocketOptions,
    /// What a connection may ask, hold and take.
    pub limits: http::Limits,
    /// What is served. The root is absolute, and a symbolic link in it stays one: who switches it switches the site.
    pub files: files::Options,
    /// By which rules.
    pub rules: Rules,
    /// Hosts with a site of their own; the root and the rules above are for all others.
    pub hosts: Vec<Host>,
    /// The hosts that are answered; all, if there are none.
    pub allow_host: Names,
    /// Limits of checking passwords.
    pub passwords: PasswordLimits,
    /// Proxies in front.
    pub proxies: http::Proxies,
    /// The configuration file in use, absolute; it is among `files.withheld` too.
    pub file: Option<PathBuf>,
    /// Lines to log as warnings at the start: what was ignored, and why.
    pub notes: Vec<String>,
    /// Who wrote each key; a key that is not here has its default.
    pub sources: BTreeMap<&'static str, Source>,
}

/// The site of hosts that have a table of their own in the file.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Host {
    /// What they are called.
    pub names: Names,
    /// What everybody gets, but for what the table says; that has the last word, even against a flag.
    pub site: SiteOptions,
    /// Where the table says it.
    pub sources: BTreeMap<&'static str, Source>,
}

/// Why there is no valid configuration, in one line that names the place, the value and the remedy. The line does not
/// start with the name of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// Somebody wrote what cannot be: an unknown key, a wrong type, a number out of range, a root that is not there.
    Mistake(String),
    /// It may be right, but the system refuses: the root or the configuration file cannot be read.
    Refused(String),
}

impl Error {
    /// The exit status of the program: 2 for a mistake, 1 for what the system refuses.
    #[must_use]
    pub fn status(&self) -> u8 {
        match self {
            Self::Mistake(_) => 2,
            Self::Refused(_) => 1,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Mistake(message) | Self::Refused(message)) = self;
        formatter.write_str(&one_line(message))
    }
}

impl std::error::Error for Error {}

/// The configuration that these arguments, this environment (`std::env::vars_os()`) and the file they lead to describe.
/// `current_dir` is absolute. Raise the descriptor limit before: `connections_max` follows it.
///
/// # Errors
/// The first mistake in the file, then in the environment, then in the flags; then what does not fit together.
pub fn load(
    args: &Args,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    current_dir: &Path,
) -> Result<Config, Error> {
    let mut config = defaults(args, current_dir);
    let variables = setting::variables(environment);
    let file = File::find(args, &variables, current_dir)?;
    let Written { mut settings, hosts } = match &file {
        Some(file) => from_file(file, &mut config)?,
        None => Written::default(),
    };
    settings.extend(setting::from_variables(&variables, current_dir, &mut config.notes));
    settings.extend(setting::from_flags(args, current_dir));
    let written = apply(settings, &mut config)?;
    fit_workers(&mut config, written.get("workers"))?;
    note_port(&mut config, &written);
    note_connections(&mut config);
    note_descriptors(&mut config, written.get("cache_descriptors_max"));
    // Who asked for what is nobody else's business, wherever the file lies.
    config.files.withheld.extend(config.log_file.clone());
    settle_root(&mut config.files)?;
    read_users(&mut config.rules.access, &written)?;
    check_proxies(&config.proxies, &written)?;
    note_spa(&mut config);
    check_site(&config, &written)?;
    config.hosts = hosts.into_iter().map(|table| host(table, &config)).collect::<Result<_, _>>()?;
    read_site_files(&mut config)?;
    withhold_users(&mut config);
    config.notes.iter_mut().for_each(|note| *note = one_line(note));
    config.port_asked = written.contains_key("port");
    config.sources = written.into_iter().map(|(name, setting)| (name, setting.source)).collect();
    Ok(config)
}

fn defaults(args: &Args, current_dir: &Path) -> Config {
    Config {
        bind: vec![Bind::Inet { host: "127.0.0.1".to_owned(), port: None }],
        port: PORT,
        port_asked: false,
        quiet: false,
        log_format: http::LogFormat::default(),
        log_file: None,
        verbose: args.verbose,
        color: args.color,
        server: socketserver::Options::default(),
        sockets: socketserver::SocketOptions::default(),
        limits: http::Limits::default(),
        files: files::Options::new(current_dir),
        rules: Rules::default(),
        hosts: Vec::new(),
        allow_host: Names::default(),
        passwords: PasswordLimits::default(),
        proxies: http::Proxies::default(),
        file: None,
        notes: Vec::new(),
        sources: BTreeMap::new(),
    }
}

/// A file that belongs to another program gives a note, and no settings.
fn from_file<'t>(file: &'t File, config: &mut Config) -> Result<Written<'t>, Error> {
    let Some(written) = file.settings()? else {
        config.notes.push(format!("{} has no valid [salver] table: left alone", file.shown));
        return Ok(Written::default());
    };
    config.files.withheld.push(file.path.clone());
    config.file = Some(file.path.clone());
    Ok(written)
}

/// Gives each setting to its field, in order; what is left is the last setting of each key.
fn apply<'t>(settings: Vec<Setting<'t>>, config: &mut Config) -> Result<BTreeMap<&'static str, Setting<'t>>, Error> {
    let mut written = BTreeMap::new();
    for setting in settings {
        let assigned = (setting.key.field)(config).assign(&setting);
        assigned.map_err(|expected| {
            let takes = |part: &Setting<'_>| (part.key.field)(&mut config.clone()).assign(part).is_ok();
            match setting.culprit(takes) {
                Some(at) => Error::Mistake(format!("{}: {expected}", setting.item(at))),
                None => setting.mistake(&expected),
            }
        })?;
        written.insert(setting.key.name, setting);
    }
    Ok(written)
}

/// A number of workers that nobody chose gives way to `workers_max`; one that somebody wrote must fit.
fn fit_workers(config: &mut Config, written: Option<&Setting<'_>>) -> Result<(), Error> {
    let server = &mut config.server;
    match written {
        Some(workers) if server.workers > server.workers_max => {
            let expected = format!("expected at most workers_max, which is {}; raise that too", server.workers_max);
            Err(workers.mistake(&expected))
        }
        _ => {
            server.workers = server.workers.min(server.workers_max);
            Ok(())
        }
    }
}

/// A port that no address takes is hardly what somebody wants; unless addresses with ports of their own are the stronger
/// word, or a platform says PORT to every program.
fn note_port(config: &mut Config, written: &BTreeMap<&'static str, Setting<'_>>) {
    let (Some(port), Some(bind)) = (written.get("port"), written.get("bind")) else { return };
    let takes_port = |bind: &Bind| matches!(bind, Bind::Inet { port: None, .. });
    if config.bind.iter().any(takes_port) || bind.source.is_stronger_than(&port.source) || port.source.is_platform() {
        return;
    }
    config.notes.push(format!("{port}: no address takes it, as none of `bind` is without a port of its own ({bind})"));
}

fn note_connections(config: &mut Config) {
    let (asked, allowed) = (config.server.connections_max, socketserver::connections_allowed());
    if asked > allowed {
        let note = format!(
            "connections_max = {asked}, but the descriptor limit (ulimit -Hn) leaves room for {allowed} beside files; \
             raise the limit, or lower connections_max"
        );
        config.notes.push(note);
    }
}

/// The most that `cache_descriptors_max` can mean: half of what connections leave. The other half is for what is open while
/// it is sent.
#[must_use]
pub fn descriptors_kept_max() -> usize {
    socketserver::descriptors_reserved() / 2
}

fn note_descriptors(config: &mut Config, written: Option<&Setting<'_>>) {
    let most = descriptors_kept_max();
    if let Some(setting) = written.filter(|_| config.files.cache_descriptors_max > most) {
        config.notes.push(format!("{setting}: at most {most} are kept open, as connections have the others; lower it"));
    }
}

/// `--spa FILE` is a root, and not a page.
fn note_spa(config: &mut Config) {
    if let (Some(file), Some(spa)) = (&config.files.single, &config.files.spa) {
        let note = format!(
            "spa = {spa}, but {file} is the root, so that nothing beside it is served; if it is the page, name it behind \
             an equals sign (--spa={file}), and its directory as the root"
        );
        config.notes.push(note);
    }
}

/// A root that is a file is that file alone, in its directory.
fn settle_root(files: &mut files::Options) -> Result<(), Error> {
    if files.root.is_file()
        && let (Some(directory), Some(name)) = (files.root.parent(), files.root.file_name())
    {
        let name = name
            .to_str()
            .ok_or_else(|| Error::Mistake(format!("{}: its name is not UTF-8; rename it", files.root.display())))?;
        files.single = Some(name.to_owned());
        files.root = directory.to_owned();
    }
    Ok(())
}

/// What a host's table says is laid over what is in effect for all.
fn host(table: HostTable<'_>, config: &Config) -> Result<Host, Error> {
    let mut own = config.clone();
    own.files.root = own.files.shown();
    own.files.single = None;
    let written = apply(table.settings, &mut own)?;
    settle_root(&mut own.files)?;
    read_users(&mut own.rules.access, &written)?;
    check_site(&own, &written)?;
    let sources = written.into_iter().map(|(name, setting)| (name, setting.source)).collect();
    Ok(Host { names: table.names, site: SiteOptions::new(own.files, own.rules), sources })
}

/// The users of a file stand beside those of the configuration; rules may name both.
fn read_users(access: &mut Access, written: &BTreeMap<&'static str, Setting<'_>>) -> Result<(), Error> {
    access.file_users = Users::default();
    access.read_users_file().map_err(|(line, what)| {
        let file = access.users_file.as_deref().unwrap_or(Path::new("")).display();
        match (line, written.get("users_file")) {
            (Some(line), _) => Error::Mistake(format!("{file}:{line}: {what}")),
            (None, Some(setting)) => setting.mistake(&format!("it can't be read: {what}; name a file that can")),
            (None, None) => Error::Mistake(format!("users_file {file}: it can't be read: {what}")),
        }
    })?;
    access.check().map_err(|mistake| match written.get(mistake.field) {
        Some(setting) => setting.mistake(&mistake.what),
        // A host has it from the rules for all.
        None => Error::Mistake(format!("{}: {}", mistake.field, mistake.what)),
    })
}

/// A file of users is not to be served, whichever root it lies in.
fn withhold_users(config: &mut Config) {
    let accesses = config.hosts.iter().map(|host| &host.site.rules.access).chain([&config.rules.access]);
    let files: Vec<PathBuf> = accesses.filter_map(|access| access.users_file.clone()).collect();
    config.files.withheld.extend(files.iter().cloned());
    config.hosts.iter_mut().for_each(|host| host.site.files.withheld.extend(files.iter().cloned()));
}

/// Proxies that are trusted say who their clients are in some way; a way without them is for nobody.
fn check_proxies(proxies: &http::Proxies, written: &BTreeMap<&'static str, Setting<'_>>) -> Result<(), Error> {
    let (is_trusting, has_way) = (!proxies.trusted.is_empty(), proxies.protocol || proxies.header != ProxyHeader::None);
    let mistake = |key: &'static str, expected: &str| written.get(key).map_or(Ok(()), |key| Err(key.mistake(expected)));
    match (is_trusting, has_way) {
        (true, false) => {
            mistake("trusted_proxies", "expected proxy_header or proxy_protocol besides, by which they say it")
        }
        (false, true) => {
            let expected = "expected trusted_proxies besides, as nobody else is believed";
            mistake(if proxies.protocol { "proxy_protocol" } else { "proxy_header" }, expected)
        }
        _ => Ok(()),
    }
}

/// The directories must be there.
fn check_site(config: &Config, written: &BTreeMap<&'static str, Setting<'_>>) -> Result<(), Error> {
    let says_origin = |rule: &files::FieldRule| rule.names(&::http::header::ACCESS_CONTROL_ALLOW_ORIGIN);
    let mut origins = [written.get("cors"), written.get("header")].into_iter().flatten();
    if !config.rules.cors.list().is_empty()
        && config.files.fields.iter().any(says_origin)
        && let Some(setting) = origins.next()
    {
        return Err(setting.mistake("expected Access-Control-Allow-Origin from `cors` or from `header`, not from both"));
    }
    check_root(&config.files.root, written.get("root").map(Setting::to_string))?;
    let mut mounts = config.rules.mounts.iter().enumerate();
    mounts.try_for_each(|(at, mount)| check_root(mount.root(), written.get("mount").map(|setting| setting.item(at))))
}

/// Each root may have rules of its own. They are read last: redirects stand behind those that were configured, and fields
/// before them, so that what was configured counts. A file alone has no such rules.
fn read_site_files(config: &mut Config) -> Result<(), Error> {
    let hosts = config.hosts.iter_mut().map(|host| (&mut host.site.files, &mut host.site.rules));
    let sites = [(&mut config.files, &mut config.rules)].into_iter().chain(hosts);
    for (files, rules) in sites.filter(|(files, _)| files.single.is_none()) {
        let file = files.root.join(REDIRECTS_FILE);
        let file = file.display();
        rules.read_redirects(files).map_err(|error| match error {
            RedirectsError::Mistake(mistake) => Error::Mistake(format!("{file}:{}: {mistake}", mistake.line)),
            RedirectsError::Unreadable(error) => Error::Refused(format!("{file}: cannot be read: {error}")),
        })?;
        read_headers(files)?;
        let twice = files.file_fields.iter().find(|rule| rule.names(&::http::header::ACCESS_CONTROL_ALLOW_ORIGIN));
        if let Some(rule) = twice.filter(|_| !rules.cors.list().is_empty()) {
            let file = files.root.join(HEADERS_FILE);
            return Err(Error::Mistake(format!(
                "{}: '{rule}': expected Access-Control-Allow-Origin from `cors` or from this file, not from both",
                file.display()
            )));
        }
    }
    Ok(())
}

fn read_headers(files: &mut files::Options) -> Result<(), Error> {
    let file = files.root.join(HEADERS_FILE);
    let file = file.display();
    let unreadable = |error: std::io::Error| Error::Refused(format!("{file}: cannot be read: {error}"));
    let Some(bytes) = files::read_site_file(files, HEADERS_FILE).map_err(unreadable)? else { return Ok(()) };
    let text = String::from_utf8(bytes).map_err(|_| Error::Mistake(format!("{file}: it is not UTF-8")))?;
    let rules = files::parse_headers_file(&text);
    files.file_fields = rules.map_err(|(line, expected)| Error::Mistake(format!("{file}:{line}: {expected}")))?;
    Ok(())
}

/// The "." at the end asks for search permission: without it nothing can be served, and without permission to read the root
/// there is just no listing of it.
fn check_root(root: &Path, place: Option<String>) -> Result<(), Error> {
    let Err(error) = std::fs::metadata(root.join(".")) else { return Ok(()) };
    let place = place.unwrap_or_else(|| "the current directory".to_owned());
    let root = root.display();
    Err(match error.kind() {
        ErrorKind::NotFound => {
            Error::Mistake(format!("{place}: there is no directory {root}; create it or name another"))
        }
        ErrorKind::NotADirectory => {
            Error::Mistake(format!("{place}: {root} is not a directory; name the directory to serve"))
        }
        ErrorKind::InvalidInput => Error::Mistake(format!("{place}: no directory can be called so")),
        _ => Error::Refused(format!("{place}: {root} cannot be read: {error}; allow it or name another directory")),
    })
}

/// The configuration in effect with the source of each value, as a file that reads back as the same configuration (if
/// the root's path is UTF-8). Of a host there is what its table says.
#[must_use]
pub fn describe(config: &Config) -> String {
    let mut text = "[salver]\n".to_owned();
    describe_values(&mut text, KEYS.iter(), &mut config.clone(), &config.sources);
    describe_site_files(&mut text, &config.files, &config.rules);
    for host in &config.hosts {
        let SiteOptions { files, rules, .. } = host.site.clone();
        let mut own = Config { files, rules, ..config.clone() };
        let keys = KEYS.iter().filter(|key| host.sources.contains_key(key.name));
        // Writing to a String cannot fail.
        let _ = writeln!(text, "\n[salver.hosts.\"{}\"]", host.names);
        describe_values(&mut text, keys, &mut own, &host.sources);
        describe_site_files(&mut text, &own.files, &own.rules);
    }
    text
}

/// What files in the root say is in effect too, but not a matter of keys, so it stands in comments.
fn describe_site_files(text: &mut String, files: &files::Options, rules: &Rules) {
    let redirects: Vec<_> = rules.redirects.file_lines().collect();
    let fields: Vec<_> = files.file_fields.iter().map(ToString::to_string).collect();
    let parts =
        [(REDIRECTS_FILE, redirects, "behind those of `redirect`"), (HEADERS_FILE, fields, "before those of `header`")];
    for (name, lines, order) in parts.into_iter().filter(|(_, lines, _)| !lines.is_empty()) {
        let file = files.root.join(name).display().to_string();
        let _ = writeln!(text, "\n# {}, {order}:", one_line(&file));
        for line in lines {
            let _ = writeln!(text, "#   {}", one_line(&line));
        }
    }
}

fn describe_values(
    text: &mut String,
    keys: impl Iterator<Item = &'static Key>,
    config: &mut Config,
    sources: &BTreeMap<&'static str, Source>,
) {
    config.files.root = config.files.shown();
    let values: Vec<_> = keys.map(|key| (key, (key.field)(config).toml())).collect();
    let name_width = values.iter().map(|(key, _)| key.name.len()).max().unwrap_or_default();
    let value_width = values.iter().map(|(_, value)| value.chars().count()).max().unwrap_or_default().min(40);
    for (key, value) in values {
        let source = sources.get(key.name).map_or_else(|| "default".to_owned(), Source::to_string);
        let _ = writeln!(text, "{:name_width$} = {value:value_width$}  # {}", key.name, one_line(&source));
    }
}

/// What others wrote may hold line breaks and terminal escapes; a log line may not.
fn one_line(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}
