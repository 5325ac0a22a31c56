//! Handlers in the blocking style: a function per connection, as in Python's `StreamRequestHandler.handle`.

use std::io::{self, ErrorKind};

use log::Level;

use super::handler::{Conn, Handler, Next, Wake};
use super::stream::Stream;
use super::throttle::Throttle;

/// Makes a handler of a function that reads and writes its stream until it is done; returning closes the connection.
///
/// A read that waits for too long fails with `TimedOut` ([`receive_timeout`](super::SocketOptions::receive_timeout)), and
/// with `ConnectionAborted` when the server is told to stop, so that an idle client holds up no stop. One that is never
/// idle has [`stop_timeout`](super::Options::stop_timeout); then reads and writes fail in the same way. An error of the
/// function ends the connection, and has a line in the log (info; debug where it is the peer or a stop that is to blame).
///
/// While it waits for its peer, and once it has read or written for long, a spare worker takes its place, so that hundreds
/// of such clients are served at once, each at the price of a thread. For thousands, write a [`Handler`] that doesn't wait.
///
/// `lines()` takes lines of any length, and memory for them; where strangers write, [`framing`](super::framing) bounds it.
///
/// ```no_run
/// use std::io::{BufRead, Write};
/// use salver::socketserver::{Server, blocking};
///
/// let echo = blocking(|stream| {
///     let (reader, mut writer) = stream.split();
///     for line in reader.lines() {
///         writeln!(writer, "{}", line?)?;
///     }
///     Ok(())
/// });
/// Server::bind("127.0.0.1:9000", echo)?.serve_forever()?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn blocking<F>(function: F) -> impl Handler<Session = ()>
where
    F: Fn(&mut Stream) -> io::Result<()> + Send + Sync + 'static,
{
    Blocking { function, failed: Throttle::default() }
}

struct Blocking<F> {
    function: F,
    failed: Throttle,
}

/// Errors of reads and writes by which peers leave, or don't answer, or a stop.
const OF_PEERS: [ErrorKind; 6] = [
    ErrorKind::BrokenPipe,
    ErrorKind::ConnectionAborted,
    ErrorKind::ConnectionReset,
    ErrorKind::NotConnected,
    ErrorKind::TimedOut,
    ErrorKind::UnexpectedEof,
];

impl<F> Handler for Blocking<F>
where
    F: Fn(&mut Stream) -> io::Result<()> + Send + Sync + 'static,
{
    type Session = ();

    fn setup(&self, _connection: &Conn<'_>) {}

    fn handle(&self, (): &mut (), stream: &mut Stream, _wake: Wake) -> io::Result<Next> {
        let done = (self.function)(stream);
        match &done {
            Err(error) if OF_PEERS.contains(&error.kind()) => log::debug!("{}: closed: {error}", stream.peer()),
            Err(error) => self.failed.say(Level::Info, format_args!("{}: closed: {error}", stream.peer())),
            Ok(()) => {}
        }
        done.map(|()| Next::Close)
    }

    fn service_actions(&self) {
        self.failed.catch_up();
    }
}
