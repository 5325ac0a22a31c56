//! Who may read answers from pages of other origins (the CORS protocol of the Fetch standard, section 3.3).

use ::http::{HeaderValue, Method, StatusCode, header};

use super::hosts::parse_authority;
use crate::http::{Request, Response, is_token_byte};

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");
/// Beyond the few that a page may always read, those that a file's answer has.
const EXPOSED: HeaderValue =
    HeaderValue::from_static("Accept-Ranges, Content-Encoding, Content-Length, Content-Range, ETag");
/// A day; browsers have limits of their own.
const MAX_AGE_S: HeaderValue = HeaderValue::from_static("86400");
const BY_ORIGIN: HeaderValue = HeaderValue::from_static("Origin");

/// More than this is asked for by nobody in earnest.
const ASKED_FIELDS_BYTES_MAX: usize = 1_024;

/// The origins whose pages may read answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origins {
    /// None but the site's own.
    #[default]
    Own,
    /// All. What a browser keeps for the site (cookies, a password that was typed there) it doesn't send for such pages.
    Any,
    /// These.
    Listed(Vec<HeaderValue>),
}

impl Origins {
    /// Reads a list: `*` alone, or origins.
    ///
    /// # Errors
    /// What was expected in place of an origin that is none.
    pub fn parse<'t>(list: impl IntoIterator<Item = &'t str>) -> Result<Self, String> {
        let list: Vec<&str> = list.into_iter().collect();
        match &list[..] {
            [] => Ok(Self::Own),
            ["*"] => Ok(Self::Any),
            origins => {
                let origin = |text: &&str| {
                    let origin = parse_origin(text).and_then(|origin| HeaderValue::try_from(origin).ok());
                    origin.ok_or_else(|| {
                        format!("expected origins, such as https://example.org or http://localhost:3000, or * alone, not '{text}'")
                    })
                };
                origins.iter().map(origin).collect::<Result<_, _>>().map(Self::Listed)
            }
        }
    }

    /// Each, as it is written.
    #[must_use]
    pub fn list(&self) -> Vec<String> {
        match self {
            Self::Own => Vec::new(),
            Self::Any => vec!["*".to_owned()],
            Self::Listed(origins) => {
                origins.iter().filter_map(|origin| origin.to_str().ok()).map(str::to_owned).collect()
            }
        }
    }

    /// The answer to a page's question whether it may ask (section 3.2.2), if this is one.
    pub(super) fn preflight(&self, request: &Request<'_>) -> Option<Response> {
        let is_preflight = request.method == Method::OPTIONS
            && request.fields.has("origin")
            && request.fields.has("access-control-request-method");
        let origin = self.allowed(request).filter(|_| is_preflight)?;
        let asked = asked_fields(request).map(|fields| (header::ACCESS_CONTROL_ALLOW_HEADERS, fields));
        let answer = Response::new(StatusCode::NO_CONTENT)
            .field(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin)
            .field(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS)
            .field(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE_S);
        let answer = asked.into_iter().fold(answer, |answer, (name, value)| answer.field(name, value));
        Some(self.vary(answer))
    }

    /// The same answer, for pages of these origins too.
    pub(super) fn mark(&self, request: &Request<'_>, answer: Response) -> Response {
        let answer = match self.allowed(request) {
            Some(origin) => answer
                .field(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin)
                .field(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED),
            None => answer,
        };
        self.vary(answer)
    }

    /// What the answer to this request may tell: `*`, or the origin that asks. An origin compares byte by byte, as
    /// browsers write it in one way only.
    fn allowed(&self, request: &Request<'_>) -> Option<HeaderValue> {
        match self {
            Self::Own => None,
            Self::Any => Some(HeaderValue::from_static("*")),
            Self::Listed(origins) => {
                let asking = request.fields.only("origin")?;
                origins.iter().find(|origin| origin.as_bytes() == asking).cloned()
            }
        }
    }

    /// Who keeps an answer for others must know that it is another one for other origins, or for none (section 3.3.9).
    fn vary(&self, answer: Response) -> Response {
        match self {
            Self::Listed(_) => answer.field(header::VARY, BY_ORIGIN),
            Self::Own | Self::Any => answer,
        }
    }
}

/// The fields that a page would send: any are welcome, as none changes what is served. What isn't a list of names is not
/// repeated.
fn asked_fields(request: &Request<'_>) -> Option<HeaderValue> {
    let asked = request.fields.only("access-control-request-headers")?;
    let mut names = asked.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    let is_token = |name: &[u8]| !name.is_empty() && name.iter().all(|&byte| is_token_byte(byte));
    let is_good = asked.len() <= ASKED_FIELDS_BYTES_MAX && names.all(is_token);
    HeaderValue::from_bytes(asked).ok().filter(|_| is_good)
}

/// An origin as a browser writes it: small letters, no port where it is the scheme's own, no path. `null` is none: any
/// page can make that its origin.
fn parse_origin(text: &str) -> Option<String> {
    let (scheme, authority) = text.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let is_scheme_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic()) && scheme.bytes().all(is_scheme_byte);
    let (host, port) = parse_authority(authority).filter(|_| is_scheme)?;
    let port = port.filter(|port| !matches!((&*scheme, port), ("http", 80) | ("https", 443)));
    Some(format!("{scheme}://{host}{}", port.map_or_else(String::new, |port| format!(":{port}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_written_as_browsers_write_them() {
        for (written, origin) in [
            ("https://example.org", "https://example.org"),
            ("HTTPS://Example.ORG:443", "https://example.org"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("http://a:80", "http://a"),
            ("https://a:80", "https://a:80"),
            ("http://[0::1]:1", "http://[::1]:1"),
            ("tauri://localhost", "tauri://localhost"),
        ] {
            assert_eq!(Origins::parse([written]).map(|origins| origins.list()), Ok(vec![origin.to_owned()]));
        }
        assert_eq!(Origins::parse([]), Ok(Origins::Own));
        assert_eq!(Origins::parse(["*"]), Ok(Origins::Any));
    }

    #[test]
    fn what_is_no_origin_is_told() {
        for wrong in [
            "example.org",
            "null",
            "https://",
            "https://a/",
            "https://a/b",
            "https://a?b",
            "https://*.a",
            "https://u@a",
            "https://a:x",
            "://a",
            "1x://a",
            "https://a b",
            "https://\u{e9}.fr",
            "*",
            "",
        ] {
            let told = Origins::parse(["https://a", wrong]);
            assert!(told.as_ref().is_err_and(|what| what.ends_with(&format!(", not '{wrong}'"))), "{told:?}");
        }
    }
}
