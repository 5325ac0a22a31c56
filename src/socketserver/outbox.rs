//! [`Outbox`]: what a connection has to send, filled by any thread.

use std::io;
use std::sync::{Arc, Mutex};

use super::handler::Waker;
use super::parking::lock;
use super::stream::Stream;

/// Bytes on their way to one peer: any thread may [push](Self::push), and the handler of its connection
/// [sends](Self::send) what there is room for, without waiting. It is bounded: a peer that doesn't read costs no more
/// memory than that, and no time of anybody. Clones are the same outbox.
///
/// # Examples
/// A handler that sends whatever others put into its outbox, and reads nothing:
///
/// ```
/// use std::collections::HashMap;
/// use std::io;
/// use std::sync::Mutex;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use std::time::{Duration, Instant};
/// use salver::socketserver::{Conn, End, Handler, Interest, Next, Outbox, Stream, Wake};
///
/// #[derive(Default)]
/// struct News {
///     readers: Mutex<HashMap<u64, Outbox>>,
///     next: AtomicU64,
/// }
///
/// struct Reader {
///     number: u64,
///     outbox: Outbox,
///     interest: Interest,
/// }
///
/// impl Handler for News {
///     type Session = Reader;
///
///     fn setup(&self, connection: &Conn<'_>) -> Reader {
///         let number = self.next.fetch_add(1, Ordering::Relaxed);
///         let outbox = Outbox::new(64 << 10, connection.waker());
///         self.readers.lock().unwrap().insert(number, outbox.clone());
///         Reader { number, outbox, interest: Interest::Write }
///     }
///
///     fn handle(&self, reader: &mut Reader, stream: &mut Stream, wake: Wake) -> io::Result<Next> {
///         if wake == Wake::Ready && reader.interest == Interest::Neither {
///             return Ok(Next::Close); // The reader has gone.
///         }
///         reader.interest = if reader.outbox.send(stream)? { Interest::Neither } else { Interest::Write };
///         Ok(Next::Wait(reader.interest, Instant::now() + Duration::from_secs(3600)))
///     }
///
///     fn finish(&self, reader: Reader, _end: End) {
///         self.readers.lock().unwrap().remove(&reader.number);
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Outbox {
    unsent: Arc<Mutex<Unsent>>,
    bytes_max: usize,
    waker: Waker,
}

#[derive(Debug, Default)]
struct Unsent {
    bytes: Vec<u8>,
    has_overflowed: bool,
}

impl Outbox {
    /// An empty one that holds so many bytes, of the connection that this waker wakes.
    #[must_use]
    pub fn new(bytes_max: usize, waker: Waker) -> Self {
        Self { unsent: Arc::default(), bytes_max, waker }
    }

    /// Takes bytes to be sent behind those it has, and wakes its connection. Where there is no room for all of them it
    /// overflows: it takes nothing more, and [`send`](Self::send) fails.
    pub fn push(&self, bytes: &[u8]) {
        let mut unsent = lock(&self.unsent);
        unsent.has_overflowed |= bytes.len() > self.bytes_max - unsent.bytes.len();
        if !unsent.has_overflowed {
            unsent.bytes.extend_from_slice(bytes);
        }
        drop(unsent);
        self.waker.wake();
    }

    /// Sends what there is room for. False when something is left: [wait](super::Next::Wait) until there is room to
    /// [write](super::Interest::Write), then call it again.
    ///
    /// # Errors
    /// When the connection is broken; or when the outbox has overflowed, so that bytes would be missing. Then the close
    /// [throws away](Stream::discard_unsent) what the system still holds for this peer.
    pub fn send(&self, stream: &mut Stream) -> io::Result<bool> {
        let mut unsent = lock(&self.unsent);
        if unsent.has_overflowed {
            stream.discard_unsent()?;
            return Err(io::Error::other(format!("the peer left more than {} bytes unread", self.bytes_max)));
        }
        let mut sent = 0;
        while sent < unsent.bytes.len() {
            match stream.try_write(&unsent.bytes[sent..]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    unsent.bytes.drain(..sent);
                    return Ok(false);
                }
                written => sent += written?,
            }
        }
        // Not only cleared: who is sent nothing for an hour needs no memory for it.
        unsent.bytes = Vec::new();
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::sync::Weak;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::socketserver::address::{Address, Peer};
    use crate::socketserver::handler::Call;
    use crate::socketserver::stop::Stop;

    #[derive(Default)]
    struct Calls(AtomicUsize);

    impl Call for Calls {
        fn call(&self, _slot: u32, _tenancy: u32) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn outbox(bytes_max: usize) -> (Outbox, Arc<Calls>) {
        let calls = Arc::new(Calls::default());
        let pool: Weak<dyn Call> = Arc::<Calls>::downgrade(&calls);
        (Outbox::new(bytes_max, Waker { pool, slot: 0, tenancy: 0 }), calls)
    }

    fn connection() -> (Stream, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let (socket, address) = listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        (Stream::tcp(socket, Peer::new(Address::Inet(address), None), Arc::new(Stop::new().unwrap())), client)
    }

    #[test]
    fn what_there_is_no_room_for_is_sent_later() {
        let ((mut stream, mut client), bytes) = (connection(), Vec::from_iter((0..251).cycle().take(40_000_000)));
        let (outbox, calls) = outbox(bytes.len());
        bytes.chunks(bytes.len() / 4).for_each(|bytes| outbox.clone().push(bytes));
        assert_eq!(calls.0.load(Ordering::SeqCst), 4);
        assert!(!outbox.send(&mut stream).unwrap(), "there is room for all of it");
        let mut received = vec![0; bytes.len()];
        let reader = thread::spawn(move || client.read_exact(&mut received).map(|()| received));
        while !outbox.send(&mut stream).unwrap() {
            thread::yield_now();
        }
        assert!(reader.join().unwrap().unwrap() == bytes);
    }

    #[test]
    fn who_does_not_read_is_cut_off() {
        let (mut stream, mut client) = connection();
        let (outbox, _calls) = outbox(3);
        outbox.push(b"abc");
        assert!(outbox.send(&mut stream).unwrap());
        // It is full once more, and what comes then is too much, even if there is room when it has been sent.
        for bytes in [b"de", b"fg"] {
            outbox.push(bytes);
        }
        for _ in 0..2 {
            let error = outbox.send(&mut stream).unwrap_err();
            assert_eq!(error.to_string(), "the peer left more than 3 bytes unread");
        }
        drop(stream);
        let error = client.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
}
