//! What waits for the tasks of clients: how much of it, and when it ends.
#![cfg(feature = "tokio")]
#![allow(clippy::unwrap_used)]

use futures_util::{FutureExt, StreamExt};
use pushline::adapter::tokio::{MailboxError, Mailboxes};

#[test]
fn as_many_wait_as_may() {
    for capacity in [1, 2, 64] {
        let mailboxes = Mailboxes::new(capacity);
        let mut mailbox = mailboxes.open("Ada");
        for number in 1..=capacity {
            assert_eq!(mailboxes.room(&"Ada"), Some(capacity - number + 1));
            assert_eq!(mailboxes.send(&"Ada", number), Ok(()));
        }
        assert_eq!(mailboxes.room(&"Ada"), Some(0));
        assert_eq!(mailboxes.send(&"Ada", 0), Err(MailboxError::Full));
        assert_eq!(mailbox.next().now_or_never(), Some(Some(1)));
        assert_eq!(mailboxes.send(&"Ada", capacity + 1), Ok(()));
        assert_eq!(mailboxes.send(&"Ada", 0), Err(MailboxError::Full));
        // Another client's is another.
        let _other = mailboxes.open("Bob");
        assert_eq!(mailboxes.send(&"Bob", 0), Ok(()));
    }
}

#[test]
#[should_panic = "at least one message"]
fn no_capacity_is_refused() {
    let _ = Mailboxes::<u8, u8>::new(0);
}

#[tokio::test]
async fn one_that_is_closed_ends_behind_what_waits() {
    let mailboxes = Mailboxes::new(4);
    let mailbox = mailboxes.open(1);
    let taken = tokio::spawn(mailbox.collect::<Vec<_>>());
    tokio::task::yield_now().await;
    mailboxes.send(&1, "one").unwrap();
    mailboxes.send(&1, "two").unwrap();
    mailboxes.close(&1);
    assert_eq!(mailboxes.send(&1, "three"), Err(MailboxError::Closed));
    assert_eq!((mailboxes.room(&1), mailboxes.count()), (None, 0));
    assert_eq!(taken.await.unwrap(), ["one", "two"]);
}

#[tokio::test]
async fn a_newer_one_takes_the_name_and_the_older_ones_end_leaves_it() {
    let mailboxes = Mailboxes::new(4);
    let mut older = mailboxes.open(1);
    mailboxes.send(&1, "to the older").unwrap();
    let mut newer = mailboxes.open(1);
    mailboxes.send(&1, "to the newer").unwrap();
    assert_eq!((older.next().await, older.next().await), (Some("to the older"), None));
    drop(older);
    assert_eq!(mailboxes.count(), 1);
    assert_eq!(newer.next().await, Some("to the newer"));
    drop(newer);
    assert_eq!((mailboxes.send(&1, ""), mailboxes.count()), (Err(MailboxError::Closed), 0));
}

#[test]
fn a_client_that_has_one_is_not_given_another_unasked() {
    let mailboxes = Mailboxes::<u8, ()>::new(1);
    let mailbox = mailboxes.try_open(1);
    assert!(mailbox.is_some() && mailboxes.try_open(1).is_none() && mailboxes.try_open(2).is_some());
    drop(mailbox);
    assert!(mailboxes.try_open(1).is_some());
}

#[tokio::test]
async fn those_who_have_left_are_let_go() {
    let mailboxes = Mailboxes::<u8, ()>::new(1);
    let mut open: Vec<_> = (0..4).map(|client| mailboxes.open(client)).collect();
    mailboxes.retain(|client| client % 2 == 0);
    assert_eq!(mailboxes.count(), 2);
    assert_eq!(open[1].next().now_or_never(), Some(None));
    assert_eq!(open[2].next().now_or_never(), None);
    drop(open);
    assert_eq!(mailboxes.count(), 0);
}
