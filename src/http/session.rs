//! What a connection remembers between two turns. Of an idle one that is a few words.

use std::net::SocketAddr;
use std::time::Instant;

use super::body::{BodyReader, Unacceptable};
use super::client::Client;
use super::crowd::Place;
use super::head_scan::HeadScan;
use super::inbox::Inbox;
use super::log::Record;
use super::write::Outgoing;
use crate::socketserver::Peer;

/// What a connection remembers between two turns.
#[derive(Debug, Default)]
pub struct Session {
    pub(super) state: State,
    /// Bytes read and not yet used.
    pub(super) unread: Vec<u8>,
    /// How much of a head they hold.
    pub(super) scan: HeadScan,
    /// When the head or body that has begun must be complete.
    pub(super) due: Option<Instant>,
    pub(super) empty_lines: u8,
    /// A proxy has yet to say for whom it speaks.
    pub(super) awaits_introduction: bool,
    /// For whom it speaks; in a box, as most connections have no proxy, and all keep the room for it.
    pub(super) introduced: Option<Box<SocketAddr>>,
}

impl Session {
    /// Who sends the requests of this connection, as far as that is known before them.
    pub(super) fn sender<'a>(&self, peer: &'a Peer) -> Client<'a> {
        self.introduced.as_deref().map_or(Client::Peer(peer), |address| Client::from(*address))
    }
}

#[derive(Debug, Default)]
pub(super) enum State {
    #[default]
    Head,
    Body(Box<Awaited>),
    Writing(Box<Answer>),
    /// The last answer is out, and what the peer still sends is thrown away, so that it can read that answer.
    Lingering {
        until: Instant,
        bytes_left: u64,
    },
}

/// A request whose body is not complete.
#[derive(Debug)]
pub(super) struct Awaited {
    pub(super) head: Vec<u8>,
    pub(super) reader: BodyReader,
    /// Content, if the handler wants it.
    pub(super) content: Vec<u8>,
    pub(super) wanted: bool,
}

impl Awaited {
    /// Takes what has come of the body.
    pub(super) fn feed(&mut self, inbox: &mut Inbox) -> Result<(), Unacceptable> {
        let (content, wanted) = (&mut self.content, self.wanted);
        let used = self.reader.feed(inbox.unread(), |bytes| {
            if wanted {
                content.extend_from_slice(bytes);
            }
        })?;
        inbox.consume(used);
        Ok(())
    }
}

/// An answer that is not all written, and what comes after it.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) outgoing: Outgoing,
    pub(super) record: Record,
    pub(super) after: After,
    /// What the system may have of it, as was settled when it began; 0 for no limit.
    pub(super) unsent_bytes_max: u32,
    /// Among those that take more than one turn.
    pub(super) place: Option<Place>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// The next request.
    Stay,
    /// Nothing: the peer knows that this was the last answer, and has sent nothing more.
    Close,
    /// Nothing, but the peer may still be sending (RFC 9112 section 9.6).
    Linger,
}
