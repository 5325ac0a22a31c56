//! Whether somebody is who they say they are (RFC 7617): checked once, then remembered.
//!
//! 1. Credentials that were right before are known by a keyed hash of what was sent: one look, and no memory is taken.
//! 2. A client that was wrong too often waits; nothing is computed for it.
//! 3. The hash is computed by few workers at once, and for the same credentials once. A name that is unknown costs the
//!    same as one that isn't: another user's hash is computed, and whatever comes out is wrong.

use core::hash::Hasher as _;
use core::net::IpAddr;
use std::io;
#[cfg(test)]
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use argon2::Block;
use base64ct::{Base64, Encoding as _};
use quick_cache::sync::Cache;
use siphasher::sip128::{Hasher128 as _, SipHasher24};

use super::failures::Failures;
use super::users::{User, Users, is_name};
use super::{PasswordLimits, Verdict};
use crate::files::Turns;
use crate::http::{background, slow};

/// Credentials that are remembered.
const REMEMBERED_MAX: usize = 1_024;

/// How long they are: then they are checked once more.
const REMEMBERED_FOR: Duration = Duration::from_secs(60 * 60);

/// Longer credentials than this, in base64, are nobody's.
const CREDENTIALS_BYTES_MAX: usize = 2 << 10;

/// What all sites of a server share.
#[derive(Debug)]
pub(in crate::site) struct Shared {
    turns: Turns<Digest>,
    failures: Failures,
    /// What hashes are computed in, one for each turn that there has been at once.
    memory: Mutex<Vec<Vec<Block>>>,
}

impl Shared {
    pub(in crate::site) fn new(limits: PasswordLimits) -> Self {
        let (turns, failures) = (Turns::new(limits.slow_max.max(1)), Failures::new(limits.failures_max));
        Self { turns, failures, memory: Mutex::default() }
    }

    fn memory(&self) -> MutexGuard<'_, Vec<Vec<Block>>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// By SipHash-2-4 of 128 bits: a pseudorandom function, so that without its key nobody finds other bytes of the same digest.
type Digest = u128;

/// The passwords of a site.
pub(super) struct Passwords {
    users: Vec<User>,
    /// Nobody knows it who can't read this memory, so nobody can tell which credentials have which digest.
    /// None where the system has no random bytes: then nobody is let in.
    key: Option<[u8; 16]>,
    /// By digest: the number of the user, and until when.
    remembered: Cache<Digest, (usize, Instant)>,
    shared: Arc<Shared>,
    /// Hashes that were computed.
    #[cfg(test)]
    computed: AtomicUsize,
}

impl Passwords {
    pub(super) fn new(users: &Users, shared: Arc<Shared>) -> Self {
        let mut key = [0; 16];
        let filled =
            getrandom::fill(&mut key).inspect_err(|error| log::error!("nobody is let in: no random bytes: {error}"));
        Self {
            users: users.as_slice().to_vec(),
            key: filled.is_ok().then_some(key),
            remembered: Cache::new(REMEMBERED_MAX),
            shared,
            #[cfg(test)]
            computed: AtomicUsize::new(0),
        }
    }

    pub(super) fn name(&self, number: usize) -> Option<&Arc<str>> {
        self.users.get(number).map(|user| &user.name)
    }

    /// Judges the value of an Authorization field.
    pub(super) fn judge(&self, authorization: &[u8], client: Option<IpAddr>) -> Verdict {
        let Some(digest) = self.digest(authorization) else { return Verdict::Wrong(None) };
        if let Some(number) = self.recall(&digest) {
            return Verdict::User(number);
        }
        let Some(credentials) = parse(authorization) else { return Verdict::Wrong(None) };
        // Who has to wait anyway takes nobody's place in front of the turns.
        match self.shared.failures.wait(client, Instant::now()) {
            Some(wait) => Verdict::Later(wait),
            None => slow(|| self.judge_in_turn(digest, &credentials, client)),
        }
    }

