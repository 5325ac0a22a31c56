//! Which root, and which rules: [`Sites`] is an `http::Handler` that finds whose request it is and asks its [`Files`].
//!
//! The steps of a request, in order, a file each: `hosts` (whose site, by Host), `cors` (which pages may read the answer),
//! `access` (who may have it), `redirects` (another path, or another place), `mounts` (which directory), and the files. Paths are compared in their
//! canonical spelling: decoded once, without empty and dot segments, encoded in one way. A path that files would refuse
//! by its form has no rule. This layer knows nothing of sockets or threads.

mod access;
mod cors;
mod hosts;
mod mounts;
mod redirects;

use std::cell::Cell;
use std::sync::Arc;
use std::{fmt, io, iter};

use ::http::{Method, StatusCode};
use log::trace;

use self::access::{Gate, Refusal, Shared, Visit};
use self::hosts::Host;
use self::mounts::Mounts;
use self::redirects::Effect;
use crate::files::{
    self, BY_ACCEPT, Files, Rewrite, canonical_path, is_navigation, may_be_navigated_to, moved, read_site_file,
};
use crate::http::{Handler, ROUTE, Request, Response, Target};

#[cfg(feature = "auth")]
pub use self::access::hash_password;
pub use self::access::{Access, AccessMistake, NetworkRule, PasswordLimits, UserMistake, UserRule, Users};
pub use self::cors::Origins;
pub use self::hosts::Names;
pub use self::mounts::Mount;
pub use self::redirects::{Mistake, Redirects};

/// What all sites of a server are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// The site of a host that has none of its own, and of requests without a host.
    pub default: SiteOptions,
    /// The sites of hosts. The closest name counts: one without `*`, then the longest.
    pub hosts: Vec<(Names, SiteOptions)>,
    /// Where there are any, requests of other hosts are answered 421. A page from elsewhere that has its own name point
    /// to this machine (DNS rebinding) is kept out by that. Default: none.
    pub allow_host: Names,
    /// Limits of checking passwords.
    pub passwords: PasswordLimits,
}

impl Options {
    /// One site for every host.
    #[must_use]
    pub fn new(default: SiteOptions) -> Self {
        let (allow_host, passwords) = (Names::default(), PasswordLimits::default());
        Self { default, hosts: Vec::new(), allow_host, passwords }
    }
}

/// What a site is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SiteOptions {
    /// Its files. `cache_bytes_max` and `cache_descriptors_max` of the default site are for all roots together: each
    /// gets an equal part.
    pub files: files::Options,
    /// Its rules.
    pub rules: Rules,
}

impl SiteOptions {
    /// These files, by these rules.
    #[must_use]
    pub fn new(files: files::Options, rules: Rules) -> Self {
        Self { files, rules }
    }
}

/// The rules of a site, beside those of its files. Default: none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rules {
    /// Directories in the place of paths; the longest path counts.
    pub mounts: Vec<Mount>,
    /// Redirects and rewrites.
    pub redirects: Redirects,
    /// Whose pages may read its answers.
    pub cors: Origins,
    /// Who may have what.
    pub access: Access,
}

/// The name of the file at a root that has redirects.
pub const REDIRECTS_FILE: &str = "_redirects";

impl Rules {
    /// Adds the redirects of the root's `_redirects` file, if it has one, behind those that there are.
    ///
    /// # Errors
    /// When the file cannot be read, or has a mistake.
    pub fn read_redirects(&mut self, files: &files::Options) -> Result<(), RedirectsError> {
        if let Some(bytes) = read_site_file(files, REDIRECTS_FILE).map_err(RedirectsError::Unreadable)? {
            self.redirects = self.redirects.with_file(&bytes).map_err(RedirectsError::Mistake)?;
        }
        Ok(())
    }
}

/// Why there are no redirects of a file.
#[derive(Debug)]
#[non_exhaustive]
pub enum RedirectsError {
    /// The system refuses, or it isn't served for the same reasons as other files of the root.
    Unreadable(io::Error),
    /// A line is wrong.
    Mistake(Mistake),
}

/// Serves each host's site.
pub struct Sites {
    default: Site,
    hosts: Vec<(Names, Site)>,
    allow_host: Names,
    /// One site for all, without rules: there is nothing to do here.
    is_plain: bool,
}

