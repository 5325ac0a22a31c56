//! Every limit and choice of this layer, in one place.

use std::path::PathBuf;
use std::time::Duration;

/// Which directory is served, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// The directory whose files are served; nothing outside of it ever is.
    pub root: PathBuf,
    /// Names tried, in order, for a request of a directory. Default: `index.html`.
    pub index: Vec<String>,
    /// Which symbolic links are followed. Default: [`Symlinks::Beneath`].
    pub symlinks: Symlinks,
    /// Files that are never served, wherever they lie and whatever they are called in the root: the configuration file.
    pub withheld: Vec<PathBuf>,
    /// What entity tags are made from. Default: [`EtagSource::Auto`].
    pub etag: EtagSource,
    /// Files up to this size (bytes) have a tag made from their content with [`EtagSource::Auto`]. Default: 100 KiB.
    pub etag_content_bytes_max: u64,
    /// Codings in which content is compressed on the fly, the one that is preferred first; none switches that off.
    /// Without the feature `compress` there are none. Default: zstd, br, gzip.
    pub compress: Vec<Coding>,
    /// Whether variants that lie beside a file (`page.html.br`, `.zst`, `.gz`) are served in its place. Default: true.
    pub precompressed: bool,
    /// Smaller files (bytes) are not compressed on the fly. Default: 1 KiB.
    pub compress_bytes_min: u64,
    /// Larger files (bytes) are not compressed on the fly. Default: 4 MiB.
    pub compress_bytes_max: u64,
    /// Ranges of one request that are answered in parts; who asks for more gets the whole. Default: 16.
    pub ranges_max: usize,
    /// Memory for small files kept ready, in bytes; 0 keeps none. A quarter of it is for compressed variants, unless
    /// there are none. Default: 64 MiB.
    pub cache_bytes_max: u64,
    /// Descriptors of larger files kept ready; they share the cache with the small ones. Default: 512.
    pub cache_descriptors_max: usize,
    /// Files up to this size (bytes) are kept in memory and answered from there. Default: 100 KiB.
    pub cache_file_bytes_max: u64,
    /// An entry that nobody asked for in this time is dropped. Default: 60 s.
    pub cache_idle_timeout: Duration,
    /// Milliseconds after a look whether a file has changed in which it isn't looked at again. Default: 0, so that every
    /// change shows on the next request.
    pub cache_revalidate_ms: u64,
}

/// Memory for names that were asked for and aren't there, in bytes.
pub(super) const ABSENT_BYTES_MAX: u64 = 256 << 10;

impl Options {
    /// The defaults, for this root.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            index: vec!["index.html".to_owned()],
            symlinks: Symlinks::Beneath,
            withheld: Vec::new(),
            etag: EtagSource::Auto,
            etag_content_bytes_max: 100 << 10,
            compress: vec![Coding::Zstd, Coding::Br, Coding::Gzip],
            precompressed: true,
            compress_bytes_min: 1 << 10,
            compress_bytes_max: 4 << 20,
            ranges_max: 16,
            cache_bytes_max: 64 << 20,
            cache_descriptors_max: 512,
            cache_file_bytes_max: 100 << 10,
            cache_idle_timeout: Duration::from_secs(60),
            cache_revalidate_ms: 0,
        }
    }
}

/// Which symbolic links are followed on the way from the root to a file; the root itself may always be one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Symlinks {
    /// Those that stay beneath the root all the way. Absolute ones don't, wherever they lead.
    #[default]
    Beneath,
    /// None.
    Off,
    /// All, wherever they lead: what is served is then for those to answer for who can make a link.
    Follow,
}

impl Symlinks {
    /// Each by its name in a configuration.
    pub const NAMES: [(&'static str, Self); 3] =
        [("beneath", Self::Beneath), ("off", Self::Off), ("follow", Self::Follow)];
}

/// What entity tags are made from. They are strong (RFC 9110 section 8.8.1): where a source can't tell two states of a
/// file apart, there is no tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EtagSource {
    /// Of a small file its content, of a larger one its mtime, its length, and its ctime, which nobody can set back.
    #[default]
    Auto,
    /// The content, however large: a file is read once more whenever it has changed.
    Content,
    /// Mtime and length: the same on each of several servers, if the files are copied with their mtimes.
    Mtime,
    /// Nothing: there are no tags.
    Off,
}

impl EtagSource {
    /// Each by its name in a configuration.
    pub const NAMES: [(&'static str, Self); 4] =
        [("auto", Self::Auto), ("content", Self::Content), ("mtime", Self::Mtime), ("off", Self::Off)];
}

/// A content coding (RFC 9110 section 8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// Brotli (RFC 7932).
    Br,
    /// Zstandard (RFC 8878).
    Zstd,
    /// The format of gzip (RFC 1952).
    Gzip,
}

impl Coding {
    /// Each by its name, in a configuration and in HTTP.
    pub const NAMES: [(&'static str, Self); 3] = [("br", Self::Br), ("zstd", Self::Zstd), ("gzip", Self::Gzip)];

    /// Each, the one whose files are mostly the smallest first.
    pub(super) const ALL: [Self; 3] = [Self::Br, Self::Zstd, Self::Gzip];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Br => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }
}
