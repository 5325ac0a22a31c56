//! Compression: bytes in, fewer bytes out. Each content is compressed once and sent often, so the levels are well above
//! those for streams; 4 MiB of text still take well under a second.

use std::io;

use super::options::Coding;

/// Whether this build can compress.
pub(super) const IS_THERE: bool = cfg!(feature = "compress");

/// The content in this coding.
#[cfg(feature = "compress")]
pub(super) fn compress(coding: Coding, content: &[u8]) -> io::Result<Vec<u8>> {
    match coding {
        Coding::Br => brotli(content),
        Coding::Zstd => zstd::bulk::compress(content, ZSTD_LEVEL),
        Coding::Gzip => gzip(content),
    }
}

#[cfg(not(feature = "compress"))]
pub(super) fn compress(_coding: Coding, _content: &[u8]) -> io::Result<Vec<u8>> {
    Err(io::ErrorKind::Unsupported.into())
}

// Of 4 MiB of source text these make 15, 14 and 20 percent in 0.17, 0.12 and 0.15 s of one core, and of machine code,
// the slowest that was tried, less than 0.4 s. What the next levels save is a few percent; they take up to twice as
// long.
#[cfg(feature = "compress")]
const BROTLI_LEVEL: i32 = 5;
#[cfg(feature = "compress")]
const ZSTD_LEVEL: i32 = 10;
#[cfg(feature = "compress")]
const GZIP_LEVEL: u32 = 6;

#[cfg(feature = "compress")]
fn brotli(content: &[u8]) -> io::Result<Vec<u8>> {
    let parameters = ::brotli::enc::BrotliEncoderParams {
        quality: BROTLI_LEVEL,
        // A window of 4 MiB, as large as what is compressed by default.
        lgwin: 22,
        size_hint: content.len(),
        ..Default::default()
    };
    super::brotli::compress(content, &parameters)
}

#[cfg(feature = "compress")]
fn gzip(content: &[u8]) -> io::Result<Vec<u8>> {
    use std::io::Write as _;
    // Its head has neither name nor time, so that the same content is the same bytes.
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(GZIP_LEVEL));
    encoder.write_all(content)?;
    encoder.finish()
}

#[cfg(test)]
#[cfg(feature = "compress")]
mod tests {
    use std::io::Read;
    use std::time::Instant;

    use super::*;

    fn decode(coding: Coding, compressed: &[u8]) -> Vec<u8> {
        let mut content = Vec::new();
        match coding {
            Coding::Br => {
                ::brotli::Decompressor::new(compressed, 4096).read_to_end(&mut content).unwrap();
            }
            Coding::Zstd => content = zstd::decode_all(compressed).unwrap(),
            Coding::Gzip => {
                flate2::read::GzDecoder::new(compressed).read_to_end(&mut content).unwrap();
            }
        }
        content
    }

    /// Words in a row that doesn't repeat itself: about as compressible as prose.
    fn prose(bytes: usize) -> Vec<u8> {
        let words: Vec<&str> = include_str!("compress.rs").split_whitespace().collect();
        let mut number = 1u64;
        let mut text = Vec::new();
        while text.len() < bytes {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.extend_from_slice(words[(number >> 33) as usize % words.len()].as_bytes());
            text.push(b' ');
        }
        text.truncate(bytes);
        text
    }

    #[test]
    fn what_is_compressed_is_what_it_was() {
        for bytes in [0, 1, 1_000, 100_000, 1 << 20] {
            let content = prose(bytes);
            for coding in Coding::ALL {
                let compressed = compress(coding, &content).unwrap();
                assert_eq!(compressed, compress(coding, &content).unwrap(), "{coding:?}: the same each time");
                assert!(decode(coding, &compressed) == content, "{coding:?} {bytes}");
                assert!(bytes < 1_000 || compressed.len() < bytes * 3 / 4, "{coding:?} {bytes}: {}", compressed.len());
            }
        }
    }

    /// A figure for whoever changes a level: `cargo test --release --lib compress -- --ignored --nocapture`.
    #[test]
    #[ignore = "it prints figures"]
    fn figures() {
        let content = prose(4 << 20);
        for coding in Coding::ALL {
            let begun = Instant::now();
            let bytes = compress(coding, &content).unwrap().len();
            println!("{coding:?}: {} to {bytes} bytes in {:?}", content.len(), begun.elapsed());
        }
    }
}
