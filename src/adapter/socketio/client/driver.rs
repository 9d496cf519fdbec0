//! The task of a client: the state machines of both layers, requests and a socket on tasks of their own, one session after
//! another.

use super::exchange::{Line, Reply};
use super::held::{Held, Records, Room, Taken};
use super::{AckError, Answer, ClientAck, ClientEvent, Command, Emitter, SocketIoClientOptions};
use crate::adapter::Options;
use crate::adapter::tokio::{ClientWriteHalf, Writer, connect};
use crate::http1::Url;
use crate::json;
use crate::socketio::engine::{
    self, Data, EngineCloseReason, EngineFrame, EngineMessage, EnginePacket, InvalidEnginePacket, Task,
};
use crate::socketio::{ClientConnection, FromServer};
use crate::ws::handshake::ClientOptions as Handshake;
use crate::ws::{self, Outbound};
use core::future::poll_fn;
use core::pin::pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::collections::{HashMap, VecDeque};
use std::format;
use std::string::String;
use std::sync::Arc;
use std::vec::Vec;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};

/// Bytes that may be queued for a server before commands wait.
const AHEAD: usize = 256 * 1024;

/// Commands for namespaces that have not let the client in yet; with more of them, all others wait, too.
const HELD: usize = 64;

/// KiB of events that wait for the application, besides 256 in number. Without it, a server has a client that takes none hold 256 of
/// the largest.
const EVENTS: u32 = 4 * 1024;

/// KiB of messages that have come over the socket and were not looked at yet, besides 16 in number.
const MESSAGES: u32 = 1024;

/// Time that closing a socket may take.
const CLOSE: Duration = Duration::from_secs(1);

pub(super) struct Driver {
    url: Url,
    options: SocketIoClientOptions,
    client: ClientConnection<Instant>,
    acks: HashMap<(Arc<str>, u64), Answer>,
    emitter: mpsc::WeakSender<Command>,
    commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<Held<ClientEvent>>,
    room: Room,
    /// What the application has no room for yet. Until it has, nothing more is taken in; what is emitted still goes out.
    told: Option<ClientEvent>,
    /// Counts sessions: an answer belongs to the one that it was asked for in.
    number: u64,
    /// The namespaces that have let the client in, in this session.
    joined: Vec<Arc<str>>,
    /// What is for the others, in its order.
    held: VecDeque<Command>,
    /// Whether reports come before commands: by turns, so that neither keeps the other waiting.
    reports_first: bool,
}

/// What the tasks of a session report.
enum Report {
    Polled(Reply),
    Posted(Reply),
    Opened(Option<Writer<ClientWriteHalf>>),
    Came(Held<ws::Message>),
    Gone,
}

enum Input {
    Report(Report),
    Command(Command),
    /// Time has passed, a frame was written, or the application has dropped the client.
    Look,
}

/// A session, and what is under way for it.
struct Session {
    engine: engine::EngineClient<Instant>,
    poll: Line,
    post: Line,
    socket: Option<Writer<ClientWriteHalf>>,
    /// What an answer to a poll still has.
    records: Records,
    /// What the socket has no room for yet.
    frame: Option<EngineMessage>,
    /// The task that opens and reads the socket.
    reader: Option<AbortHandle>,
    tasks: JoinSet<()>,
    reports: mpsc::Sender<Report>,
    /// That a POST is done, which waits for nothing that was told before.
    posted: mpsc::Sender<Report>,
}

impl Driver {
    pub(super) fn new(
        url: Url,
        options: SocketIoClientOptions,
        emitter: mpsc::WeakSender<Command>,
        commands: mpsc::Receiver<Command>,
        events: mpsc::Sender<Held<ClientEvent>>,
    ) -> Self {
        let mut client = ClientConnection::new(options.config);
        for (name, auth) in &options.namespaces {
            let auth = auth.as_ref().and_then(|auth| json::check(auth).ok());
            let _ = client.join(name, auth); // sent once a session is open
        }
        Self {
            url,
            options,
            client,
            acks: HashMap::new(),
            emitter,
            commands,
            events,
            room: Room::new(EVENTS),
            told: None,
            number: 0,
            joined: Vec::new(),
            held: VecDeque::new(),
            reports_first: false,
        }
    }

    pub(super) async fn run(mut self) {
        let mut failures = 0;
        while self.client.wants_any() && !self.events.is_closed() {
            let (opened, reason) = self.session().await;
            self.client.lost();
            self.acks.clear();
            self.joined.clear();
            self.number += 1;
            if !self.client.wants_any() {
                return;
            }
            failures = if opened { 0 } else { failures + 1 };
            let waits = self.told.take().into_iter();
            for event in waits.chain([ClientEvent::Lost { reason: reason.as_str() }]) {
                let (events, room) = (&self.events, self.room.take(size(&event)));
                let held = Held(event, or_closed(events, room).await);
                if events.send(held).await.is_err() {
                    return;
                }
            }
            let random = getrandom::u64().unwrap_or_default();
            let wait = self.options.backoff.wait(self.options.first_wait, failures, random);
            let _ = timeout(wait, self.events.closed()).await;
        }
    }

