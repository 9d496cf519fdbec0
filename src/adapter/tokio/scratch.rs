//! Memory that belongs to the thread: a connection borrows it while it has something in it, so an
//! idle one holds no buffer.

use crate::inbox::Inbox;
use crate::outgoing::{Buffers, Outgoing};
use core::cell::{Cell, RefCell};
use std::boxed::Box;

std::thread_local! {
    static RECEIVING: Cell<Option<Box<Inbox>>> = const { Cell::new(None) };
    static SENDING: RefCell<Buffers> = const { RefCell::new(Buffers::new()) };
}

/// Memory above this goes back to the allocator instead of being kept by the thread.
const LARGEST_KEPT: usize = 256 * 1024;

/// The same for sending: room for a client's message of 1 MiB, masked.
const LARGEST_KEPT_FOR_SENDING: usize = 2 * 1024 * 1024;

/// The inbox of a connection: the thread's, unless something is in it. A connection that waits for a message has none.
#[derive(Debug)]
pub(super) struct Lent {
    inbox: Option<Box<Inbox>>,
    read_size: usize,
}

impl Lent {
    pub(super) const fn new(read_size: usize) -> Self {
        Self { inbox: None, read_size }
    }

    /// What is held, and room for more.
    #[inline]
    pub(super) fn get(&mut self) -> &mut Inbox {
        self.inbox.get_or_insert_with(|| {
            let mut inbox = RECEIVING.try_with(Cell::take).ok().flatten().unwrap_or_default();
            inbox.start_anew(self.read_size);
            inbox
        })
    }

    /// What is held, if there is something.
    #[inline]
    pub(super) fn held(&self) -> Option<&Inbox> {
        self.inbox.as_deref()
    }

    /// Gives it back before the connection waits. What is held of a partial frame moves to memory of its own size, unless
    /// it is so much that the connection had better keep all.
    #[inline]
    pub(super) fn give_back(&mut self) {
        match &mut self.inbox {
            Some(inbox) if !inbox.is_between_frames() => {
                if inbox.capacity() > 0
                    && let Some(memory) = inbox.take_memory()
                {
                    let mut rest = Box::<Inbox>::default();
                    rest.set_memory(memory);
                    keep(rest);
                }
            }
            inbox => inbox.take().into_iter().for_each(keep),
        }
    }
}

#[inline]
fn keep(inbox: Box<Inbox>) {
    if inbox.memory() <= LARGEST_KEPT {
        let _ = RECEIVING.try_with(|kept| kept.set(Some(inbox)));
    }
}

/// Calls `with` with the thread's memory for sending, with nothing in it. What is left in it is dropped.
pub(super) fn sending(with: &mut dyn FnMut(&mut Vec<u8>)) {
    let lent = SENDING.try_with(|kept| {
        // It is lent already where the transport of a connection is another connection.
        let mut kept = kept.try_borrow_mut().ok()?;
        let memory = kept.buffer();
        with(memory);
        memory.clear();
        if memory.capacity() > LARGEST_KEPT_FOR_SENDING {
            *memory = Vec::new();
        }
        Some(())
    });
    if !matches!(lent, Ok(Some(()))) {
        with(&mut Vec::new());
    }
}

/// Gives an outgoing queue without memory that of the thread, if it is at hand.
#[inline]
pub(super) fn lend_to_outgoing(outgoing: &mut Outgoing) {
    if !outgoing.has_memory() {
        swap(outgoing);
    }
}

/// Takes the memory of an empty outgoing queue back before its connection waits.
#[inline(never)] // less in registers where messages are received
pub(super) fn take_from_outgoing(outgoing: &mut Outgoing) {
    if outgoing.is_empty() && outgoing.has_memory() {
        if outgoing.capacity() <= LARGEST_KEPT_FOR_SENDING {
            swap(outgoing);
        }
        // Too much, or what the thread had besides.
        if outgoing.has_memory() {
            outgoing.release();
        }
    }
}

#[inline]
fn swap(outgoing: &mut Outgoing) {
    let _ = SENDING.try_with(|kept| kept.try_borrow_mut().map(|mut kept| outgoing.swap_memory(&mut kept)));
}
