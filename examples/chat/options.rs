//! The command line.

use crate::protocol::Millis;

pub const USAGE: &str = "\
usage: chat [OPTION]...
  --listen ADDR          where to listen (127.0.0.1:8080)
  --disable NAME,...     leave out transports: ws sse xhr-streaming long-polling polling jsonp iframe,
                         and frameworks: the servers of SockJS, Socket.IO, CometD, Atmosphere and Pushlet
  --allow-origin ORIGIN  pages of this other origin may use this server, such as http://127.0.0.1:8081; may be repeated
  --backend ORIGIN       the page served here may use the server of this other origin (/?server=ORIGIN); may be repeated
  --compress             accept permessage-deflate
  --interval MS          milliseconds for each message of a member (500)
  --redis URL            share the rooms with all who use this Redis, such as redis://127.0.0.1/
  --tls                  https and wss, HTTP/2 too, with a certificate made at the start, for localhost
  --members N            members of a room at once (10000)
  --per-address N        members from one address at once (256)
  --behind-proxy         a client's address is the last in X-Forwarded-For
";

/// The ways to take part, best first.
pub const TRANSPORTS: [&str; 7] =
    ["ws", "sse", "xhr-streaming", "long-polling", "polling", "jsonp", "iframe"];

/// What was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    pub listen: String,
    /// Of [`TRANSPORTS`], or `frameworks`.
    pub disabled: Vec<String>,
    /// Other origins whose pages may use this server.
    pub allowed: Vec<String>,
    /// Other origins whose servers this page may use.
    pub backends: Vec<String>,
    /// Whether to accept permessage-deflate.
    pub compress: bool,
    pub interval: Option<Millis>,
    pub redis: Option<String>,
    pub tls: bool,
    pub members: Option<usize>,
    pub per_address: Option<usize>,
    pub behind_proxy: bool,
}

impl Options {
    /// Reads arguments, as `--name value` or `--name=value`; `None` if they are wrong.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Option<Self> {
        let mut options = Self { listen: "127.0.0.1:8080".to_owned(), ..Self::default() };
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let flag = match argument.as_str() {
                "--compress" => Some(&mut options.compress),
                "--tls" => Some(&mut options.tls),
                "--behind-proxy" => Some(&mut options.behind_proxy),
                _ => None,
            };
            if let Some(flag) = flag {
                *flag = true;
                continue;
            }
            let (name, value) = match argument.split_once('=') {
                Some((name, value)) => (name, value.to_owned()),
                None => (argument.as_str(), arguments.next()?),
            };
            match name {
                "--listen" => options.listen = value,
                "--disable" => options.disabled.extend(value.split(',').map(str::to_owned)),
                "--allow-origin" => options.allowed.push(value),
                "--backend" => options.backends.push(value),
                "--redis" => options.redis = Some(value),
                "--members" => options.members = Some(value.parse().ok()?),
                "--per-address" => options.per_address = Some(value.parse().ok()?),
                "--interval" => options.interval = Some(value.parse().ok()?),
                _ => return None,
            }
        }
        let is_known = |name: &String| name == "frameworks" || TRANSPORTS.contains(&name.as_str());
        options.disabled.iter().all(is_known).then_some(options)
    }

    /// Whether a transport is offered.
    pub fn offers(&self, transport: &str) -> bool {
        !self.disabled.iter().any(|disabled| disabled == transport)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Option<Options> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn arguments_are_read_or_refused() {
        let default = Options { listen: "127.0.0.1:8080".to_owned(), ..Options::default() };
        assert_eq!(parse(""), Some(default));
        let options = parse(
            "--listen=[::1]:80 --disable ws,sse --allow-origin http://a --allow-origin http://b --compress --interval 5 \
             --redis redis://h/ --tls --members 7 --per-address=3 --behind-proxy",
        );
        assert_eq!(
            options,
            Some(Options {
                listen: "[::1]:80".to_owned(),
                disabled: vec!["ws".to_owned(), "sse".to_owned()],
                allowed: vec!["http://a".to_owned(), "http://b".to_owned()],
                backends: vec![],
                compress: true,
                interval: Some(5),
                redis: Some("redis://h/".to_owned()),
                tls: true,
                members: Some(7),
                per_address: Some(3),
                behind_proxy: true,
            })
        );
        assert!(options.is_some_and(|options| !options.offers("ws") && options.offers("iframe")));
        for wrong in ["--listen", "--disable pigeon", "--members -1", "--interval x", "x", "--help y"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
