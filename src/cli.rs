//! The command line as it was written: names and help, no meaning. [`config`](crate::config) says what it means, so
//! numbers stay text here: one place checks a value and words the complaint, whoever wrote it.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::{ColorChoice, CommandFactory as _, Parser, Subcommand};

/// Serve a directory over HTTP/1.1.
#[derive(Clone, Debug, Parser)]
#[command(name = "salver", version, max_term_width = 100, after_help = AFTER_HELP)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
#[non_exhaustive]
pub struct Cli {
    /// What to do; to serve, where there is none.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// What to serve.
    #[command(flatten)]
    pub args: Args,
}

impl Cli {
    /// Reads a command line, which begins with the name of the program.
    ///
    /// # Errors
    /// What is wrong with it; or help, or the version.
    pub fn read(words: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let words: Vec<OsString> = words.into_iter().collect();
        Self::try_parse_from(&words).or_else(|error| {
            let names_command = words.iter().any(|word| Self::command().find_subcommand(word).is_some());
            if !error.use_stderr() || names_command {
                return Err(error);
            }
            // Where there are commands, any word too many is taken for one.
            Args::try_parse_from(&words).map(|args| Self { command: None, args })
        })
    }
}

/// What else the program does. A directory of such a name is served as `./routes`.
#[derive(Clone, Debug, Subcommand)]
#[non_exhaustive]
pub enum Command {
    /// Tell what would answer a path, step by step, without serving
    #[command(mut_arg("root", |root| root.long("served").hide(true)), mut_arg("bind", |bind| bind.alias(None)))]
    Routes(Box<Routes>),
    /// Read a password, and print the line of a user for `users`
    HashPassword {
        /// The name of the user
        #[arg(long, value_name = "NAME", default_value = "user")]
        user: String,
    },
}

/// The arguments of `salver routes`: those of serving, but that the directory is told by `-d`.
#[derive(Clone, Debug, clap::Args)]
#[non_exhaustive]
pub struct Routes {
    /// Paths, perhaps with a query, or URLs
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<String>,

    /// Host that is asked
    #[arg(long, value_name = "NAME", default_value = "localhost")]
    pub host: String,

    /// Address of the client, for rules about networks
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub client: IpAddr,

    /// Method of the request
    #[arg(long, value_name = "METHOD", default_value = "GET")]
    pub method: String,

    /// Field of the request; repeatable [default: 'Accept: text/html']
    #[arg(long, value_name = "FIELD")]
    pub field: Vec<String>,

    /// What would be served.
    #[command(flatten)]
    pub args: Args,
}

/// What is served, and how.
#[derive(Clone, Debug, Default, Parser)]
#[command(name = "salver")]
#[non_exhaustive]
pub struct Args {
    /// The directory to serve [default: the current directory]
    #[arg(value_name = "ROOT")]
    pub root: Option<PathBuf>,

    /// The directory to serve, the same as ROOT
    #[arg(short = 'd', long = "root", value_name = "DIR", conflicts_with = "root")]
    pub root_flag: Option<PathBuf>,

    /// Port; 0 takes any free one [default: 8000, or the next free one]
    #[arg(short, long, value_name = "PORT", allow_negative_numbers = true)]
    pub port: Option<String>,

    /// IP or host name, :PORT optional, or unix:PATH [default: 127.0.0.1]
    #[arg(short, long, alias = "host", value_name = "ADDRESS")]
    pub bind: Vec<String>,

    /// Configuration file [default: salver.toml or config.toml, if there]
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Threads that serve [default: the cores, at least 2]
    #[arg(short, long, value_name = "N", allow_negative_numbers = true)]
    pub workers: Option<String>,

    /// File that answers for its directory [default: index.html]
    #[arg(long, value_name = "NAME")]
    pub index: Vec<String>,

    /// Links that are followed: beneath (the default), off or follow
    #[arg(long, value_name = "WHICH")]
    pub symlinks: Option<String>,

    /// Not /about for about.html
    #[arg(long)]
    pub no_clean_urls: bool,

    /// Where slashes at the end belong: auto, always or never
    #[arg(long, value_name = "WHERE")]
    pub trailing_slash: Option<String>,

    /// Page that answers navigations to what isn't there [index.html]
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub spa: Option<String>,

    /// List directories without an index [default: on loopback alone]
    #[arg(long, conflicts_with = "no_list")]
    pub list: bool,

    /// Don't list directories, on loopback neither
    #[arg(long)]
    pub no_list: bool,

