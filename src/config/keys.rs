//! The one table of keys. A key stands in `[salver]` by its name and in the environment as `SALVER_` and its name in
//! capitals; its default is what its field holds when nobody wrote it. `config.toml` documents each.

use std::ops::RangeInclusive;

use super::Config;
use super::value::Field;
use crate::http::FIELDS_CEILING;
use crate::socketserver::CONNECTIONS_CEILING;

const WORKERS_CEILING: u64 = 1_024;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

pub(super) static KEYS: &[Key] = &[
    key("root", |config| &mut config.files.root).of_site(),
    key("index", |config| &mut config.files.index).of_site(),
    key("symlinks", |config| &mut config.files.symlinks).of_site(),
    key("clean_urls", |config| &mut config.files.clean_urls).of_site(),
    key("trailing_slash", |config| &mut config.files.trailing_slash).of_site(),
    key("spa", |config| &mut config.files.spa).of_site(),
    key("error_page", |config| &mut config.files.error_pages).of_site(),
    key("hide", |config| &mut config.files.hide).of_site(),
    key("type", |config| &mut config.files.types).of_site(),
    key("header", |config| &mut config.files.fields).of_site(),
    key("security_headers", |config| &mut config.files.security_headers).of_site(),
    key("isolate", |config| &mut config.files.isolate).of_site(),
    key("immutable_hashed", |config| &mut config.files.immutable_hashed).of_site(),
    key("list", |config| &mut config.files.list).of_site(),
    number("list_page_entries", 1..=100_000, |config| &mut config.files.list_page_entries).of_site(),
    number("list_entries_max", 1..=1_000_000, |config| &mut config.files.list_entries_max).of_site(),
    key("bind", |config| &mut config.bind),
    number("port", 0..=65_535, |config| &mut config.port),
    key("quiet", |config| &mut config.quiet),
    key("log_format", |config| &mut config.log_format),
    key("log_file", |config| &mut config.log_file),
    number("workers", 1..=WORKERS_CEILING, |config| &mut config.server.workers),
    number("shards", 0..=WORKERS_CEILING, |config| &mut config.server.shards),
    number("workers_max", 1..=WORKERS_CEILING, |config| &mut config.server.workers_max),
    key("spare_idle_timeout_s", |config| &mut config.server.spare_idle_timeout),
    number("connections_max", 1..=CONNECTIONS_CEILING as u64, |config| &mut config.server.connections_max),
    number("connections_per_client_max", 0..=CONNECTIONS_CEILING as u64, |config| {
        &mut config.server.connections_per_client_max
    }),
    key("stop_timeout_s", |config| &mut config.server.stop_timeout),
    number("backlog", 1..=65_535, |config| &mut config.sockets.backlog),
    key("unix_mode", |config| &mut config.sockets.unix_mode),
    key("reuse_port", |config| &mut config.sockets.reuse_port),
    number("request_line_bytes_max", 256..=65_536, |config| &mut config.limits.request_line_bytes_max),
    number("field_section_bytes_max", 1_024..=262_144, |config| &mut config.limits.field_section_bytes_max),
    number("fields_max", 1..=FIELDS_CEILING as u64, |config| &mut config.limits.fields_max),
    key("head_timeout_s", |config| &mut config.limits.head_timeout),
    key("idle_timeout_s", |config| &mut config.limits.idle_timeout),
    number("body_discard_bytes_max", 0..=GIB, |config| &mut config.limits.body_discard_bytes_max),
    key("body_timeout_s", |config| &mut config.limits.body_timeout),
    key("write_timeout_s", |config| &mut config.limits.write_timeout),
    number("write_rate_bytes_min", 0..=GIB, |config| &mut config.limits.write_rate_min),
    number("turn_bytes_max", 4_096..=GIB, |config| &mut config.limits.turn_bytes_max),
    number("turn_requests_max", 1..=65_536, |config| &mut config.limits.turn_requests_max),
    key("etag", |config| &mut config.files.etag).of_site(),
    number("etag_content_bytes_max", 0..=GIB, |config| &mut config.files.etag_content_bytes_max).of_site(),
    key("compress", |config| &mut config.files.compress).of_site(),
    key("precompressed", |config| &mut config.files.precompressed).of_site(),
    number("compress_bytes_min", 0..=GIB, |config| &mut config.files.compress_bytes_min).of_site(),
    number("compress_bytes_max", 0..=GIB, |config| &mut config.files.compress_bytes_max).of_site(),
    number("ranges_max", 0..=1_024, |config| &mut config.files.ranges_max).of_site(),
    key("linger_timeout_s", |config| &mut config.limits.linger_timeout),
    number("linger_bytes_max", 0..=GIB, |config| &mut config.limits.linger_bytes_max),
    number("cache_descriptors_max", 1..=65_536, |config| &mut config.files.cache_descriptors_max),
    number("cache_bytes_max", 0..=MIB * MIB, |config| &mut config.files.cache_bytes_max),
    number("cache_file_bytes_max", 0..=GIB, |config| &mut config.files.cache_file_bytes_max).of_site(),
    key("cache_idle_timeout_s", |config| &mut config.files.cache_idle_timeout).of_site(),
    number("cache_revalidate_ms", 0..=86_400_000, |config| &mut config.files.cache_revalidate_ms).of_site(),
    key("mount", |config| &mut config.rules.mounts).of_site(),
    key("redirect", |config| &mut config.rules.redirects).of_site(),
    key("cors", |config| &mut config.rules.cors).of_site(),
    key("allow_host", |config| &mut config.allow_host),
    key("users", |config| &mut config.rules.access.users).of_site().secret(),
    key("users_file", |config| &mut config.rules.access.users_file).of_site(),
    key("auth", |config| &mut config.rules.access.auth).of_site(),
    key("allow_from", |config| &mut config.rules.access.allow_from).of_site(),
    key("deny_from", |config| &mut config.rules.access.deny_from).of_site(),
    number("slow_max", 1..=WORKERS_CEILING, |config| &mut config.passwords.slow_max),
    number("failures_max", 1..=10_000, |config| &mut config.passwords.failures_max),
    key("trusted_proxies", |config| &mut config.proxies.trusted),
    key("proxy_header", |config| &mut config.proxies.header),
    key("proxy_protocol", |config| &mut config.proxies.protocol),
];

