//! A line of rules, and what it does. Pure.

use std::borrow::Cow;
use std::fmt;

use ::http::StatusCode;

use super::pattern::Pattern;
use super::target::Template;
use crate::files::{Place, canonical_path};

/// A line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::site) struct Rule {
    pub(super) from: Pattern,
    pub(super) to: Template,
    status: StatusCode,
    /// It wins over files.
    is_forced: bool,
    /// It is for navigations alone: a page that stands in for all that isn't there.
    pub(super) is_fallback: bool,
    /// As it is written.
    pub(super) line: String,
    pub(super) place: Place,
}

/// For people: the line, and where it is.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}'{}", self.line, self.place)
    }
}

impl Effect {
    /// It comes before whatever there is.
    pub(in crate::site) fn is_first(&self) -> bool {
        matches!(self, Self::Redirect(_) | Self::Rewrite)
    }
}

/// What a rule does with a path.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::site) enum Effect {
    /// The client is sent elsewhere.
    Redirect(StatusCode),
    /// Another path is answered in its place, whatever there is.
    Rewrite,
    /// Another path is answered if there is nothing.
    RewriteMissing,
    /// The same, with a page for everything, which is not to be kept as what was asked for.
    StandIn,
}

impl Rule {
    /// Reads a line; none when it is empty, but for a comment.
    pub(super) fn parse(line: &str) -> Result<Option<Self>, String> {
        if let Some(odd) = line.chars().find(|&character| character.is_control() && character != '\t') {
            return Err(format!("expected characters that can be printed, not {odd:?}"));
        }
        let words: Vec<&str> = line.split_whitespace().take_while(|word| !word.starts_with('#')).collect();
        let (from, to, status) = match words[..] {
            [] => return Ok(None),
            [from, to] => (from, to, "301"),
            [from, to, status] => (from, to, status),
            _ => return Err(format!("expected FROM TO [STATUS], not '{}'", words.join(" "))),
        };
        let (status, is_forced) = parse_status(status)?;
        let (pattern, names) = Pattern::parse(from)?;
        let template = Template::parse(to, &names)?;
        if status == StatusCode::OK && !template.is_path() {
            return Err(format!("expected a path of this site for status 200, not '{to}'"));
        }
        let is_fallback = is_fallback(from, &pattern, &template, status);
        Ok(Some(Self {
            from: pattern,
            to: template,
            status,
            is_forced,
            is_fallback,
            line: words.join(" "),
            place: Place::default(),
        }))
    }

    pub(in crate::site) fn effect(&self) -> Effect {
        match (self.status, self.is_forced) {
            (StatusCode::OK, true) => Effect::Rewrite,
            (StatusCode::OK, false) if self.is_fallback => Effect::StandIn,
            (StatusCode::OK, false) => Effect::RewriteMissing,
            (status, _) => Effect::Redirect(status),
        }
    }

    /// The canonical path that is answered in the place of this one.
    pub(in crate::site) fn path(&self, path: &[u8]) -> Vec<u8> {
        let target = self.to.path(&self.from.captures(path).unwrap_or_default());
        match canonical_path(&target) {
            Some(Cow::Owned(canonical)) => canonical,
            _ => target,
        }
    }

    /// Where a client is sent that asked for this path and query.
    pub(in crate::site) fn location(&self, path: &[u8], query: Option<&[u8]>) -> Vec<u8> {
        self.to.location(&self.from.captures(path).unwrap_or_default(), query)
    }
}

fn parse_status(text: &str) -> Result<(StatusCode, bool), String> {
    let (number, is_forced) = text.strip_suffix('!').map_or((text, false), |number| (number, true));
    let status = match number {
        "200" => StatusCode::OK,
        "301" => StatusCode::MOVED_PERMANENTLY,
        "302" => StatusCode::FOUND,
        "303" => StatusCode::SEE_OTHER,
        "307" => StatusCode::TEMPORARY_REDIRECT,
        "308" => StatusCode::PERMANENT_REDIRECT,
        _ => return Err(format!("expected a status of 200, 301, 302, 303, 307 or 308, not '{text}'")),
    };
    Ok((status, is_forced))
}

/// One page for all that isn't there is the page of an application that looks at the path itself. It is for navigations
/// alone: a missing script must not be answered with a page. So is a page for all beneath a path; a picture in the place of
/// pictures is something else.
fn is_fallback(from: &str, pattern: &Pattern, template: &Template, status: StatusCode) -> bool {
    let is_one_for_all = status == StatusCode::OK && pattern.has_splat && template.is_fixed();
    is_one_for_all && (from == "/*" || template.is_page())
}
