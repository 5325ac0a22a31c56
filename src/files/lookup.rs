//! Which file a target means: itself, the index of a directory, or a page with a clean URL; or another target, or a
//! directory to be listed.

use std::sync::Arc;
use std::time::Instant;

use log::trace;
use rustix::fs::Stat;

use super::cache::Entry;
use super::errors::Nothing;
use super::listing::Listable;
use super::options::TrailingSlash;
use super::representation::Representation;
use super::role::Role;
use super::root::Found;
use super::stamp::{Evidence, Stamp};
use super::target::SafePath;
use super::{Files, is_navigation, may_be_navigated_to};
use crate::http::{ROUTE, Request};

/// What a target turns out to be.
pub(super) enum Resource {
    File(Arc<Entry<Representation>>),
    /// It has another spelling; the canonical target.
    Moved(String),
    /// A directory without an index, which is listed.
    Directory(Box<Listable>),
}

/// What was found of a directory or a page: a file, and where it lies.
type Opened = (SafePath, std::fs::File, Stat);

impl Files {
    /// Finds what a path means: from the cache by the path as it came, then by its canonical spelling, then from disk.
    pub(super) fn find(&self, path: &[u8], begun: Option<Instant>) -> Result<Resource, Nothing> {
        if let Some(kept) = self.recall(path, begun) {
            return kept;
        }
        let safe = SafePath::parse(path).map_err(|reason| self.refuse_target(path, reason))?;
        if safe.is_too_long() {
            return Err(Nothing::Absent);
        }
        let canonical = safe.canonical();
        if canonical.as_bytes() != path
            && let Some(kept) = self.recall(canonical.as_bytes(), begun)
        {
            return kept;
        }
        match &self.options.single {
            Some(name) if !safe.is_root() && safe.as_bytes() != name.as_bytes() => Err(Nothing::Absent),
            _ if safe.is_directory => self.find_directory(&safe, &canonical),
            _ => self.find_file(&safe, &canonical),
        }
    }

    /// What was found before, if that still holds.
    fn recall(&self, target: &[u8], begun: Option<Instant>) -> Option<Result<Resource, Nothing>> {
        match self.cache.find(target, begun) {
            Some(entry) => Some(Ok(Resource::File(entry))),
            None => self.absent.find(target, begun).map(|_| Err(Nothing::Absent)),
        }
    }

    /// Keeps that there is nothing, as long as these names mean nothing.
    fn forgo(&self, canonical: &str, evidence: Evidence) -> Nothing {
        if evidence.is_complete && !self.options.keeps_nothing {
            self.absent.insert(canonical.as_bytes(), Arc::new(Entry::new((), canonical.len() as u64, evidence)));
        }
        Nothing::Absent
    }

    /// A target without a slash: a file; a page by its clean URL; a directory, which mostly has its slash elsewhere.
    fn find_file(&self, path: &SafePath, canonical: &str) -> Result<Resource, Nothing> {
        let mut evidence = Evidence::begin();
        let directory = match self.open(path) {
            Ok(Found::File(file, stat)) => {
                return self.keep((&Role::Itself, canonical), path, file, &stat, evidence).map(Resource::File);
            }
            Ok(Found::Directory(stat)) => Some(stat),
            Err(Nothing::Absent) => None,
            Err(nothing) => return Err(nothing),
        };
        if let Some(stat) = directory {
            // What a file is sought beside shows in the directory's own times.
            evidence.add(self.root.locate(path), Some(Stamp::of(&stat)));
            if let Some((index, file, stat)) = self.open_index(path, &mut evidence)? {
                return match self.options.trailing_slash {
                    TrailingSlash::Never => {
                        self.keep((&Role::Itself, canonical), &index, file, &stat, evidence).map(Resource::File)
                    }
                    _ => Ok(Resource::Moved(path.as_directory().canonical())),
                };
            }
        } else {
            evidence.add(self.root.locate(path), None);
        }
        match self.open_page(path, &mut evidence)? {
            Some(_) if self.options.trailing_slash == TrailingSlash::Always => {
                Ok(Resource::Moved(path.as_directory().canonical()))
            }
            Some((page, file, stat)) => {
                self.keep((&Role::Itself, canonical), &page, file, &stat, evidence).map(Resource::File)
            }
            None if directory.is_some() && self.options.trailing_slash != TrailingSlash::Never => {
                Ok(Resource::Moved(path.as_directory().canonical()))
            }
            None if directory.is_some() => self.list_or_forgo(path, canonical, evidence),
            None => Err(self.forgo(canonical, evidence)),
        }
    }

    /// A directory is listed, or not there for clients.
    fn list_or_forgo(&self, path: &SafePath, canonical: &str, evidence: Evidence) -> Result<Resource, Nothing> {
        match self.open_listable(path)? {
            Some(directory) => Ok(Resource::Directory(directory)),
            None => Err(self.forgo(canonical, evidence)),
        }
    }

