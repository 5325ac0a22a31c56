//! From a target to a path: what comes out lies beneath the root by its form, and has one spelling.

use std::os::unix::ffi::OsStrExt;
use std::path::Component;

use salver::files::stages::locate;

pub fn check(path: &[u8]) {
    // As the http layer cuts it out of a request.
    if path.first() != Some(&b'/') || path.iter().any(|&byte| byte <= b' ' || b"?#\x7f".contains(&byte)) {
        return;
    }
    let located = locate(path);
    assert_eq!(located.as_ref().map(|located| located.path.as_os_str().as_bytes().to_vec()), oracle(path));
    let Some(located) = located else { return };
    let name = located.path.as_os_str().as_bytes();
    assert!(!name.is_empty() && name[0] != b'/' && !name.contains(&0), "{name:?}");
    for segment in name.split(|&byte| byte == b'/') {
        assert!(!segment.is_empty() && segment != b".." && !segment.contains(&b'\\'), "{name:?}");
        assert!(segment[0] != b'.' || name == b"." || name.starts_with(b".well-known"), "{name:?}");
    }
    let is_plain = |component| matches!(component, Component::Normal(_) | Component::CurDir);
    assert!(located.path.components().all(is_plain), "{name:?}");

    let canonical = located.canonical.as_bytes();
    assert!(canonical[0] == b'/' && !canonical.starts_with(b"//"), "{}", located.canonical);
    assert!(canonical.iter().all(|byte| (b'!'..=b'~').contains(byte)), "{}", located.canonical);
    assert_eq!(canonical.ends_with(b"/"), located.is_directory, "{}", located.canonical);
    assert_eq!(locate(canonical), Some(located), "the canonical spelling is read as the same");
}

/// The same the slow way: decode each segment, then walk.
fn oracle(path: &[u8]) -> Option<Vec<u8>> {
    let mut walked: Vec<Vec<u8>> = Vec::new();
    for segment in path[1..].split(|&byte| byte == b'/') {
        let segment = decode(segment)?;
        match segment.as_slice() {
            _ if segment.iter().any(|byte| b"\0/\\".contains(byte)) => return None,
            b"" | b"." => {}
            b".." => {
                walked.pop()?;
            }
            _ => walked.push(segment),
        }
    }
    let is_hidden = |(at, segment): (usize, &Vec<u8>)| segment[0] == b'.' && !(at == 0 && segment == b".well-known");
    if walked.iter().enumerate().any(is_hidden) {
        return None;
    }
    Some(if walked.is_empty() { b".".to_vec() } else { walked.join(&b'/') })
}

fn decode(mut segment: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::new();
    while let [first, rest @ ..] = segment {
        segment = rest;
        decoded.push(match (first, rest) {
            (b'%', [high, low, rest @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                segment = rest;
                u8::from_str_radix(std::str::from_utf8(&[*high, *low]).ok()?, 16).ok()?
            }
            (b'%', _) => return None,
            _ => *first,
        });
    }
    Some(decoded)
}
