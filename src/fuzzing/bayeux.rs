//! Bayeux: names and routes against segments compared one by one; sessions against clients that count what they hear.

use crate::comet::bayeux::{
    BayeuxRequest, Broker, BrokerOptions, Channel, ClientId, Host, Link, Output, Pattern, Routes,
};
use crate::json;
use core::time::Duration;
use std::collections::BTreeSet;

/// Names as they come, and routing among few of them.
pub fn channels(data: &[u8]) {
    if let Ok(text) = str::from_utf8(data) {
        assert_eq!(Channel::parse(text).is_some(), naive_channel(text));
        assert_eq!(Pattern::parse(text).is_some(), naive_pattern(text));
    }
    let mut routes = Routes::default();
    let mut model: BTreeSet<(String, ClientId)> = BTreeSet::new();
    for step in data.chunks_exact(3) {
        let client = ClientId::new([step[0] >> 4; 16]);
        let name = small_name(step[1]);
        let text = match step[2] % 3 {
            0 if !name.is_empty() => name.clone(),
            1 => name.clone() + "/*",
            _ => name.clone() + "/**",
        };
        let pattern = Pattern::parse(&text).unwrap();
        match step[0] % 4 {
            0 | 1 => assert_eq!(routes.insert(pattern, client), model.insert((text.clone(), client))),
            2 => assert_eq!(routes.remove(pattern, client), model.remove(&(text.clone(), client))),
            _ => {
                let Some(channel) = Channel::parse(&name) else { continue };
                let mut actual: Vec<_> = routes.matching(channel).collect();
                actual.sort_unstable();
                let mut expected: Vec<_> = model
                    .iter()
                    .filter(|(pattern, _)| naive_match(pattern, &name))
                    .map(|(_, client)| *client)
                    .collect();
                expected.sort_unstable();
                assert_eq!(actual, expected);
            }
        }
        assert_eq!(routes.contains(pattern), model.iter().any(|(held, _)| *held == text));
        let prefixes: BTreeSet<&str> =
            model.iter().map(|(held, _)| held.trim_end_matches('*').trim_end_matches('/')).collect();
        assert_eq!(routes.len(), prefixes.len());
    }
}

fn small_name(mut seed: u8) -> String {
    let mut name = String::new();
    for _ in 0..seed % 5 {
        seed = seed.rotate_right(3);
        name += ["/a", "/b", "/ab"][usize::from(seed % 3)];
    }
    name
}

fn naive_channel(text: &str) -> bool {
    let mut segments = text.split('/');
    let marks = "-_!~()$@";
    let segments_are_good = |segment: &str| {
        !segment.is_empty() && segment.chars().all(|c| c.is_ascii_alphanumeric() || marks.contains(c))
    };
    segments.next() == Some("") && segments.clone().next().is_some() && segments.all(segments_are_good)
}

fn naive_pattern(text: &str) -> bool {
    let (prefix, last) = text.rsplit_once('/').unwrap_or(("x", ""));
    naive_channel(text) || (matches!(last, "*" | "**") && (prefix.is_empty() || naive_channel(prefix)))
}

fn naive_match(pattern: &str, name: &str) -> bool {
    let (mut pattern, mut name) = (pattern.split('/'), name.split('/'));
    loop {
        match (pattern.next(), name.next()) {
            (None, None) => return true,
            (Some("**"), Some(_)) => return true,
            (Some("*"), Some(_)) => return name.next().is_none(),
            (Some(one), Some(other)) if one == other => {}
            _ => return false,
        }
    }
}

#[derive(Default)]
struct Program {
    ids: u8,
    open: BTreeSet<ClientId>,
}

impl Host for Program {
    fn client_id(&mut self) -> Option<ClientId> {
        self.ids = self.ids.wrapping_add(1);
        Some(ClientId::new([self.ids; 16]))
    }

    fn unix_millis(&mut self) -> u64 {
        0
    }

    fn opened(&mut self, client: ClientId) {
        assert!(self.open.insert(client));
    }

    fn closed(&mut self, client: ClientId) {
        assert!(self.open.remove(&client));
    }
}

/// One client, as it sees the world.
#[derive(Default)]
struct Client {
    ack: bool,
    id: String,
    batch: u64,
    /// The number of the first message that it has not heard.
    next: u32,
    link: Option<Link>,
    on_socket: bool,
}

struct World {
    broker: Broker<Duration, Program>,
    now: Duration,
    published: u32,
}

impl World {
    fn request(&mut self, text: &str) -> Option<Link> {
        self.broker.request(BayeuxRequest::new(&[text]), self.now).ok()
    }

    fn ask(&mut self, text: &str) -> String {
        let link = self.request(text).unwrap();
        match self.broker.take(link, self.now) {
            Some(Output::Answer(200, text)) => text,
            other => panic!("{other:?}"),
        }
    }

    fn join(&mut self, client: &mut Client) {
        let ack = client.ack;
        let reply = self.ask(&format!(
            r#"{{"channel":"/meta/handshake","supportedConnectionTypes":["websocket"],"ext":{{"ack":{ack}}}}}"#
        ));
        let start = reply.find("\"clientId\":\"").unwrap() + 12;
        client.id = reply[start..start + 32].into();
        client.batch = 0;
        client.next = self.published;
        let id = &client.id;
        self.ask(&format!(
            r#"{{"channel":"/meta/subscribe","clientId":"{id}","subscription":["/chat","/*"]}}"#
        ));
    }

