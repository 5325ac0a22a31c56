//! The media type of a file, by its name.

use std::path::Path;

use ::http::HeaderValue;
use mime_guess::mime;

/// The value of Content-Type. Text is UTF-8; what has no known extension is just bytes.
pub(super) fn content_type(path: &Path) -> HeaderValue {
    let guess = mime_guess::from_path(path).first_or_octet_stream();
    let is_text = guess.type_() == mime::TEXT || guess.subtype() == mime::JAVASCRIPT;
    let value =
        if is_text { format!("{}; charset=utf-8", guess.essence_str()) } else { guess.essence_str().to_owned() };
    HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static("application/octet-stream"))
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
            ("app.mjs", "application/javascript; charset=utf-8"),
            ("style.css", "text/css; charset=utf-8"),
            ("notes.txt", "text/plain; charset=utf-8"),
            ("data.json", "application/json"),
            ("logo.svg", "image/svg+xml"),
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