    /// A target with a slash: the index of a directory; a page, which mostly has no slash.
    fn find_directory(&self, path: &SafePath, canonical: &str) -> Result<Resource, Nothing> {
        let mut evidence = Evidence::begin();
        let slash = self.options.trailing_slash;
        if let Some((index, file, stat)) = self.open_index(path, &mut evidence)? {
            return match slash {
                TrailingSlash::Never if !path.is_root() => Ok(Resource::Moved(path.as_file().canonical())),
                _ => self.keep((&Role::Itself, canonical), &index, file, &stat, evidence).map(Resource::File),
            };
        }
        match self.open_page(path, &mut evidence)? {
            Some((page, file, stat)) if slash == TrailingSlash::Always => {
                self.keep((&Role::Itself, canonical), &page, file, &stat, evidence).map(Resource::File)
            }
            Some(_) => Ok(Resource::Moved(path.as_file().canonical())),
            None => {
                if self.options.lists() {
                    // A directory that comes to be is there without any file in it.
                    let location = self.root.locate(path);
                    let stamp = rustix::fs::stat(&location).ok().map(|stat| Stamp::of(&stat));
                    evidence.add(location, stamp);
                }
                match self.list_or_forgo(path, canonical, evidence)? {
                    Resource::Directory(_) if slash == TrailingSlash::Never && !path.is_root() => {
                        Ok(Resource::Moved(path.as_file().canonical()))
                    }
                    found => Ok(found),
                }
            }
        }
    }

    /// The first index that a directory has. That those before it are missing is part of what has to hold.
    pub(super) fn open_index(&self, directory: &SafePath, evidence: &mut Evidence) -> Result<Option<Opened>, Nothing> {
        for name in self.options.single.as_ref().map_or(&self.options.index[..], std::slice::from_ref) {
            let path = directory.join(name);
            if let Some((file, stat)) = self.open_if_there(&path, evidence)? {
                return Ok(Some((path, file, stat)));
            }
        }
        Ok(None)
    }

    /// The page behind a clean URL.
    fn open_page(&self, path: &SafePath, evidence: &mut Evidence) -> Result<Option<Opened>, Nothing> {
        if !self.options.clean_urls || self.options.single.is_some() {
            return Ok(None);
        }
        let Some(path) = path.page() else { return Ok(None) };
        Ok(self.open_if_there(&path, evidence)?.map(|(file, stat)| (path, file, stat)))
    }

    /// A file that need not be there. What is refused isn't, and nothing that depends on it is kept.
    fn open_if_there(
        &self,
        path: &SafePath,
        evidence: &mut Evidence,
    ) -> Result<Option<(std::fs::File, Stat)>, Nothing> {
        match self.open(path) {
            Ok(Found::File(file, stat)) => return Ok(Some((file, stat))),
            Ok(Found::Directory(stat)) => evidence.add(self.root.locate(path), Some(Stamp::of(&stat))),
            Err(Nothing::Absent) => evidence.add(self.root.locate(path), None),
            Err(Nothing::Refused) => evidence.is_complete = false,
            Err(nothing) => return Err(nothing),
        }
        Ok(None)
    }

    /// The page of a single-page application, where there is nothing else and somebody navigates there. What is refused is
    /// nothing too, as a client must not see the difference.
    pub(super) fn fallback(
        &self,
        request: &Request<'_>,
        path: &[u8],
        nothing: &Nothing,
    ) -> Option<Arc<Entry<Representation>>> {
        let spa = self.options.spa.as_ref()?;
        if !self.may_fall_back(path, nothing) || !is_navigation(request, path) {
            trace!(target: ROUTE, "spa: not {spa}, which is for HTML and paths without extension");
            return None;
        }
        trace!(target: ROUTE, "spa: {spa} in the place of what isn't there");
        self.find_elsewhere(&Role::StandIn, &SafePath::root().join(spa.trim_start_matches('/')), request.begun)
    }

    /// Whether a navigation to this path would find the page of the application.
    pub(super) fn may_fall_back(&self, path: &[u8], nothing: &Nothing) -> bool {
        self.options.spa.is_some() && matches!(nothing, Nothing::Absent | Nothing::Refused) && may_be_navigated_to(path)
    }

    /// What answers in this role.
    pub(super) fn find_as(
        &self,
        role: &Role,
        path: &[u8],
        begun: Option<Instant>,
    ) -> Result<Arc<Entry<Representation>>, Nothing> {
        let elsewhere = match role {
            Role::Itself => None,
            _ => SafePath::parse(path).ok().and_then(|path| self.find_elsewhere(role, &path, begun)),
        };
        elsewhere.map_or_else(|| self.find_in_place(path, begun), Ok)
    }

    /// A file in the place of something else; it is kept beside the same file in its own place, as what is said of it
    /// differs.
    fn find_elsewhere(
        &self,
        role: &Role,
        path: &SafePath,
        begun: Option<Instant>,
    ) -> Option<Arc<Entry<Representation>>> {
        let canonical = path.canonical();
        if let Some(kept) = self.cache.find(role.key(&canonical).as_bytes(), begun) {
            return Some(kept);
        }
        let mut evidence = Evidence::begin();
        let itself = if path.is_directory { None } else { self.open_if_there(path, &mut evidence).ok()? };
        let (path, file, stat) = match itself {
            Some((file, stat)) => (path.clone(), file, stat),
            None => match self.open_index(path, &mut evidence) {
                Ok(Some(index)) => index,
                _ => self.open_page(path, &mut evidence).ok()??,
            },
        };
        self.keep((role, &canonical), &path, file, &stat, evidence).ok()
    }

    /// What answers in the place of what was asked for. A client that asked for another path must not be sent to one that
    /// is put in its place once more, so what is moved is followed here.
    pub(super) fn find_in_place(
        &self,
        path: &[u8],
        begun: Option<Instant>,
    ) -> Result<Arc<Entry<Representation>>, Nothing> {
        let mut found = self.find(path, begun)?;
        if let Resource::Moved(target) = &found {
            found = self.find(target.as_bytes(), begun)?;
        }
        match found {
            Resource::File(entry) => Ok(entry),
            Resource::Moved(_) | Resource::Directory(_) => Err(Nothing::Absent),
        }
    }
}
