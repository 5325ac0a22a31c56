//! `salver hash-password`: a password becomes the line of a user.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _};

use salver::site::{Users, hash_password};

use super::Failure;

/// A longer password is none that anybody types, or that a browser sends on.
const PASSWORD_BYTES_MAX: usize = 1 << 10;

/// The line of this user, with the password that is read.
pub(super) fn line(user: &str) -> Result<String, Failure> {
    if user.contains(':') {
        return Err(Failure::Command(format!("--user {user}: expected a name without a colon")));
    }
    let password = if io::stdin().is_terminal() { ask() } else { read_line() }?;
    if password.is_empty() {
        return Err(Failure::Command("an empty password keeps nobody out; nothing was hashed".to_owned()));
    }
    if password.len() > PASSWORD_BYTES_MAX {
        return Err(Failure::Command(format!("a password has at most {PASSWORD_BYTES_MAX} bytes; nothing was hashed")));
    }
    let hash = hash_password(password.as_bytes()).map_err(Failure::Command)?;
    let line = format!("{user}:{hash}");
    // What is printed will be read back, or it is told now what is wrong with the name.
    Users::parse([&*line]).map_err(|mistake| Failure::Command(format!("--user {user}: {mistake}")))?;
    Ok(line)
}

/// Twice, as nobody sees what is typed.
fn ask() -> Result<String, Failure> {
    let read = |prompt| rpassword::prompt_password(prompt).map_err(|error| Failure::System("the terminal", error));
    let password = read("Password: ")?;
    if read("Once more: ")? != password {
        return Err(Failure::Command("these are two passwords; nothing was hashed".to_owned()));
    }
    Ok(password)
}

/// The first line of standard input.
fn read_line() -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let read = io::stdin().lock().take(2 * PASSWORD_BYTES_MAX as u64).read_until(b'\n', &mut bytes);
    read.map_err(|error| Failure::System("standard input", error))?;
    let text = String::from_utf8(bytes).map_err(|_| Failure::Command("the password is not UTF-8".to_owned()))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
