//! Log lines go to standard error; `RUST_LOG` has the last word on which. env_logger filters and formats them, but those of
//! the access log: there are many, so they are formatted here, in a buffer that each thread keeps.

use std::cell::RefCell;
use std::io::{self, Write as _};

use anstream::AutoStream;
use clap::ColorChoice;
use env_logger::{Builder, Env, Logger, Target, WriteStyle};
use jiff::Timestamp;
use log::{Log, Metadata, Record};
use salver::config::Config;

use super::log_writer::LogWriter;

/// Starts logging as the configuration says.
pub(super) fn start(config: &Config) -> io::Result<()> {
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
    log::set_max_level(rest.filter());
    log::set_boxed_logger(Box::new(Lines { rest, writer })).map_err(io::Error::other)
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
}

impl Log for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.rest.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        thread_local! {
            static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        if record.target() != "access" {
            return self.rest.log(record);
        }
        if !self.rest.matches(record) {
            return;
        }
        LINE.with_borrow_mut(|line| {
            line.clear();
            // A write to memory doesn't fail.
            let _ = writeln!(line, "{:.3} {}", Timestamp::now(), record.args());
            self.writer.leave(line);
        });
    }

    fn flush(&self) {
        self.writer.flush();
    }
}
