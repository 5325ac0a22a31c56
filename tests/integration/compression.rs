//! Compressed variants (RFC 9110 sections 8.4, 12.1 and 12.5.3): those that lie beside a file, and those made on the
//! fly.

use std::collections::HashSet;
use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use crate::support::{NOVEMBER_1994, PATIENCE, Reply, Salver, Site, get, salver, settle};

/// What a browser says.
const ALL: &str = "gzip, deflate, br, zstd";

/// In the order in which they are preferred among siblings, with what their names end with.
const SIBLINGS: [(&str, &str); 3] = [("br", ".br"), ("zstd", ".zst"), ("gzip", ".gz")];

/// Text of so many bytes, which no coding makes much of at once, but each makes smaller.
fn text(seed: u32, bytes: usize) -> String {
    let mut number = seed;
    let mut text = String::new();
    while text.len() < bytes {
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        text.push_str(["salver ", "tray ", "serves ", "files ", "small ", "fast\n"][(number >> 16) as usize % 6]);
        text.push_str(&(number >> 20).to_string());
    }
    text.truncate(bytes);
    text
}

fn encode(coding: &str, content: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::new();
    match coding {
        "br" => {
            brotli::CompressorReader::new(content, 4096, 9, 22).read_to_end(&mut encoded).unwrap();
        }
        "zstd" => encoded = zstd::encode_all(content, 3).unwrap(),
        "gzip" => {
            let level = flate2::Compression::best();
            flate2::read::GzEncoder::new(content, level).read_to_end(&mut encoded).unwrap();
        }
        other => panic!("{other} is no coding"),
    }
    encoded
}

fn decode(coding: Option<&str>, encoded: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    match coding {
        None => content = encoded.to_vec(),
        Some("br") => {
            brotli::Decompressor::new(encoded, 4096).read_to_end(&mut content).unwrap();
        }
        Some("zstd") => content = zstd::decode_all(encoded).unwrap(),
        Some("gzip") => {
            flate2::read::MultiGzDecoder::new(encoded).read_to_end(&mut content).unwrap();
        }
        Some(other) => panic!("{other} is no coding"),
    }
    content
}

fn accept(codings: &str) -> String {
    format!("Accept-Encoding: {codings}\r\n")
}

/// The coding of the answer, which is whole, decodes to this content and says so.
#[track_caller]
fn coding_of(reply: &Reply, content: impl AsRef<[u8]>) -> Option<&str> {
    assert_eq!(reply.status, 200, "{}", reply.head);
    let coding = reply.field("content-encoding");
    assert!(decode(coding, &reply.body) == content.as_ref(), "another content: {}", reply.head);
    assert_eq!(reply.field("content-length"), Some(&*reply.body.len().to_string()));
    if coding.is_some() {
        assert_eq!(reply.field("vary"), Some("Accept-Encoding"), "{}", reply.head);
    }
    coding
}

/// A GET that accepts these codings is answered in this one, and with this content.
#[track_caller]
fn check(server: &Salver, target: &str, codings: &str, expected: Option<&str>, content: impl AsRef<[u8]>) {
    let reply = server.get(target, &accept(codings));
    assert_eq!(coding_of(&reply, content), expected, "{target} {codings}: {}", reply.head);
}

/// The log, with all that was answered so far.
fn log_so_far(server: &Salver) -> String {
    static ENDS: AtomicUsize = AtomicUsize::new(0);
    let end = format!("/end-{}-of-the-log", ENDS.fetch_add(1, Ordering::SeqCst));
    server.get(&end, "");
    server.wait_for_log(&end)
}

/// How often something was compressed on the fly.
fn times_compressed(server: &Salver) -> usize {
    log_so_far(server).matches(": compressed by ").count()
}

fn all_fields(reply: &Reply) -> Vec<&str> {
    reply.head.lines().filter(|line| !line.starts_with("Date: ")).collect()
}

/// A site with files of each kind, old enough to be kept at once.
fn site() -> Site {
    let site = Site::new();
    for (name, bytes) in [("small.txt", 1_023), ("page.html", 10_000), ("large.css", 300_000), ("pic.png", 10_000)] {
        site.write(name, text(1, bytes));
        site.set_modified(name, NOVEMBER_1994);
    }
    site
}

#[test]
fn each_coding_is_made_on_the_fly() {
    let site = site();
    let server = Salver::serve(&site);
    // From memory, and from disk.
    for (target, bytes) in [("/page.html", 10_000), ("/large.css", 300_000)] {
        let content = text(1, bytes);
        let plain = server.get(target, "");
        assert_eq!(coding_of(&plain, &content), None);
        let mut tags = HashSet::from([plain.field("etag").map(str::to_owned)]);
        for coding in ["br", "zstd", "gzip"] {
            for _ in 0..2 {
                let reply = server.get(target, &accept(coding));
                assert_eq!(coding_of(&reply, &content), Some(coding));
                assert!(reply.body.len() < bytes / 2, "{coding}: {}", reply.body.len());
                for field in ["content-type", "last-modified", "accept-ranges", "cache-control", "vary"] {
                    assert_eq!(reply.field(field), plain.field(field), "{coding} {field}");
                }
                tags.insert(Some(reply.field("etag").expect("a tag").to_owned()));
            }
            // SWS#470 was `gzip, gzip`, and SWS#451 was `zst`: it is one field with one coding by its name in HTTP.
            let head = server.ask(get(target, &accept(coding)).replacen("GET", "HEAD", 1));
            assert_eq!(all_fields(&head), all_fields(&server.get(target, &accept(coding))), "{coding}");
        }
        assert_eq!(tags.len(), 4, "each variant of {target} has a tag of its own: {tags:?}");
    }
}

