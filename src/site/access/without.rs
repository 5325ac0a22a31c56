//! Without the feature `auth` there are no hashes, so no users, and nobody who could be right about one.

use core::net::IpAddr;
use std::fmt;
use std::sync::Arc;

use super::users::Users;
use super::{PasswordLimits, Verdict};

/// A hash of a password; there is none.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Hash {}

impl Hash {
    pub(super) fn parse(_text: &str) -> Result<Self, String> {
        Err("this salver was built without passwords (the feature `auth`)".to_owned())
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

/// What all sites of a server share: nothing.
#[derive(Debug)]
pub(in crate::site) struct Shared;

impl Shared {
    pub(in crate::site) fn new(_limits: PasswordLimits) -> Self {
        Self
    }
}

/// The passwords of a site; none.
pub(super) struct Passwords;

impl Passwords {
    pub(super) fn new(_users: &Users, _shared: Arc<Shared>) -> Self {
        Self
    }

    pub(super) fn name(&self, _number: usize) -> Option<&Arc<str>> {
        None
    }

    pub(super) fn judge(&self, _authorization: &[u8], _client: Option<IpAddr>) -> Verdict {
        Verdict::Wrong(None)
    }
}
