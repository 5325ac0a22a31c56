//! Redirects and rewrites: from lines to rules, and from a path to the rule about it. Pure.
//!
//! A line is `FROM TO [STATUS][!]`, as in the `_redirects` files of Netlify and others. `FROM` is a path, in which `:name`
//! stands for a segment and a `*` at the end for all that follows, which `TO` repeats as `:name` and `:splat`. The first
//! rule about a path counts.
//!
//! 1. `rule` is a line: `pattern` its left side, `target` the right one.
//! 2. [`Redirects`] is a set of rules that makes sense: none in vain, and no chain of redirects that never ends (`circles`).

mod circles;
mod pattern;
mod rule;
mod target;

use std::collections::HashMap;
use std::fmt;

use self::pattern::Pattern;
pub(super) use self::rule::Effect;
use self::rule::Rule;
use super::REDIRECTS_FILE;

/// Rules of one site; more are a mistake.
const RULES_MAX: usize = 10_000;

/// The rules of a site: those configured, and behind them those of its `_redirects` file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redirects {
    rules: Vec<Rule>,
    configured: usize,
    /// Where the rule is that is about just this path, without a slash at its end.
    exact: HashMap<String, usize>,
    /// Where those are, in order, whose paths begin with this segment; and the rest.
    by_first: HashMap<String, Vec<usize>>,
    others: Vec<usize>,
}

/// What is wrong with rules, and what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mistake {
    /// The line, counted from 1.
    pub line: usize,
    /// What was expected.
    pub what: String,
}

impl Mistake {
    fn new(line: usize, what: impl Into<String>) -> Self {
        Self { line, what: what.into() }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Redirects {
    /// Reads the rules of a configuration, one a line.
    ///
    /// # Errors
    /// The first line that is wrong, or else the first rule of those that lead round in circles.
    pub fn parse<'t>(lines: impl IntoIterator<Item = &'t str>) -> Result<Self, Mistake> {
        Self::parse_placed(lines, |_| String::new())
    }

    /// The same, told where each line is, counted from 1: for those who ask which rule it was.
    ///
    /// # Errors
    /// As [`Redirects::parse`].
    pub fn parse_placed<'t>(
        lines: impl IntoIterator<Item = &'t str>,
        place: impl Fn(usize) -> String,
    ) -> Result<Self, Mistake> {
        let mut redirects = Self::default();
        redirects.add(lines, place)?;
        redirects.configured = redirects.rules.len();
        Ok(redirects)
    }

    /// These rules, and behind them those of a `_redirects` file.
    ///
    /// # Errors
    /// As [`Redirects::parse`]; the line is one of the file.
    pub fn with_file(&self, bytes: &[u8]) -> Result<Self, Mistake> {
        let text = str::from_utf8(bytes).map_err(|error| {
            let lines_before = bytes[..error.valid_up_to()].iter().filter(|&&byte| byte == b'\n').count();
            Mistake::new(lines_before + 1, "this is not UTF-8")
        })?;
        let mut redirects = self.clone();
        redirects
            .add(text.strip_prefix('\u{feff}').unwrap_or(text).lines(), |line| format!("{REDIRECTS_FILE}:{line}"))?;
        Ok(redirects)
    }

