//! From what was written to the type of a field, and from the field to TOML. What does not fit is answered with what
//! was expected.

mod bind;
mod site;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeValue;

use super::setting::Setting;
use crate::files::{Coding, ErrorPage, EtagSource, FieldRule, Listing, Pattern, Symlinks, TrailingSlash, TypeRule};
use crate::http::{LogFormat, ProxyHeader};
use crate::site::{NetworkRule, UserRule};

pub use self::bind::Bind;

/// No time limit is longer than a day.
const TIMEOUT_MAX: Duration = Duration::from_secs(86_400);

/// A value as it was written.
pub(super) enum Value<'t> {
    /// By a flag or a variable, where everything is text, and a list is separated by commas or, of rules, by line ends.
    Text(OsString),
    /// By a flag that may be repeated and whose values may hold commas.
    Rules(Vec<String>),
    /// In the file, where a number is a number.
    Toml(DeValue<'t>),
}

impl Value<'_> {
    fn whole_number(&self) -> Option<u64> {
        match self {
            Self::Text(text) => text.to_str()?.parse().ok(),
            Self::Toml(DeValue::Integer(number)) => u64::from_str_radix(number.as_str(), number.radix()).ok(),
            Self::Rules(_) | Self::Toml(_) => None,
        }
    }

    fn seconds(&self) -> Option<Duration> {
        let seconds = match self {
            Self::Text(text) => text.to_str()?.parse().ok()?,
            Self::Toml(DeValue::Float(number)) => number.as_str().parse().ok()?,
            Self::Rules(_) | Self::Toml(_) => return self.whole_number().map(Duration::from_secs),
        };
        Duration::try_from_secs_f64(seconds).ok()
    }

    fn truth(&self) -> Option<bool> {
        match self {
            Self::Text(text) if text == "true" || text == "1" => Some(true),
            Self::Text(text) if text == "false" || text == "0" => Some(false),
            Self::Toml(DeValue::Boolean(truth)) => Some(*truth),
            _ => None,
        }
    }

    /// The only text that need not be UTF-8.
    fn path(&self) -> Option<&Path> {
        match self {
            Self::Text(text) => Some(Path::new(text)),
            Self::Rules(_) => None,
            Self::Toml(value) => value.as_str().map(Path::new),
        }
    }

    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => text.to_str(),
            Self::Rules(_) => None,
            Self::Toml(value) => value.as_str(),
        }
    }

    fn list(&self) -> Option<Vec<&str>> {
        match self {
            Self::Text(text) => Some(text.to_str()?.split(',').map(str::trim).collect()),
            Self::Rules(rules) => Some(rules.iter().map(String::as_str).collect()),
            Self::Toml(DeValue::Array(items)) => items.iter().map(|item| item.get_ref().as_str()).collect(),
            Self::Toml(_) => None,
        }
    }

    /// A list whose members may hold commas.
    fn rules(&self) -> Option<Vec<&str>> {
        match self {
            Self::Text(text) => Some(text.to_str()?.lines().map(str::trim).filter(|line| !line.is_empty()).collect()),
            _ => self.list(),
        }
    }
}

