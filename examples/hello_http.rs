//! A page that is made for who asks, beside the static files of a directory.
//!
//! ```text
//! $ cargo run --example hello_http 127.0.0.1:9004 public &
//! 127.0.0.1:9004
//! $ curl 'http://127.0.0.1:9004/hello?name=Ann'
//! <!doctype html><title>Hello</title><p>Hello, Ann!
//! $ curl -G -d 'name=<script>' http://127.0.0.1:9004/hello
//! <!doctype html><title>Hello</title><p>Hello, &lt;script&gt;!
//! $ curl -I http://127.0.0.1:9004/style.css
//! HTTP/1.1 200 OK
//! ```

mod common;

use std::process::ExitCode;

use percent_encoding::percent_decode_str;
use salver::files::{Files, Options};
use salver::http::{Handler, HeaderValue, Limits, Method, Request, Response, Service, StatusCode, Target, header};
use salver::socketserver::Server;

struct Site {
    files: Files,
}

impl Handler for Site {
    fn handle(&self, request: &Request<'_>) -> Response {
        match request.target {
            Target::Path { path: b"/hello", query } => hello(&request.method, query.unwrap_or_default()),
            _ => self.files.handle(request),
        }
    }

    /// The files' cache wants to be tidied.
    fn service_actions(&self) {
        self.files.service_actions();
    }
}

fn hello(method: &Method, query: &[u8]) -> Response {
    if ![Method::GET, Method::HEAD].contains(method) {
        let allow = HeaderValue::from_static("GET, HEAD");
        return Response::error_page(StatusCode::METHOD_NOT_ALLOWED).field(header::ALLOW, allow);
    }
    let name = parameter(query, "name").unwrap_or("world".to_owned());
    let page = format!("<!doctype html><title>Hello</title><p>Hello, {}!\n", escape(&name));
    Response::new(StatusCode::OK).html(page)
}

/// The value of a parameter, of a query as forms make it: `name=Ann+Lee&lang=en`.
fn parameter(query: &[u8], name: &str) -> Option<String> {
    let query = String::from_utf8_lossy(query).replace('+', " ");
    let value = query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name)?.1;
    Some(percent_decode_str(value).decode_utf8_lossy().into_owned())
}

/// What a stranger says, as text and nothing but text: it may hold tags.
fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;").replace('\'', "&#39;")
}

fn main() -> ExitCode {
    common::run("hello_http [ADDRESS [FOLDER]]", ["127.0.0.1:9004", "public"], |[address, folder]| {
        let site = Site { files: Files::new(Options::new(folder)) };
        let server = Server::bind(address, Service::new(site, Limits::default()))?;
        common::ready(server.local_addrs()?, server.stopper())?;
        server.serve_forever()
    })
}
