//! Whether somebody navigates: asks for a page to look at, and not for a part of one. Pure.

use ::http::Method;

use crate::http::Request;

/// GET or HEAD of something that is to be HTML, and has no extension that says otherwise. Browsers name `text/html` when
/// they navigate; what scripts, images and `fetch` ask for doesn't, and must not get a page in place of a 404.
pub(crate) fn is_navigation(request: &Request<'_>, path: &[u8]) -> bool {
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    matches!(request.method, Method::GET | Method::HEAD)
        && !name.contains(&b'.')
        && request.fields.list("accept").any(takes_html)
}

/// A member of Accept (RFC 9110 section 12.5.1), which is given weight 0 by who doesn't want it.
fn takes_html(member: &[u8]) -> bool {
    let mut pieces = member.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
    let range = pieces.next().unwrap_or_default();
    let is_html =
        [&b"text/html"[..], b"application/xhtml+xml", b"text/*"].iter().any(|html| range.eq_ignore_ascii_case(html));
    let is_refused = pieces.any(|piece| {
        let weight = piece.strip_prefix(b"q=").or_else(|| piece.strip_prefix(b"Q="));
        weight.is_some_and(|weight| weight.iter().all(|byte| b"0.".contains(byte)))
    });
    is_html && !is_refused
}
