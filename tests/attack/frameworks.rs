//! SockJS, Atmosphere and Pushlet: their servers behind hyper.

use crate::allocations::memory;
use crate::cost::{KIB, scale};
use crate::exchange::{foreign, get, post, read, request, runtime, stalled};
use http::{Request, Response};
use pushline::adapter::frameworks::{
    Atmosphere, AtmospherePeer, FrameworkBody, Pushlet, SockJs, SockJsSocket,
};
use pushline::comet::pushlet::PushletOptions;
use pushline::comet::sockjs::SockJsService;
use pushline::ws::handshake::OriginPolicy;
use std::time::Duration;

type Load = crate::exchange::Load;

#[derive(Clone)]
enum Server {
    SockJs(SockJs),
    Atmosphere(Atmosphere),
    Pushlet(Pushlet),
}

impl Server {
    fn all(most: usize) -> [Self; 3] {
        let sockjs = SockJs::new("/echo", |mut socket: SockJsSocket| async move {
            while let Some(text) = socket.next().await {
                if socket.send(&text).is_err() {
                    return;
                }
            }
        });
        let atmosphere = Atmosphere::new("/chat", |mut peer: AtmospherePeer| async move {
            while let Some(text) = peer.next().await {
                if peer.sender().send(text).is_err() {
                    return;
                }
            }
        });
        [
            Self::SockJs(sockjs.max_sessions(most)),
            Self::Atmosphere(atmosphere.max_sessions(most)),
            Self::Pushlet(Pushlet::new("/pushlet.srv", PushletOptions::new().max_sessions(most))),
        ]
    }

    async fn serve(&self, request: Request<Load>) -> Response<FrameworkBody> {
        match self {
            Self::SockJs(server) => server.serve(request).await,
            Self::Atmosphere(server) => server.serve(request).await,
            Self::Pushlet(server) => server.serve(request).await,
        }
    }

    fn sessions(&self) -> usize {
        match self {
            Self::SockJs(server) => server.sessions(),
            Self::Atmosphere(server) => server.sessions(),
            Self::Pushlet(server) => server.sessions(),
        }
    }

    /// A request that opens a session.
    fn open(&self, number: usize) -> Request<Load> {
        match self {
            Self::SockJs(_) => post(&format!("/echo/000/s{number}/xhr"), ""),
            Self::Atmosphere(_) => {
                get(&format!("/chat?X-Atmosphere-tracking-id=s{number}&X-Atmosphere-Transport=sse"))
            }
            Self::Pushlet(_) => get("/pushlet.srv?p_event=join&p_format=json"),
        }
    }

    /// A request with a body.
    fn say(&self, body: String) -> Request<Load> {
        match self {
            Self::SockJs(_) => post("/echo/000/s0/xhr_send", body),
            Self::Atmosphere(_) => post("/chat?X-Atmosphere-tracking-id=s0", body),
            Self::Pushlet(_) => request(
                "POST",
                "/pushlet.srv",
                &[("content-type", "application/x-www-form-urlencoded")],
                body,
            ),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::SockJs(_) => "SockJS",
            Self::Atmosphere(_) => "Atmosphere",
            Self::Pushlet(_) => "Pushlet",
        }
    }
}

/// Requests that open sessions, each with an identifier of its own.
#[test]
fn floods_of_sessions() {
    const MOST: usize = 500;
    for which in 0..3 {
        let runtime = runtime();
        let server = runtime.block_on(async { Server::all(MOST)[which].clone() });
        let (held, _) = memory(|| {
            runtime.block_on(async {
                for number in 0..4 * MOST * scale() {
                    let response = server.serve(server.open(number)).await;
                    assert_eq!(response.status().as_u16(), if number < MOST { 200 } else { 503 });
                }
                assert_eq!(server.sessions(), MOST);
            });
        });
        // A queue of 64 messages to the application is part of a session.
        assert!(
            held <= (MOST * 4 * KIB) as isize,
            "{}: {} bytes a session",
            server.name(),
            held / MOST as isize
        );
        println!("{}: {} bytes a session", server.name(), held / MOST as isize);
        runtime.block_on(async {
            tokio::time::sleep(Duration::from_secs(200)).await;
            assert_eq!(server.sessions(), 0, "{}", server.name());
            assert_eq!(server.serve(server.open(0)).await.status().as_u16(), 200);
        });
    }
}

#[test]
fn bodies() {
    let runtime = runtime();
    runtime.block_on(async {
        for server in Server::all(10) {
            let begun = tokio::time::Instant::now();
            let (status, _) = read(server.serve(stalled(server.say("[\"a\"".into()))).await).await;
            assert_eq!((status, begun.elapsed().as_secs()), (408, 15), "{}", server.name());
            let (status, _) = read(server.serve(server.say("x".repeat(257 * KIB))).await).await;
            assert_eq!(status, 413, "{}", server.name());
        }
    });
}

