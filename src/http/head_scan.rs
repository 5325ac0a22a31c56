//! Where a head ends (RFC 9112 section 2.2).
//!
//! [`HeadScan`] looks for the end as bytes come in, line by line, and never twice at the same byte. It enforces the limits in
//! bytes (field lines are counted where they are parsed) and rejects a lone LF, which httparse would take for an end of
//! line, and a lone CR, which would keep it waiting for an end. A head that comes whole and alone is looked through in one go.

use ::http::StatusCode;
use memchr::{memchr, memchr2};

use super::characters::is_token_byte;
use super::limits::Limits;
use super::request::{Refusal, malformed, refuse};

/// How far the search for the end of a head has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HeadScan {
    searched: usize,
    line_start: usize,
    request_line_bytes: usize,
}

impl HeadScan {
    /// Nothing of a head has come yet.
    pub(super) fn is_fresh(&self) -> bool {
        self.line_start == 0 && self.request_line_bytes == 0
    }

    /// Goes on in `bytes`, which hold all of the head that has come so far. Gives the head's length once its end is there.
    pub(super) fn advance(&mut self, bytes: &[u8], limits: &Limits) -> Result<Option<usize>, Refusal> {
        if bytes.first().is_some_and(|&first| !is_token_byte(first)) {
            return malformed("the request line doesn't begin with a method");
        }
        if self.searched == 0
            && let Some(request_line) = request_line_of_plain_head(bytes, limits)
        {
            check_version(request_line)?;
            return Ok(Some(bytes.len()));
        }
        while let Some(found) = memchr2(b'\r', b'\n', &bytes[self.searched..]) {
            let at = self.searched + found;
            if bytes[at..] == *b"\r" {
                // It counts when it is known what it is, so that a read that ends here changes nothing.
                self.searched = at;
                self.check_size(&bytes[..at], limits)?;
                return Ok(None);
            }
            if !bytes[at..].starts_with(b"\r\n") {
                self.check_size(&bytes[..at], limits)?;
                return malformed("a line ends with CR or LF alone");
            }
            let line_end = at + 2;
            if self.end_line(&bytes[..line_end], limits)? {
                return Ok(Some(line_end));
            }
            (self.searched, self.line_start) = (line_end, line_end);
        }
        self.searched = bytes.len();
        self.check_size(bytes, limits)?;
        Ok(None)
    }

    /// Takes in the line that ends here; true when it ends the head.
    fn end_line(&mut self, bytes: &[u8], limits: &Limits) -> Result<bool, Refusal> {
        let line = &bytes[self.line_start..];
        self.check_size(bytes, limits)?;
        if self.request_line_bytes == 0 {
            check_version(&line[..line.len() - 2])?;
            self.request_line_bytes = bytes.len();
            return Ok(false);
        }
        Ok(line.len() == 2)
    }

    fn check_size(&self, bytes: &[u8], limits: &Limits) -> Result<(), Refusal> {
        if self.request_line_bytes == 0 {
            let bytes_max = limits.request_line_bytes_max.saturating_add(2);
            if bytes.len() > bytes_max {
                return refuse_request_line(&bytes[..bytes_max]);
            }
        } else if bytes.len() - self.request_line_bytes > limits.field_section_bytes_max.saturating_add(2) {
            return refuse(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "the field section is too large");
        }
        Ok(())
    }
}

/// The request line of a head that has come whole and alone, as most do, and is well within the limits; none where it takes
/// line by line to tell.
fn request_line_of_plain_head<'a>(bytes: &'a [u8], limits: &Limits) -> Option<&'a [u8]> {
    let lines = bytes.strip_suffix(b"\r\n").filter(|lines| lines.ends_with(b"\r\n"))?;
    let bytes_max = limits.request_line_bytes_max.min(limits.field_section_bytes_max);
    if bytes.len() > bytes_max || !are_plain(lines) {
        return None;
    }
    memchr(b'\r', lines).map(|end| &lines[..end])
}

/// Whether these lines have CR and LF at their ends alone, and none of them is empty. It goes by steps, as the processor
/// compares all the bytes of one at once.
fn are_plain(lines: &[u8]) -> bool {
    const STEP: usize = 32;
    let (Some((_, firsts)), Some((_, seconds))) = (lines.split_last(), lines.split_first()) else { return false };
    // The last step begins where it has to, whatever the one before it has seen.
    let (Some(last_firsts), Some(last_seconds)) = (firsts.last_chunk(), seconds.last_chunk()) else { return false };
    let steps = firsts.as_chunks::<STEP>().0.iter().zip(seconds.as_chunks::<STEP>().0);
    for (firsts, seconds) in steps.chain([(last_firsts, last_seconds)]) {
        let is_plain = (0..STEP).fold(true, |plain, at| {
            let (first, second) = (firsts[at], seconds[at]);
            plain & ((first == b'\r') == (second == b'\n')) & !((first == b'\n') & (second == b'\r'))
        });
        if !is_plain {
            return false;
        }
    }
    true
}

/// What is too long is the target, or the method, which then is none that is known here (RFC 9112 section 3).
fn refuse_request_line<T>(bytes: &[u8]) -> Result<T, Refusal> {
    match bytes.iter().find(|byte| !is_token_byte(**byte)) {
        Some(b' ') => refuse(StatusCode::URI_TOO_LONG, "the request line is too long"),
        Some(_) => malformed("the request line doesn't begin with a method"),
        None => refuse(StatusCode::NOT_IMPLEMENTED, "the method is too long"),
    }
}

