//! A global allocator that counts what the current thread asks of it. A test binary that includes this file
//! uses it for all its tests.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
    static ASKED: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

fn count(size: usize) {
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
    let _ = ASKED.try_with(|asked| asked.set(asked.get() + size as u64));
}

fn hold(more: usize, less: usize) {
    let _ = HELD.try_with(|held| {
        held.set(held.get() + more as isize - less as isize);
        PEAK.with(|peak| peak.set(peak.get().max(held.get())));
    });
}

// SAFETY: every call goes to the system's allocator with the caller's own arguments.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        hold(layout.size(), 0);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        hold(0, layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        hold(size, layout.size());
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// How many times `work` allocates or grows an allocation on this thread.
#[allow(dead_code)]
pub fn allocations(work: impl FnOnce()) -> u64 {
    let before = COUNT.get();
    work();
    COUNT.get() - before
}

/// How many bytes `work` asks for on this thread, all allocations together, given back or not.
#[allow(dead_code)]
pub fn asked(work: impl FnOnce()) -> u64 {
    let before = ASKED.get();
    work();
    ASKED.get() - before
}

/// How many bytes more than now this thread holds at the height of `work`, and after it.
#[allow(dead_code)]
pub fn memory(work: impl FnOnce()) -> (isize, isize) {
    let before = HELD.get();
    PEAK.set(before);
    work();
    (PEAK.get() - before, HELD.get() - before)
}
