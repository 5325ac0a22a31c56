//! The README of a directory, as a part of its page: Markdown with nothing in it that runs or leads to anything but
//! pages. Pure.
//!
//! HTML in it is text like any other, as it is shown to whoever looks at the directory, whoever wrote it. Headings move
//! down by one, as the page has its own at the top.

use super::text::escape;

/// Which of a directory's files is its README, by the name in lower case; the first counts.
const NAMES: [&str; 4] = ["readme.md", "readme.markdown", "readme.txt", "readme"];

/// The place of a name among those of READMEs, if it is one.
pub(super) fn rank(name: &[u8]) -> Option<usize> {
    NAMES.iter().position(|readme| name.eq_ignore_ascii_case(readme.as_bytes()))
}

/// The HTML of a README of this name. Relative links start from `base`, which ends with a slash or is empty.
pub(super) fn render(name: &[u8], content: &[u8], base: &str) -> String {
    let text = String::from_utf8_lossy(content);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    match rank(name) {
        #[cfg(feature = "markdown")]
        Some(0 | 1) => markdown::render(text, base),
        _ => {
            let _ = base;
            format!("<pre>{}</pre>\n", escape(text))
        }
    }
}

#[cfg(feature = "markdown")]
mod markdown {
    use pulldown_cmark::{CowStr, Event, HeadingLevel, LinkType, Options, Parser, Tag, TagEnd, html};

    /// Where a link may lead, besides to relative places.
    const SCHEMES: [&str; 3] = ["http", "https", "mailto"];

    pub(super) fn render(text: &str, base: &str) -> String {
        let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
        let mut cleaner = Cleaner { base, in_comment: false, kept: Vec::new() };
        let events = Parser::new_ext(text, options).filter_map(|event| cleaner.clean(event));
        let mut page = String::with_capacity(text.len() * 3 / 2);
        html::push_html(&mut page, events);
        page
    }

