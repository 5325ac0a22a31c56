//! What somebody wrote for a key, in one form for flags, variables and the file.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::Path;

use toml::de::DeValue;

use super::Error;
use super::keys::{Key, nearest};
use super::value::Value;
use crate::cli::Args;

/// The variable by which platforms tell programs their port.
const PLATFORM_PORT: &str = "PORT";

/// One value that somebody wrote for one key.
pub(super) struct Setting<'t> {
    pub(super) key: &'static Key,
    pub(super) source: Source,
    /// As it was written, for messages.
    pub(super) text: String,
    pub(super) value: Value<'t>,
    /// Of a list in the file its members: the line of each, and how it was written.
    pub(super) items: Vec<(usize, String)>,
    /// The directory that a relative path starts from: the file's, or the current one.
    pub(super) base: &'t Path,
}

/// Who wrote a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A line of the configuration file.
    File {
        /// The path as it was given.
        path: String,
        /// Counted from 1.
        line: usize,
    },
    /// An environment variable, by its name.
    Variable(String),
    /// A flag, by its long name, or `ROOT`.
    Flag(&'static str),
}

impl Source {
    /// Whether what it says has the last word against the other, wherever they say it.
    pub(super) fn is_stronger_than(&self, other: &Self) -> bool {
        let rank = |source: &Self| match source {
            Self::File { .. } => 0,
            Self::Variable(_) => 1,
            Self::Flag(_) => 2,
        };
        rank(self) > rank(other)
    }

    /// PORT, which platforms give to every program.
    pub(super) fn is_platform(&self) -> bool {
        matches!(self, Self::Variable(name) if name == PLATFORM_PORT)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(formatter, "from {path}:{line}"),
            Self::Variable(name) => formatter.write_str(name),
            Self::Flag("ROOT") => formatter.write_str("argument ROOT"),
            Self::Flag(name) => write!(formatter, "flag {name}"),
        }
    }
}

impl Setting<'_> {
    pub(super) fn mistake(&self, expected: &str) -> Error {
        Error::Mistake(format!("{self}: {expected}"))
    }

    /// The place and the value of one member of a list, counted from 0. Of a list on one line it is all of it.
    pub(super) fn item(&self, at: usize) -> String {
        match (&self.source, self.items.get(at)) {
            (Source::File { path, line }, Some((own_line, text))) if own_line != line => {
                format!("{path}:{own_line}: {} = [{text}]", self.key.name)
            }
            _ => self.to_string(),
        }
    }

    /// Where one member of a list is written, counted from 0.
    pub(super) fn place_of(&self, at: usize) -> String {
        match (&self.source, self.items.get(at)) {
            (Source::File { path, .. }, Some((line, _))) => format!("{path}:{line}"),
            (source, _) => source.to_string(),
        }
    }

    /// The first member of a list in the file that is wrong, with those before it or by itself: the field doesn't take
    /// the list up to it.
    pub(super) fn culprit(&self, mut takes: impl FnMut(&Setting<'_>) -> bool) -> Option<usize> {
        let Value::Toml(DeValue::Array(items)) = &self.value else { return None };
        let counts: Vec<usize> = (1..=items.len()).collect();
        let at = counts.partition_point(|&count| {
            let value = Value::Toml(DeValue::Array(items.iter().take(count).cloned().collect()));
            let (key, source, text) = (self.key, self.source.clone(), String::new());
            takes(&Setting { key, source, text, value, items: Vec::new(), base: self.base })
        });
        Some(at).filter(|&at| at < items.len())
    }
}

/// The place and the value, the way its author wrote them.
impl fmt::Display for Setting<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Who writes a password in the place of a hash must not find it in a log.
        let (name, text) = (self.key.name, if self.key.is_secret { "(not shown)" } else { &*self.text });
        match &self.source {
            Source::File { path, line } => write!(formatter, "{path}:{line}: {name} = {text}"),
            Source::Variable(variable) => write!(formatter, "{variable}={text}"),
            Source::Flag(flag) => write!(formatter, "{flag} {text}"),
        }
    }
}

/// The variables that may concern us, in a fixed order. An empty one counts as not set: it is how compose files and
/// shells say so.
pub(super) fn variables(environment: impl IntoIterator<Item = (OsString, OsString)>) -> BTreeMap<String, OsString> {
    environment
        .into_iter()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value))
        .filter(|(name, value)| (name == PLATFORM_PORT || name.starts_with("SALVER_")) && !value.is_empty())
        .collect()
}

/// PORT sorts before SALVER_PORT, and so is the weaker one.
pub(super) fn from_variables<'t>(
    variables: &BTreeMap<String, OsString>,
    current_dir: &'t Path,
    notes: &mut Vec<String>,
) -> Vec<Setting<'t>> {
    let mut settings = Vec::new();
    let mut injected = Vec::new();
    for (name, value) in variables.iter().filter(|(name, _)| *name != "SALVER_CONFIG") {
        let key = if name == PLATFORM_PORT { Key::named("port") } else { Key::of_variable(name) };
        match key {
            _ if is_injected(name, value) => injected.push(name.as_str()),
            Some(key) => settings.push(written(key, Source::Variable(name.clone()), value.clone(), current_dir)),
            None => notes.push(unknown_variable(name)),
        }
    }
    if !injected.is_empty() {
        notes.push(format!("ignored, as Kubernetes sets them for a service named salver: {}", injected.join(", ")));
    }
    settings
}