    /// The site's page for an error, such as 500=/500.html; repeatable
    #[arg(long, value_name = "STATUS=PAGE")]
    pub error_page: Vec<String>,

    /// Files and directories that are not there for clients; repeatable
    #[arg(long, value_name = "GLOB")]
    pub hide: Vec<String>,

    /// Media type of files, such as foo=application/x-foo; repeatable
    #[arg(long = "type", value_name = "EXT=TYPE")]
    pub types: Vec<String>,

    /// Field of answers: 'Name: value' or 'GLOB Name: value'; repeatable
    #[arg(short = 'H', long, value_name = "FIELD")]
    pub header: Vec<String>,

    /// Against framing, leaking referrers and more; see config.toml
    #[arg(long)]
    pub security_headers: bool,

    /// Cross-origin isolation (COOP and COEP), for shared memory
    #[arg(long)]
    pub isolate: bool,

    /// A year in caches for names with a content hash (app.3f9a1c2b.js)
    #[arg(long)]
    pub immutable_hashed: bool,

    /// Directory in the place of a path: /docs=../docs; repeatable
    #[arg(long, value_name = "PATH=DIR")]
    pub mount: Vec<String>,

    /// Redirect, or rewrite with STATUS 200: 'FROM TO STATUS'; repeatable
    #[arg(long, value_name = "LINE")]
    pub redirect: Vec<String>,

    /// Let pages of these origins read answers; without ORIGINS all
    #[arg(long, value_name = "ORIGINS", num_args = 0..=1, require_equals = true, default_missing_value = "*")]
    pub cors: Option<String>,

    /// Host names to answer; others get 421; repeatable [default: all]
    #[arg(long, value_name = "NAME")]
    pub allow_host: Vec<String>,

    /// User: 'NAME:HASH', as `salver hash-password` prints it; repeatable
    #[arg(long, value_name = "LINE")]
    pub user: Vec<String>,

    /// File of users, one such line each
    #[arg(long, value_name = "FILE")]
    pub users_file: Option<PathBuf>,

    /// What is for users: 'GLOB', 'GLOB USERS' or '!GLOB'; repeatable
    #[arg(long, value_name = "LINE")]
    pub auth: Vec<String>,

    /// Who is let in: '10.0.0.0/8', 'GLOB 127.0.0.1'; repeatable
    #[arg(long, value_name = "LINE")]
    pub allow_from: Vec<String>,

    /// Who is not, whatever else is said; repeatable
    #[arg(long, value_name = "LINE")]
    pub deny_from: Vec<String>,

    /// Proxies that are believed who their clients are; repeatable
    #[arg(long, value_name = "NETWORK")]
    pub trust_proxy: Vec<String>,

    /// Where they say it: forwarded or x-forwarded-for
    #[arg(long, value_name = "NAME")]
    pub proxy_header: Option<String>,

    /// Their connections begin with a header of the PROXY protocol
    #[arg(long)]
    pub proxy_protocol: bool,

    /// Don't compress on the fly
    #[arg(long)]
    pub no_compress: bool,

    /// Don't serve .br, .zst and .gz files in place of those beside them
    #[arg(long)]
    pub no_precompressed: bool,

    /// Only warnings and errors on standard error, no access log there
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Access log: short (default), common, combined, json or off
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,

    /// File of the access log, opened anew when it is moved away
    #[arg(long, value_name = "FILE")]
    pub log_file: Option<PathBuf>,

    /// Log more; -vv still more
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,

    /// Color the log: auto, always or never
    #[arg(long, value_name = "WHEN", default_value_t, hide_possible_values = true)]
    pub color: ColorChoice,

    /// Print every setting and where it comes from, and exit
    #[arg(long)]
    pub check_config: bool,
}

const AFTER_HELP: &str = "\
Examples:
  salver                         serve the current directory at http://127.0.0.1:8000
  salver -b 0.0.0.0 -p 80 /srv   serve /srv on port 80 of every IPv4 address
  salver -c site.toml -w 4 -q    configured by a file, with 4 threads and no access log
  salver routes /about           what would answer /about, and why; takes the same options

Every key of config.toml is an environment variable too: SALVER_PORT, SALVER_ROOT and so on.
A flag wins over the environment, the environment over the file.

