//! Random tables, malformed ones among them: both units are asked the same.

use crate::machine::{Machine, ROOT};
use crate::messages::answers;
use crate::tables::{LARGE, READ, Tables, WRITE, context_entry, root_entry};

const DATA: u64 = 1 << 30;
/// Tables beside the ones that [`Tables::attach`] makes.
const TABLES: u64 = 5;
const INDICES: [u64; 3] = [0, 1, 511];
const ROUNDS: u64 = 40;
const REQUESTS: u64 = 40;

/// SplitMix64 by number, so that a failure can be repeated.
struct Random {
    seed: u64,
    next: u64,
}

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.next += 1;
        dmarig_abi::pattern::pattern_word(self.seed, self.next) % bound
    }

    fn index(&mut self) -> u64 {
        [0, 1, 511, 0][usize::try_from(self.below(4)).expect("below 4")]
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

fn table(number: u64) -> u64 {
    ROOT + 0x8_0000 + number * 0x1000
}

fn entry(random: &mut Random) -> u64 {
    let permissions = if random.one_in(6) {
        random.below(4)
    } else {
        READ | WRITE
    };
    let target = match random.below(6) {
        0 => DATA | LARGE,
        1 => DATA + random.below(512) * 0x1000,
        _ => table(random.below(TABLES)),
    };
    let turned = if random.one_in(10) {
        1 << random.below(64)
    } else {
        0
    };
    (target | permissions) ^ turned
}

pub fn random_tables_mean_the_same_to_both() {
    let machine = Machine::start(48);
    let (mut n_passed, mut n_refused) = (0, 0);
    for seed in 0..ROUNDS {
        let mut random = Random { seed, next: 0 };
        Tables::attach(&machine.qtest, 4);
        let top = table(random.below(TABLES)) | 1;
        machine.qtest.write_u64(context_entry(), top);
        machine
            .qtest
            .write_u64(context_entry() + 8, (1 + random.below(2)) | 1 << 8);
        for (number, index) in (0..TABLES).flat_map(|n| INDICES.map(|index| (n, index))) {
            let entry = entry(&mut random);
            machine.qtest.write_u64(table(number) + index * 8, entry);
        }
        for at in [root_entry(), context_entry(), context_entry() + 8] {
            if random.one_in(12) {
                let word = machine.qtest.read_u64(at) ^ 1 << random.below(64);
                machine.qtest.write_u64(at, word);
            }
        }
        machine.enable();
        for _ in 0..REQUESTS {
            let [a, b, c, d] = [0; 4].map(|_: u64| random.index());
            let iova = a << 39 | b << 30 | c << 21 | d << 12;
            // Reads alone: a write might hit a table.
            let [theirs, ours] = answers(&machine, iova, false);
            assert_eq!(theirs, ours, "seed {seed}, IOVA {iova:#x}");
            match ours {
                Ok(()) => n_passed += 1,
                Err(_) => n_refused += 1,
            }
        }
    }
    println!("{n_passed} reads passed, {n_refused} were refused");
    assert!(n_passed > 20 && n_refused > 20, "{n_passed} {n_refused}");
}
