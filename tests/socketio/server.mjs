// npm's socket.io for our client (`tests/socketio_client.rs`): `node server.mjs [RECOVERY]`, where that is how many
// milliseconds a client may be away. It prints its address.
import { createServer } from "node:http";
import { Server } from "socket.io";

const [recovery] = process.argv.slice(2);
const http = createServer();
const io = new Server(http, recovery ? { connectionStateRecovery: { maxDisconnectionDuration: +recovery } } : {});
io.on("connection", (socket) => {
  socket.emit("auth", socket.handshake.auth);
  socket.on("message", (...args) => socket.emit("message-back", ...args));
  socket.on("message-with-ack", (...args) => args.pop()(...args));
  socket.on("emit-with-ack", (...args) => socket.emit("emit-with-ack", ...args, (...got) => socket.emit("answered", ...got)));
  socket.on("add", (a, b, ack) => ack(a + b));
  socket.on("talk", async () => {
    for (let n = 0; n < 200; n++) {
      io.in(socket.id).emit("said", n);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  });
  socket.on("cut", () => socket.conn.close());
  socket.on("out", () => socket.disconnect());
});
io.of("/closed").use((_, next) => next(new Error("not you")));
http.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${http.address().port}`));
