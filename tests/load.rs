//! The example `load` against the example `chat`: a few dozen clients on every transport.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "common/examples.rs"]
mod examples;

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

use examples::example;
use serde_json::Value;

/// Every transport has as many clients.
const MIX: &str = "--clients 42 --mix ws=1,sse=1,long-polling=1,polling=1,xhr-streaming=1,jsonp=1,iframe=1";

fn load(arguments: &[&str], options: &str) -> (Output, Value) {
    let output = Command::new(example("load"))
        .args(arguments)
        .args(options.split_whitespace().chain(MIX.split_whitespace()))
        .arg("--json")
        .output()
        .unwrap();
    let report = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output, report)
}

#[test]
fn every_client_has_each_message_once_and_in_order_though_it_is_cut() {
    let chat = example("chat");
    let (output, report) = load(
        &["--spawn", chat.to_str().unwrap()],
        "--rate 40 --speakers 42 --seconds 4 --cut 50 --kill 25 --within 20",
    );
    assert!(output.status.success(), "{output:?}");
    let number = |name: &str| report[name].as_u64().unwrap();
    let (messages, clients) = (160, 42);
    assert_eq!((number("messages"), number("confirmed")), (messages, messages));
    assert_eq!((number("missing"), number("repeated"), number("not_resumed")), (0, 0, 0));
    // Who speaks does not vanish, and here all do.
    assert_eq!((number("cut"), number("vanished")), (21, 0));
    assert!(number("resumed") >= 21, "{report}");
    assert_eq!(number("delivered"), messages * clients);
    let latencies = report["latencies"].as_array().unwrap();
    let transports = latencies.iter().take(7).map(|latency| latency["deliveries"].as_u64().unwrap());
    assert!(
        transports.clone().count() == 7 && transports.clone().all(|deliveries| deliveries > 0),
        "{report}"
    );
    assert!(report["server"]["memory_before"].as_u64().unwrap() > 0, "{report}");
}

#[test]
fn who_comes_in_the_place_of_one_who_vanished_hears_the_rest() {
    let chat = example("chat");
    let options = "--rate 10 --speakers 6 --seconds 3 --kill 50 --within 20";
    let (output, report) = load(&["--spawn", chat.to_str().unwrap()], options);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        (&report["vanished"], &report["missing"], &report["repeated"]),
        (&21.into(), &0.into(), &0.into())
    );
}

#[test]
fn a_server_that_is_gone_is_a_failure() {
    let mut chat = Command::new(example("chat"))
        .args(["--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(chat.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = line.split_whitespace().last().unwrap();
    let pid = chat.id().to_string();
    let (output, report) = load(
        &["--node", url, "--node-pid", &pid],
        "--rate 10 --speakers 5 --seconds 2 --kill-node 50 --within 1",
    );
    assert!(!chat.wait().unwrap().success());
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(report["nodes_killed"], 1);
    assert!(report["confirmed"].as_u64() < report["messages"].as_u64(), "{report}");
}