/// RFC 9110 section 12.5.3
#[test]
fn the_request_weighs_and_of_equals_the_order_decides() {
    let site = site();
    let content = text(1, 10_000);
    let server = Salver::serve(&site);
    for (codings, expected) in [
        (ALL, Some("zstd")),
        ("gzip, br", Some("br")),
        ("gzip", Some("gzip")),
        ("x-gzip", Some("gzip")),
        ("GZIP;Q=0.5", Some("gzip")),
        ("*", Some("zstd")),
        ("zstd;q=0, *", Some("br")),
        ("gzip;q=1.0, br;q=0.9, zstd;q=0.999", Some("gzip")),
        ("gzip;q=0.001", Some("gzip")),
        ("identity, gzip;q=0.5", None),
        ("identity;q=0.5, gzip", Some("gzip")),
        ("identity", None),
        ("gzip;q=0", None),
        ("gzip;q=0.000, br;q=0", None),
        ("deflate, compress", None),
        ("br;q=2, zstd;q=x, gzip", Some("gzip")),
        ("", None),
        (",, gzip ,", Some("gzip")),
    ] {
        check(&server, "/page.html", codings, expected, &content);
    }
    let reply = server.get("/page.html", "accept-encoding: br;q=0.5\r\nACCEPT-ENCODING: gzip\r\n");
    assert_eq!(coding_of(&reply, &content), Some("gzip"));
    check(&Salver::set(&site, &[("compress", "gzip,br")]), "/page.html", ALL, Some("gzip"), &content);
    check(&Salver::set(&site, &[("compress", "br")]), "/page.html", ALL, Some("br"), &content);
}

/// What isn't text, too small or too large is left alone, and needs no Vary, unless it lies beside compressed ones.
#[test]
fn what_is_not_worth_it_is_not_compressed() {
    let site = site();
    let server = Salver::set(&site, &[("compress_bytes_max", "299999")]);
    for (target, bytes) in [("/small.txt", 1_023), ("/pic.png", 10_000), ("/large.css", 300_000)] {
        for lines in ["", &accept(ALL)] {
            let reply = server.get(target, lines);
            assert_eq!((coding_of(&reply, text(1, bytes)), reply.field("vary")), (None, None), "{target}");
        }
    }
    for (settings, target, bytes) in [
        (("compress_bytes_max", "300000"), "/large.css", 300_000),
        (("compress_bytes_min", "1023"), "/small.txt", 1_023),
    ] {
        check(&Salver::set(&site, &[settings]), target, ALL, Some("zstd"), text(1, bytes));
    }
}

/// Whoever asks for it, and how often.
#[test]
fn what_gets_no_smaller_is_sent_as_it_is() {
    let site = Site::new();
    let noise: Vec<u8> =
        (0..5_000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8 ^ (at >> 3) as u8).collect();
    let noise = encode("zstd", &encode("br", &noise));
    assert!(noise.len() > 2_000, "{}", noise.len());
    site.write("noise.txt", &noise);
    let server = Salver::start(&site, &["-v"]);
    for _ in 0..5 {
        check(&server, "/noise.txt", ALL, None, &noise);
    }
    assert_eq!(times_compressed(&server), 1);
    assert_eq!(server.get("/noise.txt", "").field("vary"), Some("Accept-Encoding"));
    // But where nothing else will do.
    for _ in 0..3 {
        check(&server, "/noise.txt", "zstd, identity;q=0", Some("zstd"), &noise);
        check(&server, "/noise.txt", ALL, None, &noise);
    }
    assert_eq!(times_compressed(&server), 2);
}

/// tower-http#692: a cache that isn't told gives the compressed one to those who can't read it.
#[test]
fn whatever_may_vary_says_so() {
    let site = site();
    site.write("data.bin", text(1, 100));
    site.write("data.bin.gz", encode("gzip", text(1, 100).as_bytes()));
    let server = Salver::serve(&site);
    for target in ["/page.html", "/large.css", "/data.bin"] {
        for codings in ["identity", "", ALL, "gzip"] {
            let lines = accept(codings);
            let reply = server.get(target, &lines);
            let part = server.get(target, &format!("{lines}Range: bytes=1-2\r\n"));
            let unchanged = server.get(target, &format!("{lines}If-None-Match: *\r\n"));
            assert_eq!((reply.status, part.status, unchanged.status), (200, 206, 304), "{target} {codings}");
            for reply in [reply, part, unchanged] {
                assert_eq!(reply.field("vary"), Some("Accept-Encoding"), "{target} {codings}: {}", reply.head);
            }
        }
    }
    assert_eq!(server.get("/page.html", &accept("identity;q=0")).field("vary"), Some("Accept-Encoding"));
    assert_eq!(server.get("/page.html", "").field("vary"), Some("Accept-Encoding"), "without any preference, too");
    assert_eq!(server.get("/pic.png", &accept(ALL)).field("vary"), None);
}

