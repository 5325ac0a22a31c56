#!/usr/bin/env python3
"""Differential test: what salver, nginx and lighttpd answer to the same bytes.

    cargo build --release
    python3 tests/differential.py            # the answers that differ, each with its reason
    python3 tests/differential.py --list     # all answers
    python3 tests/differential.py -v range   # all that is compared, of the cases with "range" in their names

Every server serves the same temporary tree, on a loopback port of its own, with its defaults in all that is HTTP. Each
case is a connection: bytes are sent, answers read till nothing more comes, then one more request tells whether the
connection is still good. Where salver answers otherwise than a peer the case has to say `why`; a difference without a
reason is "unexplained", a reason without a difference "stale". A difference isn't a fault: some reasons say that both
answers are right. They were written with nginx 1.22 and lighttpd 1.4.69. What is salver's fault gets none.

Compared are the statuses, what becomes of the connection, and of the last answer the content and the fields that matter
there, Location as the URI it comes to. Not compared is what differs throughout and is right either way: the texts of
errors, Last-Modified in a 304 that has an ETag (RFC 9110 15.4.5: the peers send it), Accept-Ranges in a 206 (not nginx),
and `keep-alive` where it's the default (nginx).

Exit status: 0 all differences are explained, or no peer is there; 1 some are not, or a reason is stale; 2 usage, or a
server doesn't start.
"""

import argparse
import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urljoin

QUIET_S = 0.25  # what hasn't begun to come by then isn't coming before more is sent
ANSWER_S = 1.5  # time for the last answer and the close behind it
START_S = 5.0
SETTLE_S = 2.1  # salver gives a large file no entity tag until its change lies so far back
CONNECTIONS_MAX = 24

MODIFIED, SAME = 1_733_443_200, "Fri, 06 Dec 2024 00:00:00 GMT"
EARLIER, LATER = "Thu, 05 Dec 2024 23:59:59 GMT", "Sat, 07 Dec 2024 00:00:00 GMT"
FUTURE = "Wed, 01 Jan 2098 00:00:00 GMT"

TREE = {
    "index.html": b"<p>root\n", "hello.txt": b"0123456789\n", "probe.txt": b"probe\n", "empty.txt": b"",
    "big.bin": bytes(range(256)) * 1200, "dir/index.html": b"<p>dir\n", "dir/a.txt": b"a\n", "bare/a.txt": b"bare\n",
    "dir sp/index.html": b"<p>sp\n", "d?r/index.html": b"<p>q\n", "d\u00fc/index.html": b"<p>u\n",
    "sp ace.txt": b"space\n", "plus+.txt": b"plus\n", "a#b?c%d:e.txt": b"odd\n", "u\u00fc.txt": b"utf-8\n",
    b"l\xfc.txt": b"latin-1\n", "a%2fb.txt": b"literal\n", "semi;v=1.txt": b"semi\n", "back\\slash.txt": b"back\n",
    "a..b.txt": b"dots\n", ".secret.txt": b"secret\n", ".well-known/it.txt": b"known\n", "future.txt": b"future\n",
    "epoch.txt": b"epoch\n", "../outside.txt": b"outside\n",
}
LINKS = {"link-in.txt": "hello.txt", "link-out.txt": "../outside.txt", "link-broken.txt": "nowhere"}
MTIMES = {"future.txt": 4_070_908_800, "epoch.txt": 0}


class Case(NamedTuple):
    name: str
    pieces: tuple
    why: str
    half_close: bool


def case(name, *pieces, why="", half_close=False):
    """Pieces are sent one after the other, each when nothing more comes. In them PORT and ETAG (of /hello.txt, without
    its quotes) stand for each server's own."""
    return Case(name, pieces, why, half_close)


def ask(target, *fields, method="GET", version="HTTP/1.1", host="Host: localhost:PORT", body=""):
    lines = [f"{method} {target} {version}", *([host] if host else []), *fields]
    return "\r\n".join(lines) + "\r\n\r\n" + body


def hello(*fields, **how):
    return ask("/hello.txt", *fields, **how)


def line(request_line):
    return f"{request_line}\r\nHost: localhost:PORT\r\n\r\n"


def byte_range(value, *fields, target="/hello.txt", **how):
    return ask(target, f"Range: {value}", *fields, **how)


def length(value, body="", *fields, **how):
    return hello(f"Content-Length: {value}", *fields, body=body, **how)


def chunked(body, *fields, **how):
    return hello("Transfer-Encoding: chunked", *fields, body=body, **how)


UPGRADE_H2C = "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"

# Reasons that several cases share.
BARE_LF = "RFC 9112 2.2: a lone LF may end a line, and needn't; salver has none, as requests hide in such doubts"
METHOD = "RFC 9110 9.1: an unknown method should get 501, which needs no close; nginx has 405, lighttpd closes"
NOT_ALLOWED = "RFC 9110 15.5.6: 405 must have Allow, which nginx's lacks; lighttpd takes POST for GET, and knows no PUT"
BAD_HOST = "RFC 9112 3.2: an invalid Host must get 400; nginx looks at few of its bytes"
GOOD_HOST = "RFC 3986 3.2.2: a host name may have such characters; lighttpd wants one of DNS"
GET_CONTENT = "RFC 9110 9.3.1: content of a GET means nothing; lighttpd refuses it, as it may, the others drop it"
CODING = "RFC 9112 6.3: where chunked isn't the last coding the server must answer 400 and close; the peers have 501"
INCOMPLETE = "RFC 9112 9.3: content is read or the connection closed; nginx answers before that, lighttpd refuses it"
EXPECT = "RFC 9110 10.1.1: a final answer may come instead of 100; salver closes then, as content may follow or not"
FAILED = "RFC 9110 13.2.2: If-Match and If-Unmodified-Since can give 412; lighttpd looks at neither, nginx closes"
BAD_DATE = "RFC 9110 13.1.3: what is no HTTP-date (5.6.7) must be ignored; nginx reads only its beginning"
EPOCH = "to salver an mtime of 0 is none, so no Last-Modified (RFC 9110 8.8.2), no condition on it (13.1.3)"
BAD_RANGE = "RFC 9110 14.2: an invalid set of ranges may be ignored, as by salver, or rejected"
UNSATISFIABLE = "RFC 9110 15.5.17: 416 should tell the length in Content-Range; lighttpd's doesn't"
GAPS = "RFC 9110 15.3.7.2: ranges with a small gap may be joined, as lighttpd does, or not"
LARGE = "RFC 9110 14.1.2: large numbers must be read, and mean all that is there; to the peers they're errors"
HEAD_RANGE = "RFC 9110 14.2: ranges are defined for GET alone, and must be ignored elsewhere; nginx obeys them in HEAD"
RANGES_10 = "lighttpd has no ranges for HTTP/1.0, the others have: a server may (RFC 9110 14.2 and 14.3)"
LOCATION = "RFC 9110 10.2.2: a relative Location can't err; nginx makes a URI with an address or port of its own"
CONTROLS = "RFC 3986 2.1: any byte may be encoded; lighttpd refuses controls, to the others they're like letters"
UTF8 = "RFC 3986 2.1: any byte may be encoded, and a file's name is bytes; lighttpd wants UTF-8"
BACKSLASH = "salver's own rule: no name has a backslash, as browsers and some systems take it for a slash"
PERCENT = "RFC 3986 2.1: two digits follow a percent sign; lighttpd looks for such a file, nginx closes as well"
ABOVE = "RFC 3986 5.2.4 is for clients, who drop dots above the root; lighttpd does too, the others refuse"

