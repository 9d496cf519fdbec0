//! The rules, with the right value of each.

use crate::host::{Host, In, SECOND};
use pushline::heartbeat::{CLOSE_TIMEOUT, PING_INTERVAL, PING_TIMEOUT};
use pushline::ws::{
    CLOSE_LIMIT, CloseCode, End, MAX_DRAIN, ProtocolError, Role, Side, State, Step, TimedOut, Times,
};
use std::time::Duration;

const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PONG: u8 = 10;
const ROLES: [Role; 2] = [Role::Server, Role::Client];
const MILLISECOND: Duration = Duration::from_millis(1);

fn over(end: End) -> Step<Duration> {
    Step::Over(end)
}

/// 5.5.2: after `ping_interval` of silence a ping goes out; each byte of the peer's starts the interval anew.
#[test]
fn a_ping_is_due_after_silence() {
    for role in ROLES {
        let mut host = Host::new(role, Times::new());
        assert_eq!(host.run_until(20 * SECOND), Step::Wait(Some(PING_INTERVAL)));
        host.peer_sends(TEXT, b"x");
        assert_eq!(host.run(), Step::Wait(Some(20 * SECOND + PING_INTERVAL)));
        host.run_until(20 * SECOND + PING_INTERVAL - MILLISECOND);
        assert!(host.written.is_empty());
        host.run_until(20 * SECOND + PING_INTERVAL);
        assert_eq!(host.written[0], 0x89);
    }
}

/// 5.5.3: no sign of life within `ping_timeout` of the ping's last byte, and it is over, to the tick.
#[test]
fn a_pong_that_does_not_come_ends_it() {
    let late = PING_INTERVAL + PING_TIMEOUT;
    let mut host = Host::server();
    assert_eq!(host.run_until(late - MILLISECOND), Step::Wait(Some(late)));
    assert_eq!(host.run_until(late), over(End::TimedOut(TimedOut::Ping)));

    let mut host = Host::server();
    host.run_until(late - MILLISECOND);
    host.peer_sends(PONG, b"");
    assert_eq!(host.run_until(late), Step::Wait(Some(late - MILLISECOND + PING_INTERVAL)));
}

/// The ping timeout runs from the written ping: one that the transport has not taken whole is not late.
#[test]
fn an_unwritten_ping_is_not_late() {
    let mut host = Host::server();
    host.room = 1;
    // The write timeout watches, from when the first byte was out.
    let stalled = PING_INTERVAL + PING_INTERVAL + PING_TIMEOUT;
    assert_eq!(host.run_until(PING_INTERVAL + PING_TIMEOUT + SECOND), Step::Wait(Some(stalled)));
    host.run_until(stalled - SECOND);
    host.room = 1;
    assert_eq!(host.run(), Step::Wait(Some(stalled - SECOND + PING_TIMEOUT)));
    assert_eq!(host.written, [0x89, 0]);
    assert_eq!(host.run_until(stalled + PING_TIMEOUT), over(End::TimedOut(TimedOut::Ping)));
    assert_eq!(host.now, stalled - SECOND + PING_TIMEOUT);
}

/// Input comes before a deadline: a host that was stopped finds pong and text in the transport, and goes on. So does one
/// that tells the time before it reads.
#[test]
fn input_comes_before_a_deadline() {
    for tick_first in [false, true] {
        let mut host = Host::server();
        host.run_until(PING_INTERVAL + SECOND);
        host.peer_sends(PONG, b"");
        host.peer_sends(TEXT, b"there");
        host.stop(100 * SECOND);
        if tick_first {
            host.life.ready();
            host.life.tick(Side::Reading, host.now);
        }
        assert_eq!(host.run(), Step::Wait(Some(host.now + PING_INTERVAL)));
        assert_eq!(host.texts, ["there"]);
        // Without any input it is late indeed.
        let mut host = Host::server();
        host.run_until(PING_INTERVAL + SECOND);
        host.stop(100 * SECOND);
        if tick_first {
            host.life.ready();
            host.life.tick(Side::Reading, host.now);
        }
        assert_eq!(host.run(), over(End::TimedOut(TimedOut::Ping)));
    }
}

