//! The command line.

use std::time::Duration;

pub const USAGE: &str = "\
usage: load --spawn COMMAND | --node URL... [OPTION]...
  --spawn COMMAND      start the nodes: COMMAND, with `--listen 127.0.0.1:0` behind it
  --nodes N            how many nodes to start (1)
  --node URL           use this node, such as http://127.0.0.1:8080; may be repeated
  --node-pid PID       the process of the node named last: it is measured, and may be killed
  --clients N          how many clients (1000)
  --mix NAME=N,...     their transports, in these proportions
                       (ws=60,sse=30,long-polling=4,polling=2,xhr-streaming=2,jsonp=1,iframe=1)
  --room NAME          the room (the server's own)
  --seconds S          for how long messages are sent (30)
  --rate R             messages a second, of all speakers together (1)
  --speakers N         clients that speak, the first ones of the mix (one for each message a second)
  --size BYTES         of a message's text (100)
  --cut PERCENT        clients whose connection is cut at a random moment, and who resume on any node (0)
  --kill PERCENT       clients who vanish at a random moment; a new one takes the place of each (0)
  --kill-node PERCENT  when a node is killed, in percent of the time (never)
  --joining N          clients that may be joining at the same time (100)
  --within S           seconds that joining, and at the end the last messages, may take (120)
  --sources N          source addresses, 127.0.0.1 and up (one for each 200 clients)
  --seed N             of what happens at random (another each time)
  --json               print the result as JSON
";

/// The ways to take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Ws,
    Sse,
    LongPolling,
    Polling,
    XhrStreaming,
    Jsonp,
    Iframe,
}

impl Transport {
    pub const ALL: [Self; 7] = [
        Self::Ws,
        Self::Sse,
        Self::LongPolling,
        Self::Polling,
        Self::XhrStreaming,
        Self::Jsonp,
        Self::Iframe,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Ws => "ws",
            Self::Sse => "sse",
            Self::LongPolling => "long-polling",
            Self::Polling => "polling",
            Self::XhrStreaming => "xhr-streaming",
            Self::Jsonp => "jsonp",
            Self::Iframe => "iframe",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|transport| transport.name() == name)
    }
}

/// A node that was named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Host and port.
    pub authority: String,
    pub pid: Option<u32>,
}

/// What was asked for.
#[derive(Debug, Clone)]
pub struct Options {
    pub named: Vec<Named>,
    pub spawn: Option<String>,
    pub nodes: usize,
    pub clients: usize,
    pub mix: Vec<(Transport, usize)>,
    pub room: Option<String>,
    pub time: Duration,
    pub rate: f64,
    speakers: Option<usize>,
    pub size: usize,
    pub cut: f64,
    pub kill: f64,
    pub kill_node: Option<f64>,
    pub joining: usize,
    pub within: Duration,
    sources: Option<u8>,
    pub seed: Option<u64>,
    pub json: bool,
}

impl Default for Options {
    fn default() -> Self {
        use Transport::{Iframe, Jsonp, LongPolling, Polling, Sse, Ws, XhrStreaming};
        Self {
            named: Vec::new(),
            spawn: None,
            nodes: 1,
            clients: 1000,
            mix: vec![
                (Ws, 60),
                (Sse, 30),
                (LongPolling, 4),
                (Polling, 2),
                (XhrStreaming, 2),
                (Jsonp, 1),
                (Iframe, 1),
            ],
            room: None,
            time: Duration::from_secs(30),
            rate: 1.0,
            speakers: None,
            size: 100,
            cut: 0.0,
            kill: 0.0,
            kill_node: None,
            joining: 100,
            within: Duration::from_secs(120),
            sources: None,
            seed: None,
            json: false,
        }
    }
}