Exit status:
  0  stopped when asked to
  1  cannot run: a port is taken, a directory cannot be read
  2  a mistake in the usage or in the configuration
  130  stopped at once, as asked to twice";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definition_is_consistent() {
        Cli::command().debug_assert();
    }

    /// What clap makes of this command line: the arguments, or its exit status and first line.
    #[track_caller]
    fn check(line: &str, expected: Result<&str, (i32, &str)>) {
        match (Cli::read(line.split(' ').map(OsString::from)), expected) {
            (Ok(args), Ok(part)) => assert!(format!("{args:?}").contains(part), "{args:?}"),
            (Err(error), Err((status, part))) => {
                assert_eq!(error.exit_code(), status);
                assert!(error.to_string().contains(part), "{error}");
            }
            (Ok(args), Err(_)) => panic!("accepted: {args:?}"),
            (Err(error), Ok(_)) => panic!("refused: {error}"),
        }
    }

    #[test]
    fn every_spelling_is_read_as_written() {
        check("salver", Ok("root: None"));
        check("salver public", Ok("root: Some(\"public\")"));
        check("salver -d public", Ok("root_flag: Some(\"public\")"));
        check("salver --root public", Ok("root_flag: Some(\"public\")"));
        check("salver -p 80x", Ok("port: Some(\"80x\")"));
        check("salver --port -1", Ok("port: Some(\"-1\")"));
        check("salver -w -1", Ok("workers: Some(\"-1\")"));
        check("salver -b ::1 --host localhost:80", Ok("bind: [\"::1\", \"localhost:80\"]"));
        check("salver --index a.html,b.html --index c", Ok("index: [\"a.html,b.html\", \"c\"]"));
        check("salver --mount /a=b --mount /c=d", Ok("mount: [\"/a=b\", \"/c=d\"]"));
        check("salver --cors", Ok("cors: Some(\"*\")"));
        check("salver --cors public", Ok("root: Some(\"public\")"));
        check("salver --cors=https://a,https://b", Ok("cors: Some(\"https://a,https://b\")"));
        check("salver --allow-host a,b --allow-host *.c", Ok("allow_host: [\"a,b\", \"*.c\"]"));
        check("salver hash-password --user anna", Ok("HashPassword { user: \"anna\" }"));
        check("salver ./hash-password", Ok("root: Some(\"./hash-password\")"));
        check("salver --no-list", Ok("list: false, no_list: true"));
        check("salver -vv", Ok("verbose: 2"));
        check("salver --color never", Ok("color: Never"));
        check("salver --check-config -c x.toml", Ok("config: Some(\"x.toml\")"));
    }

    #[test]
    fn a_command_is_told_from_a_directory() {
        check("salver routes /a", Ok("paths: [\"/a\"], host: \"localhost\", client: 127.0.0.1, method: \"GET\""));
        check(
            "salver routes /a /b --host c --method HEAD --field A:1",
            Ok("host: \"c\", client: 127.0.0.1, method: \"HEAD\", field: [\"A:1\"]"),
        );
        check("salver routes /a -d public -c x.toml -b ::1", Ok("root_flag: Some(\"public\")"));
        check("salver ./routes", Ok("command: None, args: Args { root: Some(\"./routes\")"));
        check("salver -d routes", Ok("command: None, args: Args { root: None, root_flag: Some(\"routes\")"));
        check("salver routes /a --client ::1", Ok("client: ::1"));
        check("salver routes /a --client x", Err((2, "invalid value 'x' for '--client <IP>'")));
        check("salver routes", Err((2, "required arguments were not provided")));
        check("salver -q routes /a", Err((2, "cannot be used with")));
        check("salver routes --help", Err((0, "Usage: salver routes [OPTIONS] <PATH>...")));
    }

    #[test]
    fn help_fits_a_terminal_of_100_columns() {
        let help = Cli::command().term_width(0).render_help().to_string();
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
    }

    #[test]
    fn usage_errors_exit_with_2_and_help_with_0() {
        check("salver a -d b", Err((2, "cannot be used with")));
        check("salver a b", Err((2, "unexpected argument 'b'")));
        check("salver hash-password --prot", Err((2, "unexpected argument '--prot'")));
        // Behind a flag it is a directory, as any other word.
        check("salver -q hash-password", Ok("root: Some(\"hash-password\")"));
        check("salver -q -v", Err((2, "cannot be used with")));
        check("salver --list --no-list", Err((2, "cannot be used with")));
        check("salver --prot 80", Err((2, "a similar argument exists: '--port'")));
        check("salver --color blue", Err((2, "invalid value 'blue'")));
        check("salver -p", Err((2, "a value is required")));
        check("salver --help", Err((0, "Usage: salver [OPTIONS] [ROOT]")));
        check("salver --version", Err((0, concat!("salver ", env!("CARGO_PKG_VERSION")))));
    }
}
