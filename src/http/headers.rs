//! The field lines of a request (RFC 9110 section 5).

use httparse::Header;

/// Field lines as they came: names compare without case, values are without surrounding white space.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    lines: &'a [Header<'a>],
    /// A bit for each length that a name has: most names that are looked for aren't there, which this tells at once.
    lengths: u64,
}

impl<'a> Fields<'a> {
    pub(crate) fn of(lines: &'a [Header<'a>]) -> Self {
        Self { lines, lengths: lines.iter().fold(0, |lengths, line| lengths | bit_of(line.name)) }
    }

    /// Each field line, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + use<'a> {
        self.lines.iter().map(|line| (line.name, line.value))
    }

    /// The values of all lines of this name.
    pub fn all<'n>(&self, name: &'n str) -> impl DoubleEndedIterator<Item = &'a [u8]> + use<'a, 'n> {
        let lines = if self.lengths & bit_of(name) == 0 { &[] } else { self.lines };
        lines.iter().filter(move |line| line.name.eq_ignore_ascii_case(name)).map(|line| trim(line.value))
    }

    /// The value of the first line of this name.
    #[must_use]
    pub fn first(&self, name: &str) -> Option<&'a [u8]> {
        self.all(name).next()
    }

    /// The value of the line of this name, if there is exactly one.
    #[must_use]
    pub fn only(&self, name: &str) -> Option<&'a [u8]> {
        let mut values = self.all(name);
        values.next().filter(|_| values.next().is_none())
    }

    /// Whether there is a line of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.first(name).is_some()
    }

    /// The members of a comma-separated list, over all lines of this name; empty members don't count
    /// (RFC 9110 section 5.6.1.2). For lists without quoted strings.
    pub fn list<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        self.all(name).flat_map(|value| value.split(|&byte| byte == b',')).map(trim).filter(|member| !member.is_empty())
    }

    /// Whether a list has this member, without case.
    #[must_use]
    pub fn list_has(&self, name: &str, member: &str) -> bool {
        self.list(name).any(|found| found.eq_ignore_ascii_case(member.as_bytes()))
    }
}

/// The bit of names of this length; of longer ones, some share a bit.
fn bit_of(name: &str) -> u64 {
    1 << (name.len() % 64)
}

/// Cuts off optional white space: spaces and tabs, nothing else.
pub(super) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &'static str, value: &'static str) -> Header<'static> {
        Header { name, value: value.as_bytes() }
    }

    #[test]
    fn lists_run_over_lines_and_skip_empty_members() {
        let lines = [line("Accept", "a, b,,"), line("Host", "x"), line("ACCEPT", ",\tc ")];
        let fields = Fields::of(&lines);
        let members: Vec<_> = fields.list("accept").collect();
        assert_eq!(members, [b"a", b"b", b"c"]);
        assert!(fields.list_has("accept", "C"));
        assert!(!fields.list_has("accept", "d"));
    }

    /// Even where names have the same length.
    #[test]
    fn names_compare_without_case_and_whole() {
        let lines = [line("HoSt", "x"), line("Sec-Fetch-Mode", "a")];
        let fields = Fields::of(&lines);
        assert_eq!((fields.first("host"), fields.first("HOST")), (Some(&b"x"[..]), Some(&b"x"[..])));
        for absent in ["", "hos", "hosts", "sec-fetch-site"] {
            assert_eq!(fields.first(absent), None, "{absent}");
        }
    }

    #[test]
    fn only_means_exactly_one() {
        let lines = [line("a", "1"), line("b", " 2\t"), line("a", "3")];
        let fields = Fields::of(&lines);
        assert_eq!(fields.only("a"), None);
        assert_eq!(fields.only("B"), Some(&b"2"[..]));
        assert_eq!(fields.only("c"), None);
    }
}
