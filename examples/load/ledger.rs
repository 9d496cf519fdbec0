//! What is said in a run, and who has heard it: each client each message once and in order, and how soon. Knows no
//! transport and no protocol.
//!
//! Message `n` is due at `n / rate` seconds, whether its speaker is ready or not, and its latency runs from then: a
//! server that keeps its speakers waiting is not measured less for it. Only when its speaker had no connection then, the
//! latency runs from when it had one.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::time::Instant;

use crate::options::{Options, Transport};

/// Latencies of what came on an open connection, by transport, of what came with a resumed one, and of confirmations.
pub const CLASSES: usize = Transport::ALL.len() + 2;

/// The class of what was missed and came with the connection that resumed.
pub const RESUMED: usize = CLASSES - 2;

/// The class of confirmations: until a speaker knows that all will hear it.
pub const CONFIRMED: usize = CLASSES - 1;

/// The longest latency told apart from longer ones: ten minutes, in microseconds.
const LONGEST: u64 = 600_000_000;

/// What is said, and the sum of all that was heard.
#[derive(Debug)]
pub struct Ledger {
    /// What every message of this run begins with.
    run: String,
    filler: String,
    total: u32,
    speakers: u32,
    /// Microseconds between messages.
    period: f64,
    began: OnceLock<Instant>,
    /// For each message whose speaker came too late: when it came, in microseconds from the beginning.
    late: Box<[AtomicU64]>,
    /// Messages of each speaker that the server has confirmed.
    confirmed: Box<[AtomicU32]>,
    pub delivered: AtomicU64,
    /// Deliveries of what the client had already, or of what should have come before what it had.
    pub repeated: AtomicU64,
    /// Deliveries that did not come before those behind them.
    pub missing: AtomicU64,
    latencies: [Mutex<Histogram<u64>>; CLASSES],
}

/// What one client has heard.
#[derive(Debug)]
pub struct Heard {
    /// The next message of each speaker; none while a newcomer has not heard that one yet.
    next: Box<[Option<u32>]>,
    /// When a newcomer came in.
    from: Option<Instant>,
}

impl Ledger {
    pub fn new(run: String, options: &Options) -> Self {
        let speakers = options.speakers();
        let histogram = || {
            // The bounds and the precision are constants, which it takes.
            Mutex::new(Histogram::new_with_bounds(1, LONGEST, 3).unwrap_or_else(|_| unreachable!()))
        };
        Self {
            filler: "-".repeat(options.size.saturating_sub(run.len() + 8)),
            run,
            total: options.total(),
            speakers: u32::try_from(speakers).unwrap_or(u32::MAX),
            period: 1e6 / options.rate,
            began: OnceLock::new(),
            late: (0..options.total()).map(|_| AtomicU64::new(0)).collect(),
            confirmed: (0..speakers).map(|_| AtomicU32::new(0)).collect(),
            delivered: AtomicU64::new(0),
            repeated: AtomicU64::new(0),
            missing: AtomicU64::new(0),
            latencies: std::array::from_fn(|_| histogram()),
        }
    }

    pub fn begin(&self, now: Instant) {
        self.began.get_or_init(|| now);
    }

    pub fn total(&self) -> u32 {
        self.total
    }

    /// When a message is to be said.
    pub fn due(&self, number: u32) -> Option<Instant> {
        let after = Duration::from_micros((f64::from(number) * self.period) as u64);
        Some(*self.began.get()? + after)
    }

    /// A message is said on a connection that is open since `open`.
    pub fn said(&self, number: u32, open: Instant) {
        if let (Some(late), Some(began)) = (self.late.get(number as usize), self.began.get()) {
            let micros = open.saturating_duration_since(*began).as_micros();
            late.store(u64::try_from(micros).unwrap_or(0), Relaxed);
        }
    }

    /// From when on a message is waited for.
    fn start(&self, number: u32) -> Option<Instant> {
        let late = Duration::from_micros(self.late.get(number as usize)?.load(Relaxed));
        Some(self.due(number)?.max(*self.began.get()? + late))
    }

    pub fn speaker(&self, number: u32) -> usize {
        (number % self.speakers) as usize
    }

    pub fn text(&self, number: u32) -> String {
        format!("{} {number:6} {}", self.run, self.filler).trim_end().to_owned()
    }

    /// The number of a message, if it is one of this run.
    pub fn number(&self, text: &str) -> Option<u32> {
        let rest = text.strip_prefix(&self.run)?.trim_start();
        let number = rest.split(' ').next()?.parse().ok()?;
        (number < self.total).then_some(number)
    }

