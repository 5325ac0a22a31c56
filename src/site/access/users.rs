//! Users, as lines `NAME:HASH` that `salver hash-password` makes and htpasswd can.

use std::fmt;
use std::sync::Arc;

use super::Hash;

/// The longest name of a user, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// Who may say who they are. Names are there once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Users(Vec<User>);

/// A user.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct User {
    pub(super) name: Arc<str>,
    pub(super) hash: Hash,
}

/// A line about users that is wrong. What it says is not repeated: it may be a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserMistake {
    /// Counted from 1.
    pub line: usize,
    /// What was expected.
    pub what: String,
}

impl fmt::Display for UserMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Users {
    /// Reads lines, one for each user; empty ones and those that begin with `#` say nothing.
    ///
    /// # Errors
    /// The first line that is wrong.
    pub fn parse<'t>(lines: impl IntoIterator<Item = &'t str>) -> Result<Self, UserMistake> {
        let mut users = Self::default();
        for (at, line) in lines.into_iter().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            users.add(line).map_err(|what| UserMistake { line: at + 1, what })?;
        }
        Ok(users)
    }

    /// Adds those of another list.
    ///
    /// # Errors
    /// A name that is there already.
    pub fn join(&mut self, others: Self) -> Result<(), String> {
        others.0.into_iter().try_for_each(|user| self.push(user))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each, as a line.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.0.iter().map(|user| format!("{}:{}", user.name, user.hash)).collect()
    }

    pub(super) fn as_slice(&self) -> &[User] {
        &self.0
    }

    fn add(&mut self, line: &str) -> Result<(), String> {
        let (name, hash) = line.split_once(':').ok_or("expected NAME:HASH, as `salver hash-password` makes it")?;
        if !is_name(name) {
            return Err(format!(
                "expected a name of letters, digits and _.@+- in front of the colon, {NAME_BYTES_MAX} at most"
            ));
        }
        let hash = Hash::parse(hash).map_err(|what| format!("user {name}: {what}"))?;
        self.push(User { name: name.into(), hash })
    }

    fn push(&mut self, user: User) -> Result<(), String> {
        if self.0.iter().any(|other| other.name == user.name) {
            return Err(format!("user {} is there twice", user.name));
        }
        self.0.push(user);
        Ok(())
    }
}

/// Whether a text may be the name of a user: one that looks the same in every list, every log and every encoding.
pub(super) fn is_name(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.@+-".contains(&byte);
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_plain)
}

/// Hashes are nobody's business.
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
#[cfg(feature = "auth")]
mod tests {
    use super::*;

    const HASH: &str = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";

    #[test]
    fn users_are_lines_of_name_and_hash() {
        let lines =
            [format!("anna:{HASH}"), "# who else".to_owned(), String::new(), format!(" bob@example.org:{HASH}\r")];
        let users = Users::parse(lines.iter().map(String::as_str)).unwrap();
        assert_eq!(users.lines(), [format!("anna:{HASH}"), format!("bob@example.org:{HASH}")]);
        assert_eq!(format!("{users:?}"), "Users([anna, bob@example.org])");
    }

    /// What is told never has what was written behind the colon.
    #[test]
    fn what_is_no_user_is_told() {
        for (line, reason) in [
            ("anna", "expected NAME:HASH"),
            (":x", "expected a name of letters"),
            ("an na:x", "expected a name of letters"),
            ("\u{e4}nna:x", "expected a name of letters"),
            ("anna:secret", "user anna: expected a hash of argon2"),
            ("anna:", "user anna: expected a hash of argon2"),
        ] {
            let mistake = Users::parse(["# above", line]).unwrap_err();
            assert!(mistake.what.starts_with(reason), "{line}: {mistake}");
            assert!(mistake.line == 2 && !mistake.what.contains("secret"), "{mistake:?}");
        }
        let (one, two) = (format!("anna:{HASH}"), format!("anna:{HASH}"));
        assert_eq!(Users::parse([&*one, &*two]).unwrap_err().what, "user anna is there twice");
        let mut users = Users::parse([&*one]).unwrap();
        assert_eq!(users.join(Users::parse([&*two]).unwrap()), Err("user anna is there twice".to_owned()));
    }
}