impl fmt::Debug for Sites {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sites").field("default", &self.default).field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

impl Sites {
    /// Serves as these options say.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let Options { default, hosts, allow_host, passwords } = options;
        let shared = Arc::new(Shared::new(passwords));
        let directories = |site: &SiteOptions| 1 + site.rules.mounts.len();
        let parts = directories(&default) + hosts.iter().map(|(_, site)| directories(site)).sum::<usize>();
        let cache = Cache::part(&default.files, parts);
        let default = Site::new(default, cache, &shared);
        let is_plain = hosts.is_empty() && allow_host.is_empty() && default.is_plain();
        let hosts = hosts.into_iter().map(|(names, site)| (names, Site::new(site, cache, &shared))).collect();
        Self { default, hosts, allow_host, is_plain }
    }

    /// The site that a request asks for; none when its host isn't allowed.
    fn site(&self, authority: Option<&[u8]>) -> Option<&Site> {
        let Some(host) = authority.map(Host::of) else {
            return Some(&self.default).filter(|_| self.allow_host.is_empty());
        };
        if !self.allow_host.is_empty() && self.allow_host.closeness(&host).is_none() {
            trace!(target: ROUTE, "host: {host} is none of allow_host, which is {}", self.allow_host);
            return None;
        }
        let close = self.hosts.iter().filter_map(|site| Some((site.0.closeness(&host)?, site)));
        match close.max_by_key(|(closeness, _)| *closeness) {
            Some((_, (names, site))) => {
                trace!(target: ROUTE, "host: {host} has the site of [salver.hosts.\"{names}\"]");
                Some(site)
            }
            None => {
                if !self.hosts.is_empty() {
                    trace!(target: ROUTE, "host: {host} has no table of its own, so the site of all others");
                }
                Some(&self.default)
            }
        }
    }
}

impl Handler for Sites {
    fn handle(&self, request: &Request<'_>) -> Response {
        if self.is_plain {
            return self.default.mounts.rest().handle(request);
        }
        match self.site(request.authority) {
            Some(site) => site.handle(request),
            None => Response::error_page(StatusCode::MISDIRECTED_REQUEST),
        }
    }

    fn service_actions(&self) {
        for site in iter::once(&self.default).chain(self.hosts.iter().map(|(_, site)| site)) {
            site.mounts.all().for_each(Files::service_actions);
            site.gate.iter().for_each(Gate::service_actions);
        }
    }
}

/// What each root may keep.
#[derive(Clone, Copy)]
struct Cache {
    bytes_max: u64,
    descriptors_max: usize,
}

impl Cache {
    /// One of so many equal parts of what is kept in all.
    fn part(options: &files::Options, parts: usize) -> Self {
        Self {
            bytes_max: options.cache_bytes_max / parts as u64,
            descriptors_max: (options.cache_descriptors_max / parts).max(1),
        }
    }
}

/// A site.
#[derive(Debug)]
struct Site {
    mounts: Mounts,
    redirects: Redirects,
    cors: Origins,
    /// None where everybody may have everything.
    gate: Option<Gate>,
}

impl Site {
    fn new(options: SiteOptions, cache: Cache, shared: &Arc<Shared>) -> Self {
        let SiteOptions { mut files, rules } = options;
        (files.cache_bytes_max, files.cache_descriptors_max) = (cache.bytes_max, cache.descriptors_max);
        let gate = Gate::new(rules.access, &files, shared);
        if let Some(gate) = &gate {
            files.areas = gate.areas().clone();
        }
        Self { mounts: Mounts::new(&files, rules.mounts), redirects: rules.redirects, cors: rules.cors, gate }
    }

    fn is_plain(&self) -> bool {
        self.mounts.is_empty() && self.redirects.is_empty() && self.cors == Origins::Own && self.gate.is_none()
    }

    fn handle(&self, request: &Request<'_>) -> Response {
        match &self.cors {
            Origins::Own => self.admit(request),
            // A browser sends no credentials with its question whether it may ask.
            cors => match cors.preflight(request) {
                Some(answer) => {
                    trace!(target: ROUTE, "cors: a page of another origin asks whether it may; no file is looked for");
                    answer
                }
                None => cors.mark(request, self.admit(request)),
            },
        }
    }

    /// To whom may have it.
    fn admit(&self, request: &Request<'_>) -> Response {
        let Some(gate) = &self.gate else {
            return self.answer(request, None).unwrap_or_else(|refusal| Response::error_page(refusal.status()));
        };
        let mut visit = gate.visit(request);
        let answer = self.let_in(request, &mut visit);
        let answer = answer.unwrap_or_else(|refusal| self.refuse(request, &mut visit, refusal));
        answer.with_user(visit.user())
    }