/// RFC 9110 sections 12.4.3, 12.5.3 and 15.5.7
#[test]
fn what_must_not_be_sent_as_it_is_is_compressed_or_refused() {
    let site = site();
    site.write("empty.txt", "");
    let server = Salver::serve(&site);
    // Whatever its type and however small.
    for (target, content) in [
        ("/page.html", text(1, 10_000)),
        ("/small.txt", text(1, 1_023)),
        ("/pic.png", text(1, 10_000)),
        ("/empty.txt", String::new()),
    ] {
        check(&server, target, "gzip, identity;q=0", Some("gzip"), &content);
        check(&server, target, "br;q=0.1, *;q=0", Some("br"), &content);
        check(&server, target, "*, identity;q=0", Some("zstd"), &content);
        for codings in ["identity;q=0", "*;q=0", "deflate, identity;q=0", "gzip;q=0, br;q=0, zstd;q=0, identity;q=0"] {
            let reply = server.get(target, &accept(codings));
            assert_eq!((reply.status, reply.field("vary")), (406, Some("Accept-Encoding")), "{target} {codings}");
            assert_eq!(reply.field("content-type"), Some("text/html; charset=utf-8"));
            assert!(reply.text().contains("406") && reply.text().contains("identity"), "{}", reply.text());
            let head = server.ask(get(target, &accept(codings)).replacen("GET", "HEAD", 1));
            assert_eq!(all_fields(&head), all_fields(&reply));
        }
    }
    // Within the limit.
    let server = Salver::set(&site, &[("compress_bytes_max", "9999"), ("compress", "zstd")]);
    assert_eq!(server.get("/page.html", &accept("zstd, identity;q=0")).status, 406);
    check(&server, "/small.txt", "zstd, identity;q=0", Some("zstd"), text(1, 1_023));
    assert_eq!(server.get("/small.txt", &accept("br, identity;q=0")).status, 406);
    // What is not there is not there, and a redirect needs no coding.
    assert_eq!(server.get("/missing", &accept("identity;q=0")).status, 404);
}

#[test]
fn what_is_off_is_off() {
    let site = site();
    let content = text(1, 10_000);
    site.write("page.html.gz", encode("gzip", content.as_bytes()));
    for (flags, all, br, vary) in [
        (&["--no-compress"][..], Some("gzip"), None, Some("Accept-Encoding")),
        (&["--no-precompressed"], Some("zstd"), Some("br"), Some("Accept-Encoding")),
        (&["--no-compress", "--no-precompressed"], None, None, None),
    ] {
        let server = Salver::start(&site, flags);
        check(&server, "/page.html", ALL, all, &content);
        check(&server, "/page.html", "br", br, &content);
        assert_eq!(server.get("/page.html", "").field("vary"), vary, "{flags:?}");
    }
    // Without any coding there is nothing to negotiate, so the field says nothing.
    let server = Salver::start(&site, &["--no-compress", "--no-precompressed"]);
    check(&server, "/page.html", "gzip, identity;q=0", None, &content);
    // Where nothing is kept, nothing is made that would be made again each time; a sibling costs no work.
    let server = Salver::set(&site, &[("cache_bytes_max", "0")]);
    check(&server, "/page.html", "br", None, &content);
    check(&server, "/page.html", ALL, Some("gzip"), &content);
    check(&server, "/page.html", "br, identity;q=0", Some("br"), &content);
}

/// Writes a file and these siblings of it, each with a content of its own, so that it shows which one was served.
fn write_with_siblings(site: &Site, name: &str, content: &str, suffixes: &[&str]) {
    site.write(name, content);
    for (coding, suffix) in SIBLINGS.iter().filter(|(_, suffix)| suffixes.contains(suffix)) {
        site.write(&format!("{name}{suffix}"), encode(coding, format!("{content} by {coding}").as_bytes()));
    }
}

#[test]
fn siblings_are_served_in_place_of_their_original() {
    let site = Site::new();
    write_with_siblings(&site, "page.html", "page", &[".br", ".zst", ".gz"]);
    write_with_siblings(&site, "one.js", "one", &[".gz"]);
    write_with_siblings(&site, "dir/index.html", "index", &[".br"]);
    let server = Salver::serve(&site);
    for _ in 0..2 {
        check(&server, "/page.html", ALL, Some("br"), "page by br");
        check(&server, "/page.html", "gzip, zstd", Some("zstd"), "page by zstd");
        check(&server, "/page.html", "gzip, zstd;q=0.5", Some("gzip"), "page by gzip");
        check(&server, "/page.html", "", None, "page");
        check(&server, "/one.js", ALL, Some("gzip"), "one by gzip");
        check(&server, "/one.js", "br", None, "one");
        check(&server, "/dir/", ALL, Some("br"), "index by br");
        check(&server, "/dir/index.html", ALL, Some("br"), "index by br");
        let reply = server.get("/one.js", &accept(ALL));
        assert_eq!(reply.field("content-type"), Some("text/javascript; charset=utf-8"), "that of the original");
    }
    // Of two that are wanted as much, one that is there is better than one that has to be made.
    let content = text(1, 10_000);
    site.write("big.css", &content);
    site.write("big.css.gz", encode("gzip", content.as_bytes()));
    let reply = server.get("/big.css", &accept(ALL));
    assert_eq!(coding_of(&reply, &content), Some("gzip"));
    assert!(reply.body == fs::read(site.join("big.css.gz")).unwrap());
    check(&server, "/big.css", "gzip;q=0.5, br", Some("br"), &content);
}

/// SWS#721: a precompressed file was cut to the length of its original. It may well be longer.
#[test]
fn a_sibling_has_its_own_length() {
    let site = Site::new();
    let long = text(1, 250_000);
    for (coding, suffix) in SIBLINGS {
        site.write("short.txt", "x");
        site.write(&format!("short.txt{suffix}"), encode(coding, long.as_bytes()));
        let server = Salver::serve(&site);
        let reply = server.get("/short.txt", &accept(coding));
        assert_eq!(coding_of(&reply, &long), Some(coding));
        assert!(reply.body == fs::read(site.join(&format!("short.txt{suffix}"))).unwrap());
    }
}