CASES = [
    # The request line (RFC 9112 section 3)
    case("plain", hello()),
    case("head", hello(method="HEAD")),
    case("head-big", ask("/big.bin", method="HEAD")),
    case("empty-line-before", "\r\n" + hello(),
         why="RFC 9112 2.2: an empty line first should be ignored; lighttpd does so between requests only"),
    case("bare-lf", hello().replace("\r\n", "\n"), why=BARE_LF),
    case("bare-lf-after-field", hello("A: b").replace("b\r\n", "b\n"), why=BARE_LF),
    case("bare-cr-in-line", line("GET /hello.txt\rHTTP/1.1")),
    case("two-spaces", line("GET  /hello.txt HTTP/1.1"),
         why="RFC 9112 3: one space parts the request line; who is lenient, like nginx, may take more"),
    case("tab-as-separator", line("GET\t/hello.txt\tHTTP/1.1")),
    case("space-before-method", line(" GET /hello.txt HTTP/1.1"),
         why="RFC 9112 3: a malformed request line, so 400; lighttpd takes it for an unknown method"),
    case("no-version", line("GET /hello.txt"),
         why="RFC 9112 3: a request line ends with a version; nginx answers in HTTP/0.9, which has no status line"),
    case("no-target", line("GET HTTP/1.1")),
    case("long-method", hello(method="A" * 200), why=METHOD),
    case("lower-case-version", hello(version="http/1.1")),
    case("version-1.2", hello(version="HTTP/1.2"),
         why="RFC 9110 2.5: a later minor version should be served as the last that is known; lighttpd refuses it"),
    case("version-1.10", hello(version="HTTP/1.10"),
         why="RFC 9112 2.3: a version is a digit, a dot, a digit; nginx takes two digits"),
    case("version-01.1", hello(version="HTTP/01.1"),
         why="RFC 9112 2.3: a version is a digit, a dot, a digit, and this is none; lighttpd has 505 for that, too"),
    case("version-0.9", hello(version="HTTP/0.9"),
         why="HTTP/0.9 had no version to send, so this is a mistake; 505 is right as well (RFC 9110 15.6.6)"),
    case("version-2.0", hello(version="HTTP/2.0")),
    case("http2-preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
         why="RFC 9110 15.6.6: 505 says that HTTP/2 isn't spoken; lighttpd speaks it, to nginx it's malformed"),
    case("space-in-target", line("GET /sp ace.txt HTTP/1.1"),
         why="RFC 9112 3.2: space in a target should get 400 and not be mended; lighttpd mends it"),
    case("control-in-target", line("GET /hello.txt?\x01 HTTP/1.1")),
    case("nul-in-target", line("GET /hello.txt?\0 HTTP/1.1")),
    case("raw-utf8-in-target", line("GET /u\u00c3\u00bc.txt HTTP/1.1")),
    case("fragment-in-target", line("GET /hello.txt#top HTTP/1.1"),
         why="RFC 9112 3.2: no form of a target has a fragment, so it is malformed; the peers cut it off"),
    case("long-target", ask("/hello.txt?" + "q" * 9000),
         why="RFC 9112 3: a target that is too long must get 414; lighttpd counts the head as a whole (431)"),
    case("query-of-7000", ask("/hello.txt?" + "q" * 7000)),
    # Forms of the target (RFC 9112 section 3.2)
    case("absolute-form", ask("http://localhost:PORT/hello.txt")),
    case("absolute-form-other-host", ask("http://other.example/hello.txt"),
         why="RFC 9112 3.2.2: Host must be ignored beside an absolute-form target; lighttpd wants them to agree"),
    case("absolute-form-https", ask("https://localhost:PORT/hello.txt"),
         why="RFC 9110 7.4: a request for an https resource must be rejected on an unsecured connection"),
    case("absolute-form-without-path", ask("http://localhost:PORT"),
         why='RFC 9110 4.2.3: an empty path is the same as "/"; lighttpd refuses it'),
    case("absolute-form-other-scheme", ask("ftp://localhost:PORT/hello.txt"),
         why="RFC 9110 7.4: what the scheme wants isn't there, so it must be rejected; nginx ignores schemes"),
    case("absolute-form-userinfo", ask("http://me@localhost:PORT/hello.txt")),
    case("absolute-form-empty-host", ask("http:///hello.txt")),
    case("absolute-form-without-host-field", ask("http://localhost:PORT/hello.txt", host=""),
         why="RFC 9112 3.2: HTTP/1.1 without Host must get 400; lighttpd contents itself with the target's"),
    case("asterisk-get", ask("*")),
    case("asterisk-options", ask("*", method="OPTIONS"),
         why="RFC 9110 9.3.7: OPTIONS * asks what the server can; 204 and 200 both tell, and nginx knows no OPTIONS"),
    case("relative-target", ask("hello.txt")),
    case("connect-authority", ask("localhost:80", method="CONNECT"),
         why="RFC 9112 3.2.3: a good target for CONNECT, which just isn't allowed here; to the peers it's malformed"),
    # Host (RFC 9112 section 3.2)
    case("host-missing", hello(host="")),
    case("host-twice", hello("Host: localhost:PORT"),
         why="RFC 9112 3.2: more than one Host must get 400; lighttpd allows the same twice"),
    case("host-twice-differing", hello("Host: other.example")),
    case("host-empty", hello(host="Host:")),
    case("host-userinfo", hello(host="Host: me@localhost"), why=BAD_HOST),
    case("host-comma", hello(host="Host: a,b"), why=GOOD_HOST),
    case("host-not-ascii", hello(host="Host: \u00fc.example"), why=BAD_HOST),
    case("host-percent", hello(host="Host: a%62c"), why=GOOD_HOST),
    case("host-underscore", hello(host="Host: a_b.example"), why=GOOD_HOST),
    case("host-port-word", hello(host="Host: localhost:http"), why=BAD_HOST),
    case("host-port-too-large", hello(host="Host: localhost:65536"),
         why="there is no such port; RFC 3986 3.2.3 sets no limit, so that nginx isn't wrong"),
    case("host-ipv6", hello(host="Host: [::1]:80")),
    # Field lines (RFC 9112 section 5)
    case("space-before-colon", hello("A : b")),
    case("space-before-colon-of-host", hello(host="Host : localhost")),
    case("empty-field-name", hello(": b")),
    case("no-colon", hello("nonsense"),
         why="RFC 9112 5: a field line has a colon; nginx passes over lines that have none"),
    case("name-with-space", hello("A b: c")),
    case("name-not-ascii", hello("\u00fc: c"),
         why="RFC 9110 5.1: a field name is a token; nginx passes over lines that have none"),
    case("folded-field", hello("A: b", " c"),
         why="RFC 9112 5.2: a folded line must be refused or unfolded; lighttpd unfolds it"),
    case("nul-in-value", hello("A: b\0c")),
    case("cr-in-value", hello("A: b\rc")),
    case("control-in-value", hello("A: b\x01c"),
         why="RFC 9110 5.5: controls in a value are invalid; where it's safe they may be kept, as by nginx"),
    case("latin1-in-value", hello("A: \u00fc")),
    case("tabs-around-value", hello("Range:\t bytes=0-0 \t"),
         why="RFC 9110 5.5: white space around a value isn't part of it; nginx keeps tabs, and finds no range"),
    case("empty-value", hello("A:")),
    case("names-in-other-case", hello("rANGE: bytes=0-0")),
    case("150-fields", hello(*["A: b"] * 150),
         why="RFC 6585 5: too many fields get 431; where to stop is each server's choice, and salver's 100"),
    case("field-of-20000", hello("A: " + "b" * 20000),
         why="RFC 9110 5.4: fields that are too large get some 4xx; 431 (RFC 6585 5) tells more than nginx's 400"),
    # Where a body ends (RFC 9112 sections 6 and 7)
    case("get-body", length(5, "hello") + hello(), why=GET_CONTENT),
    case("post-body", length(5, "hello", method="POST") + hello(), why=NOT_ALLOWED),
    case("post-without-length", hello(method="POST") + hello(),
         why="RFC 9112 6.3: no length, no content; lighttpd wants one (411), as RFC 9110 15.5.12 lets it"),
    case("length-plus", length("+5", "hello")),
    case("length-list-same", length("5, 5", "hello")),
    case("length-twice-differing", length(5, "hello", "Content-Length: 6")),
    case("length-empty", length(""),
         why="RFC 9112 6.3: an invalid Content-Length must get 400; lighttpd takes an empty one for none"),
    case("length-leading-zeros", length("0005", "hello") + hello(), why=GET_CONTENT),
    case("length-tabs-around", hello("Content-Length: \t5\t", body="hello"),
         why="RFC 9110 5.5: white space around a value isn't part of it; nginx keeps tabs; to lighttpd see get-body"),
    case("length-2^64", length(2**64 + 5, "hello")),
    case("length-2^62-get", length(2**62, "hello"),
         why="RFC 9110 15.5.14: too much; lighttpd refuses all content with GET, nginx says 413 too and closes later"),
    case("length-incomplete-get", length(1000, "hello"), why=INCOMPLETE),
    case("body-of-70000-get", length(70000, "b" * 70000) + hello(),
         why="RFC 9110 15.5.14: salver drops up to 64 KiB of content, nginx 1 MiB, and lighttpd has none with GET"),
    case("length-and-chunked", chunked("0\r\n\r\n", "Content-Length: 5")),
    case("chunked-get", chunked("5\r\nhello\r\n0\r\n\r\n") + hello(), why=GET_CONTENT),
    case("chunked-post", chunked("5\r\nhello\r\n0\r\n\r\n", method="POST") + hello(), why=NOT_ALLOWED),
    case("chunked-http10", chunked("0\r\n\r\n", version="HTTP/1.0")),
    case("chunked-with-parameter", hello("Transfer-Encoding: chunked;q=1", body="0\r\n\r\n"),
         why="RFC 9112 7.1: chunked has no parameters, and they should be errors; 400 and 501 both say so"),
    case("chunked-twice", hello("Transfer-Encoding: chunked, chunked", body="0\r\n\r\n"),
         why="RFC 9112 6.1: chunked must not be applied twice, so 400; to the peers this is a coding they don't know"),
    case("coding-gzip", hello("Transfer-Encoding: gzip", body="0\r\n\r\n"), why=CODING),
    case("coding-gzip-chunked", hello("Transfer-Encoding: gzip, chunked", body="0\r\n\r\n")),
    case("coding-chunked-gzip", hello("Transfer-Encoding: chunked, gzip", body="0\r\n\r\n"), why=CODING),
    case("coding-empty", hello("Transfer-Encoding:", body="0\r\n\r\n"),
         why="RFC 9112 6.3: chunked isn't the last coding, so 400; nginx has 501, to lighttpd there's no field"),
    case("coding-list-with-empty-members", hello("Transfer-Encoding: , chunked,", body="0\r\n\r\n", method="POST"),
         why="RFC 9110 5.6.1.2: empty list members must be accepted; the peers take this for an unknown coding"),
    case("chunk-extension-quoted", chunked('5;a="b;c"\r\nhello\r\n0;d\r\n\r\n') + hello(), why=GET_CONTENT),
    case("chunk-extension-broken", chunked("5;=\r\nhello\r\n0\r\n\r\n"),
         why="RFC 9112 7.1.1: an extension has a name; nginx passes over what follows the semicolon"),
    case("chunk-extension-cr", chunked("5;a=\rb\r\nhello\r\n0\r\n\r\n")),
    case("chunk-size-zeros", chunked("0005\r\nhello\r\n000\r\n\r\n") + hello(), why=GET_CONTENT),
    case("chunk-size-twenty-zeros", chunked("0" * 20 + "5\r\nhello\r\n0\r\n\r\n"), why=GET_CONTENT),
    case("chunk-size-garbage", chunked("g\r\nhello\r\n0\r\n\r\n")),
    case("chunk-size-space", chunked("5 \r\nhello\r\n0\r\n\r\n"),
         why="RFC 9112 7.1.1: white space stands before a semicolon only; nginx passes over it"),
    case("chunk-size-2^64", chunked("10000000000000005\r\nhello\r\n0\r\n\r\n")),
    case("chunk-bare-lf", chunked("5\nhello\n0\n\n"),
         why="RFC 9112 7.1: lines of chunks end with CRLF, and 2.2 is lenient with the head only; nginx is here too"),
    case("chunk-longer-than-size", chunked("5\r\nhelloXX\r\n0\r\n\r\n")),
    case("chunk-incomplete", chunked("3e8\r\nhello"), why=INCOMPLETE),
    case("chunk-trailer", chunked("0\r\nA: b\r\n\r\n") + hello(), why=GET_CONTENT),
    case("chunk-trailer-broken", chunked("0\r\nnonsense\r\n\r\n"),
         why="RFC 9112 7.1.2: trailers are field lines; nginx passes over them"),
    # Expect (RFC 9110 section 10.1.1)
    case("expect-get", hello("Expect: 100-continue"),
         why="RFC 9110 10.1.1: where no content is announced, 100 can be left out; nginx sends it"),
    case("expect-post", length(5, "", "Expect: 100-continue", method="POST"), "hello", why=EXPECT),
    case("expect-get-body", length(5, "", "Expect: 100-continue"), "hello", why=EXPECT),
    case("expect-body-at-once", length(5, "hello", "Expect: 100-continue", method="POST"), why=EXPECT),
    case("expect-unknown", hello("Expect: 200-ok"),
         why="RFC 9110 10.1.1: an unknown expectation may get 417; the peers ignore it"),
    # Methods (RFC 9110 section 9)
    case("options", hello(method="OPTIONS"),
         why="RFC 9110 9.3.7: OPTIONS tells what there is; 204 and 200 both do, and nginx knows no OPTIONS"),
    case("options-missing", ask("/missing", method="OPTIONS"),
         why="RFC 9110 9.3.7: salver says the same of all targets, lighttpd looks first, nginx has no OPTIONS"),
    case("post", length(0, method="POST"), why=NOT_ALLOWED),
    case("post-missing", ask("/missing", "Content-Length: 0", method="POST")),
    case("put", length(0, method="PUT"), why=NOT_ALLOWED),
    case("put-missing", ask("/new.txt", "Content-Length: 0", method="PUT"),
         why="nothing is there and nothing can be put there: 404 and 405 both say so (RFC 9110 15.5.5 and 15.5.6)"),
    case("trace", hello(method="TRACE"),
         why="RFC 9110 15.5.6: known, and not allowed; nginx closes too, lighttpd doesn't implement it"),
    case("unknown-method", hello(method="BREW"), why=METHOD),
    case("head-missing", ask("/missing", method="HEAD")),
    case("get-missing", ask("/missing")),
    # Preconditions (RFC 9110 section 13)
    case("none-match-same", hello('If-None-Match: "ETAG"')),
    case("none-match-weak", hello('If-None-Match: W/"ETAG"')),
    case("none-match-list", hello('If-None-Match: "x", "ETAG" ,"y"')),
    case("none-match-two-lines", hello('If-None-Match: "x"', 'If-None-Match: "ETAG"'),
         why="RFC 9110 5.3: lines of a list are one list; nginx refuses the second, lighttpd ignores one"),
    case("none-match-star", hello("If-None-Match: *")),
    case("none-match-other", hello('If-None-Match: "x"')),
    case("none-match-head", hello('If-None-Match: "ETAG"', method="HEAD")),
    case("none-match-missing", ask("/missing", "If-None-Match: *")),
    case("none-match-post", length(0, "", 'If-None-Match: "ETAG"', method="POST"),
         why="RFC 9110 13.2.1: a condition counts only where there is success without it; lighttpd takes POST for GET"),
    case("none-match-other-and-same-date", hello('If-None-Match: "x"', f"If-Modified-Since: {SAME}")),
    case("none-match-same-and-range", byte_range("bytes=0-0", 'If-None-Match: "ETAG"')),
    case("none-match-other-and-range", byte_range("bytes=0-0", 'If-None-Match: "x"')),
    case("match-same", hello('If-Match: "ETAG"')),
    case("match-weak", hello('If-Match: W/"ETAG"'), why=FAILED),
    case("match-star", hello("If-Match: *")),
    case("match-other", hello('If-Match: "x"'), why=FAILED),
    case("match-missing", ask("/missing", "If-Match: *")),
    case("match-same-none-match-same", hello('If-Match: "ETAG"', 'If-None-Match: "ETAG"')),
    case("match-other-none-match-same", hello('If-Match: "x"', 'If-None-Match: "ETAG"'), why=FAILED),
    case("match-same-unmodified-earlier", hello('If-Match: "ETAG"', f"If-Unmodified-Since: {EARLIER}"),
         why="RFC 9110 13.1.4: If-Unmodified-Since must be ignored beside If-Match; nginx evaluates both"),
    case("modified-same", hello(f"If-Modified-Since: {SAME}")),
    case("modified-later", hello(f"If-Modified-Since: {LATER}"),
         why="RFC 9110 13.1.3: not modified since then either; nginx wants the very date"),
    case("modified-earlier", hello(f"If-Modified-Since: {EARLIER}")),
    case("modified-future", hello(f"If-Modified-Since: {FUTURE}"),
         why="salver's own rule: a date of the future shows a wrong clock, so the file is sent, which is always right"),
    case("modified-rfc850", hello("If-Modified-Since: Friday, 06-Dec-24 00:00:00 GMT")),
    case("modified-asctime", hello("If-Modified-Since: Fri Dec  6 00:00:00 2024")),
    case("modified-rfc850-1999", hello("If-Modified-Since: Monday, 06-Dec-99 00:00:00 GMT")),
    case("modified-leap-second", hello("If-Modified-Since: Sat, 07 Dec 2024 23:59:60 GMT"),
         why="RFC 9110 5.6.7: a second may be the 60th; salver and lighttpd read it, nginx wants the very date"),
    case("modified-wrong-weekday", hello(f"If-Modified-Since: Mon{SAME[3:]}"),
         why="RFC 5322 3.3: the day of the week must be right; RFC 9110 5.6.7 encourages the peers' leniency"),
    case("modified-lower-case", hello(f"If-Modified-Since: {SAME.lower()}")),
    case("modified-garbage", hello("If-Modified-Since: yesterday")),
    case("modified-other-zone", hello("If-Modified-Since: Fri, 06 Dec 2024 00:00:00 +0100"), why=BAD_DATE),
    case("modified-with-length", hello(f"If-Modified-Since: {SAME}; length=11"), why=BAD_DATE),
    case("modified-twice", hello(f"If-Modified-Since: {SAME}", f"If-Modified-Since: {SAME}"),
         why="RFC 9110 13.1.3: more than one member must be ignored; nginx refuses two lines, lighttpd takes one"),
    case("modified-epoch", ask("/epoch.txt", "If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT"), why=EPOCH),
    case("unmodified-same", hello(f"If-Unmodified-Since: {SAME}")),
    case("unmodified-earlier", hello(f"If-Unmodified-Since: {EARLIER}"), why=FAILED),
    case("unmodified-garbage", hello("If-Unmodified-Since: yesterday"),
         why="RFC 9110 13.1.4: what is no HTTP-date must be ignored; nginx says 412"),
    case("unmodified-earlier-modified-later", hello(f"If-Unmodified-Since: {EARLIER}", f"If-Modified-Since: {LATER}"),
         why=FAILED),
    case("mtime-in-the-future", ask("/future.txt")),
    case("mtime-epoch", ask("/epoch.txt"), why=EPOCH),
    case("empty-file", ask("/empty.txt")),
    # Ranges (RFC 9110 section 14)
    case("range-first-byte", byte_range("bytes=0-0")),
    case("range-open", byte_range("bytes=4-")),
    case("range-suffix", byte_range("bytes=-3")),
    case("range-suffix-0", byte_range("bytes=-0"), why=UNSATISFIABLE),
    case("range-suffix-too-large", byte_range("bytes=-999")),
    case("range-all", byte_range("bytes=0-")),
    case("range-last-behind-end", byte_range("bytes=5-999")),
    case("range-behind-end", byte_range("bytes=11-"), why=UNSATISFIABLE),
    case("range-big", byte_range("bytes=100000-299999", target="/big.bin")),
    case("range-reversed", byte_range("bytes=5-3"), why=BAD_RANGE),
    case("range-two", byte_range("bytes=0-1,5-6"), why=GAPS),
    case("range-two-descending", byte_range("bytes=5-6,0-1"), why=GAPS),
    case("range-overlapping", byte_range("bytes=0-3,2-5"),
         why="RFC 9110 15.3.7.2: ranges that overlap or touch may be joined; nginx sends each for itself"),
    case("range-nested-in-all", byte_range("bytes=0-,1-,2-,3-"),
         why="RFC 9110 14.2: more than two ranges that overlap may be ignored; lighttpd joins them"),
    case("range-sixteen", byte_range("bytes=" + ",".join(f"{n}-{n}" for n in range(0, 3200, 200)), target="/big.bin"),
         why="RFC 9110 15.3.7: fewer ranges than asked for can be sent; lighttpd stops at ten, the others don't"),
    case("range-two-hundred", byte_range("bytes=" + ",".join(f"{n}-{n}" for n in range(0, 400, 2)), target="/big.bin"),
         why="RFC 9110 14.2: many small ranges may be ignored; nginx sends them all, lighttpd the first ten in one"),
    case("range-one-unsatisfiable", byte_range("bytes=0-1,50-60")),
    case("range-one-malformed", byte_range("bytes=0-1,x"), why=BAD_RANGE),
    case("range-one-reversed", byte_range("bytes=0-1,5-3"), why=BAD_RANGE),
    case("range-empty-members", byte_range("bytes=,0-1,,"),
         why="RFC 9110 5.6.1.2: empty list members must be accepted; nginx has 416"),
    case("range-space-inside", byte_range("bytes=0 - 1"), why=BAD_RANGE),
    case("range-no-equals-sign", byte_range("bytes 0-1")),
    case("range-other-unit", byte_range("lines=0-1")),
    case("range-unit-upper-case", byte_range("BYTES=0-1")),
    case("range-last-2^64", byte_range(f"bytes=0-{2**64}"), why=LARGE),
    case("range-first-2^64", byte_range(f"bytes={2**64}-"), why=UNSATISFIABLE),
    case("range-thirty-digits", byte_range("bytes=0-" + "9" * 30), why=LARGE),
    case("range-head", byte_range("bytes=0-1", method="HEAD"), why=HEAD_RANGE),
    case("range-head-unsatisfiable", byte_range("bytes=50-", method="HEAD"), why=HEAD_RANGE),
    case("range-twice", byte_range("bytes=0-1", "Range: bytes=5-6"),
         why="RFC 9110 5.3: Range isn't a list, so two lines may be ignored as invalid (14.2); the peers take one"),
    case("range-http10", byte_range("bytes=0-1", version="HTTP/1.0"), why=RANGES_10),
    case("range-empty-file", byte_range("bytes=0-0", target="/empty.txt"),
         why="RFC 9110 14.1.2: an empty file has no first byte: 416; Range may be ignored, too (14.2)"),
    case("range-empty-file-suffix", byte_range("bytes=-1", target="/empty.txt")),
    case("range-redirect", byte_range("bytes=0-0", target="/dir")),
    case("if-range-same", byte_range("bytes=0-0", 'If-Range: "ETAG"')),
    case("if-range-weak", byte_range("bytes=0-0", 'If-Range: W/"ETAG"')),
    case("if-range-other", byte_range("bytes=0-0", 'If-Range: "x"')),
    case("if-range-other-unsatisfiable", byte_range("bytes=50-", 'If-Range: "x"')),
    case("if-range-two-lines", byte_range("bytes=0-0", 'If-Range: "ETAG"', 'If-Range: "ETAG"'),
         why="RFC 9110 13.1.5: one validator, and who has two has none that matches; nginx refuses two lines"),
    case("if-range-date", byte_range("bytes=0-0", f"If-Range: {SAME}")),
    case("if-range-date-later", byte_range("bytes=0-0", f"If-Range: {LATER}")),
    case("if-range-date-rfc850", byte_range("bytes=0-0", "If-Range: Friday, 06-Dec-24 00:00:00 GMT"),
         why="RFC 9110 5.6.7: the old forms of a date must be read; lighttpd compares text"),
    # Directories and redirects (RFC 9110 sections 10.2.2 and 15.4.2)
    case("directory", ask("/dir/")),
    case("root", ask("/")),
    case("redirect", ask("/dir")),
    case("redirect-query", ask("/dir?a=b&c=%20d")),
    case("redirect-query-quote", ask('/dir?a"<b>'),
         why="RFC 9110 10.2.2: a URI reference has no quotes or angle brackets; nginx hands them on"),
    case("redirect-head", ask("/dir", method="HEAD")),
    case("redirect-post", ask("/dir", "Content-Length: 0", method="POST"),
         why="RFC 9110 15.5.6: no POST there, with a slash or without; the peers redirect first"),
    case("redirect-http10-no-host", ask("/dir", version="HTTP/1.0", host=""), why=LOCATION),
    case("redirect-host-without-port", ask("/dir", host="Host: www.example"), why=LOCATION),
    case("redirect-question-mark", ask("/d%3fr")),
    case("redirect-utf8", ask("/d%C3%BC")),
    case("redirect-two-slashes", ask("//dir")),
    case("redirect-off-site-directory", ask("//other.example/../dir")),
    case("redirect-query-line-break", ask("/dir?%0d%0aA:b"), why=CONTROLS),
    case("directory-without-index", ask("/bare/"),
         why="RFC 9110 15.5.4: 404 may stand for 403; salver lists no directory, so nothing is there to forbid"),
    case("file-with-slash", ask("/hello.txt/"),
         why="what follows a file's name is path information to lighttpd; to salver and nginx there is no such file"),
    # From path to file (RFC 3986 sections 2.1, 3.3 and 5.2.4)
    case("path-space", ask("/sp%20ace.txt")),
    case("path-plus", ask("/plus+.txt")),
    case("path-plus-for-space", ask("/sp+ace.txt")),
    case("path-odd-encoded", ask("/a%23b%3fc%25d%3ae.txt")),
    case("path-utf8", ask("/u%c3%BC.txt")),
    case("path-latin1", ask("/l%fc.txt"), why=UTF8),
    case("path-literal-percent", ask("/a%252fb.txt")),
    case("path-encoded-slash", ask("/dir%2fa.txt"),
         why="RFC 3986 2.2: an encoded slash is no separator, and no name has one; the peers decode it first"),
    case("path-encoded-slash-in-name", ask("/a%2fb.txt")),
    case("path-backslash", ask("/back\\slash.txt"), why=BACKSLASH),
    case("path-backslash-encoded", ask("/back%5cslash.txt"), why=BACKSLASH),
    case("path-unreserved-encoded", ask("/%68ello%2etxt")),
    case("path-percent-end", ask("/hello.txt%"), why=PERCENT),
    case("path-percent-garbage", ask("/%zz"), why=PERCENT),
    case("path-control", ask("/hello.txt%01"), why=CONTROLS),
    case("path-long-name", ask("/" + "x" * 300)),
    case("path-dots-in-name", ask("/a..b.txt")),
    case("path-dot-dot-segment", ask("/dir/../hello.txt")),
    case("path-dot-dot-of-missing", ask("/missing/../hello.txt")),
    case("path-dot-dot-encoded", ask("/dir/%2e%2e/hello.txt")),
    case("path-dot-dot-last", ask("/dir/..")),
    case("path-above-root", ask("/../outside.txt"), why=ABOVE),
    case("path-above-root-and-back", ask("/../hello.txt"), why=ABOVE),
    case("path-above-root-encoded-slash", ask("/..%2foutside.txt"),
         why="RFC 3986 2.2: an encoded slash isn't a slash; nginx takes it for one, and says 400 above the root"),
    case("path-above-root-overlong", ask("/%c0%ae%c0%ae/outside.txt"), why=UTF8),
    case("path-two-slashes", ask("//hello.txt")),
    case("path-dotfile", ask("/.secret.txt"),
         why="salver's own rule: names that begin with a dot aren't served, but for /.well-known/ (RFC 8615)"),
    case("path-well-known", ask("/.well-known/it.txt")),
    case("link-inside", ask("/link-in.txt")),
    case("link-outside", ask("/link-out.txt"),
         why="salver's own rule: a link out of the root isn't followed; the peers follow all unless told otherwise"),
    case("query-percent-garbage", ask("/hello.txt?%zz")),
    # Connections (RFC 9112 section 9)
    case("http10", hello(version="HTTP/1.0"), why=RANGES_10),
    case("http10-keep-alive", hello("Connection: keep-alive", version="HTTP/1.0"), why=RANGES_10),
    case("http10-keep-alive-missing", ask("/missing", "Connection: keep-alive", version="HTTP/1.0")),
    case("http10-keep-alive-304", hello("Connection: keep-alive", 'If-None-Match: "ETAG"', version="HTTP/1.0")),
    case("close", hello("Connection: close")),
    case("close-in-list", hello("Connection: foo, close")),
    case("close-with-empty-members", hello("Connection: ,close,")),
    case("close-and-keep-alive", hello("Connection: keep-alive, close")),
    case("close-quoted", hello('Connection: "close"'),
         why="RFC 9110 7.6.1: options of a connection are tokens, which have no quotes; nginx looks for the letters"),
    case("proxy-connection-close", hello("Proxy-Connection: close")),
    case("upgrade-h2c", hello(*UPGRADE_H2C), why="RFC 9110 7.8: an Upgrade can be ignored; lighttpd goes on in HTTP/2"),
    case("upgrade-websocket", hello("Connection: Upgrade", "Upgrade: websocket")),
    case("pipelined", hello() * 3),
    case("pipelined-heads", hello(method="HEAD") + hello() + hello(method="HEAD")),
    case("pipelined-errors", ask("/missing") + byte_range("bytes=50-") + hello()),
    case("pipelined-behind-close", hello("Connection: close") + hello()),
    case("pipelined-with-empty-lines", hello() + "\r\n" + hello()),
    case("pipelined-post", length(5, "hello", method="POST") + length(5, "hello") + hello(), why=NOT_ALLOWED),
    case("pipelined-redirect", ask("/dir") + hello()),
    case("pieces", "GET /hel", "lo.txt HTTP/1.1\r", "\nHost: localhost\r\n\r", "\n"),
    case("half-close", hello(), half_close=True),
    case("half-close-pipelined", hello() * 2, half_close=True),
    case("half-close-inside-head", "GET /hello.txt HTTP/1.1\r\nHost: localhost\r\n", half_close=True),
]


