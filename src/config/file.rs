//! The configuration file: which one it is, and what it says.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, ErrorKind, Read as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::Error;
use super::keys::{Key, nearest};
use super::setting::{Setting, Source};
use super::value::Value;
use crate::cli::Args;
use crate::site::Names;

/// A larger file is not ours.
const FILE_BYTES_MAX: u64 = 1 << 20;

type Entry<'t> = (Spanned<DeString<'t>>, Spanned<DeValue<'t>>);

/// What a file says.
#[derive(Default)]
pub(super) struct Written<'t> {
    pub(super) settings: Vec<Setting<'t>>,
    pub(super) hosts: Vec<HostTable<'t>>,
}

/// The table of hosts that share a site.
pub(super) struct HostTable<'t> {
    pub(super) names: Names,
    pub(super) settings: Vec<Setting<'t>>,
}

/// The text of a configuration file.
pub(super) struct File {
    /// Absolute.
    pub(super) path: PathBuf,
    /// The path as it was given.
    pub(super) shown: String,
    bytes: Vec<u8>,
    /// A `config.toml` that nobody asked for: without a table of ours it belongs to another program, Hugo for one.
    found: bool,
}

impl File {
    /// The file asked for by flag or variable, or else the first that is there.
    pub(super) fn find(
        args: &Args,
        variables: &BTreeMap<String, OsString>,
        current_dir: &Path,
    ) -> Result<Option<Self>, Error> {
        if let Some(path) = &args.config {
            let place = format!("--config {}", path.display());
            return Self::read(path, current_dir, &place).map(Some);
        }
        if let Some(path) = variables.get("SALVER_CONFIG").map(Path::new) {
            let place = format!("SALVER_CONFIG={}", path.display());
            return Self::read(path, current_dir, &place).map(Some);
        }
        match ["salver.toml", "config.toml"].into_iter().find(|name| current_dir.join(name).is_file()) {
            Some(name) => {
                let file = Self::read(Path::new(name), current_dir, name)?;
                Ok(Some(Self { found: name == "config.toml", ..file }))
            }
            None => Ok(None),
        }
    }

    fn read(path: &Path, current_dir: &Path, place: &str) -> Result<Self, Error> {
        let shown = path.display().to_string();
        let path = current_dir.join(path);
        match read_bytes(&path) {
            Ok(bytes) => Ok(Self { path, shown, bytes, found: false }),
            Err(error) if error.kind() == ErrorKind::IsADirectory => {
                Err(Error::Mistake(format!("{place}: it is a directory; name a file in it")))
            }
            Err(error) if is_no_file(error.kind()) => {
                Err(Error::Mistake(format!("{place}: there is no such file; create it or name another")))
            }
            Err(error) => Err(Error::Refused(format!("{place}: cannot be read: {error}"))),
        }
    }

