//! Every limit and choice of this layer, in one place.

use std::path::PathBuf;
use std::time::Duration;

use ::http::{HeaderName, HeaderValue, header};

use super::areas::Areas;
use super::pattern::Pattern;
use super::rules::{ErrorPage, FieldRule, TypeRule};

/// Which directory is served, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// The directory whose files are served; nothing outside of it ever is.
    pub root: PathBuf,
    /// Where the root lies in its site: what stands before every target that this layer makes itself. Default: nothing,
    /// the site's own root; `/docs` for a directory that is mounted there.
    pub prefix: String,
    /// Names tried, in order, for a request of a directory. Default: `index.html`.
    pub index: Vec<String>,
    /// The one file of the root that is served, at `/` and by its name. Default: none, which is all of them.
    pub single: Option<String>,
    /// `/about` is answered by `about.html`, where there is no such file, and no such directory with an index. Default: true.
    pub clean_urls: bool,
    /// Where slashes at the end belong. Default: [`TrailingSlash::Auto`].
    pub trailing_slash: TrailingSlash,
    /// The page of a single-page application, a path beneath the root: it answers navigations for which there is nothing
    /// else. Default: none.
    pub spa: Option<String>,
    /// Whether directories without an index are listed. Default: [`Listing::Auto`].
    pub list: Listing,
    /// Entries on a page of a listing. Default: 1,000.
    pub list_page_entries: usize,
    /// Names of a directory that are read to list it; what it has besides is not listed. Default: 200,000.
    pub list_entries_max: usize,
    /// Pages of the site that tell of errors; of 404 also the nearest `404.html` up the tree. Default: none.
    pub error_pages: Vec<ErrorPage>,
    /// Files and directories that are not there for clients, with all that lies beneath. Default: none.
    pub hide: Vec<Pattern>,
    /// Media types that are other than their names say. Default: none.
    pub types: Vec<TypeRule>,
    /// Fields of answers; of `Cache-Control` only those of files. Default: none.
    pub fields: Vec<FieldRule>,
    /// Those of a [`_headers`](super::HEADERS_FILE) file, which come before them. Default: none.
    pub file_fields: Vec<FieldRule>,
    /// Fields that keep a page from being framed, and what it links to from learning too much: `Content-Security-Policy`,
    /// `X-Frame-Options`, `Referrer-Policy`, `Permissions-Policy`. Default: false.
    pub security_headers: bool,
    /// Fields that isolate a page, so that it may use shared memory: `Cross-Origin-Opener-Policy` and
    /// `Cross-Origin-Embedder-Policy`. Default: false.
    pub isolate: bool,
    /// Files with the digest of their content in their name are to be cached for a year. Default: false.
    pub immutable_hashed: bool,
    /// Which symbolic links are followed. Default: [`Symlinks::Beneath`].
    pub symlinks: Symlinks,
    /// Parts of the site: answers tell in which of them their content lies. Default: none.
    pub areas: Areas,
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
    /// Files up to this size (bytes) are kept in memory and answered from there; of larger ones a few small parts are, once
    /// they are asked for again. Default: 32 KiB; from some 20 KiB on it costs the processor less to send pages of the system's
    /// own cache than to copy what is kept here, but a descriptor for each is dearer to keep.
    pub cache_file_bytes_max: u64,
    /// Nothing that is found is kept, not even from one step of a request to the next, so that each takes all its steps;
    /// answers are the same. For who wants to see how they come about. Default: false.
    pub keeps_nothing: bool,
    /// An entry that nobody asked for in this time is dropped. Default: 60 s.
    pub cache_idle_timeout: Duration,
    /// Milliseconds after a look whether a file has changed in which it isn't looked at again. Default: 0, so that every
    /// change shows on the next request.
    pub cache_revalidate_ms: u64,
}

/// Memory for names that were asked for and aren't there, in bytes.
pub(super) const ABSENT_BYTES_MAX: u64 = 256 << 10;