/// What may be configured: the name, and the field that it fills.
pub(super) struct Key {
    pub(super) name: &'static str,
    /// What a number may be; other types know their limits themselves.
    pub(super) range: RangeInclusive<u64>,
    /// One way to the field, for writing and for showing it.
    pub(super) field: fn(&mut Config) -> &mut dyn Field,
    /// Each host may have a value of its own.
    pub(super) is_of_site: bool,
    /// What was written is not repeated in a message.
    pub(super) is_secret: bool,
}

const fn key(name: &'static str, field: fn(&mut Config) -> &mut dyn Field) -> Key {
    Key { name, range: 0..=u64::MAX, field, is_of_site: false, is_secret: false }
}

const fn number(name: &'static str, range: RangeInclusive<u64>, field: fn(&mut Config) -> &mut dyn Field) -> Key {
    Key { name, range, field, is_of_site: false, is_secret: false }
}

impl Key {
    const fn of_site(self) -> Self {
        Self { is_of_site: true, ..self }
    }

    const fn secret(self) -> Self {
        Self { is_secret: true, ..self }
    }

    pub(super) fn named(name: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.name == name)
    }

    pub(super) fn of_variable(variable: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.variable() == variable)
    }

    pub(super) fn variable(&self) -> String {
        format!("SALVER_{}", self.name.to_uppercase())
    }
}