/// Every HTTP/1 is served; other versions, and lines that don't end with a version, are refused before more is read.
fn check_version(request_line: &[u8]) -> Result<(), Refusal> {
    let at = request_line.len().saturating_sub(9);
    match &request_line[at..] {
        [b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0'..=b'9'] => Ok(()),
        [b' ', b'H', b'T', b'T', b'P', b'/', b'0', b'.', b'0'..=b'9'] => {
            malformed("HTTP/0.9 knows no versions, and is not spoken here")
        }
        [b' ', b'H', b'T', b'T', b'P', b'/', b'2'..=b'9', b'.', b'0'..=b'9'] => {
            refuse(StatusCode::HTTP_VERSION_NOT_SUPPORTED, "only HTTP/1.0 and HTTP/1.1 are spoken here")
        }
        _ => malformed("the request line doesn't end with a version"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What comes out when the first byte comes by itself, so that the head is read line by line.
    fn advance_by_lines(bytes: &[u8], limits: &Limits) -> Result<Option<usize>, Refusal> {
        let mut scan = HeadScan::default();
        assert_eq!(scan.advance(&bytes[..1], limits), Ok(None));
        scan.advance(bytes, limits)
    }

    #[test]
    fn a_head_that_is_whole_and_alone_is_found_in_one_go() {
        let limits = Limits { request_line_bytes_max: 60, ..Limits::default() };
        let is_plain = |bytes: &str| request_line_of_plain_head(bytes.as_bytes(), &limits) == Some(b"GET / HTTP/1.1");
        for fields in ["Host: localhost\r\n", "abc: def ghi jkl\r\n", "a:\r\nb:\r\nc:\r\nd:\r\ne:\r\n"] {
            let head = format!("GET / HTTP/1.1\r\n{fields}\r\n");
            assert!(is_plain(&head), "{fields:?}");
            (0..head.len()).for_each(|end| assert!(!is_plain(&head[..end]), "{:?}", &head[..end]));
        }
        let fields_of = |bytes: usize| format!("GET / HTTP/1.1\r\n{:a<1$}\r\n\r\n", "a:", bytes - 20);
        assert!(is_plain(&fields_of(60)));
        assert!(!is_plain(&fields_of(61)), "too long to be sure");
        for fields in ["a: b\n", "a: \rb\r\n", "a: b\r\r\n", "a: b\n\r\n", "\r\nGET / HTTP/1.1\r\n"] {
            assert!(!is_plain(&format!("GET / HTTP/1.1\r\n{fields}\r\n")), "{fields:?}");
        }
    }

    /// Found by fuzzing: a read that ended behind a CR made the line a byte longer than one that ended elsewhere.
    #[test]
    fn a_line_is_as_long_however_it_is_cut() {
        let limits = Limits::default();
        let request_line = format!("GET /{}", "a".repeat(limits.request_line_bytes_max + 2 - 5));
        let field_line = format!("GET / HTTP/1.1\r\na: {}", "b".repeat(limits.field_section_bytes_max + 2 - 3));
        for line in [request_line, field_line] {
            let bytes = format!("{line}\rX");
            let whole = HeadScan::default().advance(bytes.as_bytes(), &limits);
            assert_eq!(whole.map_err(|refusal| refusal.status), Err(StatusCode::BAD_REQUEST));
            let mut scan = HeadScan::default();
            assert_eq!(scan.advance(&bytes.as_bytes()[..bytes.len() - 1], &limits), Ok(None));
            assert_eq!(scan.advance(bytes.as_bytes(), &limits), whole);
        }
    }

    proptest! {
        /// However a head is cut into reads, the same comes out.
        #[test]
        fn cuts_make_no_difference(bytes in "(GET /|POST /a|\r\n|\n|[ -~]|\r|Host: a\r\n| HTTP/1.1\r\n|\u{e9}){0,24}", cut: prop::sample::Index) {
            let bytes = bytes.as_bytes();
            let limits = Limits::default();
            let whole = HeadScan::default().advance(bytes, &limits);
            let mut scan = HeadScan::default();
            let at = cut.index(bytes.len() + 1);
            let first = scan.advance(&bytes[..at], &limits);
            let both = if first == Ok(None) { scan.advance(bytes, &limits) } else { first };
            prop_assert_eq!(both, whole);
        }

        /// Wherever a CR or LF is put into a head, or taken out, all at once and line by line the same comes out.
        #[test]
        fn one_go_makes_no_difference(
            fields in "([a-z]{1,9}: ?[ -~]{0,40}\r\n){0,7}",
            changes in prop::collection::vec((any::<prop::sample::Index>(), "\r|\n|\r\n|x|"), 0..3),
        ) {
            let mut bytes = format!("GET / HTTP/1.1\r\n{fields}\r\n");
            for (at, change) in changes {
                let at = at.index(bytes.len());
                bytes.replace_range(at..=at, &change);
            }
            prop_assume!(bytes.as_bytes().first().copied().is_some_and(is_token_byte));
            let limits = Limits::default();
            let by_lines = advance_by_lines(bytes.as_bytes(), &limits);
            prop_assert_eq!(HeadScan::default().advance(bytes.as_bytes(), &limits), by_lines);
        }
    }
}