/// A field of the configuration that a key fills.
pub(super) trait Field {
    /// Takes the value, or says what it expected instead.
    fn assign(&mut self, setting: &Setting<'_>) -> Result<(), String>;
    /// The value as it stands in a file.
    fn toml(&self) -> String;
}

macro_rules! number_fields {
    ($($number:ty)*) => {$(
        impl Field for $number {
            fn assign(&mut self, setting: &Setting<'_>) -> Result<(), String> {
                let range = &setting.key.range;
                let number = setting.value.whole_number().filter(|number| range.contains(number));
                *self = number
                    .and_then(|number| Self::try_from(number).ok())
                    .ok_or_else(|| format!("expected a number from {} to {}", range.start(), range.end()))?;
                Ok(())
            }

            fn toml(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

number_fields!(u16 u32 u64 usize i32);

impl Field for Duration {
    fn assign(&mut self, setting: &Setting<'_>) -> Result<(), String> {
        let seconds = setting.value.seconds().filter(|time| !time.is_zero() && *time <= TIMEOUT_MAX);
        *self = seconds
            .ok_or_else(|| format!("expected seconds, more than 0 and at most {} (a day)", TIMEOUT_MAX.as_secs()))?;
        Ok(())
    }

    fn toml(&self) -> String {
        self.as_secs_f64().to_string()
    }
}

impl Field for bool {
    fn assign(&mut self, setting: &Setting<'_>) -> Result<(), String> {
        *self = setting.value.truth().ok_or("expected true or false")?;
        Ok(())
    }

    fn toml(&self) -> String {
        self.to_string()
    }
}

impl Field for PathBuf {
    fn assign(&mut self, setting: &Setting<'_>) -> Result<(), String> {
        let path = setting.value.path().filter(|path| !path.as_os_str().is_empty()).ok_or("expected a path")?;
        // Components leave out every "." but keep "..": what that means is for the system to say.
        *self = setting.base.join(path).components().collect();
        Ok(())
    }

    fn toml(&self) -> String {
        quoted(&self.to_string_lossy())
    }
}

macro_rules! named_fields {
    ($($choice:ty)*) => {$(
        impl Field for $choice {
            fn assign(&mut self, setting: &Setting<'_>) -> Result<(), String> {
                let text = setting.value.text();
                let is_meant = |name: &str| text.is_some_and(|text| text.eq_ignore_ascii_case(name));
                let named = Self::NAMES.into_iter().find(|(name, _)| is_meant(name));
                (_, *self) = named
                    .ok_or_else(|| format!("expected {}", Self::NAMES.map(|(name, _)| quoted(name)).join(" or ")))?;
                Ok(())
            }

            fn toml(&self) -> String {
                let named = Self::NAMES.into_iter().find(|(_, choice)| choice == self);
                named.map_or_else(String::new, |(name, _)| quoted(name))
            }
        }
    )*};
}

named_fields!(EtagSource LogFormat ProxyHeader Symlinks TrailingSlash);

/// What may be told where it is written, for those who ask which rule it was.
trait Told: Sized {
    fn told(self, _place: impl Fn() -> String) -> Self {
        self
    }
}

impl Told for FieldRule {
    fn told(self, place: impl Fn() -> String) -> Self {
        self.placed(place())
    }
}

impl Told for Pattern {
    fn told(self, place: impl Fn() -> String) -> Self {
        self.placed(place())
    }
}

impl Told for ErrorPage {}
impl Told for NetworkRule {}
impl Told for TypeRule {}
impl Told for UserRule {}

/// Rules, each of which says itself what was expected of it.
macro_rules! rule_fields {
    ($($rule:ty)*) => {$(
        impl Field for Vec<$rule> {
            fn assign(&mut self, setting: &Setting<'_>) -> Result<(), String> {
                let rules = setting.value.rules().ok_or("expected a list of strings, each a rule")?;
                let parse = |(at, text): (usize, &str)| {
                    let rule = text.parse::<$rule>().map_err(|expected| format!("'{text}': {expected}"))?;
                    Ok::<_, String>(rule.told(|| setting.place_of(at)))
                };
                *self = rules.into_iter().enumerate().map(parse).collect::<Result<_, _>>()?;
                Ok(())
            }

            fn toml(&self) -> String {
                list_toml(self)
            }
        }
    )*};
}

rule_fields!(ErrorPage FieldRule NetworkRule Pattern TypeRule UserRule);

/// A path, or none, as which an empty text stands.
impl Field for Option<PathBuf> {
    fn assign(&mut self, setting: &Setting<'_>) -> Result<(), String> {
        let path = setting.value.path().ok_or("expected a path, or \"\" for none")?;
        let whole = || setting.base.join(path).components().collect();
        *self = (!path.as_os_str().is_empty()).then(whole);
        Ok(())
    }

    fn toml(&self) -> String {
        quoted(&self.as_ref().map_or_else(String::new, |path| path.to_string_lossy().into_owned()))
    }
}

/// A file beneath the root; `true` means `index.html`, `false` none.
impl Field for Option<String> {
    fn assign(&mut self, setting: &Setting<'_>) -> Result<(), String> {
        let is_inside = |path: &str| {
            let mut segments = path.trim_start_matches('/').split('/');
            segments.all(|segment| !segment.starts_with('.') && is_file_name(segment))
        };
        *self = match (setting.value.truth(), setting.value.text()) {
            (Some(false), _) => None,
            (Some(true), _) => Some("index.html".to_owned()),
            (None, Some(path)) if is_inside(path) => Some(path.trim_start_matches('/').to_owned()),
            _ => return Err("expected a file beneath the root, such as \"index.html\", or true or false".to_owned()),
        };
        Ok(())
    }

    fn toml(&self) -> String {
        self.as_ref().map_or_else(|| "false".to_owned(), |path| quoted(path))
    }
}

/// The word for what is decided elsewhere.
const AUTO: &str = "auto";

impl Field for Listing {
    fn assign(&mut self, setting: &Setting<'_>) -> Result<(), String> {
        *self = match (setting.value.truth(), setting.value.text()) {
            (Some(true), _) => Self::On,
            (Some(false), _) => Self::Off,
            (None, Some(AUTO)) => Self::Auto,
            _ => return Err("expected true, false or \"auto\"".to_owned()),
        };
        Ok(())
    }

    fn toml(&self) -> String {
        match self {
            Self::Auto => quoted(AUTO),
            Self::On => "true".to_owned(),
            Self::Off => "false".to_owned(),
        }
    }
}

/// No mode: what the umask leaves.
const UMASK: &str = "umask";

/// The mode of a file, in octal digits; or no say in it.
impl Field for Option<u32> {
    fn assign(&mut self, setting: &Setting<'_>) -> Result<(), String> {
        let mode = |digits: &str| u32::from_str_radix(digits, 8).ok().filter(|mode| *mode <= 0o777);
        *self = match setting.value.text() {
            Some(UMASK) => None,
            Some(digits) if !digits.starts_with('+') && mode(digits).is_some() => mode(digits),
            _ => return Err("expected the mode of a file in octal digits, such as \"660\", or \"umask\"".to_owned()),
        };
        Ok(())
    }

    fn toml(&self) -> String {
        quoted(&self.map_or_else(|| UMASK.to_owned(), |mode| format!("{mode:03o}")))
    }
}

/// The word for an empty list where everything is text, and an empty one counts as not set.
const NONE: &str = "none";

/// Codings by their names, each once, in order.
impl Field for Vec<Coding> {
    fn assign(&mut self, setting: &Setting<'_>) -> Result<(), String> {
        let is_none = matches!(&setting.value, Value::Text(text) if text == NONE);
        let names = if is_none { Some(Vec::new()) } else { setting.value.list() };
        let names = names.ok_or("expected a list of codings, such as [\"zstd\", \"br\", \"gzip\"], or [] for none")?;
        self.clear();
        for name in names {
            let named = Coding::NAMES.into_iter().find(|(known, _)| *known == name);
            let (_, coding) = named.ok_or_else(|| {
                format!("expected {}, not '{name}'", Coding::NAMES.map(|(name, _)| quoted(name)).join(" or "))
            })?;
            if !self.contains(&coding) {
                self.push(coding);
            }
        }
        Ok(())
    }

    fn toml(&self) -> String {
        let names: Vec<_> = self.iter().map(|coding| coding.name()).collect();
        list_toml(&names)
    }
}

/// File names.
impl Field for Vec<String> {
    fn assign(&mut self, setting: &Setting<'_>) -> Result<(), String> {
        let names = setting.value.list().ok_or("expected a list of file names, such as [\"index.html\"]")?;
        if let Some(name) = names.iter().find(|name| !is_file_name(name)) {
            return Err(format!("expected file names without a directory, not '{name}'"));
        }
        *self = names.into_iter().map(str::to_owned).collect();
        Ok(())
    }

    fn toml(&self) -> String {
        list_toml(self)
    }
}

fn is_file_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['/', '\0'])
}

impl Field for Vec<Bind> {
    fn assign(&mut self, setting: &Setting<'_>) -> Result<(), String> {
        let texts = setting.value.list().filter(|texts| !texts.is_empty());
        let texts = texts.ok_or("expected a list of addresses, such as [\"127.0.0.1\", \"[::1]:8080\"]")?;
        let parse = |text: &str| {
            let bind = Bind::parse(text).ok_or_else(|| format!("{}, not '{text}'", bind::EXPECTED));
            bind.map(|bind| bind.beneath(setting.base))
        };
        *self = texts.into_iter().map(parse).collect::<Result<_, _>>()?;
        Ok(())
    }

    fn toml(&self) -> String {
        list_toml(self)
    }
}

fn list_toml(items: &[impl ToString]) -> String {
    let items: Vec<_> = items.iter().map(|item| quoted(&item.to_string())).collect();
    format!("[{}]", items.join(", "))
}

fn quoted(text: &str) -> String {
    let escaped = text.chars().map(|character| match character {
        '"' | '\\' => format!("\\{character}"),
        _ if character.is_control() => format!("\\u{:04X}", u32::from(character)),
        _ => character.to_string(),
    });
    format!("\"{}\"", escaped.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_text_is_toml() {
        for text in ["", "plain", "C:\\\"x\"", "tab\t line\n nul\0 del\u{7f} c1\u{85}", "\u{1f980} 'it'"] {
            let quoted = quoted(text);
            assert_eq!(DeValue::parse(&quoted).unwrap().get_ref().as_str(), Some(text), "{quoted}");
        }
    }
}
