//! The CORS matrix: which origin gets which fields, and that none of them is the client's (Fetch 3.3).
#![allow(clippy::unwrap_used, clippy::expect_used)]

use pushline::comet::cors::{CorsPolicy, CorsPolicyError};

const APP: &str = "https://app.example";

/// A policy, and what it says to each origin: the value of Access-Control-Allow-Origin, or none.
#[test]
fn origins() {
    let nothing = CorsPolicy::new();
    let list = || CorsPolicy::new().allow_origin(APP).unwrap().allow_origin("http://localhost:8080").unwrap();
    let null = || CorsPolicy::new().allow_null();
    let any = || CorsPolicy::new().allow_any().unwrap();
    let origins = [APP, "http://localhost:8080", "https://evil.example", "null"];
    let rows: [(&str, CorsPolicy, [Option<&str>; 4]); 7] = [
        ("nothing", nothing, [None; 4]),
        ("list", list(), [Some(APP), Some("http://localhost:8080"), None, None]),
        (
            "list and null",
            list().allow_null(),
            [Some(APP), Some("http://localhost:8080"), None, Some("null")],
        ),
        ("null", null(), [None, None, None, Some("null")]),
        ("any", any(), [Some("*"), Some("*"), Some("*"), None]),
        ("any and null", any().allow_null(), [Some("*"), Some("*"), Some("*"), Some("null")]),
        ("any and list", list().allow_any().unwrap(), [Some("*"), Some("*"), Some("*"), None]),
    ];
    for (name, policy, expected) in rows {
        for (origin, expected) in origins.iter().zip(expected) {
            let decision = policy.check(Some(origin.as_bytes()));
            assert_eq!(decision.is_allowed(), expected.is_some(), "{name}: {origin}");
            let value = decision.fields().find(|(field, _)| *field == "Access-Control-Allow-Origin");
            assert_eq!(value.map(|(_, value)| value), expected, "{name}: {origin}");
            // One that is refused gets no permission of any kind, and no cache mixes them up.
            if expected.is_none() {
                assert!(decision.fields().all(|(field, _)| field == "Vary"), "{name}: {origin}");
            }
            assert_eq!(decision.fields().any(|field| field == ("Vary", "Origin")), name != "nothing");
        }
    }
}

#[test]
fn origins_are_compared_whole() {
    let policy = CorsPolicy::new().allow_origin(APP).unwrap();
    for origin in [
        "",
        "https://app.example.evil.net",
        "https://evil.net/https://app.example",
        "http://app.example",
        "https://app.example:443",
        "https://app.example:8443",
        "https://app.example/",
        "HTTPS://APP.EXAMPLE",
        "https://app.exampl",
        " https://app.example",
        "https://app.example\r\nX: y",
        "https://app.example, https://app.example",
        "https://app.example\0",
        "*",
        "app.example",
    ] {
        let decision = policy.check(Some(origin.as_bytes()));
        assert!(!decision.is_allowed(), "{origin:?}");
        assert_eq!(decision.fields().collect::<Vec<_>>(), [("Vary", "Origin")]);
    }
    assert!(!policy.check(Some(b"https://app.example\xff")).is_allowed());
}

#[test]
fn a_request_without_origin_is_not_cross_origin() {
    for policy in [
        CorsPolicy::new(),
        CorsPolicy::new().allow_origin(APP).unwrap(),
        CorsPolicy::new().allow_any().unwrap(),
    ] {
        let decision = policy.check(None);
        assert!(decision.is_allowed());
        assert!(decision.fields().all(|(field, _)| field == "Vary"));
    }
}

#[test]
fn credentials_only_with_an_exact_origin() {
    let list = CorsPolicy::new().allow_origin(APP).unwrap().credentials(true).unwrap();
    assert_eq!(
        list.check(Some(APP.as_bytes())).fields().collect::<Vec<_>>(),
        [
            ("Vary", "Origin"),
            ("Access-Control-Allow-Origin", APP),
            ("Access-Control-Allow-Credentials", "true"),
        ]
    );
    assert_eq!(list.check(Some(b"https://evil.example")).fields().collect::<Vec<_>>(), [("Vary", "Origin")]);
    assert_eq!(list.allow_any(), Err(CorsPolicyError::CredentialsForAny));
    assert_eq!(
        CorsPolicy::new().allow_any().unwrap().credentials(true),
        Err(CorsPolicyError::CredentialsForAny)
    );
    assert!(CorsPolicy::new().allow_any().unwrap().credentials(false).is_ok());
    // Absent, not "false", when they are not allowed (Fetch 3.3.3).
    let without = CorsPolicy::new().allow_origin(APP).unwrap();
    assert!(without.check(Some(APP.as_bytes())).fields().all(|(field, _)| !field.ends_with("Credentials")));
}

