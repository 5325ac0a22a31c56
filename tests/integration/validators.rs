//! Validators (RFC 9110 section 8.8): entity tags from content or state, and dates that can be believed.

use std::fs;
use std::path::Path;

use crate::support::{NOVEMBER_1994, Reply, Salver, Site, salver, settle};

/// One size is kept in memory, the other is served from disk.
const SIZES: [usize; 2] = [10, 200_000];

fn etag(server: &Salver, target: &str) -> Option<String> {
    let reply = server.get(target, "");
    assert_eq!(reply.status, 200, "{target}");
    reply.field("etag").map(str::to_owned)
}

/// Whether a range stands on these validators of an earlier answer.
fn range_stands_on(server: &Salver, target: &str, field: &str, reply: &Reply) -> bool {
    let Some(validator) = reply.field(field) else { return false };
    let part = server.get(target, &format!("Range: bytes=1-2\r\nIf-Range: {validator}\r\n"));
    assert!([200, 206].contains(&part.status), "{}", part.head);
    part.status == 206
}

/// A site of a small and a large file, both old, and of the same ones with another content.
fn twins() -> Site {
    let site = Site::new();
    for size in SIZES {
        for (name, byte) in [("a", b'a'), ("same", b'a'), ("other", b'b')] {
            site.write(&format!("{name}{size}"), vec![byte; size]);
            site.set_modified(&format!("{name}{size}"), NOVEMBER_1994);
        }
    }
    site
}

/// By the source that is configured, do files of the same content and of another have the tag of the first?
#[track_caller]
fn check_source(site: &Site, settings: &[(&str, &str)], size: usize, same: bool, other: bool) {
    let server = Salver::set(site, settings);
    let of = |name: &str| etag(&server, &format!("/{name}{size}")).expect("a tag");
    assert_eq!((of("a") == of("same"), of("a") == of("other")), (same, other), "{settings:?} {size}");
    let reply = server.get(&format!("/a{size}"), "");
    assert!(range_stands_on(&server, &format!("/a{size}"), "etag", &reply), "{settings:?} {size}");
}

#[test]
fn a_tag_is_made_from_what_is_configured() {
    let site = twins();
    settle(&site, "", &Salver::serve(&site));
    let [small, large] = SIZES;
    // Tags of content are the same for the same content; tags of states are never the same for two files...
    check_source(&site, &[], small, true, false);
    check_source(&site, &[], large, false, false);
    check_source(&site, &[("etag", "auto"), ("etag_content_bytes_max", "200000")], large, true, false);
    check_source(&site, &[("etag", "auto"), ("etag_content_bytes_max", "9")], small, false, false);
    check_source(&site, &[("etag", "content")], small, true, false);
    check_source(&site, &[("etag", "content")], large, true, false);
    // ...but where several servers shall have the same, mtime and length are all there is.
    check_source(&site, &[("etag", "mtime")], small, true, true);
    check_source(&site, &[("etag", "mtime")], large, true, true);
}

#[test]
fn content_has_the_same_tag_cached_or_not() {
    let site = twins();
    let tags = |settings: &[(&str, &str)]| {
        let server = Salver::set(&site, &[settings, &[("etag", "content")]].concat());
        SIZES.map(|size| [0, 1].map(|_| etag(&server, &format!("/a{size}")).unwrap()))
    };
    let kept = tags(&[]);
    assert!(kept.iter().all(|[first, second]| first == second), "{kept:?}");
    assert_eq!(kept, tags(&[("cache_file_bytes_max", "0")]));
    assert_eq!(kept, tags(&[("cache_file_bytes_max", "1000000")]));
    assert_eq!(kept, tags(&[("cache_bytes_max", "0")]));
}

/// An edit of a large file shows in its tag at once, although it takes reading all of it.
#[test]
fn a_tag_of_content_follows_every_edit() {
    let site = Site::new();
    let server = Salver::set(&site, &[("etag", "content")]);
    let mut tags = Vec::new();
    for round in 0..5u8 {
        site.write("large", vec![round; 3 << 20]);
        let tag = etag(&server, "/large").unwrap();
        assert!(!tags.contains(&tag), "round {round}");
        tags.push(tag);
        let reply = server.get("/large", &format!("If-None-Match: {}\r\n", tags[usize::from(round)]));
        assert_eq!(reply.status, 304, "round {round}");
    }
}

