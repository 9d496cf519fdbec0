//! A client over WebSocket.

use pushline::adapter::{Options, tokio::client};
use pushline::ws::ConnectionOptions;
use pushline::ws::handshake::{ClientOptions, Uri};

use crate::client::{Client, Ended};
use crate::world::World;

/// A welcome names everybody in the room.
const MAX_MESSAGE: usize = 16 << 20;

/// One connection, until it ends.
pub async fn connection(client_: &Client, world: &World, node: usize) -> Result<(), Ended> {
    let mut socket = {
        let room = world.options.room.as_ref().map(|room| format!("?room={room}")).unwrap_or_default();
        let uri = Uri::parse(&format!("ws://{}/ws{room}", world.authority(node)))?;
        let options = Options::new()
            .connection(ConnectionOptions::new().max_message(MAX_MESSAGE).max_frame(MAX_MESSAGE));
        client(world.connect(node).await?, &uri, ClientOptions::new(), &options).await?
    };
    socket.send(client_.hello()).await?;
    loop {
        tokio::select! {
            message = socket.next() => match message {
                Some(message) => {
                    if let Some(text) = message?.as_text() {
                        client_.hear(world, text)?;
                    }
                }
                None => return Ok(()),
            },
            say = client_.next_say(world) => socket.send(say).await?,
        }
    }
}
