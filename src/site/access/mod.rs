//! Who may have what: networks and users, by path.
//!
//! A request is let in by what it asks for, before anything is looked up: by a name as it is, or of a directory by its
//! index. Then the answer says where its content lies, and that must be allowed too: a page behind a clean URL, an
//! application in the place of what is missing, what a rewrite leads to, a page for an error. Where there is no content,
//! everything that the name might have led to must be allowed, so that nothing is learned of what is there.
//!
//! `rules` and `users` are what is configured, `hash` and `passwords` who is right, `failures` who has to wait.

#[cfg(feature = "auth")]
mod failures;
#[cfg(feature = "auth")]
mod hash;
#[cfg(feature = "auth")]
mod passwords;
mod rules;
mod users;
#[cfg(not(feature = "auth"))]
mod without;

use core::net::IpAddr;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ::http::{HeaderValue, StatusCode, header};
use log::{Level, trace};

#[cfg(feature = "auth")]
use self::hash::Hash;
#[cfg(feature = "auth")]
use self::passwords::Passwords;
use self::rules::{Who, is_everything};
#[cfg(not(feature = "auth"))]
use self::without::{Hash, Passwords};
use crate::files::{self, Areas, Audience, Pattern};
use crate::http::{Networks, ROUTE, Request, Response, Target, Throttle};

#[cfg(feature = "auth")]
pub use self::hash::hash_password;
#[cfg(feature = "auth")]
pub(super) use self::passwords::Shared;
pub use self::rules::{NetworkRule, UserRule};
pub use self::users::{UserMistake, Users};
#[cfg(not(feature = "auth"))]
pub(super) use self::without::Shared;

/// What a browser asks for in a dialogue (RFC 7617 section 2.1).
const CHALLENGE: HeaderValue = HeaderValue::from_static("Basic realm=\"restricted\", charset=\"UTF-8\"");

/// Statuses, beside those of success, that tell something of what is there.
const OF_CONTENT: [StatusCode; 3] =
    [StatusCode::NOT_MODIFIED, StatusCode::PRECONDITION_FAILED, StatusCode::RANGE_NOT_SATISFIABLE];

/// The most that a file of users may have, in bytes.
const USERS_FILE_BYTES_MAX: u64 = 1 << 20;

/// Who may have what of a site. Default: everybody everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Access {
    /// Who may say who they are.
    pub users: Users,
    /// A file of more users, a line each; [`Access::read_users_file`] reads it.
    pub users_file: Option<PathBuf>,
    /// Those of the file.
    pub file_users: Users,
    /// What is for users. Default: everything, if there are users.
    pub auth: Vec<UserRule>,
    /// Networks whose clients are let in; of the patterns that cover a path the last counts. Rules about one pattern are
    /// in a row.
    pub allow_from: Vec<NetworkRule>,
    /// Networks whose clients are not, whatever else is said.
    pub deny_from: Vec<NetworkRule>,
}

/// Limits of checking passwords, for all sites together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PasswordLimits {
    /// Passwords that are checked at once, at least 1; each takes a processor and the memory that its hash asks for.
    /// Default: half of the processors.
    pub slow_max: usize,
    /// Wrong passwords of one client at once, and in each minute; then it is answered 429. Default: 10.
    pub failures_max: u32,
}

impl Default for PasswordLimits {
    fn default() -> Self {
        Self { slow_max: (crate::http::cores() / 2).max(1), failures_max: 10 }
    }
}

/// What is wrong with rules that are right by themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessMistake {
    /// The field of [`Access`] that says it.
    pub field: &'static str,
    /// What was expected.
    pub what: String,
}

impl Access {
    /// Reads the users of the file, if there is one.
    ///
    /// # Errors
    /// Where the system refuses: none, and what it says. Else the line, and what was expected.
    pub fn read_users_file(&mut self) -> Result<(), (Option<usize>, String)> {
        use std::io::Read as _;
        let Some(path) = &self.users_file else { return Ok(()) };
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(|error| (None, error.to_string()))?;
        let read = file.take(USERS_FILE_BYTES_MAX + 1).read_to_string(&mut text);
        let read = read.map_err(|error| (None, error.to_string()))?;
        if read as u64 > USERS_FILE_BYTES_MAX {
            return Err((Some(1), format!("expected at most {USERS_FILE_BYTES_MAX} bytes")));
        }
        let users = Users::parse(text.lines()).map_err(|mistake| (Some(mistake.line), mistake.what))?;
        self.users.clone().join(users.clone()).map_err(|what| (Some(1), format!("{what}, here and in users")))?;
        self.file_users = users;
        Ok(())
    }

