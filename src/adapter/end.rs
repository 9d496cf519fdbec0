//! The end of a connection, as both adapters begin and tell it.

use super::{Error, trace};
use crate::heartbeat::Instant;
use crate::ws::{CloseCode, CloseFrame, End, Life, MAX_CONTROL_LEN, Sender, TimedOut, UsageError};
use std::io;
use std::string::ToString;

/// Queues a close frame, unless the connection is closing already.
pub(super) fn close(sender: &mut Sender, code: impl Into<CloseCode>, reason: &str) -> Result<(), UsageError> {
    let code = code.into();
    match sender.close(code, reason) {
        Ok(()) => {
            trace::closed("us", Some(code));
            Ok(())
        }
        Err(UsageError::Closed) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether a close frame can be made of this.
pub(super) fn check(code: CloseCode, reason: &str) -> Result<(), UsageError> {
    CloseFrame { code, reason }.encode(&mut [0; MAX_CONTROL_LEN]).map(drop)
}

/// How a connection ended, as an error; the same each time it is asked for.
pub(super) fn error(end: End, failure: Option<&io::Error>) -> Option<Error> {
    match end {
        End::Closed => None,
        End::Protocol(error) => Some(Error::Protocol(error)),
        End::TimedOut(what) => Some(Error::TimedOut(what)),
        End::Transport => Some(failure.map_or(Error::Aborted, |error| again(error).into())),
        End::Aborted => Some(Error::Aborted),
    }
}

/// As [`error`], for who writes: how the peer ended it is the reader's to say.
pub(super) fn error_of_writing(end: End, failure: Option<&io::Error>) -> Option<Error> {
    match end {
        End::Transport | End::TimedOut(TimedOut::Write | TimedOut::Close) => error(end, failure),
        _ => None,
    }
}

/// Why nothing can be sent although the connection is not closing, or why what was sent is `lost`.
pub(super) fn refusal<I: Instant>(life: &Life<I>, failure: Option<&io::Error>, lost: bool) -> Option<Error> {
    if life.is_closed_by_peer() && !lost {
        return None;
    }
    match (failure, life.end()) {
        (Some(error), _) => Some(again(error).into()),
        (None, Some(End::TimedOut(what))) => Some(Error::TimedOut(what)),
        _ if !lost => None,
        (None, Some(End::Protocol(error))) => Some(Error::Protocol(error)),
        // The peer has closed, and did not take what was sent before its close was answered.
        (None, Some(End::Closed)) => Some(Error::TimedOut(TimedOut::Close)),
        (None, _) => Some(Error::Aborted),
    }
}

/// Tells the sender of the end of the peer's direction. Whether something that was sent is lost by that.
pub(super) fn receive_eof(sender: &mut Sender) -> bool {
    let queued = sender.queued();
    sender.receive_eof();
    sender.queued() < queued
}

/// An error told once more: `io::Error` cannot be cloned.
pub(super) fn again(error: &io::Error) -> io::Error {
    #[cfg(feature = "rustls")]
    if let Some(tls) = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>()) {
        return io::Error::new(error.kind(), tls.clone());
    }
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}