/// SWS#470: `Content-Encoding: gzip, gzip`. SWS#451: `zst`, which is what the file is called and not the coding.
#[test]
fn a_sibling_has_one_coding_by_its_name_in_http() {
    let site = Site::new();
    write_with_siblings(&site, "a.txt", "a", &[".br", ".zst", ".gz"]);
    let server = Salver::serve(&site);
    for (coding, _) in SIBLINGS {
        let reply = server.get("/a.txt", &accept(coding));
        // `field` fails where there are two lines.
        assert_eq!(reply.field("content-encoding"), Some(coding));
    }
}

/// SWS#617: siblings were looked for where there was no original. A name that isn't there isn't there.
#[test]
fn a_sibling_without_its_original_is_no_variant() {
    let site = Site::new();
    site.write("only.txt.gz", encode("gzip", b"only"));
    site.write("dir/index.html.br", encode("br", b"index"));
    let server = Salver::start(&site, &["--no-list"]);
    for target in ["/only.txt", "/dir/", "/dir/index.html"] {
        for codings in [ALL, "gzip, identity;q=0", ""] {
            let reply = server.get(target, &accept(codings));
            assert_eq!((reply.status, reply.field("content-encoding")), (404, None), "{target} {codings}");
        }
    }
}

/// tower-http#504: names without an extension were answered 404 where they had siblings.
#[test]
fn a_name_without_an_extension_may_have_siblings() {
    let site = Site::new();
    write_with_siblings(&site, "LICENSE", "license", &[".br", ".zst", ".gz"]);
    write_with_siblings(&site, "a/b", "b", &[".gz"]);
    let server = Salver::serve(&site);
    check(&server, "/LICENSE", ALL, Some("br"), "license by br");
    check(&server, "/LICENSE", "", None, "license");
    check(&server, "/a/b", ALL, Some("gzip"), "b by gzip");
    let reply = server.get("/LICENSE", &accept("gzip"));
    assert_eq!(reply.field("content-type"), Some("application/octet-stream"));
}

/// By its own name a compressed file is what it is, and is not compressed again.
#[test]
fn nothing_is_compressed_twice() {
    let site = Site::new();
    let content = text(1, 10_000);
    for (coding, suffix) in SIBLINGS {
        site.write(&format!("page.html{suffix}"), encode(coding, content.as_bytes()));
        // Not even where it would do it good.
        site.write(&format!("text.txt{suffix}"), &content);
        // Nor is there a variant of a variant.
        site.write(&format!("page.html{suffix}.gz"), encode("gzip", b"twice"));
    }
    site.write("page.html", &content);
    site.write("shape.svgz", &content);
    let server = Salver::serve(&site);
    for suffix in [".br", ".zst", ".gz"] {
        let target = format!("/page.html{suffix}");
        let reply = server.get(&target, &accept(ALL));
        assert_eq!((reply.status, reply.field("content-encoding"), reply.field("vary")), (200, None, None), "{target}");
        assert!(reply.body == fs::read(site.join(&target[1..])).unwrap());
        check(&server, &format!("/text.txt{suffix}"), ALL, None, &content);
        assert_eq!(server.get(&target, &accept("gzip, identity;q=0")).status, 406, "{target}");
    }
    assert_eq!(server.get("/page.html.gz", &accept(ALL)).field("content-type"), Some("application/gzip"));
    check(&server, "/shape.svgz", ALL, None, &content);
}

/// No browser shows compressed SVG that isn't sent as such: Content-Encoding belongs to `.svgz` (RFC 9110 section 8.4).
#[test]
fn svgz_is_svg_in_gzip() {
    let site = Site::new();
    let shape = encode("gzip", b"<svg xmlns='http://www.w3.org/2000/svg'/>");
    site.write("a.svgz", &shape);
    site.write("B.SVGZ", &shape);
    let server = Salver::serve(&site);
    for target in ["/a.svgz", "/B.SVGZ"] {
        for accepted in [ALL, "", "br", "gzip;q=0", "gzip, identity;q=0"] {
            let reply = server.get(target, &accept(accepted));
            let said = ["content-encoding", "content-type", "vary"].map(|name| reply.field(name));
            assert_eq!((reply.status, said), (200, [Some("gzip"), Some("image/svg+xml"), None]), "{target} {accepted}");
            assert!(reply.body == shape, "{target} {accepted}");
        }
    }
    assert_eq!(server.get("/a.svgz", &accept("br, identity;q=0")).status, 406);
    let typed = Salver::start(&site, &["--type", "svgz=application/gzip"]);
    assert_eq!(typed.get("/a.svgz", "").field("content-encoding"), None);
    let part = server.get("/a.svgz", "Range: bytes=0-1\r\n");
    assert_eq!((part.status, part.field("content-encoding"), &part.body[..]), (206, Some("gzip"), &[0x1f, 0x8b][..]));
}