    /// The name of a message, by which the server knows one that is sent again.
    pub fn id(&self, number: u32) -> String {
        format!("{}-{number}", self.run)
    }

    pub fn number_of_id(&self, id: &str) -> Option<u32> {
        id.strip_prefix(&self.run)?.strip_prefix('-')?.parse().ok()
    }

    /// The server has confirmed the next message of its speaker.
    pub fn confirm(&self, number: u32, now: Instant) {
        if let (Some(confirmed), Some(start)) = (self.confirmed.get(self.speaker(number)), self.start(number))
        {
            confirmed.store(number / self.speakers + 1, Relaxed);
            self.record(CONFIRMED, now.saturating_duration_since(start));
        }
    }

    fn record(&self, class: usize, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(LONGEST);
        lock(&self.latencies[class]).saturating_record(micros);
    }

    pub fn confirmed(&self) -> u32 {
        self.confirmed.iter().map(|count| count.load(Relaxed)).sum()
    }

    /// A client heard a message on a connection that is open since `open`.
    pub fn hear(&self, heard: &mut Heard, number: u32, transport: Transport, open: Instant, now: Instant) {
        let (speaker, index) = (self.speaker(number), number / self.speakers);
        let Some(start) = self.start(number) else { return };
        let Some(next) = heard.next.get_mut(speaker) else { return };
        let expected = next.unwrap_or_else(|| index.min(self.first_after(speaker, heard.from)));
        if index < expected {
            self.repeated.fetch_add(1, Relaxed);
            return;
        }
        self.missing.fetch_add(u64::from(index - expected), Relaxed);
        *next = Some(index + 1);
        self.delivered.fetch_add(1, Relaxed);
        if heard.from.is_some_and(|from| start < from) {
            // The past, for one who was not there.
            return;
        }
        let class = if start < open { RESUMED } else { transport as usize };
        self.record(class, now.saturating_duration_since(start));
    }

    /// Confirmed messages that this client should have and has not.
    pub fn outstanding(&self, heard: &Heard) -> u64 {
        let speakers = heard.next.iter().zip(&self.confirmed).enumerate();
        let left = speakers.map(|(speaker, (next, confirmed))| {
            let next = next.unwrap_or_else(|| self.first_after(speaker, heard.from));
            u64::from(confirmed.load(Relaxed).saturating_sub(next))
        });
        left.sum()
    }

    /// The first message of a speaker that is due after a newcomer came.
    fn first_after(&self, speaker: usize, from: Option<Instant>) -> u32 {
        let (Some(from), Some(began)) = (from, self.began.get()) else { return 0 };
        let due = (from.saturating_duration_since(*began).as_micros() as f64 / self.period).ceil() as u32;
        due.saturating_sub(speaker as u32).div_ceil(self.speakers)
    }

    /// The latencies of some classes together, in microseconds.
    pub fn latencies(&self, classes: impl IntoIterator<Item = usize>) -> Histogram<u64> {
        let mut all = lock(&self.latencies[0]).clone();
        all.reset();
        for class in classes {
            // Their bounds are the same.
            let _ = all.add(&*lock(&self.latencies[class]));
        }
        all
    }
}

impl Heard {
    /// Of a client that is there from the beginning.
    pub fn everything(options: &Options) -> Self {
        Self { next: vec![Some(0); options.speakers()].into(), from: None }
    }

    /// Of one that comes later: to be told when it is [in](Self::came_in).
    pub fn newcomer(options: &Options) -> Self {
        Self { next: vec![None; options.speakers()].into(), from: None }
    }

