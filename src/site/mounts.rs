//! Directories in the place of paths: `/docs` of a site may be another directory than `docs` of its root.

use std::fmt;
use std::path::{Path, PathBuf};

use ::http::{Method, StatusCode};
use log::trace;

use crate::files::{self, Files, Rewrite, canonical_path, encode_query, moved};
use crate::http::{Handler as _, ROUTE, Request, Response, Target};

/// A path, and the directory that is served there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    path: String,
    root: PathBuf,
}

impl Mount {
    /// Reads `PATH=DIR`. A relative directory starts from `base`.
    ///
    /// # Errors
    /// What was expected.
    pub fn parse(text: &str, base: &Path) -> Result<Self, String> {
        let expected = || format!("expected PATH=DIR, such as /docs=../docs, not '{text}'");
        let (path, directory) = text.split_once('=').ok_or_else(expected)?;
        if directory.is_empty() {
            return Err(expected());
        }
        let slashed = format!("{}/", path.strip_suffix('/').unwrap_or(path));
        let canonical = canonical_path(slashed.as_bytes()).filter(|_| path.starts_with('/') && !path.contains("//"));
        let canonical = canonical.and_then(|path| String::from_utf8(path.into_owned()).ok());
        let (path, segments) = match &canonical {
            Some(path) if path.len() > 1 => (path.trim_end_matches('/'), slashed.split('/').count()),
            _ => {
                return Err(format!(
                    "expected a path beneath /, such as /docs, and one that could be served, not '{path}'"
                ));
            }
        };
        if path.split('/').count() + 1 != segments {
            return Err(format!("expected a path without dot segments, not '{path}'"));
        }
        // Components leave out every "." but keep "..": what that means is for the system to say.
        Ok(Self { path: path.to_owned(), root: base.join(directory).components().collect() })
    }

    /// Its path in the site, without a slash at the end.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }
}

impl fmt::Display for Mount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.path, self.root.display())
    }
}

/// The directories of a site.
#[derive(Debug)]
pub(super) struct Mounts {
    /// The longest path first.
    mounted: Vec<(String, Files)>,
    rest: Files,
}

impl Mounts {
    /// All are served in the same way.
    pub(super) fn new(options: &files::Options, mut mounts: Vec<Mount>) -> Self {
        mounts.sort_by_key(|mount| std::cmp::Reverse(mount.path.len()));
        let mounted = mounts.into_iter().map(|Mount { path, root }| {
            let mut options = options.clone();
            // Where the root is one file alone, its name means nothing here.
            (options.root, options.single, options.prefix) = (root, None, path.clone());
            (path, Files::new(options))
        });
        Self { mounted: mounted.collect(), rest: Files::new(options.clone()) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.mounted.is_empty()
    }

    /// The root of the site itself.
    pub(super) fn rest(&self) -> &Files {
        &self.rest
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Files> {
        self.mounted.iter().map(|(_, files)| files).chain([&self.rest])
    }

    /// Answers a request for this canonical path, in the place of its own.
    pub(super) fn handle(&self, request: &Request<'_>, path: &[u8]) -> Response {
        self.find(request, path, Files::handle)
    }

    /// The same, where something else than the page of an application is for what isn't there.
    pub(super) fn handle_existing(&self, request: &Request<'_>, path: &[u8]) -> Response {
        self.find(request, path, Files::handle_existing)
    }

    fn find(&self, request: &Request<'_>, path: &[u8], answer: fn(&Files, &Request<'_>) -> Response) -> Response {
        if let Some((prefix, _, [])) = self.mount_of(path)
            && matches!(request.method, Method::GET | Method::HEAD)
            && !self.rest.hides(path)
        {
            trace!(target: ROUTE, "mount: {prefix} is a directory, which has a slash at its end");
            return self.rest.dressed(moved(StatusCode::MOVED_PERMANENTLY, location(prefix, request)), path);
        }
        self.answer(request, path, answer)
    }

    /// Answers with what is at this canonical path, in the place of another.
    pub(super) fn in_place(&self, request: &Request<'_>, path: &[u8], rewrite: Rewrite<'_>) -> Response {
        self.answer(request, path, |files, request| files.in_place(request, rewrite))
    }

    /// Answers with the page of this canonical path, in the place of what isn't there.
    pub(super) fn stand_in(&self, request: &Request<'_>, path: &[u8]) -> Response {
        self.answer(request, path, Files::stand_in)
    }

    fn answer(
        &self,
        request: &Request<'_>,
        path: &[u8],
        answer: impl FnOnce(&Files, &Request<'_>) -> Response,
    ) -> Response {
        match self.mount_of(path) {
            Some((prefix, files, rest)) => {
                trace!(target: ROUTE, "mount: {prefix} is {}", files.root().display());
                answer(files, &at(request, if rest.is_empty() { b"/" } else { rest }))
            }
            None => answer(&self.rest, &at(request, path)),
        }
    }

    /// The mount that this path lies in, and the rest of the path: nothing, or what begins with a slash.
    fn mount_of<'p>(&self, path: &'p [u8]) -> Option<(&String, &Files, &'p [u8])> {
        let beneath = |(prefix, files)| Some((prefix, files, path.strip_prefix(String::as_bytes(prefix))?));
        let mut mounted = self.mounted.iter().map(|(prefix, files)| (prefix, files)).filter_map(beneath);
        mounted.find(|(_, _, rest)| matches!(rest, [] | [b'/', ..]))
    }
}

/// The directory of a mount, with the query that was asked.
fn location(prefix: &str, request: &Request<'_>) -> Vec<u8> {
    let mut location = format!("{prefix}/").into_bytes();
    if let Target::Path { query: Some(query), .. } = request.target {
        location.push(b'?');
        location.extend(encode_query(query));
    }
    location
}

/// The same request of another path.
fn at<'r>(request: &Request<'r>, path: &'r [u8]) -> Request<'r> {
    let query = match request.target {
        Target::Path { query, .. } => query,
        Target::Asterisk | Target::Authority(_) => None,
    };
    let Request { version, authority, fields, body, peer, client, begun, .. } = *request;
    let target = Target::Path { path, query };
    Request { method: request.method.clone(), target, version, authority, fields, body, peer, client, begun }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_a_path_and_a_directory() {
        for (text, expected) in [
            ("/docs=../docs", "/docs=/base/../docs"),
            ("/docs/=/srv/./docs/", "/docs=/srv/docs"),
            ("/a%62/c d=x=y", "/ab/c%20d=/base/x=y"),
        ] {
            assert_eq!(Mount::parse(text, Path::new("/base")).map(|mount| mount.to_string()), Ok(expected.to_owned()));
        }
        for (text, told) in [
            ("/docs", "expected PATH=DIR"),
            ("/docs=", "expected PATH=DIR"),
            ("docs=x", "expected a path beneath /"),
            ("/=x", "expected a path beneath /"),
            ("=x", "expected a path beneath /"),
            ("//=x", "expected a path beneath /"),
            ("/a//b=x", "expected a path beneath /"),
            ("/../a=x", "expected a path beneath /"),
            ("/.git=x", "expected a path beneath /"),
            ("/%zz=x", "expected a path beneath /"),
            ("/a/../b=x", "expected a path without dot segments"),
        ] {
            let error = Mount::parse(text, Path::new("/base")).unwrap_err();
            assert!(error.starts_with(told), "{text}: {error}");
        }
    }
}