/// A close frame that lies in the transport when the close timeout is over counts (7.1.4).
#[test]
fn a_close_comes_before_the_close_timeout() {
    let mut host = Host::server();
    host.connection.close(CloseCode::NORMAL, "").unwrap();
    host.run();
    host.peer_sends(TEXT, b"before");
    host.peer_sends(CLOSE, b"");
    host.stop(100 * SECOND);
    assert_eq!(host.run(), over(End::Closed));
    assert_eq!(host.texts, ["before"]);
}

/// `write_timeout`: nothing of what is queued is taken. By default as long as a peer may be silent.
#[test]
fn a_stalled_write_ends_it() {
    let three = Times::new().write_timeout(3 * SECOND);
    for (times, timeout) in [(Times::new(), PING_INTERVAL + PING_TIMEOUT), (three, 3 * SECOND)] {
        for side in [Side::Reading, Side::Writing] {
            let mut host = Host::new(Role::Server, times.ping_interval(None));
            host.side = side;
            host.run_until(SECOND);
            host.room = 0;
            host.connection.send("text").unwrap();
            assert_eq!(host.run(), Step::Wait(Some(SECOND + timeout)));
            assert_eq!(host.run_until(100 * SECOND), over(End::TimedOut(TimedOut::Write)));
            assert_eq!(host.now, SECOND + timeout);
        }
    }
}

/// Progress of a stalled write is life: a byte now and then keeps the write timeout away, and the pong is not late while
/// the peer takes what it is sent.
#[test]
fn progress_is_life() {
    let mut host = Host::server();
    host.room = 0;
    host.connection.send("a message for a slow line").unwrap();
    let queued = host.connection.queued() as u32;
    let mut last = Duration::ZERO;
    for n in 1..=queued {
        host.run_until(n * 25 * SECOND);
        assert_eq!(host.life.end(), None);
        host.room = 1;
        last = host.now;
        host.run();
    }
    assert_eq!(host.connection.queued(), 0);
    host.room = usize::MAX;
    // The progress of each write was a sign of life, so there was no silence and no ping.
    assert_eq!(host.run(), Step::Wait(Some(last + PING_INTERVAL)));
    assert_eq!(host.run_until(last + 2 * PING_INTERVAL), over(End::TimedOut(TimedOut::Ping)));
    assert_eq!(host.now, last + PING_INTERVAL + PING_TIMEOUT);
}

/// A write that the transport takes at once says nothing of the peer: pings go out although we send.
#[test]
fn what_the_transport_takes_at_once_is_no_life() {
    let mut host = Host::server();
    for n in 0..50 {
        host.connection.send("tick").unwrap();
        host.run_until(n * SECOND);
    }
    assert_eq!(host.run_until(100 * SECOND), over(End::TimedOut(TimedOut::Ping)));
    assert_eq!(host.now, PING_INTERVAL + PING_TIMEOUT);
}

/// A timeout holds whatever the peer sends: one that floods and takes nothing is given up at the write timeout.
#[test]
fn a_flood_does_not_hold_up_the_write_timeout() {
    let mut host = Host::server();
    host.room = 0;
    host.connection.send("text").unwrap();
    host.run();
    host.flood = 16;
    host.stop(PING_INTERVAL + PING_TIMEOUT);
    assert_eq!(host.run(), over(End::TimedOut(TimedOut::Write)));

    // What the transport takes by now is tried before: then it is no stall.
    let mut host = Host::server();
    host.room = 0;
    host.connection.send("text").unwrap();
    host.run();
    host.life.sync(host.connection.sender());
    host.life.received(16);
    host.life.write_blocked();
    host.life.tick(Side::Reading, PING_INTERVAL + PING_TIMEOUT);
    assert_eq!(host.life.end(), None);
    assert_eq!(host.life.step(Side::Reading), Step::Write);
}

