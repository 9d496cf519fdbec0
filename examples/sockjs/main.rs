//! SockJS behind hyper: what the protocol's published test suite expects to find, and what `sockjs-client` can talk to.
//!
//! `cargo run --all-features --example sockjs -- --listen 127.0.0.1:8081`, then in a page
//! `new SockJS('http://127.0.0.1:8081/echo')`. `/echo` says what it hears, `/disabled_websocket_echo` and
//! `/cookie_needed_echo` likewise; `/close` says good-bye at once.

mod server;

/// One thread: a client that has left is seen to have left before what it asks on its next connection.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut address, mut client) = ("127.0.0.1:8081".to_owned(), None);
    let mut arguments = std::env::args().skip(1);
    while let Some(flag) = arguments.next() {
        match (flag.as_str(), arguments.next()) {
            ("--listen", Some(value)) => address = value,
            // Where iframes load the client from.
            ("--client", value @ Some(_)) => client = value,
            _ => return Err("usage: sockjs [--listen ADDRESS:PORT] [--client URL]".into()),
        }
    }
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("http://{}/echo", listener.local_addr()?);
    server::serve(listener, client.as_deref()).await;
    Ok(())
}
