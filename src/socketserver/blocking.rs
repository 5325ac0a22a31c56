//! Handlers in the blocking style: a function per connection, as in Python's `StreamRequestHandler.handle`.

use std::io;

use super::handler::{Conn, Handler, Next, Wake};
use super::stream::Stream;

/// Makes a handler of a function that reads and writes its stream until it is done; returning closes the connection.
///
/// A read that waits for too long fails with `TimedOut` ([`receive_timeout`](super::SocketOptions::receive_timeout)), and
/// with `ConnectionAborted` when the server is told to stop, so that an idle client holds up no stop.
///
/// While it waits for its peer a spare worker takes its place, so that hundreds of such clients are served at once, each
/// at the price of a thread. For thousands, write a [`Handler`] that doesn't wait.
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
    Blocking(function)
}

struct Blocking<F>(F);

impl<F> Handler for Blocking<F>
where
    F: Fn(&mut Stream) -> io::Result<()> + Send + Sync + 'static,
{
    type Session = ();

    fn setup(&self, _connection: &Conn<'_>) {}

    fn handle(&self, (): &mut (), stream: &mut Stream, _wake: Wake) -> io::Result<Next> {
        (self.0)(stream).map(|()| Next::Close)
    }
}