/// The close timeout runs from our last byte; 7.1.1.
#[test]
fn the_close_timeout_runs_from_the_last_byte() {
    let mut host = Host::server();
    host.room = 0;
    host.connection.send("still to be delivered").unwrap();
    host.connection.close(CloseCode::NORMAL, "").unwrap();
    let queued = host.connection.queued() as u32;
    let mut last = Duration::ZERO;
    for n in 0..queued {
        // While bytes go out, it runs from the last one that did.
        assert_eq!(host.run(), Step::Wait(Some(last + CLOSE_TIMEOUT)));
        last = (n + 1) * 2 * SECOND;
        assert_eq!(host.run_until(last), Step::Wait(Some(last - 2 * SECOND + CLOSE_TIMEOUT)));
        host.room = 1;
    }
    assert_eq!(host.run_until(1_000 * SECOND), over(End::TimedOut(TimedOut::Close)));
    assert_eq!(host.now, last + CLOSE_TIMEOUT);
    assert!(host.connection.queued() == 0 && last > 2 * CLOSE_TIMEOUT);
}

/// `close_limit` bounds all of it: a byte now and then does not keep the end from coming.
#[test]
fn the_close_limit_bounds_all() {
    let mut host = Host::server();
    host.room = 0;
    host.connection.send([0; 10_000].as_slice()).unwrap();
    host.run_until(SECOND);
    host.connection.close(CloseCode::NORMAL, "").unwrap();
    let mut step = host.run();
    while let Step::Wait(_) = step {
        host.room = 1;
        step = host.run_until(host.now + SECOND);
    }
    assert_eq!((step, host.now), (over(End::TimedOut(TimedOut::Close)), SECOND + CLOSE_LIMIT));
}

/// What goes on being sent does not move the close timeout: the peer's bytes are no answer.
#[test]
fn a_flood_does_not_hold_up_the_close_timeout() {
    for role in ROLES {
        let mut host = Host::new(role, Times::new());
        host.connection.close(CloseCode::NORMAL, "").unwrap();
        host.run();
        host.flood = 1_024;
        host.stop(CLOSE_TIMEOUT);
        assert_eq!(host.run(), over(End::TimedOut(TimedOut::Close)));
        // One last look for the close frame, of 64 KiB.
        assert!((64 << 10..128 << 10).contains(&host.read), "{}", host.read);
    }
}

/// 7.1.1: after both close frames the server ends its direction at once, and waits for the client's; the client waits for
/// the server's.
#[test]
fn the_server_closes_first() {
    let mut host = Host::server();
    host.peer_sends(CLOSE, b"");
    assert_eq!(host.run(), Step::Wait(Some(CLOSE_TIMEOUT)));
    assert!(host.shut);
    host.incoming.push_back(In::Eof);
    assert_eq!(host.run(), over(End::Closed));

    let mut host = Host::client();
    host.peer_sends(CLOSE, b"");
    assert_eq!(host.run(), Step::Wait(Some(CLOSE_TIMEOUT)));
    assert!(!host.shut);
    host.incoming.push_back(In::Eof);
    assert_eq!(host.run(), over(End::Closed));
    assert!(host.shut);
}

/// 5.5.1: a close that comes first is answered; 7.1.4: then nothing that the transport does counts.
#[test]
fn errors_after_the_peers_close_do_not_count() {
    for role in ROLES {
        for after in [In::Eof, In::Reset] {
            for broken in [false, true] {
                let mut host = Host::new(role, Times::new());
                host.peer_sends(CLOSE, b"");
                host.incoming.push_back(after.clone());
                host.broken = broken;
                assert_eq!(host.run(), over(End::Closed));
                assert_eq!(host.written.is_empty(), broken);
            }
        }
        // Nor does it count that the peer does nothing any more.
        let mut host = Host::new(role, Times::new());
        host.peer_sends(CLOSE, b"");
        assert_eq!(host.run_until(100 * SECOND), over(End::Closed));
        assert_eq!(host.now, CLOSE_TIMEOUT);
    }
}