    /// What the client makes of a message from the broker.
    fn receive(&mut self, client: &mut Client, text: &str) {
        let value = json::check(text).unwrap();
        for message in value.array().unwrap().map(|message| message.object().unwrap()) {
            let channel = message.get("channel").unwrap().string().unwrap();
            if channel.is("/chat") {
                let number = message.get("data").unwrap().as_u64().unwrap() as u32;
                // Once, in order; with ack none is left out.
                assert!(number >= client.next && (number == client.next || !client.ack));
                client.next = number + 1;
            } else if channel.is("/meta/connect") {
                assert!(message.get("advice").unwrap().object().unwrap().get("maxInterval").is_some());
                if let Some(ack) = message.get("ext").and_then(|ext| ext.object()?.get("ack")) {
                    client.batch = ack.as_u64().unwrap();
                }
                if message
                    .get("error")
                    .is_some_and(|error| error.string().unwrap().is("402::session_unknown"))
                {
                    self.join(client);
                }
            }
        }
    }

    fn cut(&mut self, client: &mut Client) {
        if let Some(link) = client.link.take() {
            self.broker.closed(link, self.now);
        }
    }

    fn take(&mut self, client: &mut Client, is_lost: bool) {
        let Some(link) = client.link else { return };
        let output = self.broker.take(link, self.now);
        let is_empty = matches!(&output, Some(Output::Text(text)) if text == "[]");
        assert!(!is_empty, "whoever asks until there is no more comes to an end");
        if !client.on_socket && output.is_some() {
            client.link = None;
        }
        if is_lost {
            return self.cut(client);
        }
        match output {
            Some(Output::Text(text) | Output::Answer(200, text)) => self.receive(client, &text),
            Some(Output::Prepared(message)) => {
                self.receive(client, str::from_utf8(message.payload()).unwrap());
            }
            Some(Output::Answer(status, _)) => assert_eq!(status, 500),
            Some(Output::Close(_)) => panic!("nothing was wrong"),
            None => {}
        }
    }
}

/// Each pair of bytes is something that happens to one of four clients; each hears what it is to hear.
pub fn session(data: &[u8]) {
    let config = BrokerOptions::new().max_answer(data.first().map_or(0, |limit| usize::from(*limit)));
    let broker = Broker::new(config, Program::default());
    let mut world = World { broker, now: Duration::ZERO, published: 0 };
    let mut clients: Vec<_> =
        [false, true, false, true].map(|ack| Client { ack, ..Client::default() }).into();
    clients.iter_mut().for_each(|client| world.join(client));
    let mut abandoned = Vec::new();
    for pair in data.chunks_exact(2).take(400) {
        let (action, argument) = (pair[0], pair[1]);
        let client = &mut clients[usize::from(argument % 4)];
        match action % 8 {
            0 => {
                let number = world.published.to_string();
                world.published += 1;
                world.broker.publish(Channel::parse("/chat").unwrap(), json::check(&number).unwrap());
            }
            kind @ (1 | 2) => {
                let (id, batch) = (&client.id, client.batch);
                let timeout = u32::from(argument) * 100;
                let text = format!(
                    r#"{{"channel":"/meta/connect","clientId":"{id}","ext":{{"ack":{batch}}},"advice":{{"timeout":{timeout}}}}}"#
                );
                let to_socket = kind == 2;
                if client.on_socket != to_socket || !to_socket || client.link.is_none() {
                    abandoned.extend(client.link.take());
                    client.on_socket = to_socket;
                    client.link = to_socket.then(|| world.broker.socket());
                }
                match client.link {
                    Some(socket) => world.broker.frame(socket, &text, world.now).unwrap(),
                    None => client.link = world.request(&text),
                }
            }
            3 => world.cut(client),
            4 | 5 => world.take(client, false),
            6 => world.take(client, true),
            _ => {
                world.now += Duration::from_millis(u64::from(argument) * 50);
                world.broker.advance(world.now);
            }
        }
        while world.broker.next_ready().is_some() {}
        assert!(world.broker.sessions() <= 255 && world.broker.host().open.len() == world.broker.sessions());
    }
    // What a client that follows the rules has not heard by now comes.
    for client in &mut clients {
        world.cut(client);
        for _ in 0..world.published + 3 {
            let (id, batch) = (&client.id, client.batch);
            let reply = world.ask(&format!(
                r#"{{"channel":"/meta/connect","clientId":"{id}","ext":{{"ack":{batch}}},"advice":{{"timeout":0}}}}"#
            ));
            world.receive(client, &reply);
        }
        assert!(client.next == world.published || !client.ack);
    }
    // And what nobody comes back for is forgotten.
    abandoned.into_iter().for_each(|link| world.broker.closed(link, world.now));
    world.broker.advance(world.now + Duration::from_secs(3600));
    assert_eq!((world.broker.sessions(), world.broker.links()), (0, 0));
    assert!(world.broker.routes().is_empty() && world.broker.next_deadline().is_none());
    // Whatever else comes.
    if let Ok(text) = str::from_utf8(data) {
        let _ = world.request(text).map(|link| world.broker.take(link, world.now));
        let socket = world.broker.socket();
        let _ = world.broker.frame(socket, text, world.now);
    }
}
