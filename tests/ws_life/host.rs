//! A host of a `Life` over a transport of the test's making.

use bytes::Buf;
use pushline::Inbox;
use pushline::ws::{Connection, ConnectionOptions, Event, Life, Negotiated, Role, Side, Step, Times};
use std::collections::VecDeque;
use std::time::Duration;

pub const SECOND: Duration = Duration::from_secs(1);

/// A peer's frames, as a server sees them: masked with zeros, or as a client does.
pub fn frame(role: Role, opcode: u8, payload: &[u8]) -> Vec<u8> {
    let len = u8::try_from(payload.len()).expect("a short frame");
    match role {
        Role::Server => [&[0x80 | opcode, 0x80 | len, 0, 0, 0, 0], payload].concat(),
        Role::Client => [&[0x80 | opcode, len], payload].concat(),
    }
}

pub fn connection(role: Role) -> Connection {
    match role {
        Role::Server => Connection::server(Negotiated::default(), ConnectionOptions::new()),
        Role::Client => Connection::client(Negotiated::default(), ConnectionOptions::new(), || [0; 4]),
    }
}

/// What the peer has sent and the host not read.
#[derive(Clone, Debug)]
pub enum In {
    Bytes(Vec<u8>),
    Eof,
    Reset,
}

#[derive(Debug)]
pub struct Host {
    pub role: Role,
    pub connection: Connection,
    pub life: Life<Duration>,
    pub now: Duration,
    pub side: Side,
    pub incoming: VecDeque<In>,
    /// A peer that never stops: bytes of a frame that is never whole, with each read.
    pub flood: usize,
    /// How many bytes the transport takes.
    pub room: usize,
    /// A write fails.
    pub broken: bool,
    pub written: Vec<u8>,
    pub shut: bool,
    pub read: usize,
    pub texts: Vec<String>,
    inbox: Inbox,
}

impl Host {
    pub fn new(role: Role, times: Times) -> Self {
        Self {
            role,
            connection: connection(role),
            life: Life::new(times, role, Duration::ZERO),
            now: Duration::ZERO,
            side: Side::Reading,
            incoming: VecDeque::new(),
            flood: 0,
            room: usize::MAX,
            broken: false,
            written: Vec::new(),
            shut: false,
            read: 0,
            texts: Vec::new(),
            inbox: Inbox::new(),
        }
    }

    pub fn server() -> Self {
        Self::new(Role::Server, Times::new())
    }

    pub fn client() -> Self {
        Self::new(Role::Client, Times::new())
    }

    pub fn peer_sends(&mut self, opcode: u8, payload: &[u8]) {
        self.incoming.push_back(In::Bytes(frame(self.role, opcode, payload)));
    }

    /// Does all that can be done now: `Wait` until later than now, or `Over`.
    pub fn run(&mut self) -> Step<Duration> {
        self.life.ready();
        for _ in 0..2_000 {
            self.life.sync(self.connection.sender());
            match self.life.step(self.side) {
                Step::Write if self.broken => self.life.write_failed(),
                Step::Write => self.write(),
                Step::Shutdown => {
                    self.shut = true;
                    self.life.shut();
                }
                Step::Ping => {
                    self.connection.ping(b"").expect("room for a ping");
                    self.life.pinged();
                }
                Step::Read => self.read(false),
                Step::Drain => self.read(true),
                Step::Wait(Some(until)) if until <= self.now => self.life.tick(self.side, self.now),
                Step::Clock => self.life.tick(self.side, self.now),
                step => return step,
            }
        }
        panic!("no end of it: {self:?}");
    }

    fn write(&mut self) {
        let n = self.room.min(self.connection.queued());
        if n == 0 {
            return self.life.write_blocked();
        }
        self.room -= n;
        self.written.extend_from_slice(&self.connection.outgoing().copy_to_bytes(n));
        self.life.written();
    }

    fn read(&mut self, drains: bool) {
        match self.incoming.pop_front() {
            Some(In::Bytes(bytes)) => {
                self.read += bytes.len();
                self.life.received(bytes.len());
                if !drains {
                    assert_eq!(self.inbox.extend(&bytes), bytes.len());
                    self.parse();
                }
            }
            Some(In::Eof) => {
                self.life.eof();
                self.connection.receive_eof();
            }
            Some(In::Reset) => self.life.read_failed(),
            None if self.flood > 0 => {
                self.read += self.flood;
                self.life.received(self.flood);
            }
            None => self.life.read_blocked(),
        }
    }

    fn parse(&mut self) {
        loop {
            match self.connection.next_event(&mut self.inbox) {
                Ok(Some(Event::Text(text))) => self.texts.push(text.to_owned()),
                Ok(Some(_)) => {}
                Ok(None) => return,
                Err(fault) => return self.life.failed(fault),
            }
        }
    }

    /// Lets time pass, and wakes up whenever that is asked for: what was said last.
    pub fn run_until(&mut self, end: Duration) -> Step<Duration> {
        loop {
            match self.run() {
                Step::Wait(Some(until)) if until <= end => self.now = until,
                Step::Wait(_) if self.now < end => self.now = end,
                step => return step,
            }
        }
    }

    /// Stops the process for so long.
    pub fn stop(&mut self, time: Duration) {
        self.now += time;
    }
}