def main():
    options = parse_arguments()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: sys.exit(128 + number))
    try:
        sys.exit(run(options))
    except KeyboardInterrupt:
        sys.exit(130)


def parse_arguments():
    summary, _, details = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=details + "\nSALVER, NGINX and LIGHTTPD of the environment name the programs.",
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pattern", nargs="?", default="", help="only cases whose name contains this regular expression")
    parser.add_argument("-l", "--list", action="store_true", help="show the answers of all cases, the same ones too")
    parser.add_argument("-v", "--verbose", action="store_true", help="show what was sent, and all that is compared")
    return parser.parse_args()


def run(options):
    programs = find_programs()
    peers = [name for name in ("nginx", "lighttpd") if programs[name]]
    for name in ("nginx", "lighttpd"):
        if not programs[name]:
            print(f"{name} isn't there: compared without it", file=sys.stderr)
    if not peers:
        print("SKIPPED: neither nginx nor lighttpd is there")
        return 0
    if not programs["salver"]:
        print("salver isn't there: cargo build --release", file=sys.stderr)
        return 2
    cases = [case for case in CASES if re.search(options.pattern, case.name)]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="differential-")))
        plant(folder / "root")
        servers = [stack.enter_context(Server(name, programs[name], folder)) for name in ("salver", *peers)]
        for server in servers:
            server.wait_until_up()
        time.sleep(SETTLE_S)
        pool = ThreadPoolExecutor(CONNECTIONS_MAX)
        stack.callback(pool.shutdown, cancel_futures=True)
        pending = [[pool.submit(answer, case, server) for server in servers] for case in cases]
        answers = [[future.result() for future in row] for row in pending]
    return report(cases, answers, servers, options)


