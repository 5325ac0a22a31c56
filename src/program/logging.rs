//! Log lines go to standard error; `RUST_LOG` has the last word on which. env_logger filters and formats them, but those of
//! the access log: there are many, so they are formatted here, in a buffer that each thread keeps. Those go to a file
//! instead, where one is configured; neither `RUST_LOG` nor `quiet` has to do with that.

use std::cell::RefCell;
use std::io::{self, Write as _};

use anstream::AutoStream;
use clap::ColorChoice;
use env_logger::{Builder, Env, Logger, Target, WriteStyle};
use jiff::Timestamp;
use log::{LevelFilter, Log, Metadata, Record};
use salver::config::Config;
use salver::http::LogFormat;

use super::log_file::LogFile;
use super::log_writer::LogWriter;

/// Starts logging as the configuration says; the access log goes to `file`, if there is one.
pub(super) fn start(config: &Config, file: Option<LogFile>) -> io::Result<()> {
    let filter = match (config.quiet, config.verbose) {
        (true, _) => "warn,access=off",
        (false, 0) => "info",
        (false, 1) => "debug",
        (false, _) => "trace",
    };
    let is_coloured = match config.color {
        ColorChoice::Auto => AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never,
        ColorChoice::Always => true,
        ColorChoice::Never => false,
    };
    let writer = LogWriter::start(io::stderr())?;
    let rest = Builder::from_env(Env::default().default_filter_or(filter))
        .target(Target::Pipe(Box::new(writer.clone())))
        .write_style(if is_coloured { WriteStyle::Always } else { WriteStyle::Never })
        .format(|line, record| {
            let (level, style) = (record.level(), line.default_level_style(record.level()));
            let text = one_line(&record.args().to_string());
            writeln!(line, "{:.3} {style}{level}{style:#} {text}", Timestamp::now())
        })
        .build();
    let file = file.map(LogWriter::start_file).transpose()?;
    let of_file = if file.is_some() { LevelFilter::Info } else { LevelFilter::Off };
    log::set_max_level(rest.filter().max(of_file));
    let is_stamped = config.log_format == LogFormat::Short;
    log::set_boxed_logger(Box::new(Lines { rest, writer, file, is_stamped })).map_err(io::Error::other)
}

/// A name may hold what would begin another line, or tell a terminal to do something.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() { line.extend(character.escape_default()) } else { line.push(character) }
    }
    line
}

/// Writes out what waits; before the program ends.
pub(super) fn flush() {
    log::logger().flush();
}

struct Lines {
    rest: Logger,
    writer: LogWriter,
    /// Of the access log.
    file: Option<LogWriter>,
    /// Lines of the access log begin with the time here, as their format leaves it out.
    is_stamped: bool,
}

/// The target of the access log.
const ACCESS: &str = "access";

impl Log for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        (metadata.target() == ACCESS && self.file.is_some()) || self.rest.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        thread_local! {
            static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        if record.target() != ACCESS {
            return self.rest.log(record);
        }
        if self.file.is_none() && !self.rest.matches(record) {
            return;
        }
        LINE.with_borrow_mut(|line| {
            line.clear();
            // A write to memory doesn't fail.
            let _ = match self.is_stamped {
                true => writeln!(line, "{:.3} {}", Timestamp::now(), record.args()),
                false => writeln!(line, "{}", record.args()),
            };
            self.file.as_ref().unwrap_or(&self.writer).leave(line);
        });
    }

    /// The file first: what can't be written is told on standard error.
    fn flush(&self) {
        self.file.iter().for_each(LogWriter::flush);
        self.writer.flush();
    }
}