    /// What it has seen so far of a README.
    struct Cleaner<'b> {
        base: &'b str,
        /// Within an HTML comment, which may have several lines.
        in_comment: bool,
        /// Of each link and picture that is open, whether it is one in the page.
        kept: Vec<bool>,
    }

    impl Cleaner<'_> {
        /// None for what leaves nothing in the page but what is within it.
        fn clean<'t>(&mut self, event: Event<'t>) -> Option<Event<'t>> {
            match event {
                Event::Html(html) | Event::InlineHtml(html) => self.html(html),
                Event::TaskListMarker(is_done) => {
                    Some(Event::Text(if is_done { "\u{2611} " } else { "\u{2610} " }.into()))
                }
                Event::Start(tag) => self.start(tag).map(Event::Start),
                Event::End(TagEnd::Link | TagEnd::Image) if self.kept.pop() != Some(true) => None,
                Event::End(TagEnd::HtmlBlock) => {
                    self.in_comment = false;
                    Some(Event::End(TagEnd::Paragraph))
                }
                Event::End(TagEnd::Heading(level)) => Some(Event::End(TagEnd::Heading(lower(level)))),
                event => Some(event),
            }
        }

        /// HTML is shown as it was written, but for comments.
        fn html<'t>(&mut self, html: CowStr<'t>) -> Option<Event<'t>> {
            if !self.in_comment && !html.contains("<!--") {
                return Some(Event::Text(html));
            }
            let mut shown = String::new();
            let mut rest = &*html;
            while !rest.is_empty() {
                let mark = if self.in_comment { "-->" } else { "<!--" };
                let (before, after) =
                    rest.split_once(mark).map_or((rest, None), |(before, after)| (before, Some(after)));
                if !self.in_comment {
                    shown.push_str(before);
                }
                rest = after.unwrap_or_default();
                // The shortest ones have an end that is part of their beginning.
                match rest.strip_prefix('>').or_else(|| rest.strip_prefix("->")) {
                    Some(behind) if !self.in_comment && after.is_some() => rest = behind,
                    _ => self.in_comment ^= after.is_some(),
                }
            }
            (!shown.trim().is_empty()).then(|| Event::Text(shown.into()))
        }

        fn start<'t>(&mut self, tag: Tag<'t>) -> Option<Tag<'t>> {
            match tag {
                Tag::HtmlBlock => Some(Tag::Paragraph),
                Tag::Heading { level, .. } => {
                    Some(Tag::Heading { level: lower(level), id: None, classes: Vec::new(), attrs: Vec::new() })
                }
                Tag::Link { link_type: LinkType::Email, .. } => {
                    self.kept.push(true);
                    Some(tag)
                }
                Tag::Link { link_type, dest_url, title, id } => {
                    let dest_url = self.destination(dest_url)?;
                    Some(Tag::Link { link_type, dest_url, title, id })
                }
                Tag::Image { link_type, dest_url, title, id } => {
                    let dest_url = self.destination(dest_url)?;
                    Some(Tag::Image { link_type, dest_url, title, id })
                }
                tag => Some(tag),
            }
        }

        /// Where a link may lead; none where it may not.
        fn destination<'t>(&mut self, url: CowStr<'t>) -> Option<CowStr<'t>> {
            let is_kept = is_harmless(&url);
            self.kept.push(is_kept);
            let is_relative = !url.starts_with(['/', '?', '#', '\\']) && scheme(&url).is_none();
            match is_kept {
                true if is_relative && !self.base.is_empty() => Some(format!("{}{url}", self.base).into()),
                true => Some(url),
                false => None,
            }
        }
    }

    fn is_harmless(url: &str) -> bool {
        scheme(url).is_none_or(|scheme| SCHEMES.iter().any(|harmless| scheme.eq_ignore_ascii_case(harmless)))
    }

    /// What stands before the first colon, where that is no part of a path; as browsers read it, which don't see white
    /// space and control characters there.
    fn scheme(url: &str) -> Option<String> {
        let seen: String = url.chars().filter(|character| *character > ' ' && !character.is_control()).collect();
        let (scheme, _) = seen.split_once(':')?;
        (!scheme.contains(['/', '?', '#', '\\'])).then(|| scheme.to_owned())
    }

    fn lower(level: HeadingLevel) -> HeadingLevel {
        HeadingLevel::try_from(level as usize + 1).unwrap_or(HeadingLevel::H6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_several_names_is_the_readme() {
        for (name, expected) in [
            ("README.md", Some(0)),
            ("ReadMe.MD", Some(0)),
            ("README.markdown", Some(1)),
            ("readme.txt", Some(2)),
            ("README", Some(3)),
            ("README.rst", None),
            ("AREADME.md", None),
        ] {
            assert_eq!(rank(name.as_bytes()), expected, "{name}");
        }
    }

    #[test]
    fn plain_text_is_shown_as_it_is() {
        let page = render(b"README.txt", b"\xef\xbb\xbf<b> & \xff\n  *x*", "");
        assert_eq!(page, "<pre>&lt;b&gt; &amp; \u{fffd}\n  *x*</pre>\n");
    }

    #[cfg(feature = "markdown")]
    #[track_caller]
    fn check(markdown: &str, expected: &str) {
        assert_eq!(render(b"README.md", markdown.as_bytes(), "").trim_end(), expected, "{markdown}");
    }

    #[cfg(feature = "markdown")]
    #[test]
    fn markdown_is_rendered() {
        check("# A\n\ntext *b* `c`", "<h2>A</h2>\n<p>text <em>b</em> <code>c</code></p>");
        check("###### deep", "<h6>deep</h6>");
        check("[a](b.txt \"t\")", "<p><a href=\"b.txt\" title=\"t\">a</a></p>");
        check("![a](b.png)", "<p><img src=\"b.png\" alt=\"a\" /></p>");
        check("- [x] done\n- [ ] not", "<ul>\n<li>\u{2611} done</li>\n<li>\u{2610} not</li>\n</ul>");
        check("# A { onclick=x }", "<h2>A { onclick=x }</h2>");
        assert!(render(b"README.md", b"a | b\n--|--\n1 | 2", "").starts_with("<table>"));
    }

    #[cfg(feature = "markdown")]
    #[test]
    fn html_in_markdown_is_text() {
        check("<script>alert(1)</script>", "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>");
        check("a <img src=x onerror=alert(1)> b", "<p>a &lt;img src=x onerror=alert(1)&gt; b</p>");
        check("a <!-- b --> c", "<p>a  c</p>");
        check("a\n\n<!-- b\n\nc -->\n\nd", "<p>a</p>\n<p></p>\n<p>d</p>");
        check("<!-- a --> b", "<p> b</p>");
        check("<!-- a\nb --> c\n\nd", "<p> c\n</p>\n<p>d</p>");
        check("<p>a <!-- b --> c <!-- d", "<p>&lt;p&gt;a  c </p>");
        check("<!--> a <!---> b", "<p> a  b</p>");
        // It ends with the block that it is in.
        check("<div>\n<!-- a\n\nb <i>c</i>", "<p>&lt;div&gt;\n</p>\n<p>b &lt;i&gt;c&lt;/i&gt;</p>");
        check(
            "```html\"onclick=x\n<b>\n```",
            "<pre><code class=\"language-html&quot;onclick=x\">&lt;b&gt;\n</code></pre>",
        );
    }

    #[cfg(feature = "markdown")]
    #[test]
    fn links_lead_to_pages_alone() {
        for harmless in ["a", "/a", "?a", "#a", "./a:b", "http://a", "HTTPS://a", "mailto:a@b", "//a", "a/b:c", "?a:b"]
        {
            check(&format!("[x](<{harmless}>)"), &format!("<p><a href=\"{harmless}\">x</a></p>"));
        }
        for harmful in [
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            "java&#10;script:alert(1)",
            "java&Tab;script:alert(1)",
            "&#1;javascript:alert(1)",
            "&#x20;javascript:alert(1)",
            "javascript&colon;alert(1)",
            "data:text/html,x",
            "vbscript:x",
            "file:///etc/passwd",
            "a b:c",
        ] {
            check(&format!("[x](<{harmful}>)"), "<p>x</p>");
            check(&format!("![x](<{harmful}>)"), "<p>x</p>");
            check(&format!("[![x](<{harmful}>)](y)"), "<p><a href=\"y\">x</a></p>");
            check(&format!("[![x](y)](<{harmful}>)"), "<p><img src=\"y\" alt=\"x\" /></p>");
        }
        check("<javascript:alert(1)>", "<p>javascript:alert(1)</p>");
        check("[x](<a\"onclick=\"b>)", "<p><a href=\"a%22onclick=%22b\">x</a></p>");
    }

    #[cfg(feature = "markdown")]
    #[test]
    fn relative_links_start_from_the_directory() {
        let page = render(b"README.md", b"[a](b) [c](../d) [e](/f) [g](#h) [i](http://j)", "./k/");
        assert_eq!(
            page.trim_end(),
            "<p><a href=\"./k/b\">a</a> <a href=\"./k/../d\">c</a> <a href=\"/f\">e</a> <a href=\"#h\">g</a> \
             <a href=\"http://j\">i</a></p>"
        );
        let page = render(b"README.md", b"<me@example.org>", "./k/");
        assert_eq!(page.trim_end(), "<p><a href=\"mailto:me@example.org\">me@example.org</a></p>");
    }
}