/// 7.1.5: without a close frame, an end is abnormal and a failure is one.
#[test]
fn an_end_without_a_close_is_abnormal() {
    for role in ROLES {
        for (last, end) in [(In::Eof, End::Aborted), (In::Reset, End::Transport)] {
            let mut host = Host::new(role, Times::new());
            host.peer_sends(TEXT, b"last");
            host.incoming.push_back(last);
            assert_eq!(host.run(), over(end));
            assert_eq!(host.texts, ["last"]);
        }
    }
}

/// A write that failed is the end, but what the peer has sent is read: up to its close frame, which makes the end a good
/// one, or up to the close timeout.
#[test]
fn after_a_failed_write_the_rest_is_read() {
    let mut host = Host::server();
    host.broken = true;
    host.connection.send("text").unwrap();
    host.peer_sends(TEXT, b"unread");
    assert_eq!(host.run(), Step::Wait(Some(CLOSE_TIMEOUT)));
    assert_eq!(host.texts, ["unread"]);
    assert!(host.life.is_mute());
    host.peer_sends(CLOSE, b"");
    host.incoming.push_back(In::Eof);
    assert_eq!(host.run(), over(End::Closed));

    let mut host = Host::server();
    host.broken = true;
    host.connection.send("text").unwrap();
    host.incoming.push_back(In::Eof);
    assert_eq!(host.run(), over(End::Transport));

    let mut host = Host::server();
    host.broken = true;
    host.connection.send("text").unwrap();
    assert_eq!(host.run_until(100 * SECOND), over(End::TimedOut(TimedOut::Close)));
    assert_eq!(host.now, CLOSE_TIMEOUT);
}

/// 7.1.7: a protocol fault wins over all that the transport does, and over every timeout; the close frame that says so is
/// written, our direction ended, and the peer's drained.
#[test]
fn a_protocol_fault_wins() {
    let fault = ProtocolError::ReservedBits;
    for after in [Some(In::Eof), Some(In::Reset), None] {
        for broken in [false, true] {
            let mut host = Host::server();
            host.incoming.push_back(In::Bytes(vec![0xc1, 0x80, 0, 0, 0, 0]));
            host.peer_sends(TEXT, b"not to be seen");
            host.incoming.extend(after.clone());
            host.broken = broken;
            let end = host.run_until(100 * SECOND);
            assert_eq!(end, over(End::Protocol(fault)));
            assert_eq!(host.shut, !broken);
            assert!(host.texts.is_empty());
            assert_eq!(host.connection.state(), State::Failed);
            assert_eq!(host.written, if broken { &[][..] } else { &[0x88, 2, 0x03, 0xea] });
        }
    }
}

/// What is drained has a limit: one byte more than `MAX_DRAIN`, and it is over.
#[test]
fn draining_has_a_limit() {
    for (n, ends) in [(MAX_DRAIN - 1, false), (MAX_DRAIN, false), (MAX_DRAIN + 1, true)] {
        let mut host = Host::server();
        host.peer_sends(CLOSE, b"");
        host.run();
        assert!(host.shut);
        let half = n / 2;
        host.incoming.push_back(In::Bytes(vec![0; half]));
        assert_eq!(host.run(), Step::Wait(Some(CLOSE_TIMEOUT)));
        host.incoming.push_back(In::Bytes(vec![0; n - half]));
        let step = host.run();
        assert_eq!(step, if ends { over(End::Closed) } else { Step::Wait(Some(CLOSE_TIMEOUT)) }, "{n}");
    }
    // However fast it comes.
    let mut host = Host::server();
    host.peer_sends(CLOSE, b"");
    host.flood = 64 << 10;
    assert_eq!(host.run(), over(End::Closed));
    assert!((MAX_DRAIN..=MAX_DRAIN + 2 * host.flood).contains(&host.read));
}