const COEP: HeaderName = HeaderName::from_static("cross-origin-embedder-policy");
const COOP: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");

const SECURITY_FIELDS: [(HeaderName, &str); 4] = [
    (header::CONTENT_SECURITY_POLICY, "frame-ancestors 'self'; base-uri 'self'; object-src 'none'"),
    (header::X_FRAME_OPTIONS, "SAMEORIGIN"),
    (header::REFERRER_POLICY, "strict-origin-when-cross-origin"),
    (PERMISSIONS_POLICY, "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
];

const ISOLATING_FIELDS: [(HeaderName, &str); 2] = [(COOP, "same-origin"), (COEP, "require-corp")];

impl Options {
    /// What is served: the root, or the one file of it.
    #[must_use]
    pub fn shown(&self) -> PathBuf {
        self.single.as_ref().map_or_else(|| self.root.clone(), |name| self.root.join(name))
    }

    /// Decides for [`Listing::Auto`]: directories are listed where nobody but this machine can ask.
    pub fn settle_listing(&mut self, is_local: bool) {
        if self.list == Listing::Auto {
            self.list = if is_local { Listing::On } else { Listing::Off };
        }
    }

    /// Whether directories are listed. One file alone has none.
    pub(super) fn lists(&self) -> bool {
        self.list == Listing::On && self.single.is_none()
    }

    /// What a kept descriptor counts for in the cache, in bytes: as many as are allowed weigh as much as all there is room
    /// for.
    pub(super) fn descriptor_weight(&self) -> u64 {
        self.cache_bytes_max.div_ceil(self.cache_descriptors_max.max(1) as u64)
    }

    /// The rules about fields, the weakest first.
    pub(super) fn field_rules(&self) -> Vec<FieldRule> {
        let preset = |name: &str, fields: &[(HeaderName, &'static str)]| {
            let fields = fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
            FieldRule::everywhere(name, fields.collect())
        };
        let mut rules = Vec::new();
        if self.security_headers {
            rules.push(preset("security_headers", &SECURITY_FIELDS));
        }
        if self.isolate {
            rules.push(preset("isolate", &ISOLATING_FIELDS));
        }
        rules.extend(self.file_fields.iter().chain(&self.fields).cloned());
        rules
    }

    /// The defaults, for this root.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            prefix: String::new(),
            index: vec!["index.html".to_owned()],
            single: None,
            clean_urls: true,
            trailing_slash: TrailingSlash::Auto,
            spa: None,
            list: Listing::Auto,
            list_page_entries: 1_000,
            list_entries_max: 200_000,
            error_pages: Vec::new(),
            hide: Vec::new(),
            types: Vec::new(),
            fields: Vec::new(),
            file_fields: Vec::new(),
            security_headers: false,
            isolate: false,
            immutable_hashed: false,
            symlinks: Symlinks::Beneath,
            areas: Areas::new(),
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
            cache_file_bytes_max: 32 << 10,
            keeps_nothing: false,
            cache_idle_timeout: Duration::from_secs(60),
            cache_revalidate_ms: 0,
        }
    }
}

/// Whether directories without an index are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Listing {
    /// As [`Options::settle_listing`] decides; where nobody calls that they are not.
    #[default]
    Auto,
    /// They are.
    On,
    /// They are not.
    Off,
}

/// Where slashes at the end of a path belong; who asks otherwise is redirected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrailingSlash {
    /// Behind directories, and not behind pages.
    #[default]
    Auto,
    /// Behind pages with [clean](Options::clean_urls) URLs too: `/about/` is answered by `about.html`.
    Always,
    /// Nowhere but at the root: `/blog` is answered by `blog/index.html`, whose relative links then start from `/`.
    Never,
}

impl TrailingSlash {
    /// Each by its name in a configuration.
    pub const NAMES: [(&'static str, Self); 3] =
        [("auto", Self::Auto), ("always", Self::Always), ("never", Self::Never)];
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
