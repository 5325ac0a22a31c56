//! What the transports cost beside the plain ways to do the same: `cargo bench --bench transports`.
//!
//! 1. Echo over TCP, each connection with one message under way, beside a thread per connection and beside mio.
//! 2. The memory of idle clients.
//! 3. Echo over UDP, with few datagrams under way, and then as fast as one core sends.
//!
//! Each server is a process of its own: this program once more, with a hidden argument. Rounds go from server to
//! server, so that what else the machine does hits all of them; a figure is the median of the rounds, as is each ratio.
//! `--publish` writes the tables to `benches/results/transports.md`; with `--quick`, or under `cargo test`, it is only
//! tried that all of it runs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what fails here is not worth measuring")]
#![allow(missing_docs, reason = "nobody depends on a benchmark")]

mod transports {
    pub mod child;
    pub mod load;
    pub mod report;
    pub mod servers;
}

use std::env;
use std::time::Duration;

use transports::child::{self, Child};
use transports::load::{Crowd, Echoes, Flood, closed_loop, flood};
use transports::report::{self, Report};
use transports::servers::Kind;

/// How long and how much.
pub struct Plan {
    rounds: usize,
    round: Duration,
    warm_up: Duration,
    idle_clients: usize,
}

const FULL: Plan =
    Plan { rounds: 21, round: Duration::from_millis(500), warm_up: Duration::from_millis(200), idle_clients: 9_000 };

const QUICK: Plan =
    Plan { rounds: 1, round: Duration::from_millis(50), warm_up: Duration::from_millis(5), idle_clients: 200 };

/// Connections that echo over TCP.
const CONNECTIONS: usize = 64;

/// Datagrams under way in the closed loop: far fewer than a socket's default buffer holds.
const WINDOW: u64 = 64;

/// The worker threads of the server whose clients are idle.
pub const IDLE_WORKERS: usize = 4;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [argument, kind] = &arguments[..]
        && argument == child::ARGUMENT
    {
        return child::serve(Kind::of(kind));
    }
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    // Cargo says `--bench` where it is to be measured, and nothing where it is tested.
    let plan = if has("--quick") || !has("--bench") { QUICK } else { FULL };
    let report = Report {
        tcp: tcp(&plan),
        idle: idle(&plan),
        udp: udp(&plan, closed_loop_round),
        flood: apart(&plan, flood_round),
    };
    let text = report::write(&plan, &report);
    print!("{text}");
    if has("--publish") {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/results/transports.md"), text).unwrap();
    }
}

impl Plan {
    /// Has each of these kinds run once a round, all of them started before; gives what each came to, round by round.
    fn interleave<T>(&self, kinds: &[Kind], run: impl Fn(&mut Child) -> T) -> Vec<(Kind, Vec<T>)> {
        let mut contest: Vec<_> = kinds.iter().map(|kind| (*kind, Child::start(*kind), Vec::new())).collect();
        for _ in 0..self.rounds {
            contest.iter_mut().for_each(|(_, child, results)| results.push(run(child)));
        }
        contest.into_iter().map(|(kind, _, results)| (kind, results)).collect()
    }
}

fn tcp(plan: &Plan) -> Vec<(Kind, Vec<Echoes>)> {
    plan.interleave(&Kind::TCP, |child| {
        let mut crowd = Crowd::connect(child.address(), CONNECTIONS);
        crowd.echo_for(plan.warm_up);
        let before = child.tally();
        let mut echoes = crowd.echo_for(plan.round);
        echoes.server_cpu = child.tally().cpu - before.cpu;
        echoes
    })
}

/// How many idle clients, and the bytes of memory for each.
fn idle(plan: &Plan) -> (usize, u64) {
    let clients = plan.idle_clients.min(child::connections_allowed() - 1);
    let child = Child::start(Kind::SalverIdle);
    // One more: what the server needs for its first client it needs for itself.
    let mut first = Crowd::connect(child.address(), 1);
    first.echo_for(Duration::ZERO);
    let before = child.memory_bytes();
    let mut crowd = Crowd::connect(child.address(), clients);
    crowd.echo_for(Duration::ZERO);
    let after = child.memory_bytes();
    // It waits for each of them, so all are still served.
    crowd.echo_for(Duration::ZERO);
    first.echo_for(Duration::ZERO);
    (clients, after.saturating_sub(before) / clients as u64)
}

fn udp<T>(plan: &Plan, round: impl Fn(&Plan, &mut Child) -> T) -> Vec<(Kind, Vec<T>)> {
    plan.interleave(&Kind::UDP, |child| round(plan, child))
}

/// The client has one core, and the servers the rest: what one core sends.
fn apart<T>(plan: &Plan, round: impl Fn(&Plan, &mut Child) -> T) -> Vec<(Kind, Vec<T>)> {
    let cores = child::cores();
    let Some((own, rest @ [_, ..])) = cores.split_first() else { return udp(plan, round) };
    child::keep_to(rest);
    let results = plan.interleave(&Kind::UDP, |child| {
        child::keep_to(&[*own]);
        round(plan, child)
    });
    child::keep_to(&cores);
    results
}

fn closed_loop_round(plan: &Plan, child: &mut Child) -> Echoes {
    closed_loop(child.address(), WINDOW, plan.warm_up);
    let before = child.tally();
    let mut echoes = closed_loop(child.address(), WINDOW, plan.round);
    let after = child.tally();
    echoes.server_cpu = after.cpu - before.cpu;
    assert_eq!(after.handled - before.handled, echoes.count, "each datagram was handled");
    assert_eq!(after.lost, before.lost, "none was lost");
    echoes
}

/// Every datagram has to be found again: handled or lost at the server, and if handled, its echo come or lost at the
/// client.
fn flood_round(plan: &Plan, child: &mut Child) -> Flood {
    let before = child.tally();
    let mut flood = flood(child.address(), plan.round);
    let after = child.tally_once(|tally| tally.handled - before.handled + tally.lost - before.lost == flood.sent);
    (flood.handled, flood.lost) = (after.handled - before.handled, after.lost - before.lost);
    assert_eq!(flood.handled, flood.answered + flood.answers_lost, "each echo came or was counted");
    flood
}
