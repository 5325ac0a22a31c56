//! `salver routes`: what would answer a path, and why. The question goes through the very stages that serve; what they
//! tell of their steps is printed, and then their answer.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use log::{Level, LevelFilter, Log, Metadata, Record};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use salver::cli::Routes;
use salver::config::{Config, Error};
use salver::http::{self, ROUTE};
use salver::site::Sites;

use super::listen;
use super::logging::one_line;

/// What a browser encodes before it asks; what people type may have it.
const NOT_TYPED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'`');

/// As the width of the words that begin the lines.
const WORD_WIDTH: usize = 9;

/// Fields that belong to a connection, and to the moment.
const LEFT_OUT: [&str; 2] = ["connection", "date"];

/// The text that tells of each path.
pub(super) fn text(routes: &Routes, config: &Config) -> Result<String, Error> {
    let heads = routes.paths.iter().map(|path| head(path, routes)).collect::<Result<Vec<_>, _>>()?;
    // There is no other logger in this program's life.
    let _ = log::set_logger(&STEPS);
    log::set_max_level(LevelFilter::Trace);
    let mut config = config.clone();
    config.files.keeps_nothing = true;
    config.hosts.iter_mut().for_each(|host| host.site.files.keeps_nothing = true);
    let sites = super::sites(&config, listen::would_be_local(&config));
    // What a server says of itself at its start is no step of a request.
    STEPS.take();
    Ok(heads.iter().map(|head| tell(head, routes, &sites, &config)).collect::<Vec<_>>().join("\n"))
}

/// The head of the request for a path.
fn head(path: &str, routes: &Routes) -> Result<String, Error> {
    let is_target = path.starts_with('/') || path.starts_with("http://");
    if !is_target || path.contains(char::is_control) {
        return Err(mistake(&format!("PATH {path}: expected a path that begins with /, or a URL with http://")));
    }
    let target: String = utf8_percent_encode(path, NOT_TYPED).collect();
    let target = target.split_once('#').map_or(&*target, |(target, _)| target);
    let (method, host) = (&routes.method, &routes.host);
    let is_word = |text: &str| !text.is_empty() && text.chars().all(|character| character.is_ascii_graphic());
    if !is_word(method) {
        return Err(mistake(&format!("--method {method}: expected a method, such as GET")));
    }
    if !is_word(host) {
        return Err(mistake(&format!("--host {host}: expected a host, such as example.org")));
    }
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n");
    for field in &routes.field {
        if !field.split_once(':').is_some_and(|(name, _)| is_word(name)) || field.contains(char::is_control) {
            return Err(mistake(&format!("--field {field}: expected Name: value, such as Accept: text/html")));
        }
        let _ = write!(head, "{field}\r\n");
    }
    if !routes.field.iter().any(|field| field.to_ascii_lowercase().starts_with("accept:")) {
        head.push_str("Accept: text/html\r\n");
    }
    head.push_str("\r\n");
    Ok(head)
}

fn mistake(what: &str) -> Error {
    Error::Mistake(what.to_owned())
}

/// The steps to the answer, and the answer.
fn tell(head: &str, routes: &Routes, sites: &Sites, config: &Config) -> String {
    let peer = SocketAddr::new(routes.client, 0);
    let answer = http::rehearse(sites, head.as_bytes(), peer, &config.proxies, &config.limits);
    let steps = STEPS.take();
    let request_line = head.lines().next().unwrap_or_default();
    let mut text = format!("{}\n", request_line.trim_end_matches(" HTTP/1.1"));
    for (word, rest) in &steps {
        let _ = writeln!(text, "  {word:WORD_WIDTH$} {rest}");
    }
    let answer = String::from_utf8_lossy(&answer);
    let mut lines = answer.lines();
    let status = lines.next().unwrap_or_default().trim_start_matches("HTTP/1.1 ");
    let fields: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(": ")).collect();
    let _ = writeln!(text, "  {:WORD_WIDTH$} {status}{}", "answer", outcome(&steps, &fields));
    for (name, value) in fields.iter().filter(|(name, _)| !LEFT_OUT.contains(&&*name.to_ascii_lowercase())) {
        let _ = writeln!(text, "  {:WORD_WIDTH$} {name}: {}", "", one_line(value));
    }
    text
}

/// Where the client is sent, or what its content is from.
fn outcome(steps: &[Step], fields: &[(&str, &str)]) -> String {
    if let Some((_, location)) = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case("location")) {
        return format!(", to {location}");
    }
    match steps.iter().rev().find(|(word, _)| matches!(&**word, "file" | "list" | "page")) {
        Some((word, path)) if word != "page" => format!(", from {path}"),
        _ => String::new(),
    }
}

/// A word, and what it means for the request.
type Step = (String, String);

/// What stages tell of themselves, and what the log of a server would say.
struct Steps(Mutex<Vec<Step>>);

static STEPS: Steps = Steps(Mutex::new(Vec::new()));

impl Steps {
    fn take(&self) -> Vec<Step> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Log for Steps {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let is_news = metadata.level() <= Level::Info && metadata.target().starts_with("salver");
        metadata.target() == ROUTE || is_news
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let text = one_line(&record.args().to_string());
        let step = match text.split_once(": ") {
            Some((word, rest)) if record.target() == ROUTE => (word.to_owned(), rest.to_owned()),
            _ => ("log".to_owned(), text),
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(step);
    }

    fn flush(&self) {}
}
