// Node's socket.io, as `server.rs` does it. It prints its address.
import { createServer } from 'node:http';
import { Server } from 'socket.io';

const http = createServer();
const io = new Server(http, { pingInterval: 600_000 });
io.on('connection', (socket) => {
  socket.on('message', (text) => socket.emit('message-back', text));
  socket.on('say', (text) => io.emit('said', text));
});
http.listen(0, '127.0.0.1', () => console.log(`127.0.0.1:${http.address().port}`));
