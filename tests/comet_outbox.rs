//! Polls and streams over tokio: requests that wait, are answered, take each other's place, and end.
#![cfg(all(feature = "tokio", feature = "comet", feature = "http"))]

use std::time::Duration;

use pushline::adapter::tokio::comet::CometOutbox;
use pushline::comet::jsonp::Callback;
use pushline::comet::{CometMessage, CometOptions, StreamOptions, StreamWriter};
use tokio::time::{Instant, sleep};

const HOLD: Duration = Duration::from_secs(20);
const IDLE: Duration = Duration::from_secs(15);

fn outbox() -> CometOutbox {
    CometOutbox::new(CometOptions::new().hold(HOLD).idle(IDLE), 7)
}

fn say(outbox: &CometOutbox, text: &str) -> u64 {
    outbox.push(CometMessage::text(text)).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_poll_waits_for_news_and_not_for_ever() {
    let outbox = outbox();
    let begun = Instant::now();
    let waiting = tokio::spawn(outbox.poll(7).into_json());
    sleep(Duration::from_secs(3)).await;
    assert_eq!(say(&outbox, "news"), 8);
    let response = waiting.await.unwrap();
    assert_eq!((response.status().as_u16(), begun.elapsed()), (200, Duration::from_secs(3)));
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.body(), r#"{"cursor":8,"messages":[{"id":8,"data":"news"}]}"#);
    let silent = outbox.poll(8).into_json().await;
    assert_eq!((silent.status().as_u16(), begun.elapsed()), (204, Duration::from_secs(3) + HOLD));
    assert!(!silent.headers().contains_key("content-type") && silent.headers().contains_key("cache-control"));
    assert_eq!(outbox.poll(3).into_json().await.status(), 410);
    assert_eq!([6, 7, 8, 9].map(|since| outbox.has(since)), [false, false, true, false]);
}

#[tokio::test(start_paused = true)]
async fn a_request_is_over_once_it_is_answered_abandoned_or_another_has_come() {
    let outbox = outbox();
    let callback = Callback::parse("news").unwrap();
    let older = tokio::spawn(outbox.poll(7).into_json());
    let older_script = outbox.poll(7);
    tokio::task::yield_now().await;
    let mut newer = outbox.poll(7);
    assert_eq!(older.await.unwrap().status(), 204);
    let script = older_script.into_jsonp(callback).await;
    assert_eq!((script.status().as_u16(), script.body().len()), (200, 0));
    say(&outbox, "one");
    assert_eq!(newer.next(|answer| answer.map(|answer| answer.cursor)).await, Some(8));
    assert_eq!(newer.next(|answer| answer.map(|answer| answer.cursor)).await, None);
    let script = outbox.poll(7).into_jsonp(callback).await;
    assert_eq!(script.body(), r#"/**/news({"cursor":8,"messages":[{"id":8,"data":"one"}]});"#);
    let begun = Instant::now();
    let waiting = tokio::spawn(outbox.poll(8).into_json());
    tokio::task::yield_now().await;
    outbox.abandon();
    assert_eq!((waiting.await.unwrap().status().as_u16(), begun.elapsed()), (204, Duration::ZERO));
    assert!(outbox.is_done() && !outbox.has(8));
    assert_eq!((outbox.poll(8).into_json().await.status().as_u16(), begun.elapsed()), (204, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_client_without_a_request_is_gone_after_a_while() {
    let outbox = outbox();
    let request = outbox.poll(7);
    sleep(HOLD + IDLE - Duration::from_millis(1)).await;
    assert!(!outbox.is_done());
    drop(request);
    sleep(IDLE - Duration::from_millis(1)).await;
    assert!(!outbox.is_done());
    sleep(Duration::from_millis(1)).await;
    assert!(outbox.is_done());
}

/// The server does not ask for the body of one that reads nothing, nor for its signs of life.
#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_is_gone_after_a_while() {
    let outbox = outbox();
    let mut body = outbox.stream(7).into_body(StreamWriter::xhr(StreamOptions::new().padding(0)));
    assert_eq!(body.next().await.unwrap(), "\n");
    for _ in 0..3 {
        assert_eq!(body.next().await.unwrap(), "\n", "a sign of life");
        assert!(!outbox.is_done());
    }
    say(&outbox, "not read");
    sleep(HOLD + IDLE - Duration::from_millis(1)).await;
    assert!(!outbox.is_done());
    sleep(Duration::from_millis(1)).await;
    assert!(outbox.is_done());
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_finished_is_done_once_all_is_acknowledged_or_nobody_comes() {
    for comes in [true, false] {
        let outbox = outbox();
        say(&outbox, "the last");
        outbox.finish();
        assert!(!outbox.is_done());
        let response = outbox.poll(7).into_json().await;
        assert!(response.body().contains("the last") && !outbox.is_done());
        if comes {
            drop(outbox.poll(8));
        } else {
            sleep(IDLE - Duration::from_millis(1)).await;
            assert!(!outbox.is_done());
            sleep(Duration::from_millis(1)).await;
        }
        assert!(outbox.is_done());
    }
    // Nothing to be acknowledged.
    let outbox = outbox();
    outbox.finish();
    assert!(outbox.is_done());
}

#[tokio::test(start_paused = true)]
async fn a_stream_goes_on_until_its_budget_or_its_time_is_over() {
    let outbox = outbox();
    let options = StreamOptions::new().padding(0);
    let begun = Instant::now();
    let mut body =
        outbox.stream(7).into_body(StreamWriter::xhr(options)).ends_after(3 * HOLD - Duration::from_secs(1));
    assert_eq!(body.next().await.unwrap(), "\n");
    say(&outbox, "one");
    say(&outbox, "two");
    assert_eq!(body.next().await.unwrap(), "{\"id\":8,\"data\":\"one\"}\n{\"id\":9,\"data\":\"two\"}\n");
    // Signs of life, and then the end.
    for holds in 1..3 {
        assert_eq!(body.next().await.unwrap(), "\n");
        assert_eq!(begun.elapsed(), holds * HOLD);
    }
    assert!(body.next().await.is_none() && body.next().await.is_none());
    assert_eq!(begun.elapsed(), 3 * HOLD - Duration::from_secs(1));
    // From what was not acknowledged, up to the budget.
    let mut body = outbox.stream(7).into_body(StreamWriter::xhr(options.budget(2)));
    assert_eq!((body.next().await.unwrap().len(), body.next().await.unwrap().len()), (1, 22));
    assert!(body.next().await.is_none());
    // A newer request ends it.
    let mut body = outbox.stream(9).into_body(StreamWriter::xhr(options));
    body.next().await.unwrap();
    let _newer = outbox.poll(9);
    assert!(body.next().await.is_none());
}

#[tokio::test]
async fn a_stream_is_a_response_with_its_fields() {
    let outbox = outbox();
    let xhr = outbox.stream(7).into_body(StreamWriter::xhr(StreamOptions::new())).into_http_response();
    assert_eq!(xhr.headers()["content-type"], "text/plain; charset=utf-8");
    assert!(!xhr.headers().contains_key("content-security-policy"));
    let writer = StreamWriter::frame_to("https://a.example", StreamOptions::new()).unwrap();
    let frame = outbox.stream(7).into_body(writer).into_http_response();
    assert_eq!(frame.headers()["content-type"], "text/html; charset=utf-8");
    let policy = frame.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.ends_with("sandbox allow-scripts; frame-ancestors https://a.example"), "{policy}");
}
