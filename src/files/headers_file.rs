//! A `_headers` file: patterns of paths, and beneath each, indented, the fields of answers. Pure.
//!
//! ```text
//! # Fonts may be used by others.
//! /fonts/*
//!   Access-Control-Allow-Origin: *
//! ```

use ::http::{HeaderName, HeaderValue};

use super::pattern::Pattern;
use super::rules::{FieldRule, parse_field};

/// Its name, in the root of a site.
pub const HEADERS_FILE: &str = "_headers";

/// The number of its first line, its path, and the fields beneath.
type Block = (usize, Pattern, Vec<(HeaderName, HeaderValue)>);

/// The rules of a file; or the number of the line that isn't right, counted from 1, and what was expected of it.
///
/// # Errors
/// A path that is no pattern, a field that is none, a field without a path above it, a path without fields.
pub fn parse_headers_file(text: &str) -> Result<Vec<FieldRule>, (usize, String)> {
    let mut rules: Vec<Block> = Vec::new();
    for (number, line) in (1..).zip(text.strip_prefix('\u{feff}').unwrap_or(text).lines()) {
        let content = line.trim();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let told = |reason| (number, reason);
        if !line.starts_with([' ', '\t']) {
            rules.push((number, parse_path(content).map_err(told)?, Vec::new()));
            continue;
        }
        let field = parse_field(content).map_err(told)?;
        match rules.last_mut() {
            Some((_, _, fields)) => fields.push(field),
            None => return Err(told("expected a path before the first field".to_owned())),
        }
    }
    if let Some((number, path, _)) = rules.iter().find(|(_, _, fields)| fields.is_empty()) {
        return Err((*number, format!("expected fields beneath {path}, indented, as in Name: value")));
    }
    let rule = |(number, pattern, fields): Block| {
        let said = fields.iter().map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())));
        let origin = format!("{pattern} {} ({HEADERS_FILE}:{number})", said.collect::<Vec<_>>().join(", "));
        FieldRule::of(&origin, pattern, fields)
    };
    Ok(rules.into_iter().map(rule).collect())
}

/// A path from the root; a segment like `:name` stands for any.
fn parse_path(text: &str) -> Result<Pattern, String> {
    if !text.starts_with('/') {
        return Err(format!("expected a path from the root, such as /fonts/*, not '{text}'; fields are indented"));
    }
    let segments = text.split('/').map(|segment| match segment.strip_prefix(':') {
        // In braces, as a star at the end would stand for all that lies beneath.
        Some(name) if !name.is_empty() => "{*}",
        _ => segment,
    });
    let path = segments.collect::<Vec<_>>().join("/");
    // A slash at the end is a path's own, and not all that lies beneath.
    Pattern::of_path(&path).map_err(|reason| format!("'{text}': {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::rules::dress;

    #[track_caller]
    fn check(text: &str, path: &str, expected: &[&str]) {
        let rules = parse_headers_file(text).unwrap();
        let fields = dress(&rules, &[path.as_bytes()]).fields;
        let fields: Vec<_> =
            fields.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        assert_eq!(fields, expected, "{path}");
    }

    #[test]
    fn fields_go_by_path() {
        let text = "# a comment\n/*\n  X-A: 1\n\n/blog/:post\n\tX-B: 2\n  X-B: 3\n  # another\n/img/*.png\n  X-C: 4\n";
        check(text, "", &["x-a: 1"]);
        check(text, "deep/er", &["x-a: 1"]);
        check(text, "blog/one", &["x-a: 1", "x-b: 2", "x-b: 3"]);
        check(text, "blog/one/two", &["x-a: 1"]);
        check(text, "img/a.png", &["x-a: 1", "x-c: 4"]);
        let text = "\u{feff}/\n  X-A: 1\n/blog/\n  X-B: 2\n";
        check(text, "", &["x-a: 1"]);
        check(text, "blog", &["x-b: 2"]);
        check(text, "blog/one", &[]);
        check("", "a", &[]);
    }

    #[test]
    fn a_line_that_is_wrong_is_told_by_its_number() {
        for (text, line, reason) in [
            ("/a\n  X-A", 2, "expected Name: value"),
            ("  X-A: 1", 1, "a path before"),
            ("/a\n", 1, "expected fields beneath /a"),
            ("/a\n  X-A: 1\n/b\n/c\n  X-C: 1", 3, "beneath /b"),
            ("/a\nX-A: 1", 2, "fields are indented"),
            ("/[\n  X-A: 1", 1, "unclosed"),
            ("/a\n  Content-Length: 1", 2, "salver's own"),
        ] {
            let (found, error) = parse_headers_file(text).unwrap_err();
            assert!(found == line && error.contains(reason), "{text}: {found} {error}");
        }
    }
}
