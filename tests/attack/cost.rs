//! What an attack costs: bytes asked of the allocator, bytes held, time; for a short and a long one.

use crate::allocations::{asked, memory};
use std::time::{Duration, Instant};

/// How many times longer than usual the attacks are.
pub fn scale() -> usize {
    std::env::var("PUSHLINE_ATTACK").ok().and_then(|scale| scale.parse().ok()).unwrap_or(1)
}

/// How much longer the long one is.
const LONGER: usize = 8;

/// Eight short ones after another are as long as the long one. What is quadratic takes eight times as long at once; what is
/// linear the same time, and both meet the same noise of a busy machine.
const TIMES: u32 = 3;

/// Time that says nothing.
const NOISE: Duration = Duration::from_millis(2);

const ROUNDS: usize = 12;

/// Has `attack` take in what `make` makes of a size, and of one eight times as large. `bytes` is what that is on the wire.
///
/// Asserts that the bytes asked of the allocator grow no more than the attack does; that no more than `bound` bytes are held at
/// any time, whatever the size; and that the time grows like the attack.
pub fn linear<T>(
    name: &str,
    size: usize,
    bound: usize,
    make: impl Fn(usize) -> T,
    bytes: impl Fn(&T) -> usize,
    mut attack: impl FnMut(&T),
) {
    let size = size * scale();
    let [short, long] = [size, size * LONGER].map(&make);
    let mut measure = |input: &T| {
        let (mut taken, mut held) = (0, 0);
        let begun = Instant::now();
        held += memory(|| taken = asked(|| attack(input))).0;
        (taken, held, begun.elapsed())
    };
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        let mut first = Duration::ZERO;
        let mut most = 0;
        for _ in 0..LONGER {
            let (taken, held, time) = measure(&short);
            assert!(
                held <= bound as isize,
                "{name}: {held} bytes are held of an attack of {}",
                bytes(&short)
            );
            first += time;
            most += taken;
        }
        let (taken, held, time) = measure(&long);
        assert!(held <= bound as isize, "{name}: {held} bytes are held of an attack of {}", bytes(&long));
        // Half as much again, and a few buffers that are there once.
        let fair = (most * 3 / 2).max(8 * bytes(&long) as u64) + 64 * 1024;
        assert!(taken <= fair, "{name}: {taken} bytes are asked for, and {most} in eight parts");
        if time <= first.max(NOISE) * TIMES {
            let each = time.as_nanos() as f64 / bytes(&long).max(1) as f64;
            println!(
                "{name:<32} {:>9} bytes {each:>8.1} ns/byte, {held:>9} held, round {round}",
                bytes(&long)
            );
            return;
        }
        times.push((first, time));
    }
    panic!("{name}: eight short ones and a long one: {times:?}");
}

/// The same for bytes.
pub fn linear_bytes(
    name: &str,
    size: usize,
    bound: usize,
    make: impl Fn(usize) -> Vec<u8>,
    mut attack: impl FnMut(&[u8]),
) {
    linear(name, size, bound, make, Vec::len, |input| attack(input));
}

pub const KIB: usize = 1024;
pub const MIB: usize = 1024 * KIB;
