//! The socket path against its floor, both pinned to one CPU, interleaved in one run.
//!
//! Three servers answer the same client in turn, round after round:
//! - *bare*: receives and sends the same number of bytes, blocking, and knows no protocol;
//! - *floor*: the least server that can speak the protocol: `epoll_wait`, one `recvmsg` and one
//!   `send` per wake-up;
//! - *subject*: [`vfio_user::Connection`] in an `epoll` loop, as the device runs it, with the
//!   mapping table and the mapped files behind DMA_MAP.
//!
//! Cases: `region_read` (4 bytes, round trip), `region_read_32` (32 in flight), `posted_write`
//! (CPU time of the server), `dma_map` and `dma_unmap` (4 KiB with a descriptor, at 10, 65,000
//! and 10^6 live mappings), `message_dma` (the server reads 64 B, 4 KiB, 32 KiB by message, one
//! after the other; against bare alone). Each round gives a ratio; the median of the ratios is
//! what counts.
//!
//! `cargo bench -p vfio_user --bench socket`

mod cases;
mod floor;
mod pinned;
mod subject;

use cases::{Case, Driver};

const N_ROUNDS: usize = 15;

/// Microseconds for each operation.
struct Round {
    bare: Option<f64>,
    floor: Option<f64>,
    subject: f64,
}

fn main() {
    // `cargo test --benches` runs this too; it measures nothing then.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    pinned::pin_to_one_cpu();
    println!(
        "{:<24} {:>10} {:>10} {:>10} {:>9} {:>9}",
        "case", "bare", "floor", "subject", "/floor", "/bare"
    );
    for case in Case::ALL {
        run(case);
    }
}

fn run(case: Case) {
    let mut bare = case.has_bare().then(|| match case {
        Case::MessageDma(_) => Driver::new(floor::serve_bare_dma),
        _ => Driver::new(floor::serve_bare),
    });
    let mut floor = case.has_floor().then(|| Driver::new(floor::serve));
    let mut subject = Driver::new(move |socket| subject::serve(socket, case.live_mappings()));
    floor.iter_mut().for_each(Driver::negotiate);
    subject.negotiate();
    let mut rounds = Vec::new();
    // The first round warms caches up and is not counted.
    for round in 0..=N_ROUNDS {
        let bare = bare.as_mut().map(|driver| case.measure(driver));
        let floor = floor.as_mut().map(|driver| case.measure(driver));
        let subject = case.measure(&mut subject);
        if round > 0 {
            rounds.push(Round {
                bare,
                floor,
                subject,
            });
        }
    }
    let median_of = |value: fn(&Round) -> Option<f64>| {
        let mut values: Vec<f64> = rounds.iter().filter_map(value).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    };
    let show = |value: Option<f64>, digits: usize| {
        value.map_or_else(|| "–".to_owned(), |value| format!("{value:.digits$}"))
    };
    println!(
        "{:<24} {:>10} {:>10} {:>10} {:>9} {:>9}",
        case.name(),
        show(median_of(|round| round.bare), 2),
        show(median_of(|round| round.floor), 2),
        show(median_of(|round| Some(round.subject)), 2),
        show(
            median_of(|round| round.floor.map(|floor| round.subject / floor)),
            3
        ),
        show(
            median_of(|round| round.bare.map(|bare| round.subject / bare)),
            3
        ),
    );
}
