//! Hashes of passwords: argon2 in the form of PHC strings, and bcrypt as htpasswd makes it. Both compare in constant time.

use std::fmt;

use argon2::password_hash::PasswordHasher;
use argon2::password_hash::phc::Output;
use argon2::{Algorithm, Argon2, Block, Params, PasswordHash, Version};

/// The most memory that a hash may ask for, in KiB: every check takes as much.
const MEMORY_KIB_MAX: u32 = 256 << 10;

/// The most passes over it.
const PASSES_MAX: u32 = 32;

/// The costs of bcrypt that make sense: below it is none, and each step above doubles the time.
const BCRYPT_COSTS: std::ops::RangeInclusive<u32> = 4..=16;

/// Bytes of a password that bcrypt looks at. What is longer is no password, as others would do in its place.
const BCRYPT_BYTES_MAX: usize = 72;

/// What is expected where a hash isn't one.
const EXPECTED: &str =
    "expected a hash of argon2 ($argon2id$...) or bcrypt ($2y$...), as `salver hash-password` makes it";

/// A hash of a password.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Hash {
    Argon2(Box<PasswordHash>),
    Bcrypt(String),
}

impl Hash {
    /// Reads a hash; one that would take too long to check, or too much memory, is none.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if ["$2a$", "$2b$", "$2y$"].iter().any(|prefix| text.starts_with(prefix)) {
            return parse_bcrypt(text);
        }
        let hash = PasswordHash::new(text).ok().filter(|hash| hash.algorithm.as_str().starts_with("argon2"));
        let hash = hash.filter(|hash| hash.hash.is_some() && hash.salt.is_some()).ok_or(EXPECTED)?;
        let params = Params::try_from(&hash).map_err(|_| EXPECTED)?;
        let version = hash.version.and_then(|version| Version::try_from(version).ok());
        if version.is_none() || Algorithm::try_from(hash.algorithm.as_str()).is_err() {
            return Err(EXPECTED.to_owned());
        }
        if params.m_cost() > MEMORY_KIB_MAX || params.t_cost() > PASSES_MAX {
            return Err(format!("expected a hash of at most m={MEMORY_KIB_MAX} (KiB) and t={PASSES_MAX}"));
        }
        Ok(Self::Argon2(Box::new(hash)))
    }

    /// Whether this is the password. Takes as long as it is meant to. The memory is what was used before: given back to
    /// the allocator, it would stay with whichever thread has had it.
    pub(super) fn verify(&self, password: &[u8], memory: &mut Vec<Block>) -> bool {
        match self {
            Self::Argon2(hash) => verify_argon2(hash, password, memory) == Some(true),
            Self::Bcrypt(hash) => bcrypt::verify(password, hash).unwrap_or(false) && password.len() <= BCRYPT_BYTES_MAX,
        }
    }
}

/// None where the hash isn't complete, which was checked when it was read.
fn verify_argon2(hash: &PasswordHash, password: &[u8], memory: &mut Vec<Block>) -> Option<bool> {
    let (expected, salt) = (hash.hash?, hash.salt?);
    let algorithm = Algorithm::try_from(hash.algorithm.as_str()).ok()?;
    let params = Params::try_from(hash).ok()?;
    let blocks = params.block_count();
    if memory.len() < blocks {
        memory.resize(blocks, Block::default());
    }
    let argon2 = Argon2::new(algorithm, Version::try_from(hash.version?).ok()?, params);
    let mut output = [0; Output::MAX_LENGTH];
    let output = output.get_mut(..expected.len())?;
    argon2.hash_password_into_with_memory(password, salt.as_ref(), output, &mut memory[..blocks]).ok()?;
    // Compared in constant time.
    Some(Output::new(output).ok()? == expected)
}

fn parse_bcrypt(text: &str) -> Result<Hash, String> {
    let parts: bcrypt::HashParts = text.parse().map_err(|_| EXPECTED)?;
    if !BCRYPT_COSTS.contains(&parts.get_cost()) {
        let (least, most) = BCRYPT_COSTS.into_inner();
        return Err(format!("expected a hash of bcrypt with a cost from {least} to {most}"));
    }
    Ok(Hash::Bcrypt(text.to_owned()))
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argon2(hash) => hash.fmt(f),
            Self::Bcrypt(hash) => f.write_str(hash),
        }
    }
}

/// Hashes a password with argon2id, by the parameters that OWASP recommends (19 MiB, two passes), and a salt of its own.
///
/// # Errors
/// When the system gives no random bytes.
pub fn hash_password(password: &[u8]) -> Result<String, String> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|error| format!("no random bytes: {error}"))?;
    let hash: PasswordHash =
        Argon2::default().hash_password_with_salt(password, &salt).map_err(|error| error.to_string())?;
    Ok(hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_of_others_are_verified() {
        let mut memory = Vec::new();
        for (hash, password) in [
            // Of the tests of crypt_blowfish, of those of the reference of argon2, and made here.
            ("$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"),
            ("$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", "password"),
            (&hash_password(b"secret").unwrap(), "secret"),
        ] {
            let hash = Hash::parse(hash).unwrap();
            assert_eq!(Hash::parse(&hash.to_string()).unwrap().to_string(), hash.to_string());
            assert!(hash.verify(password.as_bytes(), &mut memory), "{hash}");
            for wrong in ["", "Secret", "secret ", "secret\0", "U*", "U*U*"] {
                assert!(!hash.verify(wrong.as_bytes(), &mut memory), "{hash} {wrong}");
            }
        }
    }

    #[test]
    fn bcrypt_has_no_longer_passwords_than_it_looks_at() {
        let hash = Hash::parse(&bcrypt::hash([b'a'; 80], 4).unwrap()).unwrap();
        let verified = [72, 73, 80].map(|length| hash.verify(&vec![b'a'; length], &mut Vec::new()));
        assert_eq!(verified, [true, false, false]);
    }

    #[test]
    fn what_is_no_hash_is_told() {
        let (salt, hash) = ("c29tZXNhbHQ", "4dH8lnQyrR8OOtZVdkr1sgGSZNPr0rYDmJHmEvtN4yM");
        assert!(Hash::parse(&format!("$argon2id$v=19$m=64,t=1,p=1${salt}${hash}")).is_ok());
        for (text, reason) in [
            ("secret".to_owned(), EXPECTED),
            (String::new(), EXPECTED),
            ("$apr1$x$y".to_owned(), EXPECTED),
            ("$6$salt$hash".to_owned(), EXPECTED),
            ("$2y$04$short".to_owned(), EXPECTED),
            (
                "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW".replace("$05$", "$17$"),
                "cost from 4 to 16",
            ),
            (format!("$argon2id$v=19$m=64,t=1,p=1${salt}"), EXPECTED),
            (format!("$argon2id$v=7$m=64,t=1,p=1${salt}${hash}"), EXPECTED),
            (format!("$argon2x$v=19$m=64,t=1,p=1${salt}${hash}"), EXPECTED),
            (format!("$scrypt$ln=4,r=8,p=1${salt}${hash}"), EXPECTED),
            (format!("$argon2id$v=19$m=4294967295,t=1,p=1${salt}${hash}"), "at most m="),
            (format!("$argon2id$v=19$m=64,t=33,p=1${salt}${hash}"), "and t=32"),
        ] {
            let error = Hash::parse(&text).err();
            assert!(error.as_ref().is_some_and(|error| error.contains(reason)), "{text}: {error:?}");
        }
    }
}
