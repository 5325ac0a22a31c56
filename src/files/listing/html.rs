//! A listing for people: a page that is whole without JavaScript, and a small script for who has it. Pure.
//!
//! All that comes from names goes through `escape` or `encode_segment`. Links are relative, so that a proxy may serve
//! them beneath another path, and begin with a dot, so that no name is taken for a scheme or a host.

use std::fmt::Write as _;

use percent_encoding::percent_decode;

use super::query::{Sort, View};
use super::shown::{Row, Shown};
use super::text::{Utc, count, escape, shown, size};
use crate::files::target::encode_segment;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("filter.js");

/// What the page may load: nothing but its own style and script, known by their digests, and pictures of a README.
pub(super) const POLICY: &str = "default-src 'none'; \
    style-src 'sha256-3BbsEIt7//wqS572+Z2tz8QSJWCXa4/Me1u+xs8rA/w='; \
    script-src 'sha256-GBXrsRCCv6yp4eXLGAFmwTjcAjPAnoC8i+6XnNi2rrw='; \
    img-src 'self' http: https: data:; form-action 'self'; base-uri 'none'; frame-ancestors 'self'";

/// A page of a listing.
#[derive(Debug)]
pub(super) struct Page<'p> {
    /// The target of the directory, with a slash at the end.
    pub(super) path: &'p str,
    /// It was asked for with that slash.
    pub(super) is_slashed: bool,
    /// Directories have one at their end.
    pub(super) are_slashed: bool,
    pub(super) view: &'p View,
    pub(super) shown: Shown<'p>,
    /// There are more entries than are listed.
    pub(super) is_cut: bool,
    /// Its name, and its HTML.
    pub(super) readme: Option<(&'p [u8], String)>,
}

