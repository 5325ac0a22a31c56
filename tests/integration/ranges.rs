//! Several ranges in one answer (RFC 9110 section 14.6), from memory and from disk.

use crate::support::{Reply, Salver, Site, get};

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