    /// One session, from the handshake to its end: whether it was open, and why it ended.
    async fn session(&mut self) -> (bool, EngineCloseReason) {
        let (reports, received) = mpsc::channel(16);
        let (posted, done) = mpsc::channel(1);
        let mut received = (received, done);
        let mut session = Session {
            engine: engine::EngineClient::new(self.options.engine, Instant::now()),
            poll: Line::default(),
            post: Line::default(),
            socket: None,
            records: Records::default(),
            frame: None,
            reader: None,
            tasks: JoinSet::new(),
            reports,
            posted,
        };
        let (mut opened, mut dropped) = (false, false);
        loop {
            if !dropped && self.events.is_closed() {
                dropped = true;
                session.engine.close();
            }
            let now = Instant::now();
            while self.told.is_none()
                && let Some(record) = session.records.next()
            {
                let data = session.engine.packet(record.parse(), now);
                self.receive(&mut session.engine, data);
            }
            if opened && !self.client.wants_any() {
                session.engine.close();
            }
            session.engine.tick(now);
            // What is done would stay in the set.
            while session.tasks.try_join_next().is_some() {}
            while let Some(key) = self.client.next_expired(now) {
                if let Some(answer) = self.acks.remove(&key) {
                    let _ = answer.send(Err(AckError::TimedOut));
                }
            }
            if !opened && session.engine.is_open() {
                opened = true;
                for packet in self.client.opened() {
                    let _ = session.engine.send_all(packet.into_messages());
                }
            }
            // A frame that waits is followed by no other; it holds up no end.
            while session.frame.is_none() || session.engine.closed().is_some() {
                let Some(task) = session.engine.next_task() else { break };
                self.start(&mut session, task).await;
            }
            if let Some(reason) = session.engine.closed() {
                session.close_socket().await;
                return (opened, reason);
            }
            let takes = opened && session.engine.has_room() && session.engine.queued_bytes() < AHEAD;
            match self.input(&mut session, &mut received, takes, dropped).await {
                Input::Look => {}
                Input::Command(command) => self.command(&mut session.engine, command),
                Input::Report(report) => self.report(&mut session, report),
            }
        }
    }