#[test]
fn a_sibling_that_is_older_than_its_original_is_not_used() {
    let site = Site::new();
    write_with_siblings(&site, "a.txt", "a", &[".br", ".zst", ".gz"]);
    let server = Salver::serve(&site);
    let date = |name: &str, seconds: i64| site.set_modified(name, NOVEMBER_1994 + seconds);
    for (name, seconds) in [("a.txt", 0), ("a.txt.br", -1), ("a.txt.zst", 0), ("a.txt.gz", 1)] {
        date(name, seconds);
    }
    check(&server, "/a.txt", "br", None, "a");
    check(&server, "/a.txt", "br, gzip", Some("gzip"), "a by gzip");
    check(&server, "/a.txt", "zstd", Some("zstd"), "a by zstd");
    // Kept or not.
    settle(&site, "", &server);
    for _ in 0..2 {
        check(&server, "/a.txt", ALL, Some("zstd"), "a by zstd");
    }
    date("a.txt.br", 5);
    check(&server, "/a.txt", ALL, Some("br"), "a by br");
    site.write("a.txt", "new");
    check(&server, "/a.txt", ALL, None, "new");
}

/// One that was compressed from another state is not used, although its date says that it is the newer: here a
/// deployment was taken back, with the dates that its files had.
#[test]
fn an_older_original_that_is_put_back_does_not_get_the_newer_ones_sibling() {
    let site = Site::new();
    write_with_siblings(&site, "a.txt", "second", &[".gz"]);
    site.write("large.txt", text(2, 200_000));
    site.write("large.txt.gz", encode("gzip", text(2, 200_000).as_bytes()));
    ["a.txt", "a.txt.gz", "large.txt", "large.txt.gz"].iter().for_each(|name| site.set_modified(name, NOVEMBER_1994));
    let server = Salver::serve(&site);
    settle(&site, "", &server);
    check(&server, "/a.txt", "gzip", Some("gzip"), "second by gzip");
    check(&server, "/large.txt", "gzip", Some("gzip"), text(2, 200_000));
    for (name, content) in [("a.txt", "first!".to_owned()), ("large.txt", text(1, 200_000))] {
        site.write("former", &content);
        site.set_modified("former", NOVEMBER_1994 - 100);
        fs::rename(site.join("former"), site.join(name)).unwrap();
        for _ in 0..2 {
            let reply = server.get(&format!("/{name}"), &accept("gzip"));
            coding_of(&reply, &content);
        }
        // Whoever compresses it anew is believed again.
        site.write(&format!("{name}.gz"), encode("gzip", b"anew"));
        check(&server, &format!("/{name}"), "gzip", Some("gzip"), "anew");
    }
}

/// Other permissions and other names are no other content.
#[test]
fn an_original_that_is_touched_but_not_written_keeps_its_sibling() {
    let site = Site::new();
    for name in ["small.txt", "large.txt"] {
        site.write(name, text(1, if name == "small.txt" { 2_000 } else { 200_000 }));
        site.write(&format!("{name}.gz"), encode("gzip", b"by gzip"));
    }
    let server = Salver::serve(&site);
    settle(&site, "", &server);
    for _ in 0..3 {
        for name in ["small.txt", "large.txt"] {
            check(&server, &format!("/{name}"), "gzip", Some("gzip"), "by gzip");
            let permissions = fs::metadata(site.join(name)).unwrap().permissions();
            fs::set_permissions(site.join(name), permissions).unwrap();
            check(&server, &format!("/{name}"), "gzip", Some("gzip"), "by gzip");
        }
    }
}

#[test]
fn a_broken_sibling_is_ignored_with_one_warning() {
    let site = Site::new();
    for (name, bytes) in [
        ("a.txt.gz", &b"no gzip"[..]),
        ("a.txt.zst", b"no zstd"),
        ("a.txt.br", b""),
        ("b.txt.gz", b"\x1f"),
        ("b.txt.zst", b""),
    ] {
        site.write(name, bytes);
    }
    site.write("a.txt", "a");
    site.write("b.txt", "b");
    ["a.txt", "b.txt"].iter().for_each(|name| site.set_modified(name, NOVEMBER_1994));
    for settings in [&[][..], &[("cache_bytes_max", "0")]] {
        let server = Salver::set(&site, settings);
        for _ in 0..50 {
            check(&server, "/a.txt", ALL, None, "a");
            check(&server, "/b.txt", ALL, None, "b");
        }
        let warnings = || {
            let is_warning = |line: &&str| line.contains("WARN /");
            log_so_far(&server).lines().filter(is_warning).map(str::to_owned).collect::<Vec<_>>()
        };
        let lines = warnings();
        assert_eq!(lines.len(), 5, "{lines:#?}");
        assert!(lines.iter().any(|line| line.contains("/a.txt.gz: ignored: it is no gzip")), "{lines:#?}");
        // Another state is another line, and a good one none.
        site.write("a.txt.gz", "still no gzip");
        check(&server, "/a.txt", "gzip", None, "a");
        site.write("a.txt.gz", encode("gzip", b"good"));
        check(&server, "/a.txt", ALL, Some("gzip"), "good");
        assert_eq!(warnings().len(), 6);
        site.write("a.txt.gz", "no gzip");
    }
    // A frame to be skipped may come first, as pzstd writes it.
    site.write("c.txt", "c");
    site.write("c.txt.zst", [&b"\x50\x2a\x4d\x18\x01\x00\x00\x00x"[..], &encode("zstd", b"skipped")].concat());
    check(&Salver::serve(&site), "/c.txt", "zstd", Some("zstd"), "skipped");
}

