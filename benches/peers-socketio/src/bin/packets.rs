//! Packets in memory: decoding and encoding, beside socketioxide's parser; and what each allocates. `packets [ROUNDS]`.
//!
//! socketioxide splits a packet's head off and leaves its JSON as it is; whether that is JSON is seen when a handler reads
//! it. So there are two rows for it: the head alone, and the arguments read as well. pushline has checked the JSON, and
//! lends it.

use pushline::socketio::{Encoded, Packet, PacketLimits};
use socketioxide_core::packet::Packet as Theirs;
use socketioxide_core::parser::{Parse, ParseConfig, ParserState};
use socketioxide_parser_common::CommonParser;
use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

struct Counting;
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: it is the system's allocator, with a number beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        unsafe { System.dealloc(memory, layout) }
    }
    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const EVENT: &str = r#"2/chat,17["message","an echo of exactly thirty-two by"]"#;

/// Nanoseconds and allocations a call; the best of the rounds.
struct Row(&'static str, f64, u64, Box<dyn FnMut()>);

fn main() {
    let rounds = std::env::args().nth(1).and_then(|rounds| rounds.parse().ok()).unwrap_or(200);
    let text: socketioxide_core::Str = EVENT.into();
    let (head, read) = (text.clone(), text);
    let decode = |text: &socketioxide_core::Str| {
        CommonParser
            .decode_str(&ParseConfig::default(), &ParserState::default(), text.clone())
            .expect("a packet")
    };
    let mut buffer = String::with_capacity(256);
    let words = "an echo of exactly thirty-two by";
    let mut rows = [
        Row(
            "pushline: decode, JSON checked",
            f64::MAX,
            0,
            Box::new(|| {
                black_box(Packet::parse(black_box(EVENT), &PacketLimits::new()).expect("a packet"));
            }),
        ),
        Row(
            "pushline: decode, arguments read",
            f64::MAX,
            0,
            Box::new(|| {
                let packet = Packet::parse(black_box(EVENT), &PacketLimits::new()).expect("a packet");
                let mut arguments = packet.data.and_then(|data| data.array()).expect("an array").skip(1);
                let text = arguments.next().and_then(|text| text.string()).expect("a text");
                black_box(String::from(text.to_cow()));
            }),
        ),
        Row(
            "socketioxide: decode, head only",
            f64::MAX,
            0,
            Box::new(move || {
                black_box(decode(black_box(&head)));
            }),
        ),
        Row(
            "socketioxide: decode, arguments read",
            f64::MAX,
            0,
            Box::new(move || {
                let mut packet = decode(black_box(&read));
                let socketioxide_core::packet::PacketData::Event(value, _) = &mut packet.inner else {
                    panic!("an event")
                };
                black_box(CommonParser.decode_value::<(String,)>(value, true).expect("a text"));
            }),
        ),
        Row(
            "pushline: encode, in a buffer that is there",
            f64::MAX,
            0,
            Box::new(move || {
                let event = Encoded::event_in(
                    std::mem::take(&mut buffer),
                    "/chat",
                    "message",
                    black_box(words),
                    Some(17),
                );
                buffer = black_box(event).into_text();
            }),
        ),
        Row(
            "pushline: encode",
            f64::MAX,
            0,
            Box::new(|| {
                black_box(Encoded::event("/chat", "message", black_box(words), Some(17)));
            }),
        ),
        Row(
            "socketioxide: encode",
            f64::MAX,
            0,
            Box::new(move || {
                let value = CommonParser.encode_value(black_box(words), Some("message")).expect("JSON");
                black_box(CommonParser.encode(Theirs::event("/chat", value)));
            }),
        ),
    ];
    const CALLS: u32 = 10_000;
    for _ in 0..rounds {
        for Row(_, best, allocations, call) in &mut rows {
            let (before, begun) = (ALLOCATIONS.load(Ordering::Relaxed), Instant::now());
            (0..CALLS).for_each(|_| call());
            *best = best.min(begun.elapsed().as_nanos() as f64 / f64::from(CALLS));
            *allocations = (ALLOCATIONS.load(Ordering::Relaxed) - before) / u64::from(CALLS);
        }
    }
    println!("| | ns | allocations |\n|---|--:|--:|");
    for Row(name, best, allocations, _) in &rows {
        println!("| {name} | {best:.0} | {allocations} |");
    }
}
