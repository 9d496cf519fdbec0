//! The peers' echo servers.

use super::limits::handshake;
use futures_util::{FutureExt, Sink, SinkExt, Stream, StreamExt};
use tokio::net::TcpStream;

/// Echoes what `echo` makes of a message: each with a flush, or batched: up to 32 messages that have
/// arrived are answered with one.
async fn run<S, M, E>(mut socket: S, batched: bool, echo: impl Fn(M) -> Option<M>) -> Option<()>
where
    S: Stream<Item = Result<M, E>> + Sink<M> + Unpin,
{
    while let Some(Ok(message)) = socket.next().await {
        if !batched {
            if let Some(message) = echo(message) {
                socket.send(message).await.ok()?;
            }
            continue;
        }
        let mut next = Some(message);
        for _ in 0..32 {
            let Some(message) = next.take() else { break };
            if let Some(message) = echo(message) {
                socket.feed(message).await.ok()?;
            }
            match socket.next().now_or_never() {
                Some(Some(Ok(message))) => next = Some(message),
                Some(_) => return socket.flush().await.ok(),
                None => {}
            }
        }
        if let Some(message) = next.and_then(&echo) {
            socket.feed(message).await.ok()?;
        }
        socket.flush().await.ok()?;
    }
    Some(())
}

pub fn tungstenite(stream: std::net::TcpStream) -> Option<()> {
    let mut socket = tungstenite::accept(stream).ok()?;
    loop {
        let message = socket.read().ok()?;
        if message.is_text() || message.is_binary() {
            socket.send(message).ok()?;
        }
    }
}

pub async fn tokio_tungstenite(stream: TcpStream, batched: bool) -> Option<()> {
    let socket = tokio_tungstenite::accept_async(stream).await.ok()?;
    run(socket, batched, |message: tungstenite::Message| {
        (message.is_text() || message.is_binary()).then_some(message)
    })
    .await
}

pub async fn fastwebsockets(stream: TcpStream) -> Option<()> {
    use fastwebsockets::{FragmentCollector, OpCode, Role, WebSocket};
    let mut socket = WebSocket::after_handshake(handshake(stream).await?, Role::Server);
    socket.set_writev(false);
    let mut socket = FragmentCollector::new(socket);
    loop {
        let frame = socket.read_frame().await.ok()?;
        match frame.opcode {
            OpCode::Close => return Some(()),
            OpCode::Text | OpCode::Binary => socket.write_frame(frame).await.ok()?,
            _ => {}
        }
    }
}

pub async fn tokio_websockets(stream: TcpStream, batched: bool) -> Option<()> {
    use tokio_websockets::{Message, ServerBuilder};
    let (_, socket) = ServerBuilder::new().accept(stream).await.ok()?;
    run(socket, batched, |message: Message| (message.is_text() || message.is_binary()).then_some(message))
        .await
}

pub async fn yawc(stream: TcpStream, batched: bool) -> Option<()> {
    use yawc::{Frame, OpCode, Options, Role, WebSocket};
    let stream = handshake(stream).await?;
    let mut options = Options::default().with_utf8();
    if batched {
        // As in its own comparison.
        options = options.with_read_buffer_capacity(128 * 1024).with_backpressure_boundary(64 * 1024);
    }
    let socket = WebSocket::from_stream(stream, Role::Server, options).ok()?;
    let frames = socket.map(Ok::<_, ()>);
    run(frames, batched, |frame: Frame| {
        matches!(frame.opcode(), OpCode::Text | OpCode::Binary).then_some(frame)
    })
    .await
}

pub async fn sockudo(stream: TcpStream, batched: bool) -> Option<()> {
    use sockudo_ws::{Config, Message, WebSocketStream};
    let socket = WebSocketStream::server(handshake(stream).await?, Config::default());
    run(socket, batched, |message: Message| (!message.is_control()).then_some(message)).await
}

pub async fn soketto(stream: TcpStream) -> Option<()> {
    use futures_util::io::{BufReader, BufWriter};
    use soketto::handshake::server::{Response, Server};
    use soketto::{Data, Incoming};
    use tokio_util::compat::TokioAsyncReadCompatExt;
    let mut server = Server::new(BufReader::new(BufWriter::new(stream.compat())));
    let key = server.receive_request().await.ok()?.key();
    server.send_response(&Response::Accept { key, protocol: None }).await.ok()?;
    let (mut sender, mut receiver) = server.into_builder().finish();
    let mut message = Vec::new();
    loop {
        message.clear();
        match receiver.receive(&mut message).await.ok()? {
            Incoming::Data(Data::Text(_)) => {
                sender.send_text(std::str::from_utf8(&message).ok()?).await.ok()?
            }
            Incoming::Data(Data::Binary(_)) => sender.send_binary_mut(&mut message).await.ok()?,
            Incoming::Pong(_) => continue,
            Incoming::Closed(_) => return Some(()),
        }
        sender.flush().await.ok()?;
    }
}

pub async fn wtx(stream: TcpStream) -> Option<()> {
    use wtx::collection::Vector;
    use wtx::rng::Xorshift64;
    use wtx::web_socket::{OpCode, WebSocketAcceptor, WebSocketPayloadOrigin};
    let acceptor = WebSocketAcceptor::default().rng(Xorshift64::new(0x9e37_79b9_7f4a_7c15));
    let mut socket = acceptor.accept(stream).await.ok()?;
    let (mut common, mut reader, mut writer) = socket.split_mut();
    let mut buffer = Vector::new();
    loop {
        let mut frame =
            reader.read_frame(&mut buffer, &mut common, WebSocketPayloadOrigin::Adaptive).await.ok()?;
        match frame.op_code() {
            OpCode::Binary | OpCode::Text => writer.write_frame(&mut common, &mut frame).await.ok()?,
            OpCode::Close => return Some(()),
            _ => {}
        }
    }
}

pub async fn web_socket(stream: TcpStream) -> Option<()> {
    use web_socket::{DataType, Event, WebSocket};
    let stream = handshake(stream).await?;
    let mut socket = WebSocket::server(tokio::io::BufReader::new(stream));
    loop {
        match socket.recv().await.ok()? {
            Event::Data { ty: DataType::Complete(kind), data } if kind.is_text() => {
                socket.send(std::str::from_utf8(&data).ok()?).await.ok()?;
            }
            Event::Data { ty: DataType::Complete(_), data } => socket.send(&data[..]).await.ok()?,
            Event::Ping(data) => socket.send_pong(data).await.ok()?,
            Event::Pong(_) => {}
            _ => return Some(()),
        }
    }
}
