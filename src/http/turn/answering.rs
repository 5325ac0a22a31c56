//! The second half of a turn: writing an answer, and what comes after it.

use std::io;
use std::time::{Duration, Instant};

use log::Level;

use super::{Planned, Step, Turn};
use crate::http::Handler;
use crate::http::crowd::Crowd;
use crate::http::limits::end_of;
use crate::http::session::{After, Answer, State};
use crate::http::write::{Outgoing, Progress};
use crate::socketserver::{Interest, Next};

impl<H: Handler> Turn<'_, H> {
    pub(super) fn answer(&mut self, planned: Planned) -> io::Result<Step> {
        let answer = self.compose(planned);
        self.write(answer)
    }

    pub(super) fn compose(&mut self, planned: Planned) -> Answer {
        let Planned { response, asked, record, after, .. } = planned;
        let buffer = std::mem::take(&mut self.buffers.outbox);
        let outgoing = Outgoing::new(response, asked, buffer, self.now(), self.limits);
        let is_local = self.stream.peer().address().is_loopback();
        let unsent_bytes_max = self.crowd.unsent_bytes_max(outgoing.content_left(), is_local);
        Answer { outgoing, record, after, unsent_bytes_max, place: None }
    }

    /// Writes an answer as far as it goes, and says what comes next.
    pub(super) fn write(&mut self, mut answer: Answer) -> io::Result<Step> {
        answer.unsent_bytes_max =
            self.crowd.unsent_bytes_max_now(answer.unsent_bytes_max, answer.outgoing.content_left());
        self.limit_unsent(answer.unsent_bytes_max);
        let now = self.now();
        match answer.outgoing.write(self.stream, &mut self.bytes_left, now, self.limits) {
            Ok(Progress::Done) => {
                self.buffers.line.set(answer.record.write(answer.outgoing.content_sent(), false));
                self.buffers.outbox = answer.outgoing.into_buffer();
                Ok(self.after(answer.after))
            }
            Ok(Progress::Blocked(until)) => {
                if answer.after == After::Close {
                    answer.after = After::Linger;
                }
                let left = answer.outgoing.content_left();
                self.limit_unsent(Crowd::unsent_bytes_max_in_a_wait(answer.unsent_bytes_max, left));
                self.go_on_later(answer);
                Ok(Step::Over(Next::Wait(Interest::Write, until)))
            }
            Ok(Progress::Spent) => {
                self.go_on_later(answer);
                Ok(Step::Over(Next::Again))
            }
            Err(error) => {
                let client = self.session.sender(self.stream.peer());
                self.lines.cut.say(Level::Info, format_args!("{client}: a response was cut: {error}"));
                if error.kind() == io::ErrorKind::TimedOut {
                    // Who reads slowly to hold memory shall not hold the system's either. It may be broken already.
                    let _ = self.stream.discard_unsent();
                }
                self.buffers.line.set(answer.record.write(answer.outgoing.content_sent(), true));
                Err(error)
            }
        }
    }

    /// It saves memory and time; a connection that is broken shows itself elsewhere.
    fn limit_unsent(&mut self, bytes: u32) {
        let _ = self.stream.limit_unsent(bytes);
    }

    fn go_on_later(&mut self, mut answer: Answer) {
        answer.place.get_or_insert_with(|| self.crowd.join());
        self.session.state = State::Writing(Box::new(answer));
    }

    fn after(&mut self, after: After) -> Step {
        match after {
            // What was read is used up, and the next request is hardly there yet: asking would be a call in vain. Not so
            // when the server stops: what has not come by then is not waited for, and nobody says so a second time.
            After::Stay if self.buffers.inbox.is_empty() && !self.stream.is_stopping() => {
                Step::Over(Next::Idle(end_of(self.limits.idle_timeout, self.now())))
            }
            After::Stay => Step::Go,
            After::Close => Step::Over(Next::Close),
            After::Linger => self.end_writing(self.limits.linger_timeout),
        }
    }

    /// Tells the peer that nothing more comes, and reads on for a while: closed at once, the connection would be reset by
    /// what the peer sends before it knows.
    pub(super) fn end_writing(&mut self, linger: Duration) -> Step {
        if self.stream.shut_down_writing().is_err() {
            return Step::Over(Next::Close);
        }
        self.buffers.inbox.clear();
        let until = end_of(linger, self.now());
        self.session.state = State::Lingering { until, bytes_left: self.limits.linger_bytes_max };
        Step::Go
    }

    /// Reads and throws away, until the peer closes, or time or patience is over.
    pub(super) fn linger(&mut self, until: Instant, bytes_left: u64) -> io::Result<Step> {
        self.buffers.inbox.clear();
        match self.buffers.inbox.read_from(self.stream) {
            Ok(read @ 1..) if read as u64 <= bytes_left && self.now() < until => {
                self.session.state = State::Lingering { until, bytes_left: bytes_left - read as u64 };
                self.bytes_left = self.bytes_left.saturating_sub(read as u64);
                Ok(if self.bytes_left == 0 { Step::Over(Next::Again) } else { Step::Go })
            }
            Ok(_) => Ok(Step::Over(Next::Close)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.session.state = State::Lingering { until, bytes_left };
                Ok(Step::Over(Next::Wait(Interest::Read, until)))
            }
            Err(error) => Err(error),
        }
    }
}
