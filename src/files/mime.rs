//! The media type of a file, by its name.

use std::path::Path;

use ::http::HeaderValue;

/// Of what has no known extension: just bytes.
const OCTET_STREAM: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// Text is UTF-8; but XML says itself what it is, and a charset here would win over that (RFC 7303 section 3).
const CHARSET: &str = "; charset=utf-8";

/// Text that most sites have, so that its files need not take memory for it.
const COMMON_TEXT: [&str; 5] = [
    "text/html; charset=utf-8",
    "text/css; charset=utf-8",
    "text/javascript; charset=utf-8",
    "text/plain; charset=utf-8",
    "text/markdown; charset=utf-8",
];

/// Of these mime_guess has older names, wrong ones, or none: RFC 9239 (scripts), RFC 8081 (fonts), RFC 8216 (playlists and
/// their pieces), RFC 8878, RFC 6713, RFC 6350, ECMA-426 (maps of sources), and IANA's list of models.
const NEWER: [(&str, &str); 15] = [
    ("mjs", "text/javascript"),
    ("cjs", "text/javascript"),
    ("map", "application/json"),
    ("zst", "application/zstd"),
    ("tgz", "application/gzip"),
    ("vcf", "text/vcard"),
    ("rpm", "application/x-rpm"),
    ("stl", "model/stl"),
    ("obj", "model/obj"),
    ("woff", "font/woff"),
    ("otf", "font/otf"),
    ("m3u8", "application/vnd.apple.mpegurl"),
    ("ts", "video/mp2t"),
    ("m4s", "video/iso.segment"),
    ("m4a", "audio/mp4"),
];

/// The value of Content-Type.
pub(super) fn content_type(path: &Path) -> HeaderValue {
    let extension = path.extension().unwrap_or_default();
    let newer = NEWER.into_iter().find(|(of, _)| extension.eq_ignore_ascii_case(of)).map(|(_, essence)| essence);
    let Some(essence) = newer.or_else(|| mime_guess::from_path(path).first_raw()) else { return OCTET_STREAM };
    let is_text = (essence.starts_with("text/") && essence != "text/xml") || essence.ends_with("/javascript");
    let common = COMMON_TEXT.into_iter().find(|common| common.strip_suffix(CHARSET) == Some(essence));
    match common {
        Some(common) => HeaderValue::from_static(common),
        None if is_text => HeaderValue::try_from(format!("{essence}{CHARSET}")).unwrap_or(OCTET_STREAM),
        None => HeaderValue::from_static(essence),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_says_its_charset() {
        for (name, expected) in [
            ("index.html", "text/html; charset=utf-8"),
            ("UPPER.HTML", "text/html; charset=utf-8"),
            ("app.js", "text/javascript; charset=utf-8"),
            ("app.mjs", "text/javascript; charset=utf-8"),
            ("A.WOFF", "font/woff"),
            ("app.js.map", "application/json"),
            ("cube.obj", "model/obj"),
            ("anna.vcf", "text/vcard; charset=utf-8"),
            ("film.ts", "video/mp2t"),
            ("style.css", "text/css; charset=utf-8"),
            ("notes.txt", "text/plain; charset=utf-8"),
            ("data.json", "application/json"),
            ("logo.svg", "image/svg+xml"),
            ("feed.xml", "text/xml"),
            ("style.xsl", "text/xml"),
            ("pic.png", "image/png"),
            ("m.wasm", "application/wasm"),
            ("film.webm", "video/webm"),
            ("unknown.zzz", "application/octet-stream"),
            ("README", "application/octet-stream"),
        ] {
            assert_eq!(content_type(Path::new(name)), expected, "{name}");
        }
    }
}