    /// It is in, and hears all that is said from now on.
    pub fn came_in(&mut self, now: Instant) {
        self.from.get_or_insert(now);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two speakers, ten messages, one a second.
    fn ledger() -> (Options, Ledger, Instant) {
        let arguments = "--node http://h:1 --clients 9 --speakers 2 --rate 1 --seconds 10";
        let options = Options::parse(arguments.split(' ').map(str::to_owned)).unwrap();
        let ledger = Ledger::new("run".to_owned(), &options);
        let began = Instant::now();
        ledger.begin(began);
        (options, ledger, began)
    }

    fn faults(ledger: &Ledger) -> (u64, u64, u64) {
        let load = |count: &AtomicU64| count.load(Relaxed);
        (load(&ledger.delivered), load(&ledger.repeated), load(&ledger.missing))
    }

    #[test]
    fn a_text_says_which_message_it_is() {
        let (_, ledger, _) = ledger();
        assert_eq!(ledger.text(7).len(), 100);
        assert_eq!(ledger.number(&ledger.text(7)), Some(7));
        assert_eq!(ledger.number(&ledger.text(10)), None);
        assert_eq!(ledger.number("rum      7 -"), None);
        assert_eq!(ledger.number_of_id(&ledger.id(7)), Some(7));
    }

    #[test]
    fn what_is_lost_repeated_or_out_of_order_is_seen() {
        for (numbers, expected) in [
            (&[0, 1, 2, 3][..], (4, 0, 0)),
            // Of two speakers either may be first.
            (&[1, 3, 0, 2], (4, 0, 0)),
            (&[0, 0, 1], (2, 1, 0)),
            (&[0, 4], (2, 0, 1)),
            (&[2, 0], (1, 1, 1)),
        ] {
            let (options, ledger, began) = ledger();
            let mut heard = Heard::everything(&options);
            for number in numbers {
                ledger.hear(&mut heard, *number, Transport::Ws, began, began);
            }
            assert_eq!(faults(&ledger), expected, "{numbers:?}");
        }
    }

    #[test]
    fn what_was_confirmed_is_outstanding_until_it_is_heard() {
        let (options, ledger, began) = ledger();
        let mut heard = Heard::everything(&options);
        ledger.confirm(0, began);
        ledger.confirm(1, began);
        ledger.confirm(2, began);
        assert_eq!((ledger.confirmed(), ledger.outstanding(&heard)), (3, 3));
        assert_eq!(ledger.latencies([CONFIRMED]).len(), 3);
        ledger.hear(&mut heard, 0, Transport::Ws, began, began);
        assert_eq!(ledger.outstanding(&heard), 2);
    }

    #[test]
    fn a_newcomer_is_owed_what_is_due_after_it_came() {
        let (options, ledger, began) = ledger();
        (0..10).for_each(|number| ledger.confirm(number, began));
        for (seconds, owed) in [(0.0, 10), (0.5, 9), (1.0, 9), (4.5, 5), (9.5, 0)] {
            let mut heard = Heard::newcomer(&options);
            heard.came_in(began + Duration::from_secs_f64(seconds));
            assert_eq!(ledger.outstanding(&heard), owed, "{seconds}");
        }
        // What it is told of the past is a gift, and has no gaps either.
        let mut heard = Heard::newcomer(&options);
        heard.came_in(began + Duration::from_secs_f64(4.5));
        for number in [2, 3, 4, 5, 6, 7, 9] {
            ledger.hear(&mut heard, number, Transport::Ws, began, began);
        }
        assert_eq!((faults(&ledger), ledger.outstanding(&heard)), ((7, 0, 0), 1));
        let mut late = Heard::newcomer(&options);
        late.came_in(began + Duration::from_secs_f64(4.5));
        // 5 is the first that is due, and of the same speaker.
        ledger.hear(&mut late, 7, Transport::Ws, began, began);
        assert_eq!(faults(&ledger), (8, 0, 1));
    }

    #[test]
    fn latency_runs_from_when_it_was_due() {
        let (options, ledger, began) = ledger();
        let second = Duration::from_secs(1);
        let mut heard = Heard::everything(&options);
        ledger.hear(&mut heard, 0, Transport::Sse, began, began + second);
        ledger.hear(&mut heard, 1, Transport::Sse, began + 2 * second, began + 3 * second);
        let sse = ledger.latencies([Transport::Sse as usize]);
        assert_eq!((sse.len(), sse.max() / 10_000), (1, 100));
        let resumed = ledger.latencies([RESUMED]);
        assert_eq!((resumed.len(), resumed.max() / 10_000), (1, 200));
        // Its speaker had no connection when it was due.
        ledger.said(2, began + 3 * second);
        ledger.hear(&mut heard, 2, Transport::Ws, began, began + 4 * second);
        assert_eq!(ledger.latencies([Transport::Ws as usize]).max() / 10_000, 100);
        // And had one long before.
        ledger.said(3, began + second);
        ledger.hear(&mut heard, 3, Transport::Ws, began, began + 5 * second);
        assert_eq!(ledger.latencies([Transport::Ws as usize]).max() / 10_000, 200);
        // What a newcomer is told of the past counts for nothing.
        let mut newcomer = Heard::newcomer(&options);
        newcomer.came_in(began + 5 * second);
        ledger.hear(&mut newcomer, 4, Transport::Ws, began + 5 * second, began + 5 * second);
        assert_eq!(ledger.latencies(0..CLASSES).len(), 4);
    }
}