    /// Checks what only shows when all of it is known.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn check(&self) -> Result<(), AccessMistake> {
        let mistake = |field, what: String| Err(AccessMistake { field, what });
        let has_users = !self.users.is_empty() || !self.file_users.is_empty();
        // An empty file is more likely one that went wrong than the wish that everybody comes in.
        if self.users_file.is_some() && self.file_users.is_empty() {
            return mistake("users_file", "there is no user in it; expected a line NAME:HASH for each".to_owned());
        }
        if !self.auth.is_empty() && self.auth.iter().all(|rule| rule.who == Who::Everybody) {
            return mistake(
                "auth",
                "expected a rule for users besides; \"/*\" in front is the rest of the site".to_owned(),
            );
        }
        if !self.auth.is_empty() && !has_users {
            return mistake("auth", "expected users, or a users_file, as nobody could be let in".to_owned());
        }
        let is_known = |name: &String| {
            let mut users = self.users.as_slice().iter().chain(self.file_users.as_slice());
            users.any(|user| *user.name == **name)
        };
        for rule in &self.auth {
            if let Who::Users(names) = &rule.who
                && let Some(name) = names.iter().find(|name| !is_known(name))
            {
                return mistake("auth", format!("'{rule}': there is no user {name}"));
            }
        }
        if let Some(rule) = scattered(&self.allow_from) {
            let what = "its pattern comes again after another one; expected lines about one pattern in a row";
            return mistake("allow_from", format!("'{rule}': {what}"));
        }
        if self.auth.len() + self.allow_from.len() + self.deny_from.len() > Areas::MAX - 1 {
            return mistake(
                if self.auth.is_empty() { "allow_from" } else { "auth" },
                format!("expected at most {} rules in auth, allow_from and deny_from together", Areas::MAX - 1),
            );
        }
        Ok(())
    }

    fn is_open(&self) -> bool {
        let has_users = !self.users.is_empty() || !self.file_users.is_empty();
        !has_users && self.auth.is_empty() && self.allow_from.is_empty() && self.deny_from.is_empty()
    }
}

/// The rules of a site, ready to be asked.
pub(super) struct Gate {
    areas: Areas,
    /// What a directory is asked for as.
    index: String,
    /// By areas, as bits.
    denied: Vec<(u64, Networks)>,
    allowed: Vec<(u64, Networks)>,
    asked: Vec<(u64, UserRule)>,
    passwords: Option<Passwords>,
    /// Lines of the log about clients of networks that are not let in.
    not_let_in: Throttle,
    /// There are more rules than can be kept: nobody is let in.
    is_closed: bool,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("areas", &self.areas).finish_non_exhaustive()
    }
}

impl Gate {
    /// None where everybody may have everything.
    pub(super) fn new(access: Access, files: &files::Options, shared: &Arc<Shared>) -> Option<Self> {
        if access.is_open() {
            return None;
        }
        let Access { mut users, file_users, mut auth, allow_from, deny_from, .. } = access;
        // A name that is there twice is refused by whoever reads the configuration; here the first one counts.
        let joined = users.join(file_users);
        if auth.is_empty() && !users.is_empty() {
            auth.extend(UserRule::everything());
        }
        let mut gate = Self {
            areas: Areas::new().with_clean_urls(files.clean_urls),
            index: files.index.first().map_or("index.html", String::as_str).to_owned(),
            denied: Vec::new(),
            allowed: Vec::new(),
            asked: Vec::new(),
            not_let_in: Throttle::default(),
            passwords: (!users.is_empty()).then(|| Passwords::new(&users, Arc::clone(shared))),
            is_closed: joined.is_err(),
        };
        for rule in deny_from {
            let area = gate.add(rule.pattern, Audience::Networks);
            gate.denied.push((area, rule.networks));
        }
        for (pattern, networks) in grouped(allow_from) {
            let area = gate.add(pattern, Audience::Networks);
            gate.allowed.push((area, networks));
        }
        for rule in auth {
            let audience = if rule.who == Who::Everybody { Audience::Everybody } else { Audience::Users };
            let area = gate.add(Some(rule.pattern.clone()), audience);
            gate.asked.push((area, rule));
        }
        Some(gate)
    }

    /// The parts of the site that there are rules about.
    pub(super) fn areas(&self) -> &Areas {
        &self.areas
    }

