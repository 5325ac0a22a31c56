//! Range requests (RFC 9110 section 14): one part, or several in one answer, from memory and from disk.

use std::fs;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::preconditions::{Dated, WHOLE};
use crate::support::{Reply, Salver, Site, curl, get, settle};

/// Bytes whose place can be told from them.
fn numbered(bytes: usize) -> Vec<u8> {
    (0u32..).flat_map(u32::to_be_bytes).take(bytes).collect()
}

fn site() -> Site {
    let site = Site::new();
    site.write("small.bin", numbered(1_000));
    site.write("large.bin", numbered(1 << 20));
    site
}

/// The parts of an answer: the range that each tells, and its bytes.
#[track_caller]
fn parts(reply: &Reply) -> Vec<(String, Vec<u8>)> {
    assert_eq!(reply.status, 206, "{}", reply.head);
    assert_eq!(reply.field("content-range"), None, "it belongs to the parts: {}", reply.head);
    let content_type = reply.field("content-type").unwrap();
    let boundary = content_type.strip_prefix("multipart/byteranges; boundary=").expect(content_type);
    let mut rest = reply.body.strip_prefix(format!("--{boundary}\r\n").as_bytes()).expect("the first boundary");
    let mut parts = Vec::new();
    loop {
        let end = find(rest, b"\r\n\r\n");
        let head = std::str::from_utf8(&rest[..end]).unwrap();
        let (content_type, range) = head.split_once("\r\nContent-Range: bytes ").expect(head);
        assert_eq!(content_type, "Content-Type: application/octet-stream");
        let (span, _) = range.split_once('/').unwrap();
        let (first, last) = span.split_once('-').unwrap();
        let length = last.parse::<usize>().unwrap() + 1 - first.parse::<usize>().unwrap();
        let content = &rest[end + 4..][..length];
        parts.push((range.to_owned(), content.to_vec()));
        rest = rest[end + 4 + length..].strip_prefix(format!("\r\n--{boundary}").as_bytes()).expect("a boundary");
        match rest {
            b"--\r\n" => return parts,
            _ => rest = rest.strip_prefix(b"\r\n").expect("the end of a boundary"),
        }
    }
}

#[track_caller]
fn find(bytes: &[u8], what: &[u8]) -> usize {
    bytes.windows(what.len()).position(|window| window == what).expect("the end of a part's head")
}

#[track_caller]
fn check(server: &Salver, target: &str, length: usize, ranges: &str, expected: &[(usize, usize)]) {
    let content = numbered(length);
    let reply = server.get(target, &format!("Range: bytes={ranges}\r\n"));
    let expected: Vec<_> = expected
        .iter()
        .map(|&(first, last)| (format!("{first}-{last}/{length}"), content[first..=last].to_vec()))
        .collect();
    assert!(parts(&reply) == expected, "{target} {ranges}: {}", reply.head);
}

