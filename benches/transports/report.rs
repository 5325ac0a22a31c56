//! The tables, in Markdown.

use std::fmt::Write;
use std::fs;
use std::thread::available_parallelism;

use super::load::{Echoes, Flood, MESSAGE_BYTES};
use super::servers::Kind;
use crate::{CONNECTIONS, IDLE_WORKERS, Plan, WINDOW};

/// What the servers came to, round by round; salver is the first of each.
pub struct Report {
    pub tcp: Vec<(Kind, Vec<Echoes>)>,
    /// How many idle clients, and the bytes of memory for each.
    pub idle: (usize, u64),
    pub udp: Vec<(Kind, Vec<Echoes>)>,
    pub flood: Vec<(Kind, Vec<Flood>)>,
}

pub fn write(plan: &Plan, report: &Report) -> String {
    let mut text = String::new();
    write_all(&mut text, plan, report).unwrap();
    text
}

fn write_all(text: &mut String, plan: &Plan, report: &Report) -> std::fmt::Result {
    writeln!(text, "# What the transports cost\n")?;
    writeln!(text, "Written by `cargo bench --bench transports -- --publish`; run it on a machine of your own.\n")?;
    writeln!(text, "- Machine: {}; clients and servers share the cores.", machine())?;
    let seconds = plan.round.as_secs_f64();
    writeln!(text, "- Medians of {} rounds of {seconds} s; × is salver's rate over that of the row.", plan.rounds)?;
    writeln!(text, "- CPU is that of the server, the system's part included; the clients are one thread.")?;

    writeln!(text, "\n## Echo of {MESSAGE_BYTES} bytes over TCP, {CONNECTIONS} connections\n")?;
    writeln!(text, "Each connection has one message under way.\n")?;
    echoes(text, &report.tcp)?;

    let (clients, bytes) = report.idle;
    writeln!(text, "\n## Idle clients over TCP\n")?;
    let limit = if clients < plan.idle_clients { " (the limit of descriptors allows no more)" } else { "" };
    let clients = thousands(clients as f64);
    writeln!(text, "{clients} clients{limit}, each of which has echoed once, on {IDLE_WORKERS} workers:")?;
    writeln!(text, "{bytes} bytes of memory (PSS) for each. All of them still echo.")?;

    writeln!(text, "\n## Echo of {MESSAGE_BYTES} bytes over UDP, {WINDOW} datagrams under way\n")?;
    writeln!(text, "One thread sends and receives; the sockets' buffers are the defaults. None is lost.\n")?;
    echoes(text, &report.udp)?;

    writeln!(text, "\n## UDP, as fast as one core sends\n")?;
    writeln!(
        text,
        "The clients, a thread that sends and one that takes the echoes, have one core; the servers the rest."
    )?;
    writeln!(
        text,
        "What is sent is handled or counted as lost, to the last one; the figures are those of all rounds together."
    )?;
    writeln!(text, "The sockets' buffers are the defaults: `UdpServer` asks the system for 4 MiB.\n")?;
    floods(text, &report.flood)
}

fn echoes(text: &mut String, contest: &[(Kind, Vec<Echoes>)]) -> std::fmt::Result {
    writeln!(text, "|  | echoes/s | salver | CPU µs/echo | busy cores: server | clients |")?;
    writeln!(text, "|---|---:|---:|---:|---:|---:|")?;
    let rate = |echoes: &Echoes| echoes.count as f64 / echoes.time.as_secs_f64();
    for (kind, rounds) in contest {
        let ratios = contest[0].1.iter().zip(rounds).map(|(salver, other)| rate(salver) / rate(other));
        let of_each = |figure: &dyn Fn(&Echoes) -> f64| median(rounds.iter().map(figure));
        writeln!(
            text,
            "| {} | {} | ×{:.2} | {:.2} | {:.2} | {:.2} |",
            kind.title(),
            thousands(of_each(&rate)),
            median(ratios),
            of_each(&|echoes| echoes.server_cpu.as_secs_f64() * 1e6 / echoes.count as f64),
            of_each(&|echoes| echoes.server_cpu.as_secs_f64() / echoes.time.as_secs_f64()),
            of_each(&|echoes| echoes.client_cpu.as_secs_f64() / echoes.time.as_secs_f64()),
        )?;
    }
    Ok(())
}

fn floods(text: &mut String, contest: &[(Kind, Vec<Flood>)]) -> std::fmt::Result {
    writeln!(
        text,
        "|  | sent/s | handled/s | salver | lost at the server/s | rounds without loss | echoes lost at the client/s |"
    )?;
    writeln!(text, "|---|---:|---:|---:|---:|---:|---:|")?;
    let handled = |flood: &Flood| flood.handled as f64 / flood.time.as_secs_f64();
    for (kind, rounds) in contest {
        let ratios = contest[0].1.iter().zip(rounds).map(|(salver, other)| handled(salver) / handled(other));
        let seconds: f64 = rounds.iter().map(|flood| flood.time.as_secs_f64()).sum();
        // Of all rounds together, so that they add up.
        let a_second =
            |figure: &dyn Fn(&Flood) -> u64| thousands(rounds.iter().map(figure).sum::<u64>() as f64 / seconds);
        writeln!(
            text,
            "| {} | {} | {} | ×{:.2} | {} | {} | {} |",
            kind.title(),
            a_second(&|flood| flood.sent),
            a_second(&|flood| flood.handled),
            median(ratios),
            a_second(&|flood| flood.lost),
            format_args!("{} of {}", rounds.iter().filter(|flood| flood.lost == 0).count(), rounds.len()),
            a_second(&|flood| flood.answers_lost),
        )?;
    }
    Ok(())
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<_> = figures.collect();
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    if figures.len().is_multiple_of(2) { f64::midpoint(figures[middle - 1], figures[middle]) } else { figures[middle] }
}

fn thousands(figure: f64) -> String {
    let digits = format!("{figure:.0}");
    let with_commas = digits.bytes().rev().enumerate().flat_map(|(at, digit)| {
        let comma = (at > 0 && at.is_multiple_of(3)).then_some(',');
        comma.into_iter().chain([char::from(digit)])
    });
    with_commas.collect::<Vec<_>>().into_iter().rev().collect()
}

/// What the figures depend on, without what would name the machine.
fn machine() -> String {
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown processor", |model| model.trim_start_matches([' ', '\t', ':']));
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel = release.split(|byte: char| !byte.is_ascii_digit() && byte != '.').next().unwrap_or_default();
    format!("{model}, {} cores, Linux {kernel}", available_parallelism().map_or(1, usize::from))
}