/// The key that a wrong name most likely means, if there is one.
pub(super) fn nearest(name: &str) -> Option<&'static Key> {
    let likeness = |key: &Key| strsim::jaro_winkler(name, key.name);
    let key = KEYS.iter().max_by(|one, other| likeness(one).total_cmp(&likeness(other)))?;
    (likeness(key) > 0.8).then_some(key)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::tests::{defaults, load_file};

    const CONFIG_TOML: &str = include_str!("../../config.toml");

    /// The key of a line `key = value` or `# key = value`.
    fn key_of(line: &str) -> Option<&str> {
        let (name, _) = line.strip_prefix("# ").unwrap_or(line).split_once(" = ")?;
        Some(name).filter(|name| !name.contains(' '))
    }

    fn values(mut config: Config) -> Vec<(&'static str, String)> {
        KEYS.iter().map(|key| (key.name, (key.field)(&mut config).toml())).collect()
    }

    #[test]
    fn config_toml_documents_every_key_once_and_no_other() {
        let mut documented: Vec<_> = CONFIG_TOML.lines().filter_map(key_of).collect();
        let mut known: Vec<_> = KEYS.iter().map(|key| key.name).collect();
        documented.sort_unstable();
        known.sort_unstable();
        assert_eq!(documented, known);
    }

    #[test]
    fn config_toml_explains_each_key_above_it() {
        let lines: Vec<_> = CONFIG_TOML.lines().collect();
        for pair in lines.windows(2).filter(|pair| key_of(pair[1]).is_some()) {
            assert!(pair[0].starts_with("# ") && key_of(pair[0]).is_none(), "{}", pair[1]);
        }
    }

    #[test]
    fn config_toml_as_it_stands_says_only_the_root() {
        let config = load_file(CONFIG_TOML);
        assert_eq!(config.sources.keys().copied().collect::<Vec<_>>(), ["root"]);
    }

    #[test]
    fn config_toml_with_every_line_uncommented_is_the_defaults() {
        let uncommented = |line| if key_of(line).is_some() { line.trim_start_matches("# ") } else { line };
        let text: Vec<_> = CONFIG_TOML.lines().map(uncommented).collect();
        let config = load_file(&text.join("\n"));
        assert!(config.files.root.ends_with("public"));
        assert_eq!(config.sources.len(), KEYS.len());
        // These follow the directory and the machine; the file shows an example.
        let is_fixed = |name: &str| !["root", "workers", "connections_max", "slow_max"].contains(&name);
        for (written, default) in values(config).into_iter().zip(values(defaults(Path::new("/")))) {
            assert!(written == default || !is_fixed(written.0), "{written:?} {default:?}");
        }
    }

    /// The lists in the text above a key are examples of it.
    #[test]
    fn the_examples_of_config_toml_can_be_used() {
        let hash = "$2y$04$8B1LFqRlCMhB7XQBmUj5SeCS8Y7F1BsWkVEkDnH54VXBXnnXwIz9q";
        let users = format!("users = ['anna:{hash}', 'bob:{hash}']");
        let (mut text, mut tried) = (String::new(), Vec::new());
        for line in CONFIG_TOML.lines() {
            let Some(key) = key_of(line) else {
                text = if line.is_empty() {
                    String::new()
                } else {
                    format!("{text}{} ", line.trim_start_matches('#').trim())
                };
                continue;
            };
            let lists = text.split("[\"").skip(1).filter_map(|rest| rest.split_once(']')).map(|(list, _)| list);
            for list in lists.filter(|list| !list.contains("[::")) {
                let besides = match key {
                    "auth" => &users,
                    "trusted_proxies" => "proxy_protocol = true",
                    _ => "",
                };
                let list = list.replace("../docs", "public");
                load_file(&format!("[salver]\nroot = 'public'\n{besides}\n{key} = [\"{list}]"));
                tried.push(key);
            }
        }
        let networks = ["allow_from", "deny_from", "trusted_proxies"];
        let others = ["mount", "redirect", "cors", "cors", "allow_host", "auth", "auth", "auth"];
        assert_eq!(tried, [&others[..], &networks].concat());
    }

    /// What files and rules a site has is its own business; what is divided among all sites is not.
    #[test]
    fn each_host_may_have_what_concerns_its_site() {
        let shared = ["cache_descriptors_max", "cache_bytes_max"];
        let mut config = defaults(Path::new("/"));
        let (files, rules) = (address_range(&config.files), address_range(&config.rules));
        for key in KEYS {
            let field = std::ptr::from_mut((key.field)(&mut config)).addr();
            let is_of_site = files.contains(&field) || rules.contains(&field);
            assert_eq!(key.is_of_site, is_of_site && !shared.contains(&key.name), "{}", key.name);
        }
    }

    fn address_range<T>(value: &T) -> std::ops::Range<usize> {
        let start = std::ptr::from_ref(value).addr();
        start..start + size_of::<T>()
    }

    #[track_caller]
    fn check_nearest(name: &str, expected: Option<&str>) {
        assert_eq!(nearest(name).map(|key| key.name), expected, "{name}");
    }

    #[test]
    fn a_wrong_name_finds_the_key_it_means() {
        check_nearest("idle_timout_s", Some("idle_timeout_s"));
        check_nearest("head_timeout", Some("head_timeout_s"));
        check_nearest("prot", Some("port"));
        check_nearest("worker", Some("workers"));
        check_nearest("index_file", Some("index"));
        check_nearest("request_line_max", Some("request_line_bytes_max"));
        check_nearest("gzip", None);
        check_nearest("", None);
    }
}
