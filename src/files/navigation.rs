//! Whether a request is a person's, on the way to a page: a page may then stand in for what is not there. A missing
//! script or picture must stay missing, or a page is taken for it, and kept as it.

use ::http::Method;
use percent_encoding::percent_decode;

use crate::http::Request;

/// Whether a browser asks for this path to show it: GET or HEAD, with HTML named as wanted, and a last segment without an
/// extension. `*/*` names nothing: it is what scripts and images are asked for with.
pub(crate) fn is_navigation(request: &Request<'_>, path: &[u8]) -> bool {
    matches!(request.method, Method::GET | Method::HEAD)
        && !has_extension(path)
        && request.fields.list("accept").any(names_html)
}

/// Whether a navigation to this path, and nothing else, may get a page in the place of what isn't there.
pub(crate) fn may_be_navigated_to(path: &[u8]) -> bool {
    !has_extension(path)
}

/// Whether its last segment says what it is: a file, which is not the path of a page.
fn has_extension(path: &[u8]) -> bool {
    let last = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    percent_decode(last).any(|byte| byte == b'.')
}

/// A media range with its weight (RFC 9110 sections 12.4.2 and 12.5.1).
fn names_html(range: &[u8]) -> bool {
    let mut parts = range.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
    let media_type = parts.next().unwrap_or_default();
    let is_html = ["text/html", "application/xhtml+xml", "text/*"]
        .iter()
        .any(|html| media_type.eq_ignore_ascii_case(html.as_bytes()));
    is_html && !parts.any(is_weight_0)
}

fn is_weight_0(parameter: &[u8]) -> bool {
    match parameter {
        [b'q' | b'Q', b'=', weight @ ..] => !weight.iter().any(|byte| (b'1'..=b'9').contains(byte)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Address, Fields, Peer, Target, Version};

    const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";

    #[track_caller]
    fn check(method: &Method, path: &str, accept: &str, expected: bool) {
        let lines = [httparse::Header { name: "Accept", value: accept.as_bytes() }];
        let peer = Peer::new(Address::Inet(([127, 0, 0, 1], 50_000).into()), None);
        let request = Request {
            method: method.clone(),
            target: Target::Path { path: path.as_bytes(), query: None },
            version: Version::Http11,
            authority: None,
            fields: Fields::of(&lines),
            body: &[],
            peer: &peer,
            client: crate::http::Client::Peer(&peer),
            begun: None,
        };
        assert_eq!(is_navigation(&request, path.as_bytes()), expected, "{method} {path}, Accept: {accept}");
    }

    #[test]
    fn a_navigation_wants_a_page() {
        for (path, expected) in [
            ("/", true),
            ("/user/7", true),
            ("/v1.2/user/", true),
            ("/app.js", false),
            ("/app%2ejs", false),
            ("/user/7.html", false),
            ("/v1/user.", false),
        ] {
            check(&Method::GET, path, BROWSER, expected);
        }
        for (accept, expected) in [
            ("text/html", true),
            ("TEXT/HTML;level=1", true),
            ("image/*, text/*;q=0.1", true),
            ("application/xhtml+xml ; q=1.000", true),
            ("", false),
            ("*/*", false),
            ("application/json, */*", false),
            ("image/avif,image/webp,*/*;q=0.8", false),
            ("text/html;q=0, */*", false),
            ("text/html; Q=0.000", false),
            ("text/htmlx, text/plain", false),
        ] {
            check(&Method::GET, "/user", accept, expected);
            check(&Method::HEAD, "/user", accept, expected);
            check(&Method::POST, "/user", accept, false);
        }
    }
}
