//! The closing handshake (RFC 6455 7): a total function of state and input. No bytes, no time.

/// The state of a connection, from open to over.
///
/// ```
/// use pushline::raw::StateInput;
/// use pushline::ws::State;
///
/// let state = State::Open.next(StateInput::SendClose).next(StateInput::ReceiveClose);
/// assert_eq!(state, State::Closed);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// Messages flow both ways.
    #[default]
    Open,
    /// We sent a close frame and wait for the peer's; its messages are still delivered (1.4).
    CloseSent,
    /// The peer sent a close frame; ours has still to be sent (5.5.1).
    CloseReceived,
    /// Both close frames have passed; the server closes the transport, the client waits (7.1.1).
    Closed,
    /// Closed, and the peer has ended the transport.
    Ended,
    /// The peer broke the protocol; our close frame says so (7.1.7).
    Failed,
    /// The transport ended without the peer's close frame: code 1006 (7.1.5).
    Aborted,
}

/// An input of a [`State`]: what has happened to the connection.
///
/// ```
/// use pushline::raw::StateInput;
/// use pushline::ws::State;
///
/// assert_eq!(State::Open.next(StateInput::Eof), State::Aborted);
/// assert_eq!(State::Closed.next(StateInput::Eof), State::Ended);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StateInput {
    /// A close frame was queued.
    SendClose,
    /// A close frame was received.
    ReceiveClose,
    /// The peer broke the protocol.
    Fail,
    /// The peer's direction of the transport ended.
    Eof,
}

impl State {
    /// The state after `input`. Total: what makes no difference changes nothing.
    #[must_use]
    pub const fn next(self, input: StateInput) -> Self {
        match (self, input) {
            (Self::Open, StateInput::SendClose) => Self::CloseSent,
            (Self::Open, StateInput::ReceiveClose) => Self::CloseReceived,
            // 7.1.3: a close that crosses ours completes the handshake; no second one is sent.
            (Self::CloseSent, StateInput::ReceiveClose) | (Self::CloseReceived, StateInput::SendClose) => {
                Self::Closed
            }
            (Self::Open | Self::CloseSent, StateInput::Fail) => Self::Failed,
            (Self::Open | Self::CloseSent, StateInput::Eof) => Self::Aborted,
            (Self::CloseReceived | Self::Closed, StateInput::Eof) => Self::Ended,
            // Nothing is parsed after a close, so nothing can fail; nothing is undone.
            (Self::CloseSent, StateInput::SendClose)
            | (Self::CloseReceived, StateInput::ReceiveClose | StateInput::Fail)
            | (Self::Closed, StateInput::SendClose | StateInput::ReceiveClose | StateInput::Fail)
            | (Self::Ended | Self::Failed | Self::Aborted, _) => self,
        }
    }

    /// Whether data frames may be sent: only while open (5.5.1).
    #[must_use]
    pub const fn may_send(self) -> bool {
        matches!(self, Self::Open)
    }

    /// Whether a close frame may be sent: once.
    #[must_use]
    pub const fn may_send_close(self) -> bool {
        matches!(self, Self::Open | Self::CloseReceived)
    }

    /// Whether nothing is left to do but to write what is queued and close the transport. A client
    /// waits for the server to close it first (7.1.1).
    #[must_use]
    pub const fn is_over(self, client: bool) -> bool {
        match self {
            Self::Open | Self::CloseSent | Self::CloseReceived => false,
            Self::Closed => !client,
            Self::Ended | Self::Failed | Self::Aborted => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{State::*, StateInput::*};

    #[test]
    fn every_pair_is_as_the_table_says() {
        let table = [
            // state, SendClose, ReceiveClose, Fail, Eof
            (Open, [CloseSent, CloseReceived, Failed, Aborted]),
            (CloseSent, [CloseSent, Closed, Failed, Aborted]),
            (CloseReceived, [Closed, CloseReceived, CloseReceived, Ended]),
            (Closed, [Closed, Closed, Closed, Ended]),
            (Ended, [Ended; 4]),
            (Failed, [Failed; 4]),
            (Aborted, [Aborted; 4]),
        ];
        for (state, expected) in table {
            for (input, expected) in [SendClose, ReceiveClose, Fail, Eof].into_iter().zip(expected) {
                assert_eq!(state.next(input), expected, "{state:?} {input:?}");
            }
        }
    }

    #[test]
    fn a_close_is_sent_once_and_data_never_after() {
        for state in [Open, CloseSent, CloseReceived, Closed, Ended, Failed, Aborted] {
            let sent = state.next(SendClose);
            assert!(!sent.may_send() && !sent.may_send_close(), "{state:?}");
            assert!(!state.is_over(true) || state.is_over(false), "a client is never over before a server");
            assert!(!state.may_send() || state.may_send_close());
        }
    }
}