    async fn input(
        &mut self,
        session: &mut Session,
        (received, done): &mut (mpsc::Receiver<Report>, mpsc::Receiver<Report>),
        takes: bool,
        dropped: bool,
    ) -> Input {
        let deadline = session.engine.next_deadline().into_iter().chain(self.client.next_deadline()).min();
        let mut time = pin!(sleep_until(deadline.unwrap_or_else(Instant::now)));
        let due = self.held.iter().position(|command| {
            let namespace = command.namespace();
            self.joined.contains(namespace) || !self.client.wants(namespace)
        });
        if takes && let Some(command) = due.and_then(|at| self.held.remove(at)) {
            return Input::Command(command);
        }
        let takes = takes && self.held.len() < HELD;
        self.reports_first = !self.reports_first;
        let Self { commands, events, reports_first, room, told, .. } = self;
        let mut closed = pin!(events.closed());
        let bytes = told.as_ref().map_or(0, size);
        // Dropped, it has told nothing.
        let mut telling = pin!(async { (room.take(bytes).await, events.reserve().await) });
        poll_fn(|cx| {
            if told.is_some()
                && let Poll::Ready((room, slot)) = telling.as_mut().poll(cx)
            {
                if let (Some(event), Ok(slot)) = (told.take(), slot) {
                    slot.send(Held(event, room));
                }
                return Poll::Ready(Input::Look);
            }
            if session.frame.is_some() && session.poll_frame(cx).is_ready() {
                return Poll::Ready(Input::Look);
            }
            if let Poll::Ready(Some(report)) = done.poll_recv(cx) {
                return Poll::Ready(Input::Report(report));
            }
            for reports in [*reports_first, !*reports_first] {
                if reports
                    && told.is_none()
                    && let Poll::Ready(Some(report)) = received.poll_recv(cx)
                {
                    return Poll::Ready(Input::Report(report));
                }
                if !reports
                    && takes
                    && let Poll::Ready(Some(command)) = commands.poll_recv(cx)
                {
                    return Poll::Ready(Input::Command(command));
                }
            }
            if !dropped && closed.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Input::Look);
            }
            match deadline {
                Some(_) => time.as_mut().poll(cx).map(|()| Input::Look),
                None => Poll::Pending,
            }
        })
        .await
    }

    fn command(&mut self, engine: &mut engine::EngineClient<Instant>, command: Command) {
        let namespace = command.namespace();
        if self.client.wants(namespace) && !self.joined.contains(namespace) {
            self.held.retain(|command| !command.is_late());
            return self.held.push_back(command);
        }
        match command {
            // In another session its number is another question's.
            Command::Send { session: Some(number), .. } if number != self.number => {}
            // It may have left the namespace since.
            Command::Send { namespace, messages, .. } if self.client.wants(&namespace) => {
                let _ = engine.send_all(messages); // there is room, and the session is open
            }
            Command::Send { .. } => {}
            Command::Ask { answer, .. } if answer.is_closed() => {}
            Command::Ask { namespace, encode, timeout, answer } => {
                if !self.client.wants(&namespace) {
                    return drop(answer.send(Err(AckError::Disconnected)));
                }
                let Some(id) = self.client.expect_ack(&namespace, timeout, Instant::now()) else {
                    return drop(answer.send(Err(AckError::TooMany)));
                };
                match engine.send_all(encode(id).into_messages()) {
                    Ok(()) => drop(self.acks.insert((namespace, id), answer)),
                    Err(error) => drop(answer.send(Err(AckError::Send(error)))),
                }
            }
        }
    }

    fn target(&self, session: &Session, transport: &str) -> String {
        let target = if self.url.target() == "/" { "/socket.io/" } else { self.url.target() };
        let mark = if target.contains('?') { '&' } else { '?' };
        let sid = session.engine.sid().map(|sid| format!("&sid={sid}")).unwrap_or_default();
        format!("{target}{mark}EIO=4&transport={transport}{sid}")
    }

    async fn start(&mut self, session: &mut Session, task: Task) {
        let reports = session.reports.clone();
        match task {
            Task::Poll | Task::Post(_) => {
                let (url, target) = (self.url.clone(), self.target(session, "polling"));
                let (body, line) = match task {
                    Task::Post(body) => (Some(body), core::mem::take(&mut session.post)),
                    _ => (None, core::mem::take(&mut session.poll)),
                };
                let (options, max) = (self.options.connection.clone(), self.options.max_payload);
                let posted = session.posted.clone();
                session.tasks.spawn(async move {
                    let posts = body.is_some();
                    let reply = line.exchange(url, options, target, body, max).await;
                    let _ = if posts {
                        posted.send(Report::Posted(reply)).await
                    } else {
                        reports.send(Report::Polled(reply)).await
                    };
                });
            }
            Task::Open => {
                let scheme = if self.url.is_secure() { "wss" } else { "ws" };
                let url =
                    format!("{scheme}://{}{}", self.url.host_field(), self.target(session, "websocket"));
                let max = self.options.max_payload;
                let config = ws::ConnectionOptions::new().max_message(max).max_frame(max);
                // Engine.IO has its own heartbeat.
                let options = self.options.connection.clone().connection(config).ping_interval(None);
                session.reader = Some(session.tasks.spawn(read(url, options, reports)));
            }
            Task::Frame(message) => {
                session.frame = Some(message);
                poll_fn(|cx| {
                    let _ = session.poll_frame(cx); // what waits is asked for again
                    Poll::Ready(())
                })
                .await;
            }
            Task::CloseSocket => session.close_socket().await,
        }
    }

    fn report(&mut self, session: &mut Session, report: Report) {
        let now = Instant::now();
        match report {
            Report::Polled(Some((line, status, body))) => {
                session.poll = line;
                session.engine.polled(status);
                match String::from_utf8(body) {
                    Ok(text) => session.records = Records::new(text),
                    Err(_) => drop(session.engine.packet(Err(InvalidEnginePacket), now)),
                }
            }
            Report::Posted(Some((line, status, _))) => {
                session.post = line;
                session.engine.posted(status);
            }
            Report::Polled(None) | Report::Posted(None) => session.engine.request_failed(),
            Report::Opened(Some(socket)) => {
                session.socket = Some(socket);
                session.engine.socket_opened();
            }
            Report::Opened(None) | Report::Gone => {
                (session.socket, session.frame) = (None, None);
                session.engine.socket_closed();
            }
            Report::Came(message) => {
                let packet = match &message.0 {
                    ws::Message::Text(text) => EnginePacket::parse(text),
                    ws::Message::Binary(bytes) => Ok(EnginePacket::Message(Data::Binary(bytes.clone()))),
                    _ => return,
                };
                let data = session.engine.frame(packet, now);
                self.receive(&mut session.engine, data);
            }
        }
    }

    fn receive(&mut self, engine: &mut engine::EngineClient<Instant>, data: Option<Data<'_>>) {
        let said = match data {
            None => return,
            Some(Data::Text(text)) => self.client.receive_text(text),
            Some(Data::Binary(bytes)) => self.client.receive_binary(bytes),
        };
        match said {
            Ok(None) => {}
            Ok(Some(said)) => self.tell(said),
            Err(_) => engine.fail(),
        }
    }

    /// It is not in the namespace, or not any more: no answer comes.
    fn left(&mut self, namespace: &Arc<str>) {
        self.joined.retain(|name| name != namespace);
        self.acks.retain(|(name, _), _| name != namespace);
    }

    fn tell(&mut self, said: FromServer) {
        let event = match said {
            FromServer::Connected { namespace, sid, recovered } => {
                if !self.joined.contains(&namespace) {
                    self.joined.push(Arc::clone(&namespace));
                }
                ClientEvent::Connected { namespace, sid, recovered }
            }
            FromServer::Refused { namespace, message, .. } => {
                self.left(&namespace);
                ClientEvent::Refused { namespace, message }
            }
            FromServer::Disconnect { namespace } => {
                self.left(&namespace);
                ClientEvent::Disconnected { namespace }
            }
            FromServer::Event { namespace, id, payload } => {
                let emitter = self.emitter.upgrade().map(|commands| Emitter { commands });
                let ack = id.zip(emitter).map(|(id, emitter)| ClientAck {
                    namespace: Arc::clone(&namespace),
                    id,
                    session: self.number,
                    emitter,
                });
                ClientEvent::Event { namespace, payload, ack }
            }
            FromServer::Ack { namespace, id, payload } => {
                if let Some(answer) = self.acks.remove(&(namespace, id)) {
                    let _ = answer.send(Ok(payload));
                }
                return;
            }
        };
        match (self.room.try_take(size(&event)), self.events.try_reserve()) {
            (Some(room), Ok(slot)) => slot.send(Held(event, room)),
            // If the application is gone, the session ends with the next input.
            _ => self.told = Some(event),
        }
    }
}

