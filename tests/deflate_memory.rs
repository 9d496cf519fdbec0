//! What compression holds: nothing before its first use, what the policy says while idle, little under
//! attack.
#![cfg(feature = "deflate")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use pushline::raw::{Deflater, InflateError, Inflater};
use pushline::ws::deflate::{Compression, DeflateOptions, Direction, Pool, WindowBits};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Counts the bytes each thread holds, and the most it ever held.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    let _ = HELD.try_with(|held| {
        held.set(held.get() + bytes);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(held.get())));
    });
}

// SAFETY: all requests go to the system's allocator as they are.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // As if the bytes were copied: both stand at the same time.
        count(size as isize);
        count(-(layout.size() as isize));
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What `make` leaves allocated, and the most that it held on the way.
fn measure<T>(make: impl FnOnce() -> T) -> (T, isize, isize) {
    let before = HELD.get();
    PEAK.set(before);
    let made = make();
    (made, HELD.get() - before, PEAK.get() - before)
}

const TAKEOVER: Direction = Direction { context_takeover: true, window_bits: WindowBits::MAX };
const FRESH: Direction = Direction { context_takeover: false, window_bits: WindowBits::MAX };

fn bits(n: u8) -> WindowBits {
    WindowBits::new(n).unwrap()
}

fn message() -> Vec<u8> {
    (0..100_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 27) as u8).collect()
}

fn deflate(deflater: &mut Deflater, message: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    deflater.deflate(message, &mut payload, true);
    payload
}

fn inflate(inflater: &mut Inflater, payload: &[u8]) -> Result<Vec<u8>, InflateError> {
    let mut output = Vec::new();
    inflater.inflate(payload, &mut output, usize::MAX, true).map(|_| output)
}

#[test]
fn pd_21_nothing_is_allocated_before_use_nor_held_without_a_context() {
    for compression in [
        Compression::Shared,
        Compression::Compact { window_bits: WindowBits::MAX },
        Compression::Dedicated { window_bits: WindowBits::MAX, memory_level: 8 },
    ] {
        let options = DeflateOptions::new(compression).pool(Pool::new(2));
        let ((mut deflaters, mut inflaters), held, peak) = measure(|| {
            let deflaters: Vec<_> = (0..1000).map(|_| Deflater::new(FRESH, &options)).collect();
            let inflaters: Vec<_> = (0..1000).map(|_| Inflater::new(FRESH, &options, 1 << 20)).collect();
            (deflaters, inflaters)
        });
        let each = (held as usize - 1000 * (size_of::<Deflater>() + size_of::<Inflater>())) / 1000;
        assert_eq!((each, held), (0, peak));

        // The pool holds its few states, the thousand connections nothing.
        let message = message();
        let ((), held, _) = measure(|| {
            for (deflater, inflater) in deflaters.iter_mut().zip(&mut inflaters) {
                let payload = deflate(deflater, &message[..2000]);
                assert_eq!(inflate(inflater, &payload).unwrap(), message[..2000]);
            }
        });
        assert!(held < 1_000_000, "{held}");
        let ((), held, _) = measure(|| drop((deflaters, inflaters, options)));
        assert!(held < 0);
    }
}

/// The table of the module's documentation.
#[test]
fn what_an_idle_connection_holds() {
    let compact = |n| (Compression::Compact { window_bits: bits(n) }, n);
    let dedicated = |n| (Compression::Dedicated { window_bits: bits(n), memory_level: 4 }, n);
    let documented = [
        ((Compression::Shared, 15), 0, 0),
        (compact(9), 512, 512),
        (compact(12), 4096, 4096),
        (compact(15), 32_768, 32_768),
        (dedicated(9), 48_224, 143_624),
        (dedicated(12), 51_808, 157_960),
        (dedicated(15), 80_480, 272_648),
    ];
    let message = message();
    for ((compression, n), inflating, deflating) in documented {
        let options = DeflateOptions::new(compression);
        let direction =
            Direction { context_takeover: compression != Compression::Shared, window_bits: bits(n) };
        let mut other = Deflater::new(direction, &options);
        let payload = deflate(&mut other, &message);
        let mut inflater = Inflater::new(direction, &options, 1 << 20);
        let mut deflater = Deflater::new(direction, &options);
        let mut other_inflater = Inflater::new(direction, &options, 1 << 20);
        // What the pool holds afterwards is there before.
        inflate(&mut other_inflater, &payload).unwrap();
        let (_, held, _) = measure(|| drop(inflate(&mut inflater, &payload)));
        assert_eq!(held, inflating, "inflating: {compression:?}");
        let (_, held, _) = measure(|| drop(deflate(&mut deflater, &message)));
        assert_eq!(held, deflating, "deflating: {compression:?}");

        // Given back, a window is what stays.
        drop((other, other_inflater));
        let options = options.pool(Pool::new(0));
        let mut inflater = Inflater::new(direction, &options, 1 << 20);
        let mut deflater = Deflater::new(direction, &options);
        let ((), held, _) = measure(|| {
            inflate(&mut inflater, &payload).unwrap();
            inflater.release();
        });
        assert_eq!(held, if direction.context_takeover { 1 << n } else { 0 });
        let ((), held, _) = measure(|| {
            deflate(&mut deflater, &message);
            deflater.release();
        });
        let compact = matches!(compression, Compression::Compact { .. });
        assert_eq!(held, if compact { 1 << n } else { 0 });
    }
}

/// 1 MiB that inflates to 1 GiB, and 1 KiB that inflates to 1 MiB.
#[test]
fn pd_15_17_a_bomb_costs_no_more_than_the_limit() {
    let options = DeflateOptions::new(Compression::Shared).level(9);
    let mut part = Vec::new();
    Deflater::new(FRESH, &options).deflate(&vec![0; 8 << 20], &mut part, false);
    let bomb = part.repeat(128);
    assert!(bomb.len() < 1_100_000);
    for limit in [64 * 1024, 1 << 20] {
        for direction in [TAKEOVER, FRESH] {
            for piece in [bomb.len(), 16 * 1024, 1] {
                let mut inflater = Inflater::new(direction, &options, limit);
                let ((), held, peak) = measure(|| {
                    let mut output = Vec::new();
                    let outcome = bomb
                        .chunks(piece)
                        .map(|piece| inflater.inflate(piece, &mut output, usize::MAX, false))
                        .find_map(Result::err);
                    assert_eq!(outcome, Some(InflateError::TooBig));
                    assert_eq!(output.len(), limit);
                });
                // The output as it moves to where it is larger, a state, a window.
                assert!(peak as usize <= limit * 2 + 100_000, "{limit} {piece}: {peak}");
                // The state is gone with the error.
                assert!(held <= 0, "{held}");
            }
        }
    }
    // As one part after the other, the whole gibibyte passes through 64 KiB.
    let mut inflater = Inflater::new(FRESH, &options, usize::MAX);
    let (total, _, peak) = measure(|| {
        let (mut input, mut total) = (&bomb[..], 0_usize);
        let mut part = Vec::new();
        loop {
            let progress = inflater.inflate(input, &mut part, 64 * 1024, false).unwrap();
            input = &input[progress.consumed..];
            total += part.len();
            part.clear();
            if progress.done {
                return total;
            }
        }
    });
    assert_eq!(total, 1 << 30);
    assert!(peak < 150_000, "{peak}");
}
