//! A listing for programs. Pure.

use serde_json::{Value, json};

use super::html::Page;
use super::shown::Row;
use super::text::Utc;

/// `{"path", "entries": [{"name", "href", "type", "size", "modified"}], "page", "pages", "total", "complete"}`: names
/// as UTF-8 as far as they are, links relative to the request's target, sizes in bytes and of files alone, times in UTC
/// as in RFC 3339, or null.
pub(super) fn render(page: &Page<'_>) -> String {
    let entry = |row: &Row<'_>| {
        let mut entry = json!({
            "name": String::from_utf8_lossy(row.name),
            "href": page.href(row.name, row.is_directory),
            "type": if row.is_directory { "directory" } else { "file" },
            "modified": Utc::of(row.modified()).map(Utc::for_machines),
        });
        if !row.is_directory {
            entry["size"] = row.bytes().into();
        }
        entry
    };
    let listing = json!({
        "path": page.path,
        "entries": page.shown.rows.iter().map(entry).collect::<Vec<Value>>(),
        "page": page.view.page,
        "pages": page.shown.pages,
        "total": page.shown.total,
        "complete": !page.is_cut,
    });
    format!("{listing}\n")
}