    /// The bit of a new area.
    fn add(&mut self, pattern: Option<Pattern>, audience: Audience) -> u64 {
        // What covers everything needs no matching.
        let pattern = pattern.filter(|pattern| !is_everything(pattern));
        let number = self.areas.add(pattern, audience);
        self.is_closed |= number.is_none();
        number.map_or(0, |number| 1 << number)
    }

    /// Tells what was left out of the log.
    pub(super) fn service_actions(&self) {
        self.not_let_in.catch_up();
    }

    /// Begins with a request.
    pub(super) fn visit<'g>(&'g self, request: &Request<'g>) -> Visit<'g> {
        let path = if let Target::Path { path, .. } = request.target { path } else { b"/" };
        Visit {
            gate: self,
            path,
            asked: self.areas.of_target(path, &self.index),
            turned: None,
            client: request.client.ip(),
            authorization: request.fields.only("authorization"),
            verdict: None,
        }
    }
}

/// Rules in a row about the same pattern are one.
fn grouped(rules: Vec<NetworkRule>) -> Vec<(Option<Pattern>, Networks)> {
    let mut groups: Vec<(Option<Pattern>, Networks)> = Vec::new();
    for rule in rules {
        match groups.last_mut() {
            Some((pattern, group)) if pattern.as_ref() == rule.part() => group.extend([rule.networks]),
            _ => groups.push((rule.part().cloned(), rule.networks)),
        }
    }
    groups
}

/// The first rule whose pattern came before, but not right before it: of two such it isn't clear which one is the last.
fn scattered(rules: &[NetworkRule]) -> Option<&NetworkRule> {
    let comes_again = |at: usize| {
        let (part, before) = (rules[at].part(), &rules[..at]);
        before.last().is_some_and(|last| last.part() != part) && before.iter().any(|rule| rule.part() == part)
    };
    (0..rules.len()).find(|at| comes_again(*at)).map(|at| &rules[at])
}

/// What credentials turn out to be.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "auth"), allow(dead_code, reason = "without passwords all are wrong"))]
enum Verdict {
    /// Right: the number of the user.
    User(usize),
    /// Wrong, whoever that claims to be.
    Wrong(Option<Arc<str>>),
    /// Not looked at, as this client was wrong too often; it may try again after this.
    Later(Duration),
    /// Not looked at, as too many others are.
    Busy,
}

/// A request on its way through the gate: who asks is found out once, and only if that matters.
pub(super) struct Visit<'g> {
    gate: &'g Gate,
    path: &'g [u8],
    /// The areas of what is asked for.
    asked: u64,
    /// Those of all that a path in its place may lead to.
    turned: Option<[u64; 3]>,
    client: Option<IpAddr>,
    authorization: Option<&'g [u8]>,
    verdict: Option<Verdict>,
}

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Not from there, or not this user.
    Forbidden,
    /// Not without saying who, and being right.
    Unknown,
    /// Not before this time.
    Later(Duration),
    /// Too many others say who they are.
    Busy,
}

