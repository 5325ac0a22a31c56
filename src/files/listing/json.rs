//! A listing for programs. Pure.

use std::fmt::Write as _;

use serde_json::{Error, to_string};

use super::html::Page;
use super::shown::Row;
use super::text::Utc;

/// `{"path", "entries": [{"name", "href", "type", "size", "modified"}], "page", "pages", "total", "complete"}`: names
/// as UTF-8 as far as they are, links relative to the request's target, sizes in bytes and of files alone, times in UTC
/// as in RFC 3339, or null.
///
/// # Errors
/// None that a string could cause.
pub(super) fn render(page: &Page<'_>) -> Result<String, Error> {
    let mut json = String::with_capacity(256 + page.shown.rows.len() * 128);
    // Writing to a String cannot fail.
    let _ = write!(json, "{{\"path\":{},\"entries\":[", to_string(page.path)?);
    for (at, row) in page.shown.rows.iter().enumerate() {
        json.push_str(if at == 0 { "\n" } else { ",\n" });
        push_entry(&mut json, page, row)?;
    }
    let (number, pages, total, complete) = (page.view.page, page.shown.pages, page.shown.total, !page.is_cut);
    let _ = writeln!(json, "\n],\"page\":{number},\"pages\":{pages},\"total\":{total},\"complete\":{complete}}}");
    Ok(json)
}

fn push_entry(json: &mut String, page: &Page<'_>, row: &Row<'_>) -> Result<(), Error> {
    let (name, href) = (String::from_utf8_lossy(row.name), page.href(row.name, row.is_directory));
    let _ = write!(json, "{{\"name\":{},\"href\":{},", to_string(&*name)?, to_string(&href)?);
    let _ = match row.is_directory {
        true => write!(json, "\"type\":\"directory\","),
        false => write!(json, "\"type\":\"file\",\"size\":{},", row.bytes()),
    };
    let _ = match Utc::of(row.modified()) {
        Some(time) => write!(json, "\"modified\":\"{}\"}}", time.for_machines()),
        None => write!(json, "\"modified\":null}}"),
    };
    Ok(())
}