/// The writing side does not judge whether a pong is late: that may lie unread in the transport.
#[test]
fn the_writing_side_does_not_judge_a_late_pong() {
    let mut host = Host::server();
    host.side = Side::Writing;
    assert_eq!(host.run_until(PING_INTERVAL), Step::Wait(None));
    assert_eq!(host.written, [0x89, 0]);
    host.stop(100 * SECOND);
    assert_eq!(host.run(), Step::Wait(None));
    // Who reads, reads first.
    host.side = Side::Reading;
    host.peer_sends(PONG, b"");
    assert_eq!(host.run(), Step::Wait(Some(host.now + PING_INTERVAL)));
    // But a close has its time on both.
    host.side = Side::Writing;
    host.connection.close(CloseCode::NORMAL, "").unwrap();
    let start = host.now;
    assert_eq!(host.run_until(start + 100 * SECOND), over(End::TimedOut(TimedOut::Close)));
    assert_eq!(host.now, start + CLOSE_TIMEOUT);
}

/// Nobody reads any more: what is sent goes out, late pongs are nobody's to judge, and a close is not waited for.
#[test]
fn the_reader_is_gone() {
    for side in [Side::Reading, Side::Writing] {
        for role in ROLES {
            let mut host = Host::new(role, Times::new());
            host.side = side;
            host.life.reader_gone();
            assert_eq!(host.run_until(1_000 * SECOND), Step::Wait(None));
            host.room = 0;
            host.connection.send("goodbye").unwrap();
            host.connection.close(CloseCode::NORMAL, "").unwrap();
            assert_eq!(host.run(), Step::Wait(Some(1_000 * SECOND + CLOSE_TIMEOUT)));
            host.room = usize::MAX;
            assert_eq!(host.run(), over(End::Closed));
            assert!(host.shut && host.connection.queued() == 0);
        }
    }
    // A write still stalls, or fails.
    let mut host = Host::server();
    host.life.reader_gone();
    host.room = 0;
    host.connection.send("text").unwrap();
    assert_eq!(host.run_until(100 * SECOND), over(End::TimedOut(TimedOut::Write)));
    let mut host = Host::server();
    host.life.reader_gone();
    host.broken = true;
    host.connection.send("text").unwrap();
    assert_eq!(host.run(), over(End::Transport));
}

/// 5.5.1: a ping that was due when the connection began to close is not asked for.
#[test]
fn no_ping_follows_a_close() {
    let mut host = Host::server();
    host.run();
    host.life.tick(Side::Reading, PING_INTERVAL);
    host.connection.close(CloseCode::NORMAL, "").unwrap();
    host.now = PING_INTERVAL;
    assert_eq!(host.run(), Step::Wait(Some(PING_INTERVAL + CLOSE_TIMEOUT)));
    assert_eq!(host.written[0], 0x88);
}

/// What had been accepted when the peer's close came may go out after it (5.5.1): the close timeout runs from the last byte
/// of that, not from an earlier moment at which nothing was queued.
#[test]
fn the_close_timeout_runs_from_the_reply() {
    let mut host = Host::server();
    let fault = ProtocolError::InvalidUtf8;
    host.life.failed(fault);
    host.run();
    host.room = 0;
    host.connection.close(CloseCode::INVALID_DATA, "").unwrap();
    host.run_until(4 * SECOND);
    host.room = usize::MAX;
    assert_eq!(host.run(), Step::Wait(Some(4 * SECOND + CLOSE_TIMEOUT)));
    assert_eq!(host.run_until(100 * SECOND), over(End::Protocol(fault)));
}