impl Session {
    /// Hands the frame that waits to the socket; pending while that has no room for it, and the frame waits on.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let sent = match (&self.frame, &mut self.socket) {
            (None, _) => return Poll::Ready(()),
            (Some(_), None) => false,
            (Some(message), Some(socket)) => {
                let outbound = match message.frame() {
                    EngineFrame::Text(text) => Outbound::from(text),
                    EngineFrame::Binary(bytes) => Outbound::from(ws::Message::Binary(bytes.clone())),
                    EngineFrame::Shared(prepared) => Outbound::from(prepared),
                };
                // Dropped, it has sent nothing.
                ready!(pin!(socket.send(outbound)).poll(cx)).is_ok()
            }
        };
        self.frame = None;
        if !sent {
            self.engine.socket_closed();
        }
        Poll::Ready(())
    }

    async fn close_socket(&mut self) {
        self.frame = None;
        if let Some(mut socket) = self.socket.take() {
            let _ = timeout(CLOSE, socket.close(1000, "")).await;
        }
        if let Some(reader) = self.reader.take() {
            reader.abort();
        }
    }
}

/// Opens a WebSocket and reads it to its end.
async fn read(url: String, options: Options, reports: mpsc::Sender<Report>) {
    let Ok(socket) = connect(&url, Handshake::new(), &options).await else {
        return drop(reports.send(Report::Opened(None)).await);
    };
    let (writer, mut reader) = socket.split();
    if reports.send(Report::Opened(Some(writer))).await.is_err() {
        return;
    }
    let room = Room::new(MESSAGES);
    while let Some(Ok(message)) = reader.next().await {
        let room = room.take(message.payload().len()).await;
        if reports.send(Report::Came(Held(message, room))).await.is_err() {
            return;
        }
    }
    let _ = reports.send(Report::Gone).await;
}

/// Bytes that the peer decides.
fn size(event: &ClientEvent) -> usize {
    match event {
        ClientEvent::Event { payload, .. } => payload.size(),
        ClientEvent::Refused { message, .. } => message.len(),
        _ => 0,
    }
}

/// Waits for room, unless nobody takes events any more.
async fn or_closed(events: &mpsc::Sender<Held<ClientEvent>>, room: impl Future<Output = Taken>) -> Taken {
    let (mut room, mut closed) = (pin!(room), pin!(events.closed()));
    poll_fn(|cx| match room.as_mut().poll(cx) {
        Poll::Pending => closed.as_mut().poll(cx).map(|()| Taken::default()),
        taken => taken,
    })
    .await
}
