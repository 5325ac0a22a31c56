//! The brotli crate without its feature `std`, so with a heap and streams of ours. With it, it takes a logarithm from the
//! system's libm, which then is in the memory of every server, also of one that compresses nothing.

use std::io::{self, Read, Write};

use brotli::enc::{Allocator, BrotliAlloc, BrotliEncoderParams, SliceWrapper, SliceWrapperMut};
use brotli::{BrotliCompressCustomIo, CustomRead, CustomWrite};

/// What is read and written at once.
const BUFFER_BYTES: usize = 4 << 10;

/// The content in brotli (RFC 7932).
pub(super) fn compress(content: &[u8], parameters: &BrotliEncoderParams) -> io::Result<Vec<u8>> {
    let (mut read, mut written) = ([0; BUFFER_BYTES], [0; BUFFER_BYTES]);
    let mut compressed = Stream(Vec::new());
    BrotliCompressCustomIo(
        &mut Stream(content),
        &mut compressed,
        &mut read,
        &mut written,
        parameters,
        Heap,
        &mut |_, _, _, _| {},
        io::ErrorKind::UnexpectedEof.into(),
    )?;
    Ok(compressed.0)
}

struct Stream<T>(T);

impl<R: Read> CustomRead<io::Error> for Stream<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.read(bytes)
    }
}

impl<W: Write> CustomWrite<io::Error> for Stream<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

struct Heap;

impl BrotliAlloc for Heap {}

impl<T: Clone + Default> Allocator<T> for Heap {
    type AllocatedMemory = Cells<T>;

    fn alloc_cell(&mut self, count: usize) -> Cells<T> {
        Cells(vec![T::default(); count])
    }

    fn free_cell(&mut self, _cells: Cells<T>) {}
}

#[derive(Default)]
struct Cells<T>(Vec<T>);

impl<T> SliceWrapper<T> for Cells<T> {
    fn slice(&self) -> &[T] {
        &self.0
    }
}

impl<T> SliceWrapperMut<T> for Cells<T> {
    fn slice_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}
