//! Connection state recovery: who is known for how long, and what they missed.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use pushline::socketio::engine::{EngineFrame, EngineMessage};
use pushline::socketio::{Audience, Encoded, Recovery, RecoveryOptions};
use std::time::Duration;

const AT: fn(u64) -> Duration = Duration::from_secs;

fn say(recovery: &mut Recovery<Duration>, to: &[&str], except: &[&str]) {
    let offset = recovery.next_offset();
    let messages = Encoded::event("/", "say", &offset, None).into_shared();
    let rooms = |names: &[&str]| names.iter().map(|&name| name.into()).collect();
    recovery.push(Audience { to: rooms(to), except: rooms(except) }, messages);
}

fn offsets(missed: &[EngineMessage]) -> Vec<String> {
    let text = |message: &EngineMessage| match message.frame() {
        EngineFrame::Shared(prepared) => String::from_utf8(prepared.payload().to_vec()).unwrap(),
        frame => panic!("{frame:?}"),
    };
    missed.iter().map(|message| text(message).split('"').nth(3).unwrap().to_owned()).collect()
}

#[test]
fn only_what_is_for_it_and_new() {
    let mut recovery = Recovery::new(RecoveryOptions::new());
    say(&mut recovery, &[], &[]); // 1: before it came
    recovery.enter("pid", "sid".into(), AT(0));
    say(&mut recovery, &[], &[]); // 2
    say(&mut recovery, &["room"], &[]); // 3
    say(&mut recovery, &["other"], &[]); // 4
    say(&mut recovery, &["sid"], &[]); // 5
    say(&mut recovery, &[], &["sid"]); // 6
    say(&mut recovery, &["room"], &["muted"]); // 7
    say(&mut recovery, &["room", "other"], &["quiet"]); // 8
    let known = recovery.clone();
    let mut back = |offset| {
        recovery = known.clone();
        recovery.leave("pid", vec!["room".into(), "quiet".into()], AT(1));
        recovery.recover("pid", offset, AT(2))
    };
    assert_eq!(offsets(&back(None).unwrap().missed), ["2", "3", "5", "7"]);
    assert_eq!(offsets(&back(Some("3")).unwrap().missed), ["5", "7"]);
    assert_eq!(offsets(&back(Some("8")).unwrap().missed), [""; 0]);
    assert_eq!(back(Some("8")).unwrap().rooms, ["room", "quiet"]);
    // Offsets that were never its own: from before it, beyond the newest, no number.
    for offset in ["0", "9", "+3", "-3", "", "x y", "3w5e11264sgsg"] {
        assert!(back(Some(offset)).is_none(), "{offset}");
    }
}

#[test]
fn limits() {
    // What was dropped counts only if it may have been missed.
    for (events, found) in [(1, false), (2, true), (3, true)] {
        let mut recovery = Recovery::new(RecoveryOptions::new().events(events));
        recovery.enter("pid", "sid".into(), AT(0));
        (0..3).for_each(|_| say(&mut recovery, &["elsewhere"], &[]));
        recovery.leave("pid", Vec::new(), AT(0));
        assert_eq!(recovery.recover("pid", Some("1"), AT(0)).is_some(), found, "{events}");
    }
    let size = r#"42["say","1"]"#.len();
    for (bytes, found) in [(2 * size - 1, false), (2 * size, true), (2 * size + 1, true)] {
        let mut recovery = Recovery::new(RecoveryOptions::new().bytes(bytes));
        recovery.enter("pid", "sid".into(), AT(0));
        (0..3).for_each(|_| say(&mut recovery, &[], &[]));
        assert_eq!(recovery.recover("pid", Some("1"), AT(0)).is_some(), found, "{bytes}");
    }
    for (absence, known) in [(119, true), (120, false), (121, false)] {
        let mut recovery = Recovery::new(RecoveryOptions::new());
        recovery.enter("pid", "sid".into(), AT(0));
        recovery.leave("pid", Vec::new(), AT(10));
        assert_eq!(recovery.knows("pid", AT(10 + absence)), known);
        assert_eq!(recovery.recover("pid", None, AT(10 + absence)).is_some(), known);
    }
    let mut recovery = Recovery::new(RecoveryOptions::new().sessions(2));
    assert!(recovery.enter("a", "a".into(), AT(0)) && recovery.enter("b", "b".into(), AT(0)));
    assert!(!recovery.enter("c", "c".into(), AT(0)));
    recovery.leave("a", Vec::new(), AT(0));
    assert!(!recovery.enter("c", "c".into(), AT(119)) && recovery.enter("c", "c".into(), AT(120)));
    recovery.forget("b");
    assert!(recovery.recover("b", None, AT(120)).is_none() && recovery.enter("d", "d".into(), AT(120)));
}

