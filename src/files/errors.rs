//! Why a target has no answer, and the page that says so: the site's own, or a small clean one. Nothing of them is to be
//! kept for long.

use std::time::Instant;

use ::http::StatusCode;
use log::{Level, trace};

use super::root::Miss;
use super::rules::{ErrorPage, dress};
use super::target::{SafePath, Unsafe};
use super::{Files, descriptors_ran_out};
use crate::http::{ROUTE, Request, Response, Target};

/// The page of a directory that tells that there is no such page beneath it.
const NOT_FOUND_PAGE: &[u8] = b"404.html";

/// So many directories from the root on count where something is sought in all of them: who asks for `/a/a/a/...` must not
/// have each of them tried.
const LEVELS_MAX: usize = 32;

/// Targets up to this length need no memory of their own.
const SHORT_TARGET_BYTES: usize = 256;

/// Why a target has no resource.
pub(super) enum Nothing {
    /// No URI of this server.
    Malformed,
    /// Not there.
    Absent,
    /// There, but not for serving; the reason is in the log. The client is told the same.
    Refused,
    /// The system failed; the reason is in the log.
    Failed(StatusCode),
}

impl Files {
    /// Says why there is nothing.
    pub(super) fn explain(&self, nothing: Nothing, path: &[u8], begun: Option<Instant>) -> Response {
        let status = match nothing {
            Nothing::Malformed => StatusCode::BAD_REQUEST,
            Nothing::Failed(status) => status,
            Nothing::Absent | Nothing::Refused => StatusCode::NOT_FOUND,
        };
        self.error(status, path, begun)
    }

    /// What a handler around this one answers in its place.
    pub(crate) fn tell(&self, status: StatusCode, request: &Request<'_>) -> Response {
        let path = if let Target::Path { path, .. } = request.target { path } else { b"" };
        self.error(status, path, request.begun)
    }

    /// An answer of this status: with the page that the site has for it; of 404 else with the nearest `404.html` up the
    /// tree.
    pub(super) fn error(&self, status: StatusCode, path: &[u8], begun: Option<Instant>) -> Response {
        trace!(target: ROUTE, "error: {}, for which the site may have a page", status.as_u16());
        let find = |target: &str| Some(self.find_in_place(target.as_bytes(), begun).ok()?.value.as_page(status));
        let page = ErrorPage::find(&self.options.error_pages, status)
            .find_map(find)
            .or_else(|| (status == StatusCode::NOT_FOUND).then(|| self.not_found_page(path, begun))?);
        match page {
            Some(_) => trace!(target: ROUTE, "caching: no-cache, as errors are never to be kept for long"),
            None => trace!(target: ROUTE, "page: salver's own for {}, as the site has none", status.as_u16()),
        }
        match page {
            Some(page) => self.dressed(page, path),
            None if status == StatusCode::NOT_FOUND => self.dressed(self.not_found.response(), path),
            None => self.dressed(Response::error_page(status), path),
        }
    }

    /// The nearest page that tells that something isn't there. The path may have any form: it is only cut.
    fn not_found_page(&self, path: &[u8], begun: Option<Instant>) -> Option<Response> {
        // On the stack, as missing names are asked for as often as others.
        let mut short = [0; SHORT_TARGET_BYTES];
        let mut long = Vec::new();
        let page = memchr::memrchr_iter(b'/', shallow(path)).find_map(|at| {
            let length = at + 1 + NOT_FOUND_PAGE.len();
            let target = match short.get_mut(..length) {
                Some(target) => target,
                None => {
                    long.resize(length, 0);
                    &mut long[..]
                }
            };
            target[..=at].copy_from_slice(&path[..=at]);
            target[at + 1..].copy_from_slice(NOT_FOUND_PAGE);
            self.find_in_place(target, begun).ok()
        });
        Some(page?.value.as_page(StatusCode::NOT_FOUND))
    }

    /// What the rules say of any answer to this path, except how long it may be kept.
    pub(crate) fn dressed(&self, response: Response, path: &[u8]) -> Response {
        if self.field_rules.is_empty() {
            return response;
        }
        let dress = dress(&self.field_rules, &[&self.in_site(reachable(path).as_bytes())]);
        dress.not_of_caching().into_iter().fold(response, |response, (name, value)| response.field(name, value))
    }

    pub(super) fn refuse_target(&self, path: &[u8], reason: Unsafe) -> Nothing {
        let why = match reason {
            Unsafe::Malformed => return Nothing::Malformed,
            Unsafe::Above => "it leads above the root",
            Unsafe::Separator => "it has a separator within a segment",
            Unsafe::Hidden => "its name begins with a dot",
        };
        self.not_served
            .say(Level::Info, format_args!("{}{}: not served: {why}", self.options.prefix, path.escape_ascii()));
        Nothing::Refused
    }

    /// Why a path can't be opened, of which the log has the reason.
    pub(super) fn tell_missing(&self, path: &SafePath, miss: Miss) -> Nothing {
        match miss {
            Miss::Absent => Nothing::Absent,
            Miss::Refused(reason) => {
                self.not_served.say(
                    Level::Info,
                    format_args!("{}{}: not served: {reason}", self.options.prefix, path.canonical()),
                );
                Nothing::Refused
            }
            Miss::Failed(error) => self.fail(path, &error),
        }
    }

    pub(super) fn fail(&self, path: &SafePath, error: &std::io::Error) -> Nothing {
        self.failed.say(Level::Error, format_args!("{}{}: {error}", self.options.prefix, path.canonical()));
        let is_passing = descriptors_ran_out(error);
        Nothing::Failed(if is_passing { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::INTERNAL_SERVER_ERROR })
    }
}

/// What has no more than [`LEVELS_MAX`] slashes of a path, from its start.
fn shallow(path: &[u8]) -> &[u8] {
    let end = memchr::memchr_iter(b'/', path).nth(LEVELS_MAX);
    &path[..end.unwrap_or(path.len())]
}

/// The path itself, or the nearest one above that could be served by its form, of those that aren't too deep.
fn reachable(path: &[u8]) -> SafePath {
    let ends = memchr::memrchr_iter(b'/', shallow(path)).map(|at| at + 1);
    let mut parsed = std::iter::once(path.len()).chain(ends).map(|end| SafePath::parse(&path[..end]));
    parsed.find_map(Result::ok).unwrap_or_else(SafePath::root)
}
