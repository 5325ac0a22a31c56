//! Redirects that never end: rules that lead to each other, found before anybody is sent round. Pure.
//!
//! Each redirect to a path of this site is followed with samples in the place of captures: words that no rule has, and
//! words that rules have, as some circles are there for these only. A browser gives up after 20 redirects (Fetch, section
//! 4.4), so a chain that is longer is no good either: that is how those are found whose paths grow at each step.

use std::collections::BTreeSet;

use super::Redirects;
use super::rule::{Effect, Rule};
use crate::files::canonical_path;

/// How many redirects a browser follows.
const HOPS_MAX: usize = 20;

/// How many paths are tried with words of the rules; where there are many rules, that is a few for each.
const SAMPLES_MAX: usize = 20_000;

/// Words that no rule has, unless somebody wants to have a circle.
const SAMPLE: &str = "~sample~";
const LONG_SAMPLE: &str = "~sample~/~of~/~several~";

/// The rules of a circle, in order, by their places; none where there is no circle.
pub(super) fn find(redirects: &Redirects) -> Option<Vec<usize>> {
    let words: BTreeSet<&str> =
        redirects.rules.iter().filter(is_pattern).flat_map(|rule| rule.from.literals()).collect();
    let words: Vec<&str> = words.into_iter().collect();
    let share = SAMPLES_MAX / redirects.rules.iter().filter(is_pattern).count().max(1);
    redirects.rules.iter().filter(|rule| leads_on(rule)).find_map(|rule| {
        let words_max = (share / (rule.from.count() + 1)).min(words.len());
        let mut starts = samples(rule, &words[..words_max]).into_iter();
        starts.find_map(|start| follow(redirects, start))
    })
}

fn is_pattern(rule: &&Rule) -> bool {
    rule.from.only_path().is_none()
}

/// It sends to a path that there may be a rule about. A rewrite ends a chain.
fn leads_on(rule: &Rule) -> bool {
    matches!(rule.effect(), Effect::Redirect(_)) && rule.to.is_local()
}

/// Paths that a rule is about: with new words for all captures, and with a known one for each or all of them.
fn samples(rule: &Rule, words: &[&str]) -> BTreeSet<String> {
    if !is_pattern(&rule) {
        return BTreeSet::from([rule.from.fill(|_| String::new())]);
    }
    let captures = rule.from.count();
    let fresh = |at: usize| format!("{SAMPLE}{at}");
    let mut samples = BTreeSet::from([rule.from.fill(fresh)]);
    let splat = captures.checked_sub(1).filter(|_| rule.from.has_splat);
    for special in ["", LONG_SAMPLE] {
        samples.insert(rule.from.fill(|at| if Some(at) == splat { special.to_owned() } else { fresh(at) }));
    }
    for word in words {
        samples.insert(rule.from.fill(|_| (*word).to_owned()));
        for chosen in 0..captures {
            samples.insert(rule.from.fill(|at| if at == chosen { (*word).to_owned() } else { fresh(at) }));
        }
    }
    samples
}

/// Goes where a browser is sent from this path, until that ends, or it would give up. Rules for navigations are passed
/// over, as other requests pass them.
fn follow(redirects: &Redirects, start: String) -> Option<Vec<usize>> {
    let mut path = start.into_bytes();
    let mut hops = Vec::new();
    while hops.len() <= HOPS_MAX {
        let at = redirects.find_place(&path, |_| false)?;
        let rule = &redirects.rules[at];
        if !leads_on(rule) {
            return None;
        }
        hops.push(at);
        path = canonical_path(&rule.path(&path))?.into_owned();
    }
    // What comes between two of the last rule is the circle; a chain without one is too long all the same.
    let last = hops.pop()?;
    let Some(before) = hops.iter().rposition(|&at| at == last) else {
        hops.push(last);
        return Some(hops);
    };
    let mut circle = hops.split_off(before);
    circle.dedup();
    let first = (0..circle.len()).min_by_key(|&at| circle[at]).unwrap_or(0);
    circle.rotate_left(first);
    Some(circle)
}

#[cfg(test)]
mod tests {
    use super::super::Redirects;

    #[track_caller]
    fn check(text: &str, expected: Option<(usize, &str)>) {
        let found = Redirects::default().with_file(text.as_bytes());
        let found = found.as_ref().err().map(|mistake| (mistake.line, &*mistake.what));
        let expected = expected.map(|(line, rules)| (line, format!("redirects that never end: {rules}")));
        assert_eq!(found, expected.as_ref().map(|(line, what)| (*line, &**what)), "{text}");
    }

    #[test]
    fn circles_are_found() {
        check("/a /a", Some((1, "'/a /a'")));
        check("/a /a/", Some((1, "'/a /a/'")));
        check("/a /a?b", Some((1, "'/a /a?b'")));
        check("/x /a\n/a /b\n/b /c 302\n/c /a", Some((2, "'/a /b', '/b /c 302', '/c /a'")));
        check("/a/* /b/:splat\n\n/b/* /a/:splat", Some((1, "'/a/* /b/:splat', '/b/* /a/:splat'")));
        check("/* /new/:splat", Some((1, "'/* /new/:splat'")));
        check("/a/* /a/b/:splat", Some((1, "'/a/* /a/b/:splat'")));
        check("/:x /:x/", Some((1, "'/:x /:x/'")));
        check("/* /", Some((1, "'/* /'")));
        check("/a/b/:x /a/:x/b", Some((1, "'/a/b/:x /a/:x/b'")));
        check("/u/:a/:b /u/:b/:a", Some((1, "'/u/:a/:b /u/:b/:a'")));
        check("/* /index.html 200\n/a /b\n/b /a", Some((2, "'/a /b', '/b /a'")));
    }

    #[test]
    fn chains_that_end_are_none() {
        check("/a /b\n/b /c\n/c /d", None);
        check("/a/* /:splat", None);
        check("/a /b\n/b /a 200", None);
        check("/a https://example.org/a", None);
        check("/a /b\n/b https://example.org/a", None);
        check("/new /new/x 200\n/* /new 302", None);
        check("/blog/:year/:slug /posts/:year-:slug\n/blog/* /posts/:splat", None);
        check("/* /index.html 200", None);
    }

    #[test]
    fn a_chain_that_no_browser_follows_is_none_either() {
        let chain = |rules: usize| (0..rules).map(|at| format!("/{at} /{}\n", at + 1)).collect::<String>();
        check(&chain(20), None);
        assert!(Redirects::default().with_file(chain(21).as_bytes()).is_err());
    }

    /// The search is over before anybody wonders.
    #[test]
    fn many_rules_are_looked_through_in_time() {
        let rule = |at: usize| match at % 3 {
            0 => format!("/p{at}/:a/:b/* /q{at}/:b/:a/:splat\n"),
            1 => format!("/s{at} /t{at}\n"),
            _ => format!("/:x/u{at}/* /v{at}/:x/:splat\n"),
        };
        let text: String = (0..1_500).map(rule).collect();
        let start = std::time::Instant::now();
        check(&text, None);
        assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
    }
}