#[test]
fn siblings_come_and_go_while_they_are_served() {
    let site = Site::new();
    site.write("dir/a.txt", "a");
    site.write("dir/b.txt", "b");
    let gzip = |content: &str| encode("gzip", content.as_bytes());
    let server = Salver::serve(&site);
    // While all is young, and when it is kept.
    for round in 0..2 {
        if round == 1 {
            settle(&site, "", &server);
        }
        let ask = |expected, content: &str| check(&server, "/dir/a.txt", ALL, expected, content);
        for _ in 0..2 {
            ask(None, "a");
        }
        site.write("dir/a.txt.gz", gzip("one"));
        ask(Some("gzip"), "one");
        site.write("dir/a.txt.gz", gzip("two"));
        ask(Some("gzip"), "two");
        site.write("new", gzip("three"));
        fs::rename(site.join("new"), site.join("dir/a.txt.gz")).unwrap();
        ask(Some("gzip"), "three");
        site.write("dir/a.txt.br", encode("br", b"four"));
        ask(Some("br"), "four");
        fs::remove_file(site.join("dir/a.txt.br")).unwrap();
        ask(Some("gzip"), "three");
        fs::remove_file(site.join("dir/a.txt.gz")).unwrap();
        ask(None, "a");
        // Beside another, in the same directory.
        check(&server, "/dir/b.txt", ALL, None, "b");
    }
    settle(&site, "", &server);
    for _ in 0..2 {
        check(&server, "/dir/a.txt", ALL, None, "a");
    }
    // A link that leads nowhere yet: its directory won't tell when it does.
    symlink("../elsewhere.gz", site.join("dir/a.txt.gz")).unwrap();
    settle(&site, "", &server);
    check(&server, "/dir/a.txt", ALL, None, "a");
    site.write("elsewhere.gz", gzip("linked"));
    check(&server, "/dir/a.txt", ALL, Some("gzip"), "linked");
    // And another directory of this name.
    settle(&site, "", &server);
    check(&server, "/dir/a.txt", ALL, Some("gzip"), "linked");
    site.write("other/a.txt", "other");
    site.write("other/a.txt.br", encode("br", b"other by br"));
    fs::rename(site.join("dir"), site.join("former")).unwrap();
    fs::rename(site.join("other"), site.join("dir")).unwrap();
    check(&server, "/dir/a.txt", ALL, Some("br"), "other by br");
}

/// What is known of a directory is known of all files in it, and told of each by itself.
#[test]
fn files_of_one_directory_have_siblings_of_their_own() {
    const FILES: [&str; 4] = ["dir/a.txt", "dir/b.txt", "dir/c.txt", "other/d.txt"];
    let site = Site::new();
    FILES.iter().for_each(|name| site.write(name, "as it is"));
    let server = Salver::serve(&site);
    let check_all = |with_sibling: Option<&str>| {
        for _ in 0..2 {
            for name in FILES {
                let expected = if Some(name) == with_sibling { (Some("gzip"), "sibling") } else { (None, "as it is") };
                check(&server, &format!("/{name}"), ALL, expected.0, expected.1);
            }
        }
    };
    let mut previous: Option<String> = None;
    for name in ["dir/b.txt", "other/d.txt"] {
        settle(&site, "", &server);
        check_all(previous.as_ref().and_then(|sibling| sibling.strip_suffix(".gz")));
        previous.iter().for_each(|sibling| fs::remove_file(site.join(sibling)).unwrap());
        check_all(None);
        settle(&site, "", &server);
        check_all(None);
        let sibling = format!("{name}.gz");
        site.write(&sibling, encode("gzip", b"sibling"));
        check_all(Some(name));
        previous = Some(sibling);
    }
}

/// Nothing from outside of the root, hidden or special gets out as a variant of something else.
#[test]
fn a_sibling_is_held_to_the_rules_of_its_name() {
    let site = Site::with(&[("root/a.txt", "a"), ("root/b.txt", "b"), ("root/c.txt", "c")]);
    site.write("secret.gz", encode("gzip", b"SECRET"));
    site.link("root/a.txt.gz", "../secret.gz");
    fs::create_dir(site.join("root/b.txt.gz")).unwrap();
    let fifo = site.join("root/c.txt.gz");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::from(0o644), 0).unwrap();
    let server = Salver::run(salver(site.path()).args(["--port", "0", "root"]));
    for _ in 0..30 {
        for (target, content) in [("/a.txt", "a"), ("/b.txt", "b"), ("/c.txt", "c")] {
            check(&server, target, ALL, None, content);
        }
    }
    let log = server.wait_for_log("/c.txt.gz: not served: it is neither a file nor a directory");
    assert_eq!(log.matches("/a.txt.gz: not served: a link leads out of the root").count(), 1, "{log}");
}

/// Whoever hides a file doesn't think of what a build step lays beside it.
#[test]
fn variants_of_what_is_hidden_are_hidden_too() {
    let site = Site::new();
    write_with_siblings(&site, "app.js.map", "a", &[".br", ".gz", ".zst"]);
    write_with_siblings(&site, "app.js", "a", &[".gz"]);
    let server = Salver::start(&site, &["--hide", "*.map"]);
    for target in ["/app.js.map", "/app.js.map.br", "/app.js.map.gz", "/app.js.map.zst"] {
        assert_eq!(server.get(target, "").status, 404, "{target}");
    }
    assert_eq!(server.get("/app.js.gz", "").status, 200);
}

/// A rule that hides a name hides it from this side, too.
#[test]
fn a_hidden_sibling_is_no_variant() {
    let site = Site::new();
    write_with_siblings(&site, "a.txt", "a", &[".br", ".gz"]);
    let server = Salver::start(&site, &["--hide", "*.br"]);
    assert_eq!(server.get("/a.txt.br", "").status, 404);
    check(&server, "/a.txt", "br", None, "a");
    check(&server, "/a.txt", ALL, Some("gzip"), "a by gzip");
    let server = Salver::start(&site, &["--hide", "*.br", "--hide", "*.gz"]);
    for _ in 0..2 {
        check(&server, "/a.txt", ALL, None, "a");
        assert_eq!(server.get("/a.txt", "").field("vary"), None);
    }
}