proptest! {
    /// Against the list of all events: whoever comes back gets what it missed, or is somebody new.
    #[test]
    fn nothing_is_missed(steps in prop::collection::vec((0..5u8, 0..4usize), 0..80), events in 1..8usize) {
        let mut recovery = Recovery::new(RecoveryOptions::new().events(events));
        let names = ["a", "b", "c", "d"];
        // Of each client: the event before its first, the last that it got, whether it is here.
        let mut clients: [Option<(usize, usize, bool)>; 4] = [None; 4];
        let mut all: Vec<usize> = Vec::new(); // for whom each is; 4: for all
        for (step, who) in steps {
            let name = names[who];
            match (step, clients[who]) {
                (0, None) => {
                    recovery.enter(name, name.into(), AT(0));
                    clients[who] = Some((all.len(), all.len(), true));
                }
                (1, Some((since, got, true))) => {
                    recovery.leave(name, Vec::new(), AT(0));
                    clients[who] = Some((since, got, false));
                }
                (2, Some((since, got, here))) => {
                    if here {
                        recovery.leave(name, Vec::new(), AT(0)); // not noticed before
                    }
                    let offset = Some(got).filter(|got| *got > since).map(|got| got.to_string());
                    let from = if offset.is_some() { got } else { since };
                    // One digit is the same in base 36; longer runs are not what is tested.
                    prop_assume!(all.len() < 10);
                    let back = recovery.recover(name, offset.as_deref(), AT(0));
                    prop_assert_eq!(back.is_some(), from + events >= all.len());
                    if let Some(back) = back {
                        let missed: Vec<String> = (from + 1..=all.len())
                            .filter(|number| [who, 4].contains(&all[number - 1]))
                            .map(|number| number.to_string())
                            .collect();
                        prop_assert_eq!(offsets(&back.missed), missed.clone());
                        let got = missed.last().map_or(got, |last| last.parse().unwrap());
                        clients[who] = Some((since, got, true));
                    } else {
                        recovery.forget(name);
                        clients[who] = None;
                    }
                }
                (3 | 4, _) => {
                    let whom = if step == 3 { who } else { 4 };
                    say(&mut recovery, if step == 3 { &names[who..=who] } else { &[] }, &[]);
                    all.push(whom);
                    for (at, client) in clients.iter_mut().enumerate() {
                        if let Some((_, got, true)) = client && [at, 4].contains(&whom) {
                            *got = all.len();
                        }
                    }
                }
                _ => {}
            }
        }
    }
}

#[test]
fn who_comes_while_all_places_are_taken_costs_little() {
    const MANY: usize = 20_000;
    let mut recovery = Recovery::new(RecoveryOptions::new().sessions(MANY).max_absence(AT(100)));
    let name = |n: usize| format!("pid-{n}");
    for n in 0..MANY {
        assert!(recovery.enter(&name(n), "sid".into(), AT(0)));
    }
    assert!(!recovery.enter("early", "sid".into(), AT(1)), "nobody is away");
    for n in 0..MANY {
        recovery.leave(&name(n), Vec::new(), AT(10));
    }
    #[allow(clippy::disallowed_methods)]
    let begun = std::time::Instant::now();
    for n in 0..MANY {
        assert!(!recovery.enter(&name(MANY + n), "sid".into(), AT(109)));
    }
    assert!(begun.elapsed() < AT(2), "{:?}", begun.elapsed());
    for n in 0..MANY {
        assert!(recovery.enter(&name(MANY + n), "sid".into(), AT(110)));
    }
    assert!(!recovery.enter("late", "sid".into(), AT(110)));
}