/// RFC 9110 section 8.8.3: there need be none. The date is left, and with it 304 has a date.
#[test]
fn without_tags_dates_are_what_there_is() {
    let site = twins();
    let server = Salver::set(&site, &[("etag", "off")]);
    for size in SIZES {
        let target = format!("/a{size}");
        let reply = server.get(&target, "");
        assert_eq!(reply.field("etag"), None);
        assert!(range_stands_on(&server, &target, "last-modified", &reply));
        assert_eq!(server.get(&target, "If-None-Match: \"x\"\r\n").status, 200);
        assert_eq!(server.get(&target, "If-Match: \"x\"\r\n").status, 412);
        let since = reply.field("last-modified").unwrap();
        let unchanged = server.get(&target, &format!("If-Modified-Since: {since}\r\n"));
        assert_eq!((unchanged.status, unchanged.field("last-modified")), (304, Some(since)));
    }
}

/// RFC 9110 section 8.8.2.1: a date of the future is told as the time of the answer, and validates nothing.
#[test]
fn a_file_changed_in_the_future_was_changed_now() {
    let site = Site::new();
    for size in SIZES {
        site.write(&format!("{size}"), "x".repeat(size));
        site.set_modified(&format!("{size}"), 4_000_000_000);
    }
    let server = Salver::serve(&site);
    for size in SIZES {
        let target = format!("/{size}");
        for (lines, status) in [("", 200), ("Range: bytes=1-2\r\n", 206), ("Range: bytes=1-2,5-6\r\n", 206)] {
            let reply = server.get(&target, lines);
            assert_eq!(reply.status, status, "{lines}");
            assert_eq!((reply.field("last-modified"), true), (reply.field("date"), reply.field("date").is_some()));
            assert!(!range_stands_on(&server, &target, "last-modified", &reply));
            let since = format!("If-Modified-Since: {}\r\n", reply.field("date").unwrap());
            assert_eq!(server.get(&target, &since).status, 200);
        }
    }
}

/// SWS#487, caddy#7730: images built reproducibly date every file 0 or 1, and validators of such dates lie.
#[test]
fn dates_of_reproducible_builds_validate_nothing() {
    let site = Site::new();
    let server = Salver::serve(&site);
    for at in [0, 1] {
        for size in SIZES {
            site.write("dated", "x".repeat(size));
            site.set_modified("dated", at);
            let reply = server.get("/dated", "");
            assert_eq!((reply.field("etag").is_some(), reply.field("last-modified")), (size == SIZES[0], None), "{at}");
            for field in [
                "If-Range: \"x\"",
                "If-Range: Thu, 01 Jan 1970 00:00:01 GMT",
                "If-Range: Thu, 01 Jan 1970 00:00:00 GMT",
            ] {
                assert_eq!(server.get("/dated", &format!("Range: bytes=1-2\r\n{field}\r\n")).status, 200, "{field}");
            }
            assert_eq!(server.get("/dated", "If-Modified-Since: Sat, 01 Jan 2022 00:00:00 GMT\r\n").status, 200);
        }
    }
}

#[test]
fn a_large_file_has_validators_and_ranges_too() {
    let media = Path::new(env!("CARGO_MANIFEST_DIR")).join("public/media");
    let site = Site::new();
    let server = Salver::run(salver(site.path()).args(["--port", "0"]).arg(&media));
    let whole = fs::read(media.join("tray.webm")).unwrap();
    // More than is kept in memory, so the tag is made of its state; and that is old enough to tell states apart.
    assert!(whole.len() > 100 << 10);
    let reply = server.get("/tray.webm", "");
    assert!(reply.body == whole && reply.field("content-type") == Some("video/webm"));
    let validator = reply.field("etag").unwrap();
    assert_eq!(server.get("/tray.webm", &format!("If-None-Match: {validator}\r\n")).status, 304);
    let part = server.get("/tray.webm", &format!("Range: bytes=100000-\r\nIf-Range: {validator}\r\n"));
    assert!(part.status == 206 && part.body == whole[100_000..], "{}", part.head);
    let since = reply.field("last-modified").unwrap();
    assert_eq!(server.get("/tray.webm", &format!("If-Modified-Since: {since}\r\n")).status, 304);
}

/// RFC 9110 sections 8.8.2.1 and 13.1.3
#[test]
fn any_date_of_a_file_is_served() {
    let site = Site::new();
    let server = Salver::serve(&site);
    let year_2500 = 16_725_225_600;
    for at in [0, 1, -1, -2_000_000_000, year_2500, 253_402_300_799, 253_402_300_800, 292_277_026_596] {
        for size in SIZES {
            let content = "x".repeat(size);
            site.write("dated", &content);
            site.set_modified("dated", at);
            let reply = server.get("/dated", "If-Modified-Since: Sat, 01 Jan 2022 00:00:00 GMT\r\n");
            // Such a date says nothing about when the file was changed, so it isn't told; of the future only the present is.
            let told = if at >= year_2500 { reply.field("date") } else { None };
            assert_eq!((reply.status, reply.field("last-modified")), (200, told), "{at}");
            assert!(reply.text() == content, "{at}");
        }
    }
}