    fn judge_in_turn(&self, digest: Digest, credentials: &Credentials, client: Option<IpAddr>) -> Verdict {
        let Some(_turn) = self.shared.turns.begin(digest) else { return Verdict::Busy };
        // The same may just have been computed for another request, as browsers send several at once.
        if let Some(number) = self.recall(&digest) {
            return Verdict::User(number);
        }
        let attempt = match self.shared.failures.begin(client, Instant::now()) {
            Ok(attempt) => attempt,
            Err(wait) => return Verdict::Later(wait),
        };
        let verdict = self.compute(digest, credentials).unwrap_or(Verdict::Busy);
        if !matches!(verdict, Verdict::Wrong(_)) {
            attempt.forgive();
        }
        verdict
    }

    /// Fails when the system has no thread to spare.
    fn compute(&self, digest: Digest, credentials: &Credentials) -> io::Result<Verdict> {
        let name = credentials.name();
        let known = self.users.iter().position(|user| user.name.as_bytes() == name);
        // By the name, so that one that is unknown takes the same time each time it is tried.
        let any = || usize::try_from(self.digest(name)? % self.users.len().max(1) as u128).ok();
        let user = known.or_else(any).and_then(|number| self.users.get(number));
        #[cfg(test)]
        self.computed.fetch_add(1, Ordering::SeqCst);
        let mut memory = self.shared.memory().pop().unwrap_or_default();
        // Guesses by the thousand get little of the processors where others want them. No lock is held meanwhile, nor taken there: who
        // needs it would have to wait as long.
        let verify = || user.is_some_and(|user| user.hash.verify(credentials.password(), &mut memory));
        let is_right = background(verify);
        self.shared.memory().push(memory);
        Ok(match known.filter(|_| matches!(is_right, Ok(true))) {
            Some(number) => {
                self.remembered.insert(digest, (number, Instant::now() + REMEMBERED_FOR));
                Verdict::User(number)
            }
            None => is_right.map(|_| Verdict::Wrong(credentials.plain_name()))?,
        })
    }

    fn recall(&self, digest: &Digest) -> Option<usize> {
        let (number, until) = self.remembered.get(digest)?;
        (Instant::now() < until).then_some(number)
    }

    fn digest(&self, bytes: &[u8]) -> Option<Digest> {
        let mut hasher = SipHasher24::new_with_key(self.key.as_ref()?);
        hasher.write(bytes);
        Some(hasher.finish128().as_u128())
    }
}

/// Name and password, as they were sent.
struct Credentials {
    bytes: Vec<u8>,
    colon: usize,
}

impl Credentials {
    fn name(&self) -> &[u8] {
        &self.bytes[..self.colon]
    }

    fn password(&self) -> &[u8] {
        &self.bytes[self.colon + 1..]
    }