    fn let_in(&self, request: &Request<'_>, visit: &mut Visit<'_>) -> Result<Response, Refusal> {
        visit.begin()?;
        let answer = self.answer(request, Some(visit))?;
        visit.end(answer)
    }

    /// With the page that the site has for it, if that is for whoever is refused.
    fn refuse(&self, request: &Request<'_>, visit: &mut Visit<'_>, refusal: Refusal) -> Response {
        let page = self.mounts.rest().tell(refusal.status(), request);
        let may_be_told = page.areas() == 0 || visit.enter(page.areas()).is_ok();
        if !may_be_told {
            trace!(target: ROUTE, "page: salver's own, as the site's is not for this client");
        }
        refusal.explain(if may_be_told { page } else { page.with_error_page() })
    }

    /// By redirects first, then by files; what a rewrite puts in the place of a missing file comes after both, and before the
    /// page of an application. Where there are rules about who may have what, the visit is asked about what a rewrite leads
    /// to. What other requests for the path would not be answered with says so to caches (RFC 9110 section 12.5.5).
    fn answer(&self, request: &Request<'_>, mut visit: Option<&mut Visit<'_>>) -> Result<Response, Refusal> {
        let Target::Path { path: asked, query } = request.target else { return Ok(self.mounts.rest().handle(request)) };
        let Some(path) = canonical_path(asked) else { return Ok(self.mounts.rest().handle(request)) };
        let mut turn = |target: &[u8]| visit.as_mut().map_or(Ok(()), |visit| visit.turn(target));
        // Whether a navigation would have got a page where nothing is.
        let is_passed_by = Cell::new(false);
        let rule = self.redirects.find(&path, |rule| {
            let is_navigation = is_navigation(request, &path);
            is_passed_by.set(!is_navigation && may_be_navigated_to(&path));
            if !is_navigation {
                trace!(target: ROUTE, "rewrite: not by {rule}, which is for HTML and paths without extension");
            }
            is_navigation
        });
        let unlike_navigations = |answer: Response| match is_passed_by.get() {
            true => answer.varying(BY_ACCEPT),
            false => answer,
        };
        Ok(match rule.map(|rule| (rule, rule.effect())) {
            Some((rule, Effect::Redirect(status))) if is_of_files(&request.method) => {
                trace!(target: ROUTE, "redirect: {rule}");
                unlike_navigations(self.mounts.rest().dressed(moved(status, rule.location(&path, query)), &path))
            }
            Some((rule, Effect::Rewrite)) => {
                let target = rule.path(&path);
                trace!(target: ROUTE, "rewrite: to {} by {rule}, whatever there is", target.escape_ascii());
                turn(&target)?;
                let rewrite = Rewrite { asked: &path, is_missing: false };
                unlike_navigations(self.mounts.in_place(request, &target, rewrite))
            }
            Some((rule, effect @ (Effect::RewriteMissing | Effect::StandIn))) => {
                let target = rule.path(&path);
                trace!(target: ROUTE, "rewrite: to {} by {rule}, if nothing is there", target.escape_ascii());
                let answer = self.mounts.handle_existing(request, &path);
                if answer.status() != StatusCode::NOT_FOUND {
                    // A rule behind one for navigations alone may have something else for others.
                    let for_others =
                        (effect == Effect::StandIn).then(|| self.redirects.find(&path, |_| false)).flatten();
                    let is_for_all = for_others.is_none_or(|rule| !rule.effect().is_first());
                    return Ok(if is_for_all { answer } else { answer.varying(BY_ACCEPT) });
                }
                trace!(target: ROUTE, "rewrite: nothing is there, so to {}", target.escape_ascii());
                turn(&target)?;
                match effect {
                    Effect::StandIn => self.mounts.stand_in(request, &target),
                    _ => {
                        let rewrite = Rewrite { asked: &path, is_missing: true };
                        unlike_navigations(self.mounts.in_place(request, &target, rewrite))
                    }
                }
            }
            Some((_, Effect::Redirect(_))) | None => {
                if !self.redirects.is_empty() {
                    trace!(target: ROUTE, "redirect: by none of {} rules", self.redirects.len());
                }
                match self.mounts.handle(request, &path) {
                    answer if answer.status() == StatusCode::NOT_FOUND => unlike_navigations(answer),
                    answer => answer,
                }
            }
        })
    }
}

/// A method that is for what a path names; others are for the server, or unknown.
fn is_of_files(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE].contains(method)
}
