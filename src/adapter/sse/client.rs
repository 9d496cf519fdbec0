//! What a client of an event stream knows and decides, whoever moves its bytes: what to ask for, what to make of the answer,
//! whether to come back. The rules themselves are those of [`Reconnect`]. No I/O.

use super::{Error, Incoming, MessageEvent, SourceOptions, Url};
use crate::heartbeat::Instant;
use crate::sse::{
    CloseReason, EventDecoder, Method, Next, Reconnect, RefusedResponse, SourceRequest, SourceResponse,
    Verdict,
};
use core::time::Duration;
use std::boxed::Box;
use std::vec::Vec;

/// A report of an event source: it is open, an event has come, or the stream is lost.
///
/// ```
/// use pushline::adapter::sse::SourceEvent;
///
/// /// For a line that shows how things stand.
/// fn status(update: &SourceEvent) -> String {
///     match update {
///         SourceEvent::Open => "live".to_owned(),
///         SourceEvent::Event(event) => format!("live, last event {}", event.id),
///         SourceEvent::Lost { wait, .. } => format!("lost, again in {wait:?}"),
///         _ => String::new(),
///     }
/// }
/// assert_eq!(status(&SourceEvent::Open), "live");
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum SourceEvent {
    /// The stream is open, for the first time or again.
    Open,
    /// An event.
    Event(MessageEvent),
    /// The connection ended or failed, with this error if it was one; it is tried again after this wait.
    Lost {
        /// What happened; `None` for a stream that ended as it should.
        error: Option<Error>,
        /// How long the client waits before it tries again.
        wait: Duration,
    },
}

/// Why there is no response.
#[derive(Debug)]
pub(in crate::adapter) enum Failed {
    /// There was no connection: not a byte was sent.
    Connect(Error),
    Request(Error),
}

/// What follows from a response.
pub(in crate::adapter) enum Judged<I> {
    /// Its body is the stream.
    Open,
    /// Ask again, elsewhere.
    Ask,
    /// Its body says why it is a refusal; then this is told.
    Refused(Refused<I>),
    /// It is over, with this error if it was one.
    Over(Option<Error>),
}

/// A refusal, and whether to come back.
#[derive(Clone, Copy, Debug)]
pub(in crate::adapter) struct Refused<I> {
    next: Result<Next<I>, CloseReason>,
    status: u16,
}

/// What follows from the end of a connection.
pub(in crate::adapter) enum Lost<I> {
    /// It is tried again at this instant.
    Again(I, Option<Error>),
    /// It is over, with this error if it was one.
    Over(Option<Error>),
}

/// A client of one stream.
#[derive(Debug)]
pub(in crate::adapter) struct Client<I> {
    pub(in crate::adapter) options: SourceOptions,
    first: Url,
    pub(in crate::adapter) url: Url,
    pub(in crate::adapter) reconnect: Reconnect<I>,
    /// Keeps the last event ID while no stream is open.
    pub(in crate::adapter) decoder: EventDecoder,
    pub(in crate::adapter) refusal: Option<Box<RefusedResponse>>,
}

impl<I: Instant> Client<I> {
    pub(in crate::adapter) fn new(url: Url, options: SourceOptions) -> Self {
        let method = if options.content.is_some() { Method::Post } else { Method::Get };
        Self {
            first: url.clone(),
            url,
            reconnect: Reconnect::new(method, options.policy),
            decoder: EventDecoder::with_limits(options.limits),
            options,
            refusal: None,
        }
    }

    /// The request to the present URL.
    pub(in crate::adapter) fn request(&self) -> Result<Vec<u8>, Error> {
        let content = self.options.content.as_ref();
        let request = SourceRequest {
            url: &self.url,
            first: &self.first,
            method: self.reconnect.method(),
            fields: &self.options.fields,
            content: content.map(|(content_type, content)| (content_type.as_str(), content.as_slice())),
            last_event_id: self.decoder.last_event_id(),
        };
        Ok(request.to_bytes().map_err(std::io::Error::other)?)
    }

    /// A stream opens: its reader gets the decoder.
    pub(in crate::adapter) fn opened(&mut self) -> EventDecoder {
        self.refusal = None;
        core::mem::take(&mut self.decoder)
    }

    /// A stream is left: the decoder comes back, with the last event ID.
    pub(in crate::adapter) fn left(&mut self, incoming: &mut Incoming) {
        self.decoder = core::mem::take(&mut incoming.parser.decoder);
        self.decoder.receive_eof();
    }

    /// What was read of the stream: the reconnection time may be among it.
    pub(in crate::adapter) fn see(&mut self, incoming: &mut Incoming, event: Option<&MessageEvent>) {
        let retry = incoming.parser.take_retry().or(event.and_then(|event| event.retry));
        if let Some(retry) = retry {
            self.reconnect.set_retry(retry);
        }
    }

    /// Judges the head of a response. `wall` is the wall time since the beginning of 1970.
    pub(in crate::adapter) fn judge(
        &mut self,
        answer: &SourceResponse,
        now: I,
        random: u64,
        wall: Duration,
    ) -> Judged<I> {
        let next = match self.reconnect.judge(answer) {
            Verdict::Open => return Judged::Open,
            Verdict::Follow(_) => {
                let location = answer.location.as_deref().unwrap_or_default();
                return match self.url.join_location(location) {
                    Ok(url) => {
                        self.url = url;
                        Judged::Ask
                    }
                    Err(_) => {
                        self.reconnect.close();
                        Judged::Over(Some(Error::Location))
                    }
                };
            }
            Verdict::Closed(CloseReason::NoContent) => return Judged::Over(None),
            // Not with a request under way, and this answers one.
            Verdict::Ignore => {
                self.reconnect.close();
                return Judged::Over(None);
            }
            Verdict::Retry => {
                let delay = answer.retry_after.map(|after| after.delay(wall));
                Ok(self.reconnect.refused(now, random, delay))
            }
            Verdict::Closed(reason) => Err(reason),
        };
        Judged::Refused(Refused { next, status: answer.status })
    }

    /// The body of a refusal was read.
    pub(in crate::adapter) fn refused(&mut self, refused: Refused<I>, refusal: RefusedResponse) -> Lost<I> {
        self.refusal = Some(Box::new(refusal));
        match refused.next {
            Ok(next) => lost(next, Some(Error::Closed(CloseReason::Status(refused.status)))),
            Err(reason) => Lost::Over(Some(Error::Closed(reason))),
        }
    }

    /// There is no response.
    pub(in crate::adapter) fn failed(&mut self, failed: Failed, now: I, random: u64) -> Lost<I> {
        match failed {
            Failed::Connect(error) if error.is_hopeless() => {
                self.reconnect.close();
                Lost::Over(Some(error))
            }
            Failed::Connect(error) => lost(self.reconnect.connect_failed(now, random), Some(error)),
            Failed::Request(error) => self.disconnected(Some(error), now, random),
        }
    }

    /// The stream ended, or was lost.
    pub(in crate::adapter) fn disconnected(&mut self, error: Option<Error>, now: I, random: u64) -> Lost<I> {
        match self.reconnect.disconnected(now, random) {
            // A POST's stream that ended as it should is over, and that is all.
            Next::Closed(CloseReason::NotReplayable) if error.is_none() => Lost::Over(None),
            next => lost(next, error),
        }
    }
}

fn lost<I>(next: Next<I>, error: Option<Error>) -> Lost<I> {
    match next {
        Next::At(at) => Lost::Again(at, error),
        // What went wrong says more than that it cannot be made good.
        Next::Closed(reason) => Lost::Over(Some(error.unwrap_or(Error::Closed(reason)))),
    }
}