#[test]
fn forged_origins() {
    let runtime = runtime();
    runtime.block_on(async {
        for server in Server::all(10) {
            let (status, _) = read(server.serve(foreign(server.open(1))).await).await;
            assert_eq!((status, server.sessions()), (403, 0), "{}", server.name());
            let (status, _) = read(server.serve(foreign(server.say("p_event=join".into()))).await).await;
            assert_eq!((status, server.sessions()), (403, 0), "{}", server.name());
            // The own page is let in.
            let mut own = server.open(1);
            own.headers_mut().insert("origin", format!("https://{}", crate::exchange::HOST).parse().unwrap());
            assert_eq!(server.serve(own).await.status().as_u16(), 200);
        }
    });
}

/// What a foreign page frames would be of this server's own origin.
#[test]
fn framed_by_a_foreign_page() {
    let runtime = runtime();
    runtime.block_on(async {
        let server = |origins| {
            SockJs::new("/echo", |_: SockJsSocket| async {}).service(SockJsService::new().origins(origins))
        };
        for (origins, policy) in [
            (OriginPolicy::same_host(), Some("frame-ancestors 'self'")),
            (
                OriginPolicy::list(["https://a.example", "null", "https://b.example; script-src *"])
                    .allow_absent(true),
                Some("frame-ancestors 'self' https://a.example"),
            ),
            (OriginPolicy::any(), None),
        ] {
            for target in ["/echo/iframe.html", "/echo/000/s/htmlfile?c=_jp.a"] {
                let response = server(origins.clone()).serve(get(target)).await;
                assert_eq!(response.status(), 200);
                let field = response.headers().get("content-security-policy");
                assert_eq!(field.map(|value| value.to_str().unwrap()), policy, "{target}");
            }
        }
    });
}

#[test]
fn callbacks_that_inject() {
    let runtime = runtime();
    runtime.block_on(async {
        let [server, ..] = Server::all(10);
        for name in [
            "alert(1)",
            "a;b",
            "opener.document.activeElement.click",
            "parent.f",
            "%3Cscript%3E",
            "a.__proto__.b",
            "",
        ] {
            for transport in ["jsonp", "htmlfile"] {
                let (status, body) =
                    read(server.serve(get(&format!("/echo/000/s/{transport}?c={name}"))).await).await;
                assert_eq!(status, 500, "{name}");
                assert!(body.contains("callback"), "{body}");
            }
        }
        assert_eq!(server.sessions(), 0);
    });
}

#[test]
fn broken_requests() {
    let runtime = runtime();
    runtime.block_on(async {
        let [sockjs, atmosphere, pushlet] = Server::all(10);
        for body in
            ["", "[", "{}", "[1]", "x", "[\"\\ud800\"", &"[".repeat(200 * KIB), &"[[".repeat(100 * KIB)]
        {
            let (status, _) = read(sockjs.serve(sockjs.say(body.into())).await).await;
            assert_eq!(status, 500, "{:.20}", body);
        }
        // Of others: a session that does not exist, a name that is none.
        assert_eq!(read(sockjs.serve(sockjs.say("[\"a\"]".into())).await).await.0, 404);
        for path in [
            "/echo/000/a.b/xhr",
            "/echo//s/xhr",
            "/echo/000/s/xhr/x",
            &format!("/echo/000/{}/xhr", "s".repeat(5000)),
        ] {
            assert_eq!(read(sockjs.serve(post(path, "")).await).await.0, 404);
        }
        assert_eq!(read(atmosphere.serve(atmosphere.say("a".into())).await).await.0, 404);
        for (query, status) in [
            ("", 400),
            ("?X-Atmosphere-Transport=webtransport", 501),
            ("?X-Atmosphere-Transport=sse&X-Atmosphere-tracking-id=a/b", 400),
            ("?X-Atmosphere-Transport=sse&X-Atmosphere-Framework=1", 501),
            ("?X-Atmosphere-Transport=close", 400),
        ] {
            assert_eq!(
                read(atmosphere.serve(get(&format!("/chat{query}"))).await).await.0,
                status,
                "{query}"
            );
        }
        for (query, status) in [
            ("", 400),
            ("?p_event=join&p_format=java", 400),
            ("?p_event=hb&p_id=00000000000000000000000000000000", 400),
            ("?p_event=listen&p_mode=pull", 400),
        ] {
            assert_eq!(
                read(pushlet.serve(get(&format!("/pushlet.srv{query}"))).await).await.0,
                status,
                "{query}"
            );
        }
        assert_eq!([sockjs.sessions(), atmosphere.sessions(), pushlet.sessions()], [0; 3]);
    });
}

/// A list of subjects is as many as it has: each event is compared with all of them.
#[test]
fn lists_of_subjects() {
    let runtime = runtime();
    runtime.block_on(async {
        let [_, _, pushlet] = Server::all(10);
        let (_, body) = read(pushlet.serve(pushlet.open(0)).await).await;
        let id = body.split_once("\"p_id\":\"").unwrap().1.split('"').next().unwrap().to_owned();
        for (count, fits) in [(31, true), (1, true), (1, false), (3000, false)] {
            let list = vec!["/a"; count].join(",");
            let query = format!("/pushlet.srv?p_event=subscribe&p_id={id}&p_subject={list}");
            let (_, body) = read(pushlet.serve(get(&query)).await).await;
            assert_eq!(body.contains("subscribe-ack"), fits, "{body}");
            assert_eq!(body.contains("too many subscriptions"), !fits, "{body}");
        }
    });
}