def find_programs():
    built = Path(__file__).resolve().parent.parent / "target/release/salver"
    default = {"salver": built, "nginx": "nginx", "lighttpd": "lighttpd"}
    path = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"
    found = {name: shutil.which(os.environ.get(name.upper(), program), path=path) for name, program in default.items()}
    return {name: program and os.path.abspath(program) for name, program in found.items()}


def plant(root):
    """Makes the tree that is served; all of it is old enough to have strong validators."""
    for name, content in TREE.items():
        path = Path(os.fsdecode(os.path.join(os.fsencode(root), os.fsencode(name))))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (MTIMES.get(name, MODIFIED),) * 2)
    for name, target in LINKS.items():
        (root / name).symlink_to(target)


NGINX = """
daemon off;
master_process off;
{user}
pid {folder}/nginx.pid;
error_log {folder}/nginx.log crit;
events {{}}
http {{
    types {{ text/html html; text/plain txt; application/octet-stream bin; }}
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{ listen 127.0.0.1:{port}; root {folder}/root; }}
}}
"""

LIGHTTPD = """
server.bind = "127.0.0.1"
server.port = {port}
server.document-root = "{folder}/root"
server.errorlog = "{folder}/lighttpd.log"
server.upload-dirs = ("{folder}")
index-file.names = ("index.html")
mimetype.assign = (".html" => "text/html", ".txt" => "text/plain", ".bin" => "application/octet-stream")
"""