    /// Its settings in the order of the file, or nothing if the file belongs to another program.
    pub(super) fn settings(&self) -> Result<Option<Written<'_>>, Error> {
        let (text, entries) = match self.parse() {
            Ok(parsed) => parsed,
            Err(_) if self.found && !self.names_us() => return Ok(None),
            Err(error) => return Err(error),
        };
        let (mut ours, others): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(name, _)| is_ours(name));
        match (ours.pop(), others.first()) {
            (None, _) if self.found => Ok(None),
            (None, _) => Err(self.no_table()),
            (Some(_), Some(other)) => Err(self.stray(text, other)),
            (Some(table), None) => self.table(text, table).map(Some),
        }
    }

    fn parse(&self) -> Result<(&str, Vec<Entry<'_>>), Error> {
        if self.bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(Error::Mistake(format!("{}: expected at most {FILE_BYTES_MAX} bytes", self.shown)));
        }
        let text = match str::from_utf8(&self.bytes) {
            Ok(text) => text,
            Err(error) => {
                let valid = String::from_utf8_lossy(&self.bytes[..error.valid_up_to()]);
                return Err(self.mistake(&valid, &(valid.len()..valid.len()), "this is not UTF-8"));
            }
        };
        match DeTable::parse(text) {
            Ok(document) => Ok((text, in_order(document.into_inner()))),
            Err(error) => {
                let span = error.span().unwrap_or_default();
                Err(self.mistake(text, &span, &format!("this is not TOML: {}", error.message())))
            }
        }
    }

    /// A slip in a file of ours must not make the server start as if there were none.
    fn names_us(&self) -> bool {
        String::from_utf8_lossy(&self.bytes).lines().any(|line| line.trim_start().starts_with("[salver"))
    }

    fn no_table(&self) -> Error {
        let what = "there is no table [salver]; put a line [salver] above the settings";
        Error::Mistake(format!("{}: {what}", self.shown))
    }

    fn stray(&self, text: &str, (name, value): &Entry<'_>) -> Error {
        let (span, name) = (name.span(), name.get_ref());
        let what = match value.get_ref() {
            DeValue::Table(_) => format!("unknown table [{name}]; every key stands in [salver]"),
            _ => format!("'{name}' stands outside of the table; move it below [salver]"),
        };
        self.mistake(text, &span, &what)
    }

    fn table<'t>(&'t self, text: &str, (name, value): Entry<'t>) -> Result<Written<'t>, Error> {
        let DeValue::Table(table) = value.into_inner() else {
            return Err(self.mistake(text, &name.span(), "expected one table [salver]"));
        };
        let mut written = Written::default();
        for (name, value) in in_order(table) {
            if name.get_ref() == "hosts" {
                written.hosts = self.hosts(text, (name, value))?;
            } else {
                written.settings.push(self.setting(text, (name, value))?);
            }
        }
        Ok(written)
    }

    fn hosts<'t>(&'t self, text: &str, (name, value): Entry<'t>) -> Result<Vec<HostTable<'t>>, Error> {
        let expected = "expected a table for each host, such as [salver.hosts.\"example.org\"]";
        let DeValue::Table(tables) = value.into_inner() else {
            return Err(self.mistake(text, &name.span(), expected));
        };
        let mut hosts: Vec<HostTable<'t>> = Vec::new();
        for (name, value) in in_order(tables) {
            let mistake = |what: &str| self.mistake(text, &name.span(), what);
            let DeValue::Table(table) = value.into_inner() else { return Err(mistake(expected)) };
            let names = Names::parse(name.get_ref()).map_err(|what| mistake(&what))?;
            if names.is_empty() {
                return Err(mistake("expected a host name in the name of the table"));
            }
            if let Some(whole) = unquoted(name.get_ref(), &table) {
                return Err(mistake(&format!("a host name with dots stands in quotes: [salver.hosts.\"{whole}\"]")));
            }
            if let Some(name) = hosts.iter().find_map(|host| names.shared_with(&host.names)) {
                return Err(mistake(&format!("{name} has a table already; a host has one")));
            }
            let settings = in_order(table).into_iter().map(|entry| self.host_setting(text, entry));
            hosts.push(HostTable { names, settings: settings.collect::<Result<_, _>>()? });
        }
        Ok(hosts)
    }

    fn host_setting<'t>(&'t self, text: &str, (name, value): Entry<'t>) -> Result<Setting<'t>, Error> {
        let span = name.span();
        let setting = self.setting(text, (name, value))?;
        match setting.key {
            key if key.is_of_site => Ok(setting),
            key => Err(self.mistake(
                text,
                &span,
                &format!("'{}' is the same for all hosts; move it to [salver]", key.name),
            )),
        }
    }

    fn setting<'t>(&'t self, text: &str, (name, value): Entry<'t>) -> Result<Setting<'t>, Error> {
        let Some(key) = Key::named(name.get_ref()) else {
            return Err(self.mistake(text, &name.span(), &unknown_key(name.get_ref())));
        };
        Ok(Setting {
            key,
            source: Source::File { path: self.shown.clone(), line: line(text, &name.span()) },
            text: text.get(value.span()).unwrap_or_default().to_owned(),
            items: items(text, value.get_ref()),
            value: Value::Toml(value.into_inner()),
            base: self.path.parent().unwrap_or(&self.path),
        })
    }

    fn mistake(&self, text: &str, span: &Range<usize>, what: &str) -> Error {
        Error::Mistake(format!("{}:{}: {what}", self.shown, line(text, span)))
    }
}

/// The members of a list: the line of each, and how it is written.
fn items(text: &str, value: &DeValue<'_>) -> Vec<(usize, String)> {
    let DeValue::Array(items) = value else { return Vec::new() };
    let written = |item: &Spanned<DeValue<'_>>| text.get(item.span()).unwrap_or_default().to_owned();
    items.iter().map(|item| (line(text, &item.span()), written(item))).collect()
}

/// One byte more than allowed tells a file that is too large; a pipe has no size to ask for.
fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn is_no_file(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// The parser sorts by name; who reads messages reads the file from the top.
fn in_order(table: DeTable<'_>) -> Vec<Entry<'_>> {
    let mut entries: Vec<_> = table.into_iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    entries
}

fn is_ours(name: &Spanned<DeString<'_>>) -> bool {
    name.get_ref() == "salver"
}

/// The name of a host that TOML took apart at its dots: its table is one within another, which none is for a setting.
fn unquoted(name: &str, table: &DeTable<'_>) -> Option<String> {
    let inner = table.iter().find_map(|(name, value)| Some((name.get_ref(), value.get_ref().as_table()?)));
    let (next, inner) = inner.filter(|(next, _)| Key::named(next).is_none())?;
    let rest = unquoted(next, inner).unwrap_or_else(|| next.to_string());
    Some(format!("{name}.{rest}"))
}

fn unknown_key(name: &str) -> String {
    match nearest(name) {
        Some(key) => format!("unknown key '{name}'; did you mean '{}'?", key.name),
        None => format!("unknown key '{name}'; salver --check-config lists every key"),
    }
}

/// Counted from 1. The end of the text belongs to its last line.
fn line(text: &str, span: &Range<usize>) -> usize {
    text.bytes().take(span.start).filter(|&byte| byte == b'\n').count() + 1
}