/// Kubernetes describes a service named `salver` to every container in variables that look like ours; SALVER_PORT is
/// then `tcp://10.0.0.1:80`.
fn is_injected(name: &str, value: &OsString) -> bool {
    let is_url = value.to_string_lossy().contains("://");
    name.starts_with("SALVER_SERVICE_") || name.starts_with("SALVER_PORT_") || (name == "SALVER_PORT" && is_url)
}

/// Only a warning: whoever starts us may have variables of their own.
fn unknown_variable(name: &str) -> String {
    let key = name.trim_start_matches("SALVER_").to_lowercase();
    let suggestion = nearest(&key).map(|key| format!("; did you mean {}?", key.variable())).unwrap_or_default();
    format!("{name} is no setting and is ignored{suggestion}")
}

/// Flags that may be repeated become one list, separated by commas as in a variable.
pub(super) fn from_flags<'t>(args: &Args, current_dir: &'t Path) -> Vec<Setting<'t>> {
    let list = |values: &[String]| (!values.is_empty()).then(|| values.join(",").into());
    let yes = |given: bool| given.then(|| "true".into());
    let flags: [(&str, &'static str, Option<OsString>); 26] = [
        ("root", "ROOT", args.root.clone().map(Into::into)),
        ("root", "--root", args.root_flag.clone().map(Into::into)),
        ("bind", "--bind", list(&args.bind)),
        ("port", "--port", args.port.clone().map(Into::into)),
        ("index", "--index", list(&args.index)),
        ("compress", "--no-compress", args.no_compress.then(|| "none".into())),
        ("precompressed", "--no-precompressed", args.no_precompressed.then(|| "false".into())),
        ("workers", "--workers", args.workers.clone().map(Into::into)),
        ("quiet", "--quiet", yes(args.quiet)),
        ("log_format", "--log-format", args.log_format.clone().map(Into::into)),
        ("log_file", "--log-file", args.log_file.clone().map(Into::into)),
        ("clean_urls", "--no-clean-urls", args.no_clean_urls.then(|| "false".into())),
        ("trailing_slash", "--trailing-slash", args.trailing_slash.clone().map(Into::into)),
        ("spa", "--spa", args.spa.clone().map(Into::into)),
        ("security_headers", "--security-headers", yes(args.security_headers)),
        ("isolate", "--isolate", yes(args.isolate)),
        ("immutable_hashed", "--immutable-hashed", yes(args.immutable_hashed)),
        ("symlinks", "--symlinks", args.symlinks.clone().map(Into::into)),
        ("cors", "--cors", args.cors.clone().map(Into::into)),
        ("allow_host", "--allow-host", list(&args.allow_host)),
        ("users_file", "--users-file", args.users_file.clone().map(Into::into)),
        ("trusted_proxies", "--trust-proxy", list(&args.trust_proxy)),
        ("proxy_header", "--proxy-header", args.proxy_header.clone().map(Into::into)),
        ("proxy_protocol", "--proxy-protocol", yes(args.proxy_protocol)),
        ("list", "--list", yes(args.list)),
        ("list", "--no-list", args.no_list.then(|| "false".into())),
    ];
    let setting = |(key, flag, value)| Some(written(Key::named(key)?, Source::Flag(flag), value?, current_dir));
    let rules: [(&str, &'static str, &Vec<String>); 10] = [
        ("error_page", "--error-page", &args.error_page),
        ("hide", "--hide", &args.hide),
        ("type", "--type", &args.types),
        ("header", "--header", &args.header),
        ("mount", "--mount", &args.mount),
        ("redirect", "--redirect", &args.redirect),
        ("users", "--user", &args.user),
        ("auth", "--auth", &args.auth),
        ("allow_from", "--allow-from", &args.allow_from),
        ("deny_from", "--deny-from", &args.deny_from),
    ];
    let rules = rules.into_iter().filter(|(_, _, rules)| !rules.is_empty()).filter_map(|(key, flag, rules)| {
        let (text, value) = (rules.join(", "), Value::Rules(rules.clone()));
        Some(Setting {
            key: Key::named(key)?,
            source: Source::Flag(flag),
            text,
            value,
            items: Vec::new(),
            base: current_dir,
        })
    });
    flags.into_iter().filter_map(setting).chain(rules).collect()
}

fn written<'t>(key: &'static Key, source: Source, value: OsString, base: &'t Path) -> Setting<'t> {
    Setting {
        key,
        source,
        text: value.to_string_lossy().into_owned(),
        value: Value::Text(value),
        items: Vec::new(),
        base,
    }
}