class Server:
    """A server that runs from `with` to its end."""

    def __init__(self, name, program, folder):
        self.name, self.etag, self.port = name, "none", free_port()
        user = "user root;" if os.geteuid() == 0 else ""
        config = folder / f"{name}.conf"
        if name != "salver":
            template = NGINX if name == "nginx" else LIGHTTPD
            config.write_text(template.format(folder=folder, port=self.port, user=user))
        self.command = [program, *{
            "salver": ["-q", "--no-list", "-b", "127.0.0.1", "-p", str(self.port), str(folder / "root")],
            "nginx": ["-e", "stderr", "-p", str(folder), "-c", str(config)],
            "lighttpd": ["-D", "-f", str(config)],
        }[name]]
        self.folder = folder

    def __enter__(self):
        environment = {key: value for key, value in os.environ.items() if not re.match("SALVER_|PORT$|NGINX", key)}
        with open(self.folder / f"{self.name}.out", "wb") as out:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=self.folder, env=environment)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(ANSWER_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def wait_until_up(self):
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                replies, _ = exchange(case("first", hello("Connection: close")), self)
                self.etag = replies[-1].fields.get("etag", "").strip('"')
                return
            except ConnectionRefusedError:
                time.sleep(0.02)
        said = (self.folder / f"{self.name}.out").read_text(errors="replace")
        print(f"{self.name} doesn't start: {said}", file=sys.stderr)
        sys.exit(2)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Reply(NamedTuple):
    status: int
    fields: dict
    body: bytes


PROBE = ask("/probe.txt", "Connection: close")


def exchange(case, server):
    """Sends a case. Gives the replies, and whether the connection was kept, closed, or the server waits for more."""
    sent = [encode(piece, server) for piece in case.pieces]
    requests = re.findall(rb"(?m)^([A-Z]+) .*HTTP/", b"".join(sent))
    received, is_closed = b"", False
    with socket.create_connection(("127.0.0.1", server.port), timeout=ANSWER_S) as peer:
        for piece in sent:
            if not is_closed:
                more, is_closed = send_and_read(peer, piece, QUIET_S)
                received += more
        if case.half_close:
            peer.shutdown(socket.SHUT_WR)
        if not is_closed:
            more, is_closed = send_and_read(peer, b"" if case.half_close else encode(PROBE, server), ANSWER_S)
            received += more
    replies = list(parse(received, requests))
    if replies and replies[-1].body == TREE["probe.txt"]:
        return replies[:-1], "kept"
    return replies, "closed" if is_closed else "waiting"


def encode(text, server):
    return text.replace("PORT", str(server.port)).replace("ETAG", server.etag).encode("latin-1")


def send_and_read(peer, data, quiet):
    """Gives what comes before the peer is quiet for so long or closes, and whether it closed."""
    received = b""
    deadline = time.monotonic() + 4 * ANSWER_S
    try:
        peer.settimeout(ANSWER_S)
        peer.sendall(data)
    except OSError:
        pass  # closed on the way; its answer may be there all the same
    peer.settimeout(quiet)
    while time.monotonic() < deadline:
        try:
            more = peer.recv(1 << 16)
        except TimeoutError:
            return received, False
        except OSError:
            return received, True
        if not more:
            return received, True
        received += more
    return received, False


def parse(received, requests):
    """The replies in what was received; one that is none has the status 0."""
    requests = iter(requests)
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        status_line, *lines = head.decode("latin-1").split("\r\n")
        if not re.fullmatch(r"HTTP/1\.[01] \d{3}( .*)?", status_line):
            yield Reply(0, {}, received)
            return
        status = int(status_line[9:12])
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        method = next(requests, b"GET") if status >= 200 else b""
        is_empty = method == b"HEAD" or status < 200 or status in (204, 304)
        size = 0 if is_empty else int(fields.get("content-length", len(rest)))
        yield Reply(status, fields, rest[:size])
        received = rest[size:]


def answer(case, server):
    """What is compared of a case's answer: a summary, and what the last reply tells."""
    replies, after = exchange(case, server)
    summary = " ".join([*(str(reply.status or "no HTTP") for reply in replies), after])
    return {"": summary, **(notable(case, replies[-1], server) if replies else {})}


def notable(case, reply, server):
    """The fields that matter, as far as each has a meaning for this status, without what may differ freely."""
    fields, status = reply.fields, reply.status
    told = {name: fields.get(name.lower(), "-") for name in ("Content-Range", "Allow", "Location")}
    if told["Location"] != "-":
        asked = re.search(r"http://(\S+?)/|Host: (\S+)|$", case.pieces[-1])
        base = f"http://{asked[1] or asked[2] or 'localhost:PORT'}/"
        told["Location"] = urljoin(base, told["Location"].replace(str(server.port), "PORT"))
    options = fields.get("connection", "").lower()
    is_redundant = options == "keep-alive" and "HTTP/1.0" not in case.pieces[-1]
    told["Connection"] = "-" if is_redundant else options or "-"
    if status in (200, 206, 304):
        told["ETag"] = "yes" if "etag" in fields else "-"
    if status in (200, 206):
        told["Last-Modified"] = "yes" if "last-modified" in fields else "-"
    if status == 200:
        told["Accept-Ranges"] = fields.get("accept-ranges", "-")
    if fields.get("content-type", "").startswith("multipart/byteranges"):
        told["parts"] = " ".join(re.findall(r"(?im)^content-range: bytes (\S+)", reply.body.decode("latin-1")))
    elif status in (200, 206):
        told["Content-Length"] = fields.get("content-length", "-")
        told["body"] = hashlib.sha256(reply.body).hexdigest()[:8]
    return told


def report(cases, answers, servers, options):
    """Prints the table and gives the exit status."""
    counts = {"same": 0, "explained": 0, "unexplained": 0, "stale": 0}
    for case, told in zip(cases, answers):
        differs = any(other != told[0] for other in told[1:])
        if differs:
            verdict = "explained" if case.why else "unexplained"
        else:
            # A reason may be one for the peer that isn't there.
            verdict = "stale" if case.why and len(servers) == 3 else "same"
        counts[verdict] += 1
        if verdict == "same" and not options.list:
            continue
        print(f"{case.name}" + ("" if verdict in ("same", "explained") else f"  [{verdict}]"))
        if options.verbose:
            print(*(f"    sent      {piece[:300]!r}" for piece in case.pieces), sep="\n")
        for server, mine in zip(servers, told):
            print(f"    {server.name:9} {describe(mine, told, options.verbose)}")
        if case.why:
            print(f"    {'why':9} {case.why}")
    print(f"{len(cases)} cases with {', '.join(server.name for server in servers)}:",
          ", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
    return 1 if counts["unexplained"] or counts["stale"] else 0


def describe(mine, told, everything):
    """The summary, and the fields in which servers with the same summary differ."""
    alike = [other for other in told if other[""] == mine[""]]
    shown = [name for name in mine if name and (everything or any(other.get(name) != mine[name] for other in alike))]
    return "; ".join([mine[""], *(f"{name}: {mine[name]}" for name in shown)])


if __name__ == "__main__":
    main()