/// RFC 9110 sections 14.1.2, 14.2, 14.4 and 15.5.17
#[test]
fn one_range_is_a_206() {
    let dated = Dated::new();
    for (range, part, content_range) in [
        ("0-0", "0", "bytes 0-0/10"),
        ("0-4", "01234", "bytes 0-4/10"),
        ("3-", "3456789", "bytes 3-9/10"),
        ("-3", "789", "bytes 7-9/10"),
        ("-99", WHOLE, "bytes 0-9/10"),
        ("9-9", "9", "bytes 9-9/10"),
        ("5-99999999999999999999999", "56789", "bytes 5-9/10"),
    ] {
        let reply = dated.check(&format!("Range: bytes={range}"), 206, part);
        assert_eq!(reply.field("content-range"), Some(content_range), "{range}");
        assert_eq!(reply.field("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(reply.field("etag"), Some(&*dated.etag));
    }
    dated.check("range:BYTES=0-0", 206, "0");
    for range in ["10-", "10-20", "-0", "99999999999999999999999-"] {
        let reply = dated.check(&format!("Range: bytes={range}"), 416, "");
        assert_eq!(reply.field("content-range"), Some("bytes */10"), "{range}");
    }
    for range in ["bytes=4-2", "bytes=-", "bytes=", "bytes=a-b", "bytes=1-2-3", "lines=0-1", "0-1", "bytes 0-1", ""] {
        assert_eq!(dated.check(&format!("Range: {range}"), 200, WHOLE).field("content-range"), None);
    }
    // A field that may not be repeated.
    dated.check("Range: bytes=0-1\nRange: bytes=2-3", 200, WHOLE);
    let url = dated.server.url("/digits.txt");
    assert_eq!(curl(&["--range", "2-4"], &url), "234");
    assert_eq!(curl(&["--continue-at", "7"], &url), "789");
}

/// As of a map of tiles or an archive, whose first bytes everybody reads.
#[test]
fn a_part_that_is_asked_for_again_comes_from_memory_until_the_file_changes() {
    let site = site();
    let server = Salver::serve(&site);
    settle(&site, "", &server);
    let mut client = server.connect();
    let mut check = |range: &str, content: &[u8]| {
        client.send(get("/large.bin", &format!("Range: bytes={range}\r\n")));
        let reply = client.reply();
        let (first, last) = range.split_once('-').unwrap();
        let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
        assert_eq!(reply.status, 206, "{}", reply.head);
        assert_eq!(reply.field("content-range"), Some(&*format!("bytes {first}-{last}/{}", content.len())));
        assert!(reply.body == content[first..=last], "{range}: {}", reply.head);
        reply.field("etag").map(str::to_owned)
    };
    let mut content = numbered(1 << 20);
    let (hot, large) = (["0-9999", "500000-509999", "1040000-1048575"], "20000-40000");
    let etag = check(hot[0], &content);
    let mut ask_often = |times: usize| {
        for range in hot.into_iter().cycle().take(times * hot.len()) {
            assert_eq!(check(range, &content), etag);
        }
    };
    ask_often(3);
    let bytes_read = || if cfg!(target_os = "linux") { server.process().bytes_read() } else { 0 };
    let before = bytes_read();
    ask_often(10);
    assert!(bytes_read() - before < 10_000, "it is read from the file");
    (0..3).for_each(|_| assert_eq!(check(large, &content), etag));
    // In place: of the same name, the same length, and open all the while.
    content[5_000..5_010].fill(b'x');
    content[1_048_570..].fill(b'y');
    fs::write(site.join("large.bin"), &content).unwrap();
    for range in hot.into_iter().chain([large]) {
        (0..4).for_each(|_| assert_ne!(check(range, &content), etag));
    }
}

/// RFC 9110 section 14.2: Range is defined for GET alone.
#[test]
fn head_knows_no_ranges() {
    let dated = Dated::new();
    let request = get("/digits.txt", "Range: bytes=2-3\r\n").replace("GET", "HEAD");
    let reply = dated.server.ask(request);
    assert_eq!((reply.status, reply.field("content-length"), reply.field("content-range")), (200, Some("10"), None));
}

/// RFC 9110 sections 14.1.2 and 14.4: nothing has an end, but no Content-Range can tell a part of it.
#[test]
fn an_empty_file_is_a_file() {
    let site = Site::with(&[("empty.txt", "")]);
    let server = Salver::serve(&site);
    let reply = server.get("/empty.txt", "");
    assert_eq!((reply.status, reply.field("content-length")), (200, Some("0")));
    assert_eq!(server.get("/empty.txt", &format!("If-None-Match: {}\r\n", reply.field("etag").unwrap())).status, 304);
    assert_eq!(server.get("/empty.txt", "Range: bytes=-1\r\n").status, 200);
    for range in ["0-", "0-0", "-0"] {
        let reply = server.get("/empty.txt", &format!("Range: bytes={range}\r\n"));
        assert_eq!((reply.status, reply.field("content-range")), (416, Some("bytes */0")), "{range}");
    }
}

/// RFC 9110 sections 14.2 and 14.6
#[test]
fn parts_come_in_the_order_asked_joined_where_they_overlap() {
    let site = site();
    let server = Salver::serve(&site);
    for (target, length) in [("/small.bin", 1_000), ("/large.bin", 1 << 20)] {
        check(&server, target, length, "0-9,20-29", &[(0, 9), (20, 29)]);
        check(&server, target, length, "500-599, -10 ,0-0", &[(500, 599), (length - 10, length - 1), (0, 0)]);
        check(&server, target, length, "0-9,20-29,5-14", &[(0, 14), (20, 29)]);
        check(&server, target, length, "0-9,99999999-,20-29", &[(0, 9), (20, 29)]);
    }
}

/// RFC 9110 section 15.3.7.2
#[test]
fn one_part_that_is_left_is_an_ordinary_206() {
    let site = site();
    let server = Salver::serve(&site);
    for ranges in ["0-9,5-19", "0-9,10-19", "0-19,5000-"] {
        let reply = server.get("/small.bin", &format!("Range: bytes={ranges}\r\n"));
        assert_eq!((reply.status, reply.field("content-range")), (206, Some("bytes 0-19/1000")), "{ranges}");
        assert_eq!(reply.body, numbered(20));
    }
}

/// RFC 9110 section 17.15
#[test]
fn too_many_ranges_get_the_whole() {
    let site = site();
    let server = Salver::serve(&site);
    let singles = |count: usize| (0..count).map(|at| format!("{0}-{0}", at * 10)).collect::<Vec<_>>().join(",");
    assert_eq!(parts(&server.get("/small.bin", &format!("Range: bytes={}\r\n", singles(16)))).len(), 16);
    for ranges in [singles(17), "0-998,1-999".to_owned(), "0-,".repeat(1_000)] {
        let reply = server.get("/small.bin", &format!("Range: bytes={ranges}\r\n"));
        assert_eq!((reply.status, reply.body), (200, numbered(1_000)), "{:.20}", ranges);
    }
}

/// RFC 9110 section 14.3
#[test]
fn who_takes_no_ranges_says_so() {
    let site = site();
    let server = Salver::set(&site, &[("ranges_max", "0")]);
    let reply = server.get("/small.bin", "Range: bytes=0-1\r\n");
    assert_eq!((reply.status, reply.field("accept-ranges")), (200, Some("none")));
    assert!(reply.body == numbered(1_000));
}

#[test]
fn large_parts_are_streamed_in_turns_and_the_connection_goes_on() {
    let site = site();
    let server = Salver::set(&site, &[("turn_bytes_max", "10000"), ("workers", "1")]);
    let content = numbered(1 << 20);
    let mut client = server.connect();
    for _ in 0..3 {
        client.send(get("/large.bin", "Range: bytes=100-400099,-500000,0-49\r\n"));
        let found: Vec<_> = parts(&client.reply()).into_iter().map(|(_, bytes)| bytes).collect();
        assert!(found == [&content[100..400_100], &content[content.len() - 500_000..], &content[..50]]);
    }
}

#[test]
fn unsatisfiable_and_conditional_requests_are_told_as_ever() {
    let site = site();
    let server = Salver::serve(&site);
    let reply = server.get("/small.bin", "Range: bytes=1000-,2000-2001\r\n");
    assert_eq!((reply.status, reply.field("content-range")), (416, Some("bytes */1000")));
    let reply = server.get("/small.bin", "Range: bytes=0-1,4-5\r\nIf-Range: \"other\"\r\n");
    assert_eq!((reply.status, reply.body.len()), (200, 1_000));
    let reply = server.get("/small.bin", "Range: bytes=0-1,4-5\r\nIf-None-Match: *\r\n");
    assert_eq!((reply.status, reply.body.len()), (304, 0));
}

/// RFC 9110 section 15.3.7.3: however a file is asked for in parts, put together they are the file.
#[test]
fn every_set_of_parts_is_the_file() {
    let site = site();
    let server = Salver::serve(&site);
    let cuts = prop::collection::vec(any::<prop::sample::Index>(), 1..40);
    let config = ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() };
    let outcome = TestRunner::new(config).run(&(cuts, any::<u64>(), 1..=16usize), |(cuts, order, together)| {
        let mut client = server.connect();
        for (target, length) in [("/small.bin", 1_000), ("/large.bin", 1 << 20)] {
            let mut ranges = split(length, &cuts);
            ranges.sort_by_key(|(first, _)| (*first as u64 + 1).wrapping_mul(order | 1));
            let mut file = vec![0xa5; length];
            for ranges in ranges.chunks(together) {
                let field = ranges.iter().map(|(first, last)| format!("{first}-{last}")).collect::<Vec<_>>().join(", ");
                client.send(get(target, &format!("Range: bytes={field}\r\n")));
                for (first, content) in placed(&client.reply(), length) {
                    file[first..first + content.len()].copy_from_slice(&content);
                }
            }
            prop_assert!(file == numbered(length), "{target}, {together} at once: {ranges:?}");
        }
        Ok(())
    });
    assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
}

/// Ranges that are all of a file together.
fn split(length: usize, cuts: &[prop::sample::Index]) -> Vec<(usize, usize)> {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(length) + 1).chain([length]).collect();
    ends.sort_unstable();
    ends.dedup();
    let starts = std::iter::once(0).chain(ends.iter().copied());
    starts.zip(&ends).map(|(first, end)| (first, end - 1)).collect()
}

/// The parts of an answer, each with its place in the file: of a 206 with one or several, or of the whole.
#[track_caller]
fn placed(reply: &Reply, length: usize) -> Vec<(usize, Vec<u8>)> {
    let first = |range: &str| {
        let (span, total) = range.split_once('/').unwrap();
        assert_eq!(total, length.to_string(), "{range}");
        span.split_once('-').unwrap().0.parse::<usize>().unwrap()
    };
    match reply.field("content-range") {
        _ if reply.status == 200 => vec![(0, reply.body.clone())],
        Some(range) => vec![(first(range.strip_prefix("bytes ").unwrap()), reply.body.clone())],
        None => parts(reply).into_iter().map(|(range, content)| (first(&range), content)).collect(),
    }
}