#[test]
fn preflights() {
    let policy = CorsPolicy::new()
        .allow_origin(APP)
        .unwrap()
        .methods(&["PUT", "DELETE"])
        .unwrap()
        .headers(&["Content-Type", "X-Session"])
        .unwrap()
        .expose(&["X-Cursor"])
        .unwrap()
        .max_age(600);
    let rows: [(&str, &str, Option<&str>, bool); 22] = [
        (APP, "PUT", None, true),
        (APP, "DELETE", Some(""), true),
        (APP, "GET", None, true),
        (APP, "HEAD", None, true),
        (APP, "POST", Some("content-type"), true),
        (APP, "PUT", Some("Content-Type"), true),
        (APP, "PUT", Some("content-type,x-session"), true),
        (APP, "PUT", Some("x-session \t,  content-type"), true),
        (APP, "PUT", Some("content-type,,"), true),
        (APP, "PUT", Some("content-type,authorization"), false),
        (APP, "PUT", Some("authorization"), false),
        (APP, "PUT", Some("content-type x-session"), false),
        (APP, "PUT", Some("*"), false),
        (APP, "PUT", Some("x-session\r\nX-Injected: 1"), false),
        (APP, "put", None, false),
        (APP, "PATCH", None, false),
        (APP, "*", None, false),
        (APP, "", None, false),
        (APP, "PUT, DELETE", None, false),
        (APP, "PUT\r\nX-Injected: 1", None, false),
        ("https://evil.example", "PUT", None, false),
        ("null", "GET", None, false),
    ];
    const VARY: (&str, &str) =
        ("Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers");
    for (origin, method, headers, allowed) in rows {
        let decision = policy.preflight(origin.as_bytes(), method.as_bytes(), headers.map(str::as_bytes));
        assert_eq!(decision.is_allowed(), allowed, "{origin} {method} {headers:?}");
        let fields: Vec<_> = decision.fields().collect();
        if allowed {
            assert_eq!(
                fields,
                [
                    VARY,
                    ("Access-Control-Allow-Origin", APP),
                    ("Access-Control-Allow-Methods", "PUT, DELETE"),
                    ("Access-Control-Allow-Headers", "Content-Type, X-Session"),
                    ("Access-Control-Max-Age", "600"),
                ]
            );
        } else {
            assert_eq!(fields, [VARY]);
        }
    }
    // The real response shows what it may, and says nothing of what was asked before.
    assert_eq!(
        policy.check(Some(APP.as_bytes())).fields().collect::<Vec<_>>(),
        [
            ("Vary", "Origin"),
            ("Access-Control-Allow-Origin", APP),
            ("Access-Control-Expose-Headers", "X-Cursor")
        ]
    );
    let open = CorsPolicy::new().allow_any().unwrap();
    assert_eq!(
        open.preflight(b"https://x.example", b"POST", None).fields().collect::<Vec<_>>(),
        [VARY, ("Access-Control-Allow-Origin", "*")]
    );
}

#[test]
fn line_ends_and_mistakes_in_the_configuration() {
    for origin in [
        "",
        "*",
        "null",
        "app.example",
        "https://",
        "https://app.example/",
        "https://app.example/x",
        "https://App.example",
        "HTTPS://app.example",
        "https://app.example:443",
        "http://app.example:80",
        "https://app.example:",
        "https://app.example:0",
        "https://app.example:080",
        "https://app.example:65536",
        "https://app.example:+1",
        "https://user@app.example",
        "https://*.app.example",
        "https://app.example\r\nX: y",
        "https://app.example\n",
        "https://app example",
        "https://\u{e9}.example",
        "1http://app.example",
        "://app.example",
        "https://[::1",
        "https://[::1]x",
        "https://[::1]:443",
        "https://a,b",
    ] {
        assert_eq!(CorsPolicy::new().allow_origin(origin), Err(CorsPolicyError::InvalidOrigin), "{origin:?}");
    }
    for origin in [
        APP,
        "http://localhost:8080",
        "http://app.example:443",
        "https://xn--bcher-kva.example",
        "http://127.0.0.1",
        "http://[::1]",
        "https://[2001:db8::1]:8443",
        "chrome-extension://abcdefgh",
        "app://obsidian.md",
        "https://app.example:65535",
        "http://a_b",
    ] {
        assert!(CorsPolicy::new().allow_origin(origin).is_ok(), "{origin:?}");
    }
    for name in ["", "*", "a b", "a,b", "a\r\nX: y", "a:", "\u{e9}", "a\0"] {
        assert_eq!(CorsPolicy::new().methods(&["PUT", name]), Err(CorsPolicyError::InvalidName), "{name:?}");
        assert_eq!(CorsPolicy::new().headers(&[name]), Err(CorsPolicyError::InvalidName), "{name:?}");
        assert_eq!(CorsPolicy::new().expose(&[name]), Err(CorsPolicyError::InvalidName), "{name:?}");
    }
}

