//! Bytes to requests, responses to bytes: HTTP/1.1 (RFC 9110, RFC 9112) for a [`Handler`] that decides.
//!
//! [`Service`] makes a `socketserver` handler of an HTTP [`Handler`]: it reads a request head, and its body where there is
//! one, asks the handler for a complete [`Response`], and writes it. This layer knows nothing of where content comes from.
//!
//! Reading order: `limits`, `introduction` (what a proxy says of its client, before anything else), `request` (head to
//! [`Request`]), `authority` (the host that is asked), `headers` (field lines), `client` (who asks, of `networks` that are
//! trusted), `body` (framing of what follows the head), `response`, `write` (the only place that makes HTTP bytes), `date`,
//! `log` (lines of the access log), `service` (what all connections share), `session` (what each remembers), `turn` (reading,
//! handling, writing).

mod authority;
mod body;
mod characters;
mod client;
mod crowd;
mod date;
mod head_scan;
mod headers;
mod inbox;
mod introduction;
mod limits;
mod log;
mod log_text;
mod networks;
mod rehearsal;
mod request;
mod response;
mod service;
mod session;
#[cfg(feature = "stages")]
#[doc(hidden)]
pub mod stages;
mod turn;
mod write;

// What requests and responses are made of.
pub use ::http::{HeaderName, HeaderValue, Method, StatusCode, header};

pub use self::log::LogFormat;
pub(crate) use characters::is_token_byte;
pub use client::{Client, Proxies, ProxyHeader};
pub use date::{format_date, parse_date};
pub(crate) use date::{parse_seconds, since_1970};
pub use headers::Fields;
pub use limits::{FIELDS_CEILING, Limits};
pub use networks::Networks;
pub use rehearsal::rehearse;
pub use request::{Request, Target, Version};
pub use response::{Body, FileBody, FileVersion, PreparedResponse, Response};
pub use service::Service;
pub use session::Session;
pub use write::{FieldLines, FieldLinesBuilder, PreparedHead};

// What handlers of this layer need of the one below.
pub(crate) use crate::socketserver::cores;
pub use crate::socketserver::{Throttle, background, slow};
// What their tests make requests of.
#[cfg(test)]
pub(crate) use crate::socketserver::{Address, Peer};

/// The target of log lines (level trace) in which handlers tell, step by step, how they come to an answer: a word and a
/// colon, and what it means for this request.
pub const ROUTE: &str = "route";

/// What answers requests.
pub trait Handler: Send + Sync + 'static {
    /// Decides the complete answer to a request. It may read files; for work that takes long there is
    /// [`slow`].
    fn handle(&self, request: &Request<'_>) -> Response;

    /// The most bytes (of content) that this request's body may have to be collected for `handle`; a larger one is
    /// answered 413. 0 means that a body is of no interest: it is read and thrown away, within
    /// [`Limits::body_discard_bytes_max`].
    fn body_bytes_max(&self, head: &Request<'_>) -> u64 {
        let _ = head;
        0
    }

    /// Runs about once a second, for housekeeping.
    fn service_actions(&self) {}
}
