//! Log lines go to standard error, by env_logger; `RUST_LOG` has the last word on which.

use std::io::Write as _;

use clap::ColorChoice;
use env_logger::{Builder, Env, Target, WriteStyle};
use salver::config::Config;

/// Starts logging as the configuration says.
pub(super) fn start(config: &Config) {
    let filter = match (config.quiet, config.verbose) {
        (true, _) => "warn,access=off",
        (false, 0) => "info",
        (false, 1) => "debug",
        (false, _) => "trace",
    };
    let style = match config.color {
        ColorChoice::Auto => WriteStyle::Auto,
        ColorChoice::Always => WriteStyle::Always,
        ColorChoice::Never => WriteStyle::Never,
    };
    Builder::from_env(Env::default().default_filter_or(filter))
        .target(Target::Stderr)
        .write_style(style)
        .format(|line, record| {
            let time = line.timestamp_millis();
            match record.target() {
                "access" => writeln!(line, "{time} {}", record.args()),
                _ => {
                    let (level, style) = (record.level(), line.default_level_style(record.level()));
                    writeln!(line, "{time} {style}{level}{style:#} {}", record.args())
                }
            }
        })
        .init();
}