impl Options {
    /// Reads arguments, as `--name value` or `--name=value`; what is wrong if they are.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            if argument == "--json" {
                options.json = true;
                continue;
            }
            let (name, value) = match argument.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (argument.clone(), arguments.next()),
            };
            let value = value.ok_or_else(|| format!("{name} needs a value"))?;
            options.set(&name, &value).ok_or_else(|| format!("{name} {value}: what is that?"))?;
        }
        match (options.named.len(), &options.spawn) {
            (0, None) => return Err("name a node, or a command that starts one".to_owned()),
            (1.., Some(_)) => return Err("either --node or --spawn".to_owned()),
            _ => {}
        }
        if options.total() == 0 {
            return Err("there is nothing to say: see --seconds and --rate".to_owned());
        }
        if options.speakers() > options.clients {
            return Err("there are more speakers than clients".to_owned());
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: &str) -> Option<()> {
        match name {
            "--node" => {
                let authority = value.strip_prefix("http://")?.trim_end_matches('/').to_owned();
                self.named.push(Named { authority, pid: None });
            }
            "--node-pid" => self.named.last_mut()?.pid = Some(value.parse().ok()?),
            "--spawn" => self.spawn = Some(value.to_owned()),
            "--nodes" => self.nodes = value.parse().ok().filter(|nodes| *nodes > 0)?,
            "--clients" => self.clients = value.parse().ok().filter(|clients| *clients > 0)?,
            "--mix" => self.mix = mix(value)?,
            "--room" => self.room = Some(value.to_owned()),
            "--seconds" => self.time = Duration::try_from_secs_f64(value.parse().ok()?).ok()?,
            "--rate" => self.rate = value.parse().ok().filter(|rate: &f64| *rate > 0.0 && *rate <= 1e4)?,
            "--speakers" => self.speakers = Some(value.parse().ok().filter(|speakers| *speakers > 0)?),
            "--size" => self.size = value.parse().ok()?,
            "--cut" => self.cut = percent(value)?,
            "--kill" => self.kill = percent(value)?,
            "--kill-node" => self.kill_node = Some(percent(value)?),
            "--joining" => self.joining = value.parse().ok().filter(|joining| *joining > 0)?,
            "--within" => self.within = Duration::try_from_secs_f64(value.parse().ok()?).ok()?,
            "--sources" => self.sources = Some(value.parse().ok().filter(|sources| *sources > 0)?),
            "--seed" => self.seed = Some(value.parse().ok()?),
            _ => return None,
        }
        Some(())
    }

    /// Messages in all.
    pub fn total(&self) -> u32 {
        (self.time.as_secs_f64() * self.rate) as u32
    }

    pub fn speakers(&self) -> usize {
        self.speakers.unwrap_or_else(|| (self.rate.ceil() as usize).min(self.clients))
    }

    pub fn sources(&self) -> u8 {
        self.sources.unwrap_or_else(|| u8::try_from(self.clients.div_ceil(200)).unwrap_or(250).clamp(1, 250))
    }

    /// The transport of each client. Those of the mix in turn, each in one piece.
    pub fn transports(&self) -> Vec<Transport> {
        let whole: usize = self.mix.iter().map(|(_, share)| share).sum();
        let mut all = Vec::with_capacity(self.clients);
        let mut shares = 0;
        for (transport, share) in &self.mix {
            shares += share;
            // Of so many shares so many clients: what is rounded off comes with the next ones.
            all.resize(self.clients * shares / whole, *transport);
        }
        all
    }
}

fn mix(text: &str) -> Option<Vec<(Transport, usize)>> {
    let parts = text.split(',').map(|part| {
        let (name, share) = part.split_once('=')?;
        Some((Transport::parse(name)?, share.parse().ok().filter(|share| *share <= 1_000_000)?))
    });
    let parts: Vec<_> = parts.collect::<Option<_>>()?;
    parts.iter().any(|(_, share)| *share > 0).then_some(parts)
}

fn percent(text: &str) -> Option<f64> {
    text.parse().ok().filter(|percent| (0.0..=100.0).contains(percent))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Options, String> {
        Options::parse(text.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn a_mix_is_kept_to_whatever_the_number_of_clients() {
        let count = |clients: usize, transport| {
            let options = parse(&format!("--node http://h:1 --clients {clients}")).unwrap();
            let all = options.transports();
            assert_eq!(all.len(), clients);
            all.iter().filter(|other| **other == transport).count()
        };
        assert_eq!(
            Transport::ALL.map(|transport| count(10_000, transport)),
            [6000, 3000, 400, 200, 200, 100, 100]
        );
        assert_eq!(Transport::ALL.map(|transport| count(10, transport)), [6, 3, 0, 0, 0, 0, 1]);
        assert_eq!(count(1, Transport::Iframe), 1);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for wrong in [
            "",
            "--node http://h:1 --spawn chat",
            "--node h:1",
            "--node-pid 1",
            "--spawn chat --mix ws=0",
            "--spawn chat --mix carrier-pigeon=1",
            "--spawn chat --clients 0",
            "--spawn chat --cut 101",
            "--spawn chat --rate 0",
            "--spawn chat --seconds 0.5",
            "--spawn chat --clients 2 --speakers 3",
            "--spawn chat --clients",
            "--spawn chat --size=-1",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        let options =
            parse("--node http://h:1/ --node-pid=7 --node http://i:2 --rate 2.5 --seconds 10").unwrap();
        assert_eq!(options.named[0], Named { authority: "h:1".to_owned(), pid: Some(7) });
        assert_eq!((options.total(), options.speakers(), options.sources()), (25, 3, 5));
    }
}
