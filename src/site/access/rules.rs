//! Lines of a configuration about who may have what: users by path, networks by path. Pure.

use std::fmt;
use std::str::FromStr;

use super::users::is_name;
use crate::files::Pattern;
use crate::http::Networks;

/// Who has to say who they are: `/private/*` is for any user, `/admin/* anna,bob` for these, `!/public/*` for everybody.
/// Of the rules that cover a path the last counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRule {
    text: String,
    pub(super) pattern: Pattern,
    pub(super) who: Who,
}

/// Whom a rule lets in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// With or without a name.
    Everybody,
    AnyUser,
    /// By their names; never none.
    Users(Vec<String>),
}

impl FromStr for UserRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (pattern, users) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let names: Vec<String> = words(users).map(str::to_owned).collect();
        if let Some(name) = names.iter().find(|name| !is_name(name)) {
            return Err(format!("expected PATTERN, PATTERN USER,USER or !PATTERN; '{name}' is no name of a user"));
        }
        let (pattern, who) = match pattern.strip_prefix('!') {
            Some(_) if !names.is_empty() => {
                return Err("expected no users behind !PATTERN, which is for all".to_owned());
            }
            Some(pattern) => (pattern, Who::Everybody),
            None if names.is_empty() => (pattern, Who::AnyUser),
            None => (pattern, Who::Users(names)),
        };
        Ok(Self { text: text.to_owned(), pattern: parse_pattern(pattern)?, who })
    }
}

impl UserRule {
    /// The whole site is for any user.
    pub(super) fn everything() -> Result<Self, String> {
        "/*".parse()
    }
}

impl fmt::Display for UserRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Networks, for the whole site or beneath a pattern: `10.0.0.0/8`, `/admin/* 127.0.0.1, ::1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkRule {
    text: String,
    pub(super) pattern: Option<Pattern>,
    pub(super) networks: Networks,
}

impl NetworkRule {
    /// What part of the site it is about; none: all of it.
    pub(super) fn part(&self) -> Option<&Pattern> {
        self.pattern.as_ref().filter(|pattern| !is_everything(pattern))
    }
}

/// Whether a pattern covers every path.
pub(super) fn is_everything(pattern: &Pattern) -> bool {
    pattern.to_string() == "/*"
}

impl FromStr for NetworkRule {
    type Err = String;

    /// A pattern begins with a slash or an asterisk, so that a slip in a network is none.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (pattern, networks) = match text.split_once(char::is_whitespace) {
            Some((first, rest)) if first.starts_with(['/', '*']) => (Some(first), rest),
            None if text.starts_with(['/', '*']) => (Some(text), ""),
            _ => (None, text),
        };
        let networks = Networks::parse(networks)?;
        if networks.is_empty() {
            return Err("expected NETWORKS or PATTERN NETWORKS, such as /admin/* 10.0.0.0/8".to_owned());
        }
        Ok(Self { text: text.to_owned(), pattern: pattern.map(parse_pattern).transpose()?, networks })
    }
}

impl fmt::Display for NetworkRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A slash at the end means nothing: who protects `/private/` means the page that `/private` is, too.
///
/// What is written as in a URL would match nothing, and what was to be kept would be open.
fn parse_pattern(text: &str) -> Result<Pattern, String> {
    if text.contains("//") {
        return Err("expected a path with single slashes".to_owned());
    }
    let is_encoded =
        |(at, _): (usize, &str)| text.get(at + 1..at + 3).is_some_and(|digits| u8::from_str_radix(digits, 16).is_ok());
    if text.match_indices('%').any(is_encoded) {
        return Err("expected a path as it is, not as in a URL; a question mark stands for a space".to_owned());
    }
    let path = text.trim_end_matches('/');
    if path.is_empty() { "/*".parse() } else { path.parse() }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| character == ',' || character.is_whitespace()).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_read_back_as_they_are_shown() {
        for text in ["/private/*", "/admin/* anna,bob", "!/public", "*.pdf"] {
            assert_eq!(text.parse::<UserRule>().unwrap().to_string(), text);
        }
        for text in ["10.0.0.0/8", "/admin/* 127.0.0.1, ::1", "*.pdf unix", "127.0.0.1 10.0.0.0/8"] {
            assert_eq!(text.parse::<NetworkRule>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_rule_is_for_everybody_for_users_or_for_some() {
        let users = |names: &[&str]| Who::Users(names.iter().map(|name| (*name).to_owned()).collect());
        for (text, who) in [
            ("/a", Who::AnyUser),
            ("!/a", Who::Everybody),
            ("/a anna", users(&["anna"])),
            (" /a\tanna, bob carl ", users(&["anna", "bob", "carl"])),
        ] {
            assert_eq!(text.parse::<UserRule>().unwrap().who, who, "{text}");
        }
        // A directory is what it is by either name.
        assert_eq!("/a/".parse::<UserRule>().unwrap().pattern, "/a".parse::<UserRule>().unwrap().pattern);
    }

    #[test]
    fn what_is_no_rule_is_told() {
        for (text, reason) in [
            ("/a[", "unclosed"),
            ("/my%20dir", "not as in a URL"),
            ("/a//b", "single slashes"),
            ("!", "/*"),
            ("/../a", "dot segments"),
            ("/a an:na", "'an:na' is no name of a user"),
            ("!/a anna", "expected no users behind !PATTERN"),
        ] {
            let error = text.parse::<UserRule>().err();
            // A bare exclamation mark is the whole site, as a bare slash is.
            assert!(error.as_ref().is_some_and(|error| error.contains(reason)) || text == "!", "{text}: {error:?}");
        }
        for (text, reason) in [
            ("", "expected NETWORKS or PATTERN NETWORKS"),
            ("/admin", "expected NETWORKS or PATTERN NETWORKS"),
            ("/admin 10.0.0.1/8", "has bits behind its prefix; expected 10.0.0.0/8"),
            ("10.0.0.1/8 127.0.0.1", "has bits behind its prefix"),
            ("admin 127.0.0.1", "expected an IP address, a network"),
            ("/admin localhost", "not 'localhost'"),
            ("/a[ ::1", "unclosed"),
        ] {
            let error = text.parse::<NetworkRule>().unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