    /// The configured rules, as lines.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.rules[..self.configured].iter().map(|rule| rule.line.as_str())
    }

    /// The rules of the `_redirects` file, as lines, each with its place.
    pub fn file_lines(&self) -> impl Iterator<Item = String> {
        self.rules[self.configured..].iter().map(|rule| format!("{}{}", rule.line, rule.place))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    fn add<'t>(
        &mut self,
        lines: impl IntoIterator<Item = &'t str>,
        place: impl Fn(usize) -> String,
    ) -> Result<(), Mistake> {
        let first_added = self.rules.len();
        let mut places = Vec::new();
        let mut known: HashMap<(Pattern, bool), usize> = HashMap::new();
        for (at, rule) in self.rules.iter().enumerate() {
            known.insert((rule.from.clone(), rule.is_fallback), at);
        }
        for (at, line) in lines.into_iter().enumerate() {
            let Some(mut rule) = Rule::parse(line).map_err(|what| Mistake::new(at + 1, what))? else { continue };
            rule.place.0 = place(at + 1);
            // A rule for navigations alone leaves something to one for all requests behind it, but not the other way.
            let hiding = [(rule.from.clone(), false), (rule.from.clone(), rule.is_fallback)];
            if let Some(&earlier) = hiding.iter().find_map(|key| known.get(key)) {
                let earlier = &self.rules[earlier].line;
                return Err(Mistake::new(
                    at + 1,
                    format!("'{}' comes in vain after '{earlier}'; remove one", rule.line),
                ));
            }
            if self.rules.len() == RULES_MAX {
                return Err(Mistake::new(at + 1, format!("expected at most {RULES_MAX} rules")));
            }
            known.insert((rule.from.clone(), rule.is_fallback), self.rules.len());
            self.index(&rule);
            self.rules.push(rule);
            places.push(at + 1);
        }
        let Some(circle) = circles::find(self) else { return Ok(()) };
        let place = circle.iter().find_map(|&at| places.get(at.checked_sub(first_added)?)).copied().unwrap_or(1);
        let lines: Vec<String> = circle.iter().map(|&at| format!("'{}'", self.rules[at].line)).collect();
        Err(Mistake::new(place, format!("redirects that never end: {}", lines.join(", "))))
    }

    /// Notes where the next rule can be found.
    fn index(&mut self, rule: &Rule) {
        let at = self.rules.len();
        match (rule.from.only_path(), rule.from.first()) {
            // A path that was there before is one for navigations, which are never fixed.
            (Some(path), _) => drop(self.exact.insert(path, at)),
            (None, Some(first)) => self.by_first.entry(first.to_owned()).or_default().push(at),
            (None, None) => self.others.push(at),
        }
    }

    /// The first rule about a canonical path. Whether the request is a navigation is only asked when it matters, for the
    /// sake of this rule.
    pub(super) fn find(&self, path: &[u8], is_navigation: impl Fn(&Rule) -> bool) -> Option<&Rule> {
        self.find_place(path, is_navigation).map(|at| &self.rules[at])
    }

    fn find_place(&self, path: &[u8], is_navigation: impl Fn(&Rule) -> bool) -> Option<usize> {
        // A canonical path is ASCII.
        let text = str::from_utf8(path).ok()?;
        let text = text.strip_suffix('/').unwrap_or(text);
        let mut found = self.exact.get(text).copied();
        let first = text.split('/').nth(1).unwrap_or_default();
        for places in [self.by_first.get(first), Some(&self.others)].into_iter().flatten() {
            let before_found = places.iter().take_while(|&&at| found.is_none_or(|found| at < found));
            let applies = |rule: &Rule| rule.from.matches(path) && (!rule.is_fallback || is_navigation(rule));
            found = before_found.copied().find(|&at| applies(&self.rules[at])).or(found);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn redirects(text: &str) -> Result<Redirects, Mistake> {
        Redirects::default().with_file(text.as_bytes())
    }

    /// What becomes of a path: where it is sent, or `200 PATH`, or `-`.
    fn outcome(redirects: &Redirects, target: &str, is_navigation: bool) -> String {
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let path = path.as_bytes();
        let Some(rule) = redirects.find(path, |_| is_navigation) else { return "-".to_owned() };
        match rule.effect() {
            Effect::Redirect(status) => {
                let location = rule.location(path, query.map(str::as_bytes));
                format!("{} {}", status.as_u16(), location.escape_ascii())
            }
            Effect::Rewrite => format!("200! {}", rule.path(path).escape_ascii()),
            Effect::RewriteMissing | Effect::StandIn => format!("200 {}", rule.path(path).escape_ascii()),
        }
    }

    const RULES: &str = "\u{feff}# Moved, all of it.
/old /new
/gone/   https://example.org/  302   # for now

/blog/:year/:slug\t/posts/:year-:slug  308
/blog/*           /posts/:splat         307!
/shop  /store?from=shop 303
/api/*            /api/v2/:splat.json 200
/legacy           /new.html             200!
/img/*            /img/none.png         200
/sub/*            /sub/                 200
/*                /index.html           200
/*                /all/:splat           302
";

    #[test]
    fn the_first_rule_about_a_path_counts() {
        let rules = redirects(RULES.split_once("\n/* ").unwrap().0).unwrap();
        for (target, expected) in [
            ("/old", "301 /new"),
            ("/old/?a=b", "301 /new?a=b"),
            ("/gone", "302 https://example.org/"),
            ("/blog/2026/tray", "308 /posts/2026-tray"),
            ("/blog/2026", "307 /posts/2026"),
            ("/blog", "307 /posts/"),
            ("/blog/2026/11/tray/", "307 /posts/2026/11/tray/"),
            ("/shop?x", "303 /store?from=shop&x"),
            ("/api/users", "200 /api/v2/users.json"),
            ("/legacy", "200! /new.html"),
            ("/img/a.png", "200 /img/none.png"),
            ("/sub/a", "-"),
            ("/new", "-"),
            ("/", "-"),
        ] {
            assert_eq!(outcome(&rules, target, false), expected, "{target}");
        }
        assert_eq!(outcome(&rules, "/sub/a", true), "200 /sub/");
    }

    /// serve#257: a page in the place of a missing script.
    #[test]
    fn a_page_for_everything_is_for_navigations_alone() {
        let rules = redirects("/a /b\n/* /index.html 200\n/* https://a/:splat").unwrap();
        assert_eq!(outcome(&rules, "/user/7", true), "200 /index.html");
        assert_eq!(outcome(&rules, "/app.js", false), "301 https://a/app.js");
        assert_eq!(outcome(&rules, "/a", true), "301 /b");
    }

    #[track_caller]
    fn check_mistake(text: &str, line: usize, part: &str) {
        let mistake = redirects(text).unwrap_err();
        assert_eq!(mistake.line, line, "{text}: {mistake}");
        assert!(mistake.what.contains(part), "{text}: {mistake}");
    }

    #[test]
    fn a_wrong_line_is_told() {
        for (line, part) in [
            ("/a", "expected FROM TO [STATUS], not '/a'"),
            ("/a # /b", "expected FROM TO [STATUS], not '/a'"),
            ("/a /b 301 Country=us", "expected FROM TO [STATUS], not '/a /b 301 Country=us'"),
            ("/a id=:id /b 301", "expected FROM TO [STATUS]"),
            ("/a /b 404", "expected a status of 200, 301, 302, 303, 307 or 308, not '404'"),
            ("/a /b 301!!", "expected a status"),
            ("/a /b moved", "expected a status"),
            ("a /b", "expected a path that begins with /, not 'a'"),
            ("/*/* /b", "expected one * at most"),
            ("/a/* /b/:rest", "':rest' stands for nothing"),
            ("/a /b/:splat", "':splat' stands for nothing"),
            ("/a /b\u{1b}[31m", "expected characters that can be printed, not '\\u{1b}'"),
            ("/a https://b/ 200", "expected a path of this site for status 200"),
            ("/a /b?c 200", "expected a path of this site for status 200"),
        ] {
            check_mistake(&format!("# a\n/ok /fine\n{line}\n"), 3, part);
        }
        assert_eq!(Redirects::default().with_file(b"/a /b\n/\xff /c").unwrap_err().line, 2);
    }

    #[test]
    fn a_rule_that_comes_in_vain_is_told() {
        check_mistake("/a /b\n\n/a /c", 3, "'/a /c' comes in vain after '/a /b'; remove one");
        check_mistake("/a /b\n/a/ /c 302", 2, "comes in vain");
        check_mistake("/a/:x /b\n/a/:y /c", 2, "comes in vain");
        check_mistake("/a/* /b\n/a/* /c 200", 2, "comes in vain");
        check_mistake("/* https://a/\n/* /index.html 200", 2, "comes in vain");
        check_mistake("/* /a.html 200\n/* /b.html 200", 2, "comes in vain");
        check_mistake("/a /b\n/%61 /c", 2, "comes in vain");
        redirects("/a/x /b\n/a/:y /c\n/a/* /d\n/:z/x /e").unwrap();
        let configured = Redirects::parse(["/a /b"]).unwrap();
        assert_eq!(configured.with_file(b"\n/a /c").unwrap_err().line, 2);
        let both = configured.with_file(b"/c /d").unwrap();
        assert_eq!((both.len(), both.lines().collect::<Vec<_>>()), (2, vec!["/a /b"]));
    }

    #[test]
    fn there_are_not_too_many() {
        let text: String = (0..=RULES_MAX).map(|number| format!("/{number} /x{number}\n")).collect();
        check_mistake(&text, RULES_MAX + 1, "expected at most 10000 rules");
    }

    const FROM: &str = "(/(:a|:b|a|b|c\\.d|%2e|%41|\\||@|&|\u{e9})){1,3}(/\\*|/)?";
    const TO: &str =
        "(/|//|:a|:b|:splat|\\*|a|b|\\.|\\.\\.|%2e|%2f|%5c|\\\\|\\?|#|=|&|https://h|@|evil\\.example|\u{e9}){1,6}";

    proptest! {
        /// Whatever the rules and whatever is asked for, a path of this site leads to this site, and any Location is fit for
        /// a field.
        #[test]
        fn a_path_of_this_site_never_leads_to_another(
            from in FROM, to in TO, target in "/[ab.:/%25\\\\@?&=\\u{fc}]{0,16}",
        ) {
            let Ok(rules) = redirects(&format!("{from} {to} 302\n")) else { return Ok(()) };
            let (path, query) = target.split_once('?').map_or((&*target, None), |(path, query)| (path, Some(query)));
            let Some(path) = crate::files::canonical_path(path.as_bytes()) else { return Ok(()) };
            let Some(rule) = rules.find(&path, |_| false) else { return Ok(()) };
            let location = rule.location(&path, query.map(str::as_bytes));
            prop_assert!(location.iter().all(|byte| (b'!'..=b'~').contains(byte) && !b"\\\"<>".contains(byte)));
            if rule.to.is_local() {
                prop_assert!(location.starts_with(b"/") && !location.starts_with(b"//"), "{}", location.escape_ascii());
            } else {
                let host = |url: &str| url.split(['/', '?', '#']).nth(2).map(str::to_owned);
                prop_assert_eq!(host(str::from_utf8(&location).unwrap()), host(&to));
            }
        }

        #[test]
        fn any_line_is_a_rule_or_a_mistake(text in "\\PC{0,60}") {
            let _ = redirects(&text);
        }

        #[test]
        fn a_rule_reads_back(from in FROM, to in TO, status in "301|200!?|307") {
            if let Ok(rules) = Redirects::parse([&*format!("{from} {to} {status}")]) {
                let again = Redirects::parse(rules.lines());
                prop_assert_eq!(again, Ok(rules));
            }
        }
    }
}
