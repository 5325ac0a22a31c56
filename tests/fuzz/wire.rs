//! HTTP/1.1 as a reader of RFC 9112 would write it down, slow and strict: the other opinion, and the client.

/// A request that is well-formed.
pub struct Request<'b> {
    pub head: &'b [u8],
    pub content: Vec<u8>,
    /// With the empty lines before it.
    pub bytes: usize,
}

/// Empty lines that may stand before a request.
const EMPTY_LINES_MAX: usize = 4;

pub fn skip_empty_lines(mut bytes: &[u8]) -> &[u8] {
    for _ in 0..EMPTY_LINES_MAX {
        bytes = bytes.strip_prefix(b"\r\n").unwrap_or(bytes);
    }
    bytes
}

/// The first request of these bytes, if it is complete.
pub fn next_request(bytes: &[u8]) -> Option<Request<'_>> {
    let (head, rest) = split_head(skip_empty_lines(bytes))?;
    let value = |wanted: &str| fields(head).find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value);
    let (content, rest) = match (value("transfer-encoding"), value("content-length")) {
        (Some(_), _) => split_chunks(rest)?,
        (None, Some(length)) => {
            let (content, rest) = rest.split_at_checked(std::str::from_utf8(length).ok()?.parse().ok()?)?;
            (content.to_vec(), rest)
        }
        (None, None) => (Vec::new(), rest),
    };
    Some(Request { head, content, bytes: bytes.len() - rest.len() })
}

pub fn split_head(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    Some(bytes.split_at(end))
}

/// Names and values of the field lines of a head, which stand behind its first line.
pub fn fields(head: &[u8]) -> impl Iterator<Item = (&str, &[u8])> {
    let mut rest = split_line(head).map_or(&b""[..], |(_, lines)| lines);
    let lines = std::iter::from_fn(move || {
        let (line, after) = split_line(rest)?;
        rest = after;
        (!line.is_empty()).then_some(line)
    });
    lines.filter_map(|line| {
        let colon = line.iter().position(|&byte| byte == b':')?;
        Some((std::str::from_utf8(&line[..colon]).ok()?, trim(&line[colon + 1..])))
    })
}

fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.windows(2).position(|window| window == b"\r\n")?;
    Some((&bytes[..end], &bytes[end + 2..]))
}

pub fn trim(value: &[u8]) -> &[u8] {
    let is_text = |byte: &u8| !b" \t".contains(byte);
    let start = value.iter().position(is_text).unwrap_or(value.len());
    let end = value.iter().rposition(is_text).map_or(start, |last| last + 1);
    &value[start..end]
}

pub fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The content of a chunked body, and what follows it.
fn split_chunks(mut bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut content = Vec::new();
    loop {
        let (line, rest) = split_line(bytes)?;
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let size = usize::from_str_radix(std::str::from_utf8(&line[..digits]).ok()?, 16).ok()?;
        if size == 0 {
            return Some((content, skip_trailers(rest)?));
        }
        let (chunk, rest) = rest.split_at_checked(size)?;
        content.extend_from_slice(chunk);
        bytes = rest.strip_prefix(b"\r\n")?;
    }
}

fn skip_trailers(mut bytes: &[u8]) -> Option<&[u8]> {
    loop {
        let (line, rest) = split_line(bytes)?;
        bytes = rest;
        if line.is_empty() {
            return Some(rest);
        }
    }
}

/// A response.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub fields: Vec<(String, String)>,
    /// None where there can't be one: in an answer to HEAD, and where the status has none.
    pub body: Option<Vec<u8>>,
}

impl Answer {
    pub fn value(&self, wanted: &str) -> Option<&str> {
        self.fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.as_str())
    }
}

/// The next response, which has to be there and complete, and what follows it.
pub fn next_answer(bytes: &[u8], head_only: bool) -> (Answer, &[u8]) {
    let (head, rest) = split_head(bytes).unwrap_or_else(|| panic!("no end of the head: {}", bytes.escape_ascii()));
    let text = std::str::from_utf8(head).expect("a head of ASCII");
    let mut lines = text.strip_suffix("\r\n\r\n").expect("an end").split("\r\n");
    let status = status_of(lines.next().expect("a status line"));
    let fields: Vec<_> = lines.map(field_of).collect();
    let mut names: Vec<_> = fields.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "a field that comes twice: {text}");
    assert!(!names.iter().any(|name| name == "transfer-encoding"), "{text}");
    let mut answer = Answer { status, fields, body: None };
    assert!(matches!(answer.value("connection"), None | Some("close" | "keep-alive")), "{text}");
    if matches!(status, 100..=199 | 204 | 304) {
        assert_eq!(answer.value("content-length"), None, "{text}");
        return (answer, rest);
    }
    let length = answer.value("content-length").unwrap_or_else(|| panic!("no length: {text}"));
    assert!(length.bytes().all(|byte| byte.is_ascii_digit()), "{text}");
    // A head that is late was perhaps not known as that of a HEAD.
    if head_only && (status != 408 || rest.is_empty()) {
        return (answer, rest);
    }
    let length = length.parse().expect("a length");
    let (body, rest) = rest.split_at_checked(length).unwrap_or_else(|| panic!("{} bytes of: {text}", rest.len()));
    answer.body = Some(body.to_vec());
    (answer, rest)
}

fn status_of(line: &str) -> u16 {
    let status = line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.split_once(' '));
    let (code, reason) = status.unwrap_or_else(|| panic!("{line:?} is no status line"));
    assert!(
        code.len() == 3 && !reason.is_empty() && reason.bytes().all(|byte| matches!(byte, b' '..=b'~')),
        "{line:?}"
    );
    code.parse().expect("a status")
}

fn field_of(line: &str) -> (String, String) {
    let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("{line:?} is no field line"));
    assert!(!name.is_empty() && name.bytes().all(is_token_byte), "{line:?}");
    assert!(
        !value.is_empty() && value.trim() == value && value.bytes().all(|byte| matches!(byte, b' '..=b'~')),
        "{line:?}"
    );
    (name.to_owned(), value.to_owned())
}

/// The parts of a `multipart/byteranges` body: Content-Range and content of each.
pub fn parts<'b>(body: &'b [u8], boundary: &str) -> Vec<(String, &'b [u8])> {
    let (mut parts, mut rest) = (Vec::new(), body);
    loop {
        let delimiter = format!("{}--{boundary}", if parts.is_empty() { "" } else { "\r\n" });
        rest = rest.strip_prefix(delimiter.as_bytes()).expect("a delimiter");
        if rest == b"--\r\n" {
            return parts;
        }
        let (head, content) = split_head(rest).expect("the head of a part");
        let content_range = fields(head).find(|(name, _)| *name == "Content-Range").expect("a Content-Range").1;
        let content_range = std::str::from_utf8(content_range).expect("ASCII").to_owned();
        let (content, after) = content.split_at(length_of_part(&content_range));
        parts.push((content_range, content));
        rest = after;
    }
}

fn length_of_part(content_range: &str) -> usize {
    let (first, last, _) = content_range_of(content_range);
    last + 1 - first
}

/// First byte, last byte and the length of the whole.
pub fn content_range_of(value: &str) -> (usize, usize, usize) {
    let numbers = value.strip_prefix("bytes ").and_then(|range| {
        let (range, length) = range.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        Some((first.parse().ok()?, last.parse().ok()?, length.parse().ok()?))
    });
    let (first, last, length) = numbers.unwrap_or_else(|| panic!("{value:?} is no Content-Range"));
    assert!(first <= last && last < length, "{value:?}");
    (first, last, length)
}
