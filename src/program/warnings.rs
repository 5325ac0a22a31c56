//! What whoever starts a server should know: what is at their own risk, and what isn't there.

use std::path::Path;

use rustix::process::geteuid;
use salver::config::Config;
use salver::files::{Options, Symlinks};

use super::logging::one_line;

/// Each a line.
pub(super) fn of(config: &Config) -> impl Iterator<Item = String> {
    let pages = all_files(config).flat_map(missing_pages);
    pages.chain(risks(config).map(str::to_owned))
}

fn all_files(config: &Config) -> impl Iterator<Item = &Options> {
    config.hosts.iter().map(|host| &host.site.files).chain([&config.files])
}

fn risks(config: &Config) -> impl Iterator<Item = &'static str> {
    let follows = all_files(config).any(|files| files.symlinks == Symlinks::Follow);
    let log = config.log_file.as_deref().and_then(|file| file.parent()?.canonicalize().ok());
    let is_beneath =
        |log: &Path| all_files(config).any(|files| files.root.canonicalize().is_ok_and(|root| log.starts_with(root)));
    let exposed = log.is_some_and(|log| is_beneath(&log));
    let risks = [
        (exposed, "log_file lies in the root: it isn't served, but copies of it would be; move it elsewhere"),
        (geteuid().is_root(), "running as root: use an account that may read the site and no more; see SECURITY.md"),
        (follows, "symlinks = \"follow\": links are followed wherever they lead, out of the root too"),
    ];
    risks.into_iter().filter_map(|(applies, risk)| applies.then_some(risk))
}

/// Pages that stand in for others, where nothing lies yet. What is encoded may be found in other ways.
fn missing_pages(files: &Options) -> impl Iterator<Item = String> {
    let spa = files.spa.iter().map(|page| ("spa", page.clone(), page.as_str()));
    let errors = files.error_pages.iter().map(|page| ("error_page", page.to_string(), page.target()));
    let is_missing = |page: &str| {
        let page = files.root.join(page.trim_start_matches('/'));
        let with_suffix = page.as_os_str().to_owned().into_string().map(|page| format!("{page}.html"));
        let as_page = page.is_file() || with_suffix.is_ok_and(|page| Path::new(&page).is_file());
        !as_page && !files.index.iter().any(|index| page.join(index).is_file())
    };
    spa.chain(errors).filter(move |(.., page)| !page.contains('%') && is_missing(page)).map(|(key, value, page)| {
        let (page, root) = (page.trim_start_matches('/'), files.root.display().to_string());
        let line = format!("{key} {value}: there is no {page} in {root}, so it can't be sent");
        one_line(&line)
    })
}