impl Page<'_> {
    /// Where relative links start, in relation to the request's target.
    pub(super) fn base(path: &str, is_slashed: bool) -> String {
        match path.trim_end_matches('/').rsplit_once('/') {
            Some((_, last)) if !is_slashed => format!("./{last}/"),
            _ => "./".to_owned(),
        }
    }

    /// The link to an entry.
    pub(super) fn href(&self, name: &[u8], is_directory: bool) -> String {
        let slash = if is_directory && self.are_slashed { "/" } else { "" };
        format!("{}{}{slash}", Self::base(self.path, self.is_slashed), encode_segment(name))
    }

    /// The whole page.
    pub(super) fn render(&self) -> String {
        let title = escape(&shown(&percent_decode(self.path.as_bytes()).collect::<Vec<u8>>())).into_owned();
        let mut html = String::with_capacity(8_192 + self.shown.rows.len() * 256);
        // Writing to a String cannot fail.
        let _ = write!(
            html,
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <title>Index of {title}</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>{STYLE}</style>\n</head>\n\
             <body>\n<header>\n"
        );
        self.breadcrumb(&mut html);
        let _ = write!(html, "</header>\n<main>\n<h1>Index of <bdi>{title}</bdi></h1>\n");
        self.filter_box(&mut html);
        self.page_links(&mut html, "Pages, before the entries");
        self.table(&mut html);
        self.page_links(&mut html, "Pages");
        self.readme(&mut html);
        let _ = write!(html, "</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n");
        html
    }

    /// The way from the root of the site.
    fn breadcrumb(&self, html: &mut String) {
        let segments: Vec<&str> = self.path.split('/').filter(|segment| !segment.is_empty()).collect();
        html.push_str("<nav class=\"path\" aria-label=\"Path\"><ol>");
        for depth in 0..=segments.len() {
            let name = match depth {
                0 => "root".to_owned(),
                _ => shown(&percent_decode(segments[depth - 1].as_bytes()).collect::<Vec<u8>>()).into_owned(),
            };
            let name = escape(&name);
            let _ = if depth == segments.len() {
                write!(html, "<li><span aria-current=\"page\"><bdi>{name}</bdi></span></li>")
            } else {
                let up = self.up(segments.len() - depth);
                write!(html, "<li><a href=\"{up}\"><bdi>{name}</bdi></a></li>")
            };
        }
        html.push_str("</ol></nav>\n");
    }

    /// The link to a directory so many levels above.
    fn up(&self, levels: usize) -> String {
        let levels = if self.is_slashed { levels } else { levels - 1 };
        format!("./{}", "../".repeat(levels))
    }

    /// It works without a script: the server then filters.
    fn filter_box(&self, html: &mut String) {
        // The script filters by itself where it has all that the server would look through.
        let is_complete = self.shown.pages == 1 && self.view.filter.is_empty();
        let complete = if is_complete { " data-complete" } else { "" };
        let _ = write!(
            html,
            "<form role=\"search\"{complete}><label for=\"filter\">Filter by name</label>\
             <input type=\"search\" id=\"filter\" name=\"q\" value=\"{}\" autocomplete=\"off\" spellcheck=\"false\">",
            escape(&self.view.filter)
        );
        for (key, value) in self.view.hidden_inputs() {
            let _ = write!(html, "<input type=\"hidden\" name=\"{key}\" value=\"{value}\">");
        }
        html.push_str("<button>Filter</button><output for=\"filter\"></output></form>\n");
    }

    fn table(&self, html: &mut String) {
        let _ = write!(html, "<div class=\"entries\"><table>\n<caption>{}</caption>\n<thead><tr>", self.caption());
        for (sort, title) in [(Sort::Name, "Name"), (Sort::Size, "Size"), (Sort::Date, "Modified (UTC)")] {
            self.column(html, sort, title);
        }
        html.push_str("</tr></thead>\n<tbody>\n");
        if self.path != "/" {
            let up = self.up(1);
            let _ = writeln!(
                html,
                "<tr class=\"folder\"><th scope=\"row\"><a href=\"{up}\">../ (parent directory)</a></th>\
                 <td></td><td></td></tr>"
            );
        }
        for row in &self.shown.rows {
            self.row(html, row);
        }
        html.push_str("</tbody>\n</table></div>\n");
    }

    fn caption(&self) -> String {
        let mut caption = match (self.shown.total, self.view.filter.is_empty()) {
            (0, true) => "This directory is empty".to_owned(),
            (0, false) => "No name contains this".to_owned(),
            (1, _) => "1 entry".to_owned(),
            (total, _) => format!("{} entries", count(total as u64)),
        };
        if !self.view.filter.is_empty() && self.shown.total > 0 {
            let _ = write!(caption, " with \u{201c}{}\u{201d} in the name", escape(&self.view.filter));
        }
        if self.shown.pages > 1 {
            let (page, pages) = (count(self.view.page as u64), count(self.shown.pages as u64));
            let _ = write!(caption, "; page {page} of {pages}");
        }
        if self.is_cut {
            caption.push_str("; there are more, which are not listed");
        }
        caption
    }

    /// A column's head sorts by it, or, where that is so already, the other way round. Who sorts by size or date looks
    /// for what is largest or newest first.
    fn column(&self, html: &mut String, sort: Sort, title: &str) {
        let is_current = self.view.sort == sort;
        let is_descending = if is_current { !self.view.is_descending } else { sort != Sort::Name };
        let (state, mark) = match (is_current, self.view.is_descending) {
            (true, false) => (" aria-sort=\"ascending\"", "<span aria-hidden=\"true\"> \u{2191}</span>"),
            (true, true) => (" aria-sort=\"descending\"", "<span aria-hidden=\"true\"> \u{2193}</span>"),
            (false, _) => ("", ""),
        };
        let query = self.view.sorted(sort, is_descending).query();
        let _ = write!(html, "<th scope=\"col\"{state}><a href=\"{}\">{title}{mark}</a></th>", escape(&query));
    }

    fn row(&self, html: &mut String, row: &Row<'_>) {
        let (class, slash) = if row.is_directory { (" class=\"folder\"", "/") } else { ("", "") };
        let (href, text) = (self.href(row.name, row.is_directory), shown(row.name));
        let (href, text) = (escape(&href), escape(&text));
        let _ = write!(
            html,
            "<tr{class} data-entry><th scope=\"row\"><a href=\"{href}\"><bdi>{text}</bdi>{slash}</a></th><td>"
        );
        if !row.is_directory {
            let (bytes, text) = (row.bytes(), size(row.bytes()));
            let _ = write!(
                html,
                "<data value=\"{bytes}\" title=\"{} byte{}\">{text}</data>",
                count(bytes),
                if bytes == 1 { "" } else { "s" }
            );
        }
        html.push_str("</td><td>");
        if let Some(time) = Utc::of(row.modified()) {
            let (exact, text) = (time.for_machines(), time.for_people());
            let _ = write!(html, "<time datetime=\"{exact}\">{text}</time>");
        }
        html.push_str("</td></tr>\n");
    }

    /// The first page, the last, and those around the present one.
    fn page_links(&self, html: &mut String, label: &str) {
        let (page, pages) = (self.view.page, self.shown.pages);
        if pages == 1 {
            return;
        }
        let _ = write!(html, "<nav class=\"pages\" aria-label=\"{label}\"><ol>");
        let link = |html: &mut String, page: usize, relation: &str, text: &str| {
            let query = self.view.at(page).query();
            let _ = write!(html, "<li><a href=\"{}\"{relation}>{text}</a></li>", escape(&query));
        };
        if page > 1 {
            link(html, page - 1, " rel=\"prev\"", "Previous");
        }
        let mut last = 0;
        for other in (1..=pages).filter(|&other| other == 1 || other == pages || other.abs_diff(page) <= 2) {
            if other > last + 1 {
                html.push_str("<li><span aria-hidden=\"true\">\u{2026}</span></li>");
            }
            last = other;
            if other == page {
                let _ = write!(html, "<li><span aria-current=\"page\">{other}</span></li>");
            } else {
                link(html, other, &format!(" aria-label=\"Page {other}\""), &other.to_string());
            }
        }
        if page < pages {
            link(html, page + 1, " rel=\"next\"", "Next");
        }
        html.push_str("</ol></nav>\n");
    }

    fn readme(&self, html: &mut String) {
        let Some((name, content)) = &self.readme else { return };
        let name = shown(name);
        let name = escape(&name);
        let _ = write!(
            html,
            "<section class=\"readme\" aria-label=\"{name}\">\n<p class=\"name\">{name}</p>\n{content}</section>\n"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Fields;
    use data_encoding::BASE64;
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    /// A browser runs and shows only what the policy knows by its digest.
    #[test]
    fn the_policy_has_the_digests_of_style_and_script() {
        for (kind, text) in [("style", STYLE), ("script", SCRIPT)] {
            let digest = BASE64.encode(&Sha256::digest(text.as_bytes()));
            let source = format!("{kind}-src 'sha256-{digest}'");
            assert!(POLICY.contains(&source), "expected {source}");
            assert!(!text.contains("</"), "{kind} would end its element");
        }
    }

    fn view(query: &str) -> View {
        View::parse(Some(query.as_bytes()), Fields::of(&[])).unwrap()
    }

    fn page<'p>(path: &'p str, view: &'p View, rows: Vec<Row<'p>>) -> Page<'p> {
        let shown = Shown { total: rows.len(), rows, pages: 1 };
        Page { path, is_slashed: true, are_slashed: true, view, shown, is_cut: false, readme: None }
    }

    fn file(name: &[u8]) -> Row<'_> {
        Row::new(name, false, 12_345)
    }

    fn directory(name: &[u8]) -> Row<'_> {
        Row::new(name, true, 4_096)
    }

    /// `# % ? :` and spaces in names broke the links of others.
    #[test]
    fn whatever_a_name_is_its_link_is_a_path() {
        let view = view("");
        for (name, expected) in [
            (&b"a b#c%d?e:f"[..], "./a%20b%23c%25d%3Fe:f"),
            (b"javascript:alert(1)", "./javascript:alert(1)"),
            (b"%41", "./%2541"),
            (b"<&\"'>", "./%3C&%22'%3E"),
            (b"\xff\n", "./%FF%0A"),
            ("\u{fc}".as_bytes(), "./%C3%BC"),
        ] {
            assert_eq!(page("/", &view, Vec::new()).href(name, false), expected);
            assert_eq!(page("/", &view, Vec::new()).href(name, true), format!("{expected}/"));
            let mut unslashed = page("/x/y/", &view, Vec::new());
            (unslashed.is_slashed, unslashed.are_slashed) = (false, false);
            assert_eq!(unslashed.href(name, true), format!("./y/{}", &expected[2..]));
        }
    }

    #[test]
    fn the_page_says_what_is_there() {
        let view = view("");
        let html = page("/a%20b/", &view, vec![directory(b"sub"), file(b"x&y")]).render();
        for part in [
            "<title>Index of /a b/</title>",
            "<a href=\"./../\"><bdi>root</bdi></a>",
            "<caption>2 entries</caption>",
            "<th scope=\"col\" aria-sort=\"ascending\"><a href=\"?sort=name&amp;order=desc\">Name",
            "<th scope=\"col\"><a href=\"?sort=size&amp;order=desc\">Size</a>",
            "<a href=\"./../\">../ (parent directory)</a>",
            "<a href=\"./sub/\"><bdi>sub</bdi>/</a></th><td></td><td>",
            "<time datetime=\"1970-01-01T00:00:00Z\">1970-01-01 00:00</time>",
            "<a href=\"./x&amp;y\"><bdi>x&amp;y</bdi></a></th><td>",
            "<data value=\"12345\" title=\"12,345 bytes\">12.3 KB</data>",
        ] {
            assert!(html.contains(part), "{part} is not in {html}");
        }
    }

    #[test]
    fn many_pages_have_few_links() {
        let view = view("page=50&q=%22");
        let mut page = page("/", &view, vec![file(b"a")]);
        (page.shown.pages, page.shown.total) = (200, 200_000);
        let html = page.render();
        assert!(html.contains("200,000 entries with \u{201c}&quot;\u{201d} in the name; page 50 of 200</caption>"));
        let links: Vec<&str> = html.split("page=").skip(1).map(|rest| rest.split('&').next().unwrap()).collect();
        let [above, below] = [&links[..7], &links[7..]];
        assert_eq!(above, ["49", "48", "49", "51", "52", "200", "51"], "the first page needs no number");
        assert_eq!(above, below);
        assert!(html.contains("value=\"&quot;\"") && !html.contains("<form role=\"search\" data-complete"));
    }

    proptest! {
        /// No name adds to the markup: apart from its link and its text, a page with it is as one with any other.
        #[test]
        fn no_name_is_markup(name in "[^/\0]{1,20}", filter in "[^/\0]{0,10}") {
            let marks = |name: &str, filter: &str| {
                let mut view = view("");
                view.filter = filter.to_owned();
                let html = page("/x/", &view, vec![file(name.as_bytes())]).render();
                html.chars().filter(|mark| "<>\"".contains(*mark)).collect::<String>()
            };
            prop_assert_eq!(marks(&name, &filter), marks("a", if filter.is_empty() { "" } else { "b" }));
        }
    }
}