impl Visit<'_> {
    /// Whether what the request asks for may be looked up.
    pub(super) fn begin(&mut self) -> Result<(), Refusal> {
        self.enter(self.asked)
    }

    /// Whether another path may be looked up in its place.
    pub(super) fn turn(&mut self, path: &[u8]) -> Result<(), Refusal> {
        self.turned = Some(self.gate.areas.of_forms(path, &self.gate.index));
        self.enter(self.gate.areas.of_target(path, &self.gate.index))
    }

    /// The answer, as far as it may be told. Of an error a page that is for others is left out.
    pub(super) fn end(&mut self, answer: Response) -> Result<Response, Refusal> {
        let status = answer.status();
        let is_of_content = status.is_success() || OF_CONTENT.contains(&status);
        let may_be_told = if answer.areas() == self.asked { Ok(()) } else { self.enter(answer.areas()) };
        if is_of_content {
            return may_be_told.map(|()| answer);
        }
        let is_for_everybody = self.is_for_everybody();
        let turned = self.turned.into_iter().flatten();
        for areas in self.gate.areas.of_forms(self.path, &self.gate.index).into_iter().chain(turned) {
            self.come_from(areas)?;
            if !is_for_everybody {
                self.be_user(areas)?;
            }
        }
        Ok(if may_be_told.is_ok() { answer } else { answer.with_error_page() })
    }

    /// Whether content of these areas may be told to whoever asks.
    pub(super) fn enter(&mut self, areas: u64) -> Result<(), Refusal> {
        self.come_from(areas)?;
        self.be_user(areas)
    }

    /// Whether the client's network is let in.
    fn come_from(&self, areas: u64) -> Result<(), Refusal> {
        let is_in = |(area, _): &&(u64, Networks)| area & areas != 0;
        let is_denied = self.gate.denied.iter().filter(is_in).any(|(_, networks)| networks.contain(self.client));
        let allowed = self.gate.allowed.iter().rfind(is_in);
        if self.gate.is_closed || is_denied || allowed.is_some_and(|(_, networks)| !networks.contain(self.client)) {
            let why = if is_denied { "is in deny_from" } else { "is not in what allow_from says of this" };
            let client = self.client.map_or("unix:".to_owned(), |ip| ip.to_string());
            trace!(target: ROUTE, "access: {client} {why}");
            self.gate
                .not_let_in
                .say(Level::Info, format_args!("{}: not for {client}, which {why}", self.path.escape_ascii()));
            return Err(Refusal::Forbidden);
        }
        Ok(())
    }

    /// Whether the client is a user who is let in, where that matters.
    fn be_user(&mut self, areas: u64) -> Result<(), Refusal> {
        let gate = self.gate;
        let Some((_, rule)) = gate.asked.iter().rfind(|(area, _)| area & areas != 0) else { return Ok(()) };
        let who = match &rule.who {
            Who::Everybody => {
                trace!(target: ROUTE, "access: for everybody by '{rule}' of auth");
                return Ok(());
            }
            Who::AnyUser => None,
            Who::Users(names) => Some(names),
        };
        let has_credentials = self.authorization.is_some();
        let name = self.identify().inspect_err(|refusal| {
            let reason = match refusal {
                Refusal::Forbidden | Refusal::Unknown if has_credentials => "name or password is wrong",
                Refusal::Forbidden | Refusal::Unknown => "the request names none",
                Refusal::Later(_) => "this client was wrong too often",
                Refusal::Busy => "too many passwords are being checked",
            };
            trace!(target: ROUTE, "access: for users by '{rule}' of auth; {reason}");
        })?;
        let is_let_in = who.is_none_or(|names| names.iter().any(|allowed| **allowed == **name));
        let whether = if is_let_in { "is one" } else { "is none of them" };
        trace!(target: ROUTE, "access: for users by '{rule}' of auth; {name} {whether}");
        if is_let_in { Ok(()) } else { Err(Refusal::Forbidden) }
    }

    /// As whom the client asks, by a name that is known or not, if that mattered.
    pub(super) fn user(&self) -> Option<Arc<str>> {
        match self.verdict.as_ref()? {
            Verdict::User(number) => self.gate.passwords.as_ref()?.name(*number).cloned(),
            Verdict::Wrong(name) => name.clone(),
            Verdict::Later(_) | Verdict::Busy => None,
        }
    }

    /// Somebody said so about the very path that is asked for.
    fn is_for_everybody(&self) -> bool {
        let rule = self.gate.asked.iter().rfind(|(area, _)| area & self.asked != 0);
        rule.is_some_and(|(_, rule)| rule.who == Who::Everybody)
    }

    /// The user's name.
    fn identify(&mut self) -> Result<&Arc<str>, Refusal> {
        let (Some(passwords), Some(authorization)) = (&self.gate.passwords, self.authorization) else {
            return Err(Refusal::Unknown);
        };
        match self.verdict.get_or_insert_with(|| passwords.judge(authorization, self.client)) {
            Verdict::User(number) => passwords.name(*number).ok_or(Refusal::Unknown),
            Verdict::Wrong(_) => Err(Refusal::Unknown),
            Verdict::Later(wait) => Err(Refusal::Later(*wait)),
            Verdict::Busy => Err(Refusal::Busy),
        }
    }
}

impl Refusal {
    /// The status that tells it.
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::Unknown => StatusCode::UNAUTHORIZED,
            Self::Later(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// What has to be told besides.
    pub(super) fn explain(self, page: Response) -> Response {
        match self {
            Self::Forbidden => page,
            Self::Unknown => page.field(header::WWW_AUTHENTICATE, CHALLENGE),
            Self::Later(wait) => {
                let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                page.field(header::RETRY_AFTER, HeaderValue::from(seconds))
            }
            Self::Busy => page.field(header::RETRY_AFTER, HeaderValue::from(1)),
        }
    }
}