#[test]
fn every_edit_shows_in_every_coding() {
    let site = Site::new();
    let server = Salver::serve(&site);
    let mut client = server.connect();
    for number in 0..60 {
        // From memory and from disk; with the time of the change, and with one that says nothing of it.
        let content = text(number, if number % 3 == 0 { 150_000 } else { 5_000 });
        site.write("page.html", &content);
        if number % 2 == 0 {
            site.set_modified("page.html", NOVEMBER_1994);
        }
        for codings in ["zstd", "br", "gzip", ""] {
            client.send(get("/page.html", &accept(codings)));
            let reply = client.reply();
            assert_eq!(coding_of(&reply, &content).unwrap_or_default(), codings, "{number}");
        }
    }
}

/// The same once it is kept: of the same length and date, too.
#[test]
fn an_edit_of_what_is_kept_shows_in_every_coding() {
    let site = site();
    let server = Salver::serve(&site);
    settle(&site, "", &server);
    for (name, bytes) in [("page.html", 10_000), ("large.css", 300_000)] {
        let target = format!("/{name}");
        for seed in 2..5 {
            for coding in ["zstd", "br", "gzip"] {
                check(&server, &target, coding, Some(coding), text(seed - 1, bytes));
                check(&server, &target, coding, Some(coding), text(seed - 1, bytes));
            }
            site.write(name, text(seed, bytes));
            site.set_modified(name, NOVEMBER_1994);
        }
        check(&server, &target, ALL, Some("zstd"), text(4, bytes));
    }
}

/// However often it is asked for, by however many, touched or not: one content, one work.
#[test]
fn a_content_is_compressed_once() {
    let site = Site::new();
    let content = text(1, 1 << 20);
    site.write("big.txt", &content);
    site.write("page.html", text(1, 10_000));
    let server = Salver::start(&site, &["-v"]);
    let begin = Barrier::new(100);
    let coded = thread::scope(|scope| {
        let ask = || {
            let mut client = server.connect();
            begin.wait();
            client.send(get("/big.txt", &accept("zstd")));
            let reply = client.reply();
            coding_of(&reply, &content).is_some()
        };
        let clients: Vec<_> = (0..100).map(|_| scope.spawn(ask)).collect();
        clients.into_iter().map(|client| client.join().unwrap()).filter(|coded| *coded).count()
    });
    assert!(coded > 0, "who did the work has the answer");
    assert_eq!(times_compressed(&server), 1, "{coded} of 100 got the variant");
    check(&server, "/big.txt", "zstd", Some("zstd"), &content);
    check(&server, "/page.html", "zstd", Some("zstd"), text(1, 10_000));
    // Asked for within two seconds of the change, which takes another try where the machine has much to do.
    let deadline = Instant::now() + PATIENCE;
    let young = loop {
        site.write("page.html", text(1, 10_000));
        let reply = server.get("/page.html", &accept("zstd"));
        if reply.field("last-modified").is_none() {
            break reply;
        }
        assert!(Instant::now() < deadline, "its date is told at once");
    };
    settle(&site, "", &server);
    // By now their dates are told, which takes another head but no other content.
    let old = server.get("/page.html", &accept("zstd"));
    assert_eq!((young.field("last-modified"), old.field("last-modified").is_some()), (None, true));
    assert_eq!(young.field("etag"), old.field("etag"));
    for (name, bytes) in [("big.txt", 1 << 20), ("page.html", 10_000)] {
        site.set_modified(name, NOVEMBER_1994);
        check(&server, &format!("/{name}"), "zstd", Some("zstd"), text(1, bytes));
        site.write(name, text(1, bytes));
        check(&server, &format!("/{name}"), "zstd", Some("zstd"), text(1, bytes));
    }
    assert_eq!(times_compressed(&server), 2);
}

/// Many files at once, each to be had compressed: those who must have it wait, the others needn't.
#[test]
fn who_must_have_it_compressed_waits_for_it() {
    let site = Site::new();
    (0..20).for_each(|number| site.write(&format!("{number}.txt"), text(number, 300_000)));
    let server = Salver::set(&site, &[("workers", "2")]);
    thread::scope(|scope| {
        for client in 0..40 {
            let server = &server;
            scope.spawn(move || {
                let number = client % 20;
                let codings = if client < 20 { "gzip, identity;q=0" } else { "br, zstd" };
                let reply = server.get(&format!("/{number}.txt"), &accept(codings));
                let coding = coding_of(&reply, text(number, 300_000));
                assert!(client >= 20 || coding == Some("gzip"), "{}", reply.head);
            });
        }
    });
}

