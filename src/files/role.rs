//! As what a file answers: as itself, or in the place of what was asked for, where other things are said of it. Pure.

use std::borrow::Cow;

use percent_encoding::percent_decode;

use super::areas::Areas;
use super::rules::{FieldRule, is_hashed};

/// As what a file answers.
pub(super) enum Role {
    /// As what was asked for.
    Itself,
    /// As a page that stands in for what isn't there, for navigations alone.
    StandIn,
    /// As what a rewrite puts in the place of another path.
    Rewritten(Rewritten),
}

/// A rewrite, as the site tells of it.
#[derive(Clone, Copy)]
pub(crate) struct Rewrite<'p> {
    /// The canonical path that was asked for.
    pub(crate) asked: &'p [u8],
    /// It is answered so only as long as nothing is there.
    pub(crate) is_missing: bool,
}

/// What matters of a path that was asked for, so that what is kept for one serves for all that are alike.
pub(super) struct Rewritten {
    pub(super) is_missing: bool,
    /// Whether its name has a hash in it.
    pub(super) is_hashed: bool,
    /// Whether what is there is not for everybody.
    pub(super) is_private: bool,
    /// The places of the rules that are about it.
    pub(super) rules: Vec<usize>,
}

impl Role {
    pub(super) fn of(rewrite: Rewrite<'_>, rules: &[FieldRule], areas: &Areas, index: &str) -> Self {
        let Rewrite { asked, is_missing } = rewrite;
        let path: Cow<'_, [u8]> = percent_decode(asked.strip_prefix(b"/").unwrap_or(asked)).into();
        let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let about = rules.iter().enumerate().filter(|(_, rule)| rule.applies(&[&path]));
        Self::Rewritten(Rewritten {
            is_missing,
            is_hashed: is_hashed(name),
            is_private: areas.of_forms(asked, index).into_iter().any(|form| areas.are_private(form)),
            rules: about.map(|(at, _)| at).collect(),
        })
    }

    /// By what a file is kept in this role. A path begins with a slash; in other roles a word stands in front of it.
    pub(super) fn key<'c>(&self, canonical: &'c str) -> Cow<'c, str> {
        match self {
            Self::Itself => canonical.into(),
            Self::StandIn => format!("stand-in {canonical}").into(),
            Self::Rewritten(Rewritten { is_missing, is_hashed, is_private, rules }) => {
                format!("rewritten {is_missing} {is_hashed} {is_private} {rules:?} {canonical}").into()
            }
        }
    }

    /// Whether it ends as soon as something is there: then it is never to be kept for long.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Itself => false,
            Self::StandIn => true,
            Self::Rewritten(rewritten) => rewritten.is_missing,
        }
    }

    /// Rules that are about what was asked for, where that is another path.
    pub(super) fn rules(&self) -> &[usize] {
        if let Self::Rewritten(rewritten) = self { &rewritten.rules } else { &[] }
    }

    /// Whether what was asked for, another path, is not for everybody.
    pub(super) fn is_private(&self) -> bool {
        matches!(self, Self::Rewritten(rewritten) if rewritten.is_private)
    }

    /// Whether what was asked for has a name that its content never changes under, as far as this tells.
    pub(super) fn may_be_hashed(&self) -> bool {
        !matches!(self, Self::Rewritten(rewritten) if !rewritten.is_hashed)
    }
}
