//! Asks a language model that answers with an event stream, and prints what comes: `llm_client URL QUESTION`, the question in
//! JSON, with `"stream": true`. A service that wants a key gets it by `.field("authorization", "Bearer ...")?`.

use pushline::adapter::tokio::sse::{EventSource, SourceEvent, SourceOptions};

pub async fn ask(url: &str, options: SourceOptions) -> Result<(), Box<dyn std::error::Error>> {
    let mut events = EventSource::new(url, options)?;
    while let Some(update) = events.next().await {
        let SourceEvent::Event(event) = update? else { continue };
        println!("{}", event.data);
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [url, question] = [1, 2].map(|at| std::env::args().nth(at).ok_or("usage: URL QUESTION"));
    ask(&url?, SourceOptions::new().post("application/json", question?)).await
}
