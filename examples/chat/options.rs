//! The command line.

use std::ffi::OsString;

use pico_args::Arguments;

use crate::chat::Limits;

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
    pub redis: Option<String>,
    pub tls: bool,
    pub behind_proxy: bool,
    pub limits: Limits,
}

impl Options {
    /// Reads arguments, as `--name value` or `--name=value`; `None` if they are wrong.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Option<Self> {
        let mut arguments = Arguments::from_vec(arguments.into_iter().map(OsString::from).collect());
        let options = Self::read(&mut arguments).ok().filter(|_| arguments.finish().is_empty())?;
        let is_known = |name: &String| name == "frameworks" || TRANSPORTS.contains(&name.as_str());
        options.disabled.iter().all(is_known).then_some(options)
    }

    fn read(from: &mut Arguments) -> Result<Self, pico_args::Error> {
        let default = Limits::default();
        let disabled: Vec<String> = from.values_from_str("--disable")?;
        Ok(Self {
            listen: from.opt_value_from_str("--listen")?.unwrap_or_else(|| "127.0.0.1:8080".to_owned()),
            disabled: disabled.iter().flat_map(|names| names.split(',')).map(str::to_owned).collect(),
            allowed: from.values_from_str("--allow-origin")?,
            backends: from.values_from_str("--backend")?,
            compress: from.contains("--compress"),
            redis: from.opt_value_from_str("--redis")?,
            tls: from.contains("--tls"),
            behind_proxy: from.contains("--behind-proxy"),
            limits: Limits {
                interval: from.opt_value_from_str("--interval")?.unwrap_or(default.interval),
                members: from.opt_value_from_str("--members")?.unwrap_or(default.members),
                per_address: from.opt_value_from_str("--per-address")?.unwrap_or(default.per_address),
                ..default
            },
        })
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
                redis: Some("redis://h/".to_owned()),
                tls: true,
                behind_proxy: true,
                limits: Limits { interval: 5, members: 7, per_address: 3, ..Limits::default() },
            })
        );
        assert!(options.is_some_and(|options| !options.offers("ws") && options.offers("iframe")));
        for wrong in ["--listen", "--disable pigeon", "--members -1", "--interval x", "x", "--help y"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
