"""What Python programs ask of a file server: http.client on one connection, and urllib.

Usage: http_client.py HOST:PORT, of a server that serves the site of tests/clients.rs.
"""

import gzip
import http.client
import sys
import urllib.error
import urllib.request

ADDRESS = sys.argv[1]
TEXT = b"one\ntwo\nthree\n"
LARGE = 8_000_009
PATIENCE = 20

# No proxy of the environment stands between.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def one_connection_serves_all():
    connection = http.client.HTTPConnection(ADDRESS, timeout=PATIENCE)
    connection.connect()
    ours = connection.sock.getsockname()

    def ask(method, target, body=None, **fields):
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        connection.request(method, target, body, headers)
        response = connection.getresponse()
        content = response.read()
        assert connection.sock is not None, f"{method} {target} closed the connection"
        assert connection.sock.getsockname() == ours, f"{method} {target} made a new connection"
        return response, content

    response, content = ask("GET", "/text.txt")
    assert (response.status, response.version, content) == (200, 11, TEXT)
    assert response.getheader("Content-Type") == "text/plain; charset=utf-8"
    tag, date = response.getheader("ETag"), response.getheader("Last-Modified")
    assert date == "Sun, 06 Nov 1994 08:49:37 GMT", date

    response, content = ask("HEAD", "/text.txt")
    assert (response.status, response.getheader("Content-Length"), content) == (200, "14", b"")
    for fields in [{"If_None_Match": tag}, {"If_None_Match": f'"x", W/{tag}'}, {"If_Modified_Since": date}]:
        response, content = ask("GET", "/text.txt", **fields)
        assert (response.status, response.getheader("ETag"), content) == (304, tag, b""), fields
    for fields in [{"If_Match": '"x"'}, {"If_Unmodified_Since": "Sun, 06 Nov 1994 08:49:36 GMT"}]:
        response, content = ask("GET", "/text.txt", **fields)
        assert response.status == 412, fields
    response, content = ask("GET", "/text.txt", Range="bytes=4-6", If_Range=tag)
    assert (response.status, response.getheader("Content-Range"), content) == (206, "bytes 4-6/14", b"two")
    response, content = ask("GET", "/text.txt", Range="bytes=4-6", If_Range='"x"')
    assert (response.status, content) == (200, TEXT)
    response, content = ask("GET", "/text.txt", Range="bytes=14-")
    assert (response.status, response.getheader("Content-Range")) == (416, "bytes */14")
    response, content = ask("GET", "/not-there")
    assert response.status == 404 and len(content) == int(response.getheader("Content-Length"))
    # Bodies that nobody wants, of a known length and in chunks: the connection goes on after them.
    response, content = ask("POST", "/text.txt", b"a=b")
    assert (response.status, response.getheader("Allow")) == (405, "GET, HEAD, OPTIONS")
    response, content = ask("POST", "/text.txt", iter([b"a", b"=b"]))
    assert response.status == 405
    response, content = ask("OPTIONS", "*")
    assert (response.status, content) == (204, b"")
    response, content = ask("GET", "/large.bin")
    assert (response.status, len(content)) == (200, LARGE)
    response, content = ask("GET", "/text.txt")
    assert (response.status, content) == (200, TEXT)
    connection.close()


def a_large_file_is_read_in_pieces():
    connection = http.client.HTTPConnection(ADDRESS, timeout=PATIENCE)
    connection.request("GET", "/large.bin")
    response = connection.getresponse()
    read = 0
    while piece := response.read(77_777):
        first = bytes((at * 7 + at // 251) & 255 for at in range(read, read + 16))
        assert piece[:16] == first[: len(piece)], f"other bytes at {read}"
        read += len(piece)
    assert read == LARGE, read
    connection.close()


def what_is_compressed_is_read():
    page = "".join(f"<p>Paragraph {number}.</p>\n" for number in range(2_000)).encode()
    for fields in [{"Accept-Encoding": "gzip"}, {"Accept-Encoding": "gzip;q=0.5, identity;q=0"}]:
        request = urllib.request.Request(f"http://{ADDRESS}/page.html", headers=fields)
        with OPENER.open(request, timeout=PATIENCE) as response:
            content = response.read()
            assert response.headers["Content-Encoding"] == "gzip" and len(content) < len(page) / 4, response.headers
            assert gzip.decompress(content) == page
    # http.client says `Accept-Encoding: identity` by itself.
    with OPENER.open(f"http://{ADDRESS}/page.html", timeout=PATIENCE) as response:
        assert (response.headers["Content-Encoding"], response.read()) == (None, page)


def urllib_follows_and_raises():
    with OPENER.open(f"http://{ADDRESS}/folder?q=1", timeout=PATIENCE) as response:
        assert response.url == f"http://{ADDRESS}/folder/?q=1", response.url
        assert (response.status, response.read()) == (200, b"<h1>folder</h1>")
    for method, target, status in [("GET", "/not-there", 404), ("POST", "/text.txt", 405), ("BREW", "/", 501)]:
        try:
            OPENER.open(urllib.request.Request(f"http://{ADDRESS}{target}", method=method), timeout=PATIENCE)
            raise AssertionError(f"{method} {target} was answered")
        except urllib.error.HTTPError as error:
            assert error.code == status, (method, target, error.code)
            assert len(error.read()) == int(error.headers["Content-Length"])


one_connection_serves_all()
a_large_file_is_read_in_pieces()
what_is_compressed_is_read()
urllib_follows_and_raises()
print("all is well")