/// A request to the host `h:1`.
#[cfg(feature = "http")]
fn request(method: &str, fields: &[(&str, &str)]) -> http::Request<()> {
    let request = http::Request::builder().method(method).uri("/events").header("host", "h:1");
    fields.iter().fold(request, |request, (name, value)| request.header(*name, *value)).body(()).unwrap()
}

#[cfg(feature = "http")]
#[test]
fn a_request_is_allowed_to_own_and_named_origins_and_nobody_else() {
    let policy = CorsPolicy::new().allow_origin("http://other:2").unwrap();
    let vary = ("Vary", "Origin");
    for (origins, is_allowed, is_named) in [
        (&[][..], true, false),
        (&["http://h:1"], true, false),
        (&["http://other:2"], true, true),
        (&["http://other"], false, false),
        (&["http://h"], false, false),
        (&["null"], false, false),
        (&["http://h:1", "http://h:1"], false, false),
        (&["http://other:2", "http://other:2"], false, false),
        (&["http://other:2.evil"], false, false),
        (&["*"], false, false),
        (&[""], false, false),
    ] {
        let fields: Vec<_> = origins.iter().map(|origin| ("origin", *origin)).collect();
        for method in ["GET", "POST", "OPTIONS"] {
            let request = request(method, &fields);
            let decision = policy.decide(&request);
            assert_eq!((decision.is_allowed(), decision.is_preflight()), (is_allowed, false), "{origins:?}");
            let named = is_named.then_some(("Access-Control-Allow-Origin", "http://other:2"));
            assert!(decision.fields().eq([vary].into_iter().chain(named)), "{origins:?}");
            if let [origin] = origins {
                assert_eq!(policy.allows(origin.as_bytes(), &request), is_allowed, "{origin}");
            }
        }
    }
    // Without others, nothing is said about origins at all.
    assert_eq!(CorsPolicy::new().decide(&request("GET", &[])).fields().count(), 0);
    // RFC 9113 8.3.1: HTTP/2 names the host in the URI.
    let request = http::Request::get("https://h:1/events").header("origin", "https://h:1").body(()).unwrap();
    assert!(CorsPolicy::new().decide(&request).is_allowed());
}

#[cfg(feature = "http")]
#[test]
fn a_preflight_is_told_from_other_requests() {
    let policy =
        CorsPolicy::new().allow_origin("http://other:2").unwrap().headers(&["Last-Event-ID"]).unwrap();
    for (method, origin, asked, headers, is_preflight, is_allowed) in [
        ("OPTIONS", "http://other:2", "POST", "last-event-id", true, true),
        ("OPTIONS", "http://other:2", "DELETE", "last-event-id", true, false),
        ("OPTIONS", "http://other:2", "POST", "x-other", true, false),
        ("OPTIONS", "http://evil:2", "POST", "last-event-id", true, false),
        ("GET", "http://other:2", "POST", "last-event-id", false, true),
        ("GET", "http://evil:2", "POST", "last-event-id", false, false),
    ] {
        let fields = [
            ("origin", origin),
            ("access-control-request-method", asked),
            ("access-control-request-headers", headers),
        ];
        let request = request(method, &fields);
        let decision = policy.decide(&request);
        assert_eq!(
            (decision.is_preflight(), decision.is_allowed()),
            (is_preflight, is_allowed),
            "{fields:?}"
        );
    }
}

#[cfg(feature = "http")]
#[test]
fn what_a_response_varies_by_already_stays_and_other_fields_are_replaced() {
    let policy = CorsPolicy::new().allow_origin("http://other:2").unwrap();
    let mut response = http::HeaderMap::new();
    for (name, value) in [("vary", "accept"), ("access-control-allow-origin", "*"), ("etag", "1")] {
        response.insert(name, http::HeaderValue::from_static(value));
    }
    policy.check(Some(b"http://other:2")).set_fields(&mut response);
    let values = |name: &str| response.get_all(name).iter().cloned().collect::<Vec<_>>();
    assert_eq!(values("vary"), ["accept", "Origin"]);
    assert_eq!(values("access-control-allow-origin"), ["http://other:2"]);
    assert_eq!(values("etag"), ["1"]);
}
