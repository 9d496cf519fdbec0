//! Prints an event stream: `sse_client URL [LAST-EVENT-ID]`. It reconnects and resumes; Ctrl-C ends it.

use std::io::Write;

use pushline::adapter::tokio::sse::{EventSource, SourceEvent, SourceOptions};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("usage: sse_client URL [LAST-EVENT-ID]")?;
    let mut source = EventSource::new(&url, SourceOptions::new())?;
    if let Some(id) = arguments.next() {
        source.set_last_event_id(&id)?;
    }
    while let Some(update) = source.next().await {
        match update? {
            SourceEvent::Open => eprintln!("open: {}", source.url()),
            SourceEvent::Event(event) => {
                let mut out = std::io::stdout().lock();
                if writeln!(out, "{} [{}] {}", event.event, event.id, event.data).is_err() {
                    // Whoever read this has enough.
                    return Ok(());
                }
            }
            SourceEvent::Lost { error: Some(error), wait } => eprintln!("lost: {error}; again in {wait:.1?}"),
            SourceEvent::Lost { error: None, wait } => eprintln!("ended; again in {wait:.1?}"),
            _ => {}
        }
    }
    eprintln!("the server has no more events");
    Ok(())
}
