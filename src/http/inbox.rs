//! What a worker reads into. The bytes that a connection leaves over between two turns go with it; the buffer stays.

use std::io;

use super::introduction;
use super::limits::Limits;
use crate::socketserver::Stream;

/// A worker's buffer for what it reads: as large as the largest head, or what a proxy says before it, and a little more.
pub(super) struct Inbox {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Inbox {
    pub(super) const fn new() -> Self {
        Self { bytes: Vec::new(), start: 0, end: 0 }
    }

    /// Begins a turn with what the connection has left over.
    pub(super) fn load(&mut self, unread: &[u8], limits: &Limits) {
        let head = limits.request_line_bytes_max.saturating_add(limits.field_section_bytes_max).saturating_add(64);
        let capacity = head.max(introduction::BYTES_MAX).max(unread.len());
        if self.bytes.len() < capacity {
            self.bytes.resize(capacity, 0);
        }
        self.bytes[..unread.len()].copy_from_slice(unread);
        (self.start, self.end) = (0, unread.len());
    }

    /// Ends a turn: what was not used goes with the connection, which holds no memory when that is nothing.
    pub(super) fn save(&mut self, unread: &mut Vec<u8>) {
        if self.is_empty() {
            *unread = Vec::new();
        } else {
            unread.clear();
            unread.extend_from_slice(self.unread());
        }
    }

    pub(super) fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub(super) fn unread_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.end]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(super) fn consume(&mut self, count: usize) {
        self.start += count;
        if self.is_empty() {
            self.clear();
        }
    }

    pub(super) fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    /// Reads what is there and fits.
    pub(super) fn read_from(&mut self, stream: &mut Stream) -> io::Result<usize> {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let read = stream.try_read(&mut self.bytes[self.end..])?;
        self.end += read;
        Ok(read)
    }
}