/// RFC 9110 sections 13.1 and 15.4.5: each variant has a tag of its own, and none stands for another.
#[test]
fn each_variant_is_validated_by_its_own_tag() {
    let site = site();
    site.write("page.html.br", encode("br", text(1, 10_000).as_bytes()));
    site.set_modified("page.html.br", NOVEMBER_1994);
    for etag in ["auto", "content", "mtime"] {
        let server = Salver::set(&site, &[("etag", etag)]);
        let lines = ["", "br", "zstd", "gzip"].map(accept);
        let tags = lines.each_ref().map(|lines| server.get("/page.html", lines).field("etag").unwrap().to_owned());
        assert_eq!(tags.iter().collect::<HashSet<_>>().len(), 4, "{tags:?}");
        for (asked, lines) in lines.iter().enumerate() {
            for (held, tag) in tags.iter().enumerate() {
                let reply = server.get("/page.html", &format!("{lines}If-None-Match: {tag}\r\n"));
                assert_eq!(reply.status, if asked == held { 304 } else { 200 }, "{etag} {lines} {tag}");
                if reply.status == 304 {
                    assert_eq!(reply.field("etag"), Some(&**tag));
                    assert_eq!((reply.field("content-encoding"), reply.field("last-modified")), (None, None));
                }
                let reply = server.get("/page.html", &format!("{lines}If-Match: {tag}\r\n"));
                assert_eq!(reply.status, if asked == held { 200 } else { 412 }, "{etag} {lines} {tag}");
            }
        }
        let since = "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
        lines.iter().for_each(|lines| assert_eq!(server.get("/page.html", &format!("{lines}{since}")).status, 304));
    }
}

/// RFC 9110 sections 13.1.5, 14.2, 15.3.7 and 15.5.17: a range is one of the variant's bytes.
#[test]
fn ranges_are_cut_from_the_variant() {
    let site = site();
    site.write("large.css.gz", encode("gzip", text(1, 300_000).as_bytes()));
    let server = Salver::serve(&site);
    for (target, coding, content) in [
        ("/page.html", "zstd", text(1, 10_000)),
        ("/large.css", "gzip", text(1, 300_000)),
        ("/large.css", "br", text(1, 300_000)),
    ] {
        let lines = accept(coding);
        let whole = server.get(target, &lines);
        assert_eq!(coding_of(&whole, &content), Some(coding));
        let (length, tag) = (whole.body.len(), whole.field("etag").map(str::to_owned));
        // Put together they are the variant.
        let mut pieces = Vec::new();
        for first in (0..length).step_by(length / 5) {
            let last = first + length / 5 - 1;
            let part = server.get(target, &format!("{lines}Range: bytes={first}-{last}\r\n"));
            let told = format!("bytes {first}-{}/{length}", last.min(length - 1));
            assert_eq!((part.status, part.field("content-range")), (206, Some(&*told)));
            assert_eq!((part.field("content-encoding"), part.field("etag")), (Some(coding), tag.as_deref()));
            pieces.extend(part.body);
        }
        assert!(pieces == whole.body, "{target} {coding}");
        let suffix = server.get(target, &format!("{lines}Range: bytes=-5\r\n"));
        assert!(suffix.body == whole.body[length - 5..]);
        let beyond = server.get(target, &format!("{lines}Range: bytes={length}-\r\n"));
        assert_eq!((beyond.status, beyond.field("content-range")), (416, Some(&*format!("bytes */{length}"))));
        let parts = server.get(target, &format!("{lines}Range: bytes=0-1,10-12\r\n"));
        assert_eq!((parts.status, parts.field("content-encoding")), (206, Some(coding)));
        assert_eq!((parts.field("etag"), parts.field("vary")), (tag.as_deref(), Some("Accept-Encoding")));
        let told = format!("Content-Range: bytes 10-12/{length}\r\n\r\n");
        let at = parts.body.windows(told.len()).position(|bytes| bytes == told.as_bytes()).expect("the second part");
        assert!(parts.body[at + told.len()..].starts_with(&whole.body[10..13]));
        // Only onto bytes of the same variant: its tag stands, another's doesn't, and a date that they share doesn't.
        if let Some(tag) = &tag {
            let part = server.get(target, &format!("{lines}Range: bytes=1-2\r\nIf-Range: {tag}\r\n"));
            assert_eq!(part.status, 206);
            let plain = server.get(target, &format!("Range: bytes=1-2\r\nIf-Range: {tag}\r\n"));
            assert_eq!(coding_of(&plain, &content), None);
        }
        let date = "If-Range: Sun, 06 Nov 1994 08:49:37 GMT";
        for lines in [&*lines, ""] {
            assert_eq!(server.get(target, &format!("{lines}Range: bytes=1-2\r\n{date}\r\n")).status, 200, "{target}");
        }
        let head = server.ask(get(target, &format!("{lines}Range: bytes=0-1\r\n")).replacen("GET", "HEAD", 1));
        assert_eq!((head.status, head.field("content-length")), (200, Some(&*length.to_string())));
    }
}

/// A page of an error is no representation of what was asked for.
#[test]
fn pages_of_errors_are_sent_as_they_are() {
    let site = Site::new();
    let page = text(1, 5_000);
    site.write("404.html", &page);
    site.write("404.html.gz", encode("gzip", page.as_bytes()));
    let server = Salver::serve(&site);
    for codings in [ALL, "gzip, identity;q=0", ""] {
        let reply = server.get("/missing", &accept(codings));
        assert_eq!((reply.status, reply.field("content-encoding"), reply.text() == page), (404, None, true));
    }
    check(&server, "/404.html", ALL, Some("gzip"), &page);
}

/// What is kept stays within its memory, and is made again where it had to go.
#[test]
fn many_variants_in_little_memory_are_still_right() {
    let site = Site::new();
    for number in 0..60 {
        site.write(&format!("{number}.txt"), text(number, 20_000));
    }
    let server = Salver::set(&site, &[("cache_bytes_max", "200000")]);
    for round in 0..3 {
        for number in 0..60 {
            let coding = ["zstd", "br", "gzip"][(number as usize + round) % 3];
            let reply = server.get(&format!("/{number}.txt"), &accept(coding));
            coding_of(&reply, text(number, 20_000));
        }
    }
}