    /// The name, if it may be one: nothing else gets into the log.
    fn plain_name(&self) -> Option<Arc<str>> {
        str::from_utf8(self.name()).ok().filter(|name| is_name(name)).map(Arc::from)
    }
}

/// `Basic` and base64 (RFC 7617 section 2).
fn parse(authorization: &[u8]) -> Option<Credentials> {
    let (scheme, encoded) = authorization.split_at_checked(5)?;
    let encoded = encoded.strip_prefix(b" ")?.trim_ascii_start();
    if !scheme.eq_ignore_ascii_case(b"Basic") || encoded.len() > CREDENTIALS_BYTES_MAX {
        return None;
    }
    let bytes = Base64::decode_vec(str::from_utf8(encoded).ok()?).ok()?;
    let colon = memchr::memchr(b':', &bytes)?;
    Some(Credentials { bytes, colon })
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// Hashes of bcrypt at its least cost, as tests have better things to do.
    fn passwords(slow_max: usize, failures_max: u32) -> Passwords {
        let line = |name: &str, password: &str| format!("{name}:{}", bcrypt::hash(password, 4).unwrap());
        let lines = [line("anna", "secret"), line("bob", "p:w")];
        let users = Users::parse(lines.iter().map(String::as_str)).unwrap();
        Passwords::new(&users, Arc::new(Shared::new(PasswordLimits { slow_max, failures_max })))
    }

    fn basic(credentials: &str) -> Vec<u8> {
        format!("Basic {}", Base64::encode_string(credentials.as_bytes())).into_bytes()
    }

    fn wrong(name: &str) -> Verdict {
        Verdict::Wrong(Some(name.into()))
    }

    #[test]
    fn credentials_are_judged() {
        let passwords = passwords(1, 100);
        for (authorization, expected) in [
            (basic("anna:secret"), Verdict::User(0)),
            (basic("bob:p:w"), Verdict::User(1)),
            ([&b"bAsIc  "[..], &basic("anna:secret")[6..]].concat(), Verdict::User(0)),
            (basic("anna:p:w"), wrong("anna")),
            (basic("anna:"), wrong("anna")),
            (basic("ANNA:secret"), wrong("ANNA")),
            (basic("nobody:secret"), wrong("nobody")),
            (basic(":secret"), Verdict::Wrong(None)),
            (basic("an\nna:x"), Verdict::Wrong(None)),
            (basic("anna"), Verdict::Wrong(None)),
            (b"Basic".to_vec(), Verdict::Wrong(None)),
            (b"Basic ".to_vec(), Verdict::Wrong(None)),
            (b"Basic !!".to_vec(), Verdict::Wrong(None)),
            (b"Bearer x".to_vec(), Verdict::Wrong(None)),
            (b"\xff".to_vec(), Verdict::Wrong(None)),
            (Vec::new(), Verdict::Wrong(None)),
            (basic(&format!("anna:{}", "x".repeat(CREDENTIALS_BYTES_MAX))), Verdict::Wrong(None)),
        ] {
            assert_eq!(passwords.judge(&authorization, None), expected, "{}", authorization.escape_ascii());
        }
    }

    #[test]
    fn what_was_right_is_not_computed_again() {
        let passwords = passwords(1, 1);
        let computed = || passwords.computed.load(Ordering::SeqCst);
        for _ in 0..100 {
            assert_eq!(passwords.judge(&basic("anna:secret"), None), Verdict::User(0));
        }
        assert_eq!(computed(), 1);
        // What was wrong is, as long as the client may be, and an unknown name no less than a known one.
        assert_eq!(passwords.judge(&basic("nobody:x"), None), wrong("nobody"));
        assert_eq!(computed(), 2);
        for _ in 0..100 {
            assert!(matches!(passwords.judge(&basic("anna:x"), None), Verdict::Later(_)));
        }
        assert_eq!(computed(), 2);
        // Nobody who is known is worse off for that.
        assert_eq!(passwords.judge(&basic("anna:secret"), None), Verdict::User(0));
    }

    #[test]
    fn remembered_credentials_are_of_one_site_and_end() {
        let (one, other) = (passwords(1, 9), passwords(1, 9));
        assert_eq!(one.judge(&basic("anna:secret"), None), Verdict::User(0));
        let digest = one.digest(&basic("anna:secret")).unwrap();
        assert_eq!((one.recall(&digest), other.recall(&digest)), (Some(0), None));
        assert_ne!(one.digest(b"x"), other.digest(b"x"), "each has a key of its own");
        one.remembered.insert(digest, (0, Instant::now()));
        assert_eq!(one.recall(&digest), None);
    }

    /// A browser that asks for ten things at once sends the same credentials with each.
    #[test]
    fn the_same_credentials_at_once_are_computed_once() {
        let passwords = passwords(4, 100);
        thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| assert_eq!(passwords.judge(&basic("anna:secret"), None), Verdict::User(0)));
            }
        });
        assert_eq!(passwords.computed.load(Ordering::SeqCst), 1);
    }

    /// As of users behind one address, after a restart.
    #[test]
    fn right_passwords_at_once_are_all_right() {
        for _ in 0..20 {
            let passwords = passwords(4, 1);
            thread::scope(|scope| {
                for (number, credentials) in ["anna:secret", "bob:p:w"].into_iter().enumerate() {
                    let passwords = &passwords;
                    scope.spawn(move || assert_eq!(passwords.judge(&basic(credentials), None), Verdict::User(number)));
                }
            });
        }
    }

    /// Whoever asks, and in however many threads: there is memory for as many as have had a turn at once.
    #[test]
    fn memory_is_used_again() {
        let passwords = passwords(2, 1_000);
        thread::scope(|scope| {
            for number in 0..20 {
                let passwords = &passwords;
                scope.spawn(move || passwords.judge(&basic(&format!("anna:{number}")), None));
            }
        });
        let kept = passwords.shared.memory().len();
        assert!((1..=2).contains(&kept), "{kept}");
    }
}
