// Connection state recovery with the official client: `node recovery.mjs URL`. Clients whose connections are cut at
// random while a room talks get every message once and in order.
import assert from "node:assert/strict";
import { io } from "socket.io-client";

const [url] = process.argv.slice(2);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const until = async (condition, what, ms = 20000) => {
  for (const end = Date.now() + ms; !condition(); await sleep(10)) assert.ok(Date.now() < end, `too late: ${what}`);
};
const connect = (transports) =>
  io(url, { forceNew: true, transports, reconnectionDelay: 20, reconnectionDelayMax: 100, randomizationFactor: 0.5 });
const cut = (socket) => {
  const transport = socket.io.engine.transport;
  transport.ws ? transport.ws.terminate() : socket.io.engine.close();
};

// Before any event came: it still is the same one.
const quiet = connect(["websocket"]);
await until(() => quiet.connected, "connect");
const sid = quiet.id;
let lost = false;
quiet.once("disconnect", () => (lost = true));
cut(quiet);
await until(() => lost && quiet.connected, "reconnect");
assert.ok(quiet.recovered && quiet.id === sid);
// Each time, not once only; also before the server has noticed the cut.
for (let n = 0; n < 5; n++) {
  lost = false;
  quiet.once("disconnect", () => (lost = true));
  cut(quiet);
  await until(() => lost && quiet.connected, "reconnect");
  assert.ok(quiet.recovered && quiet.id === sid);
}
quiet.disconnect();
quiet.connect();
await until(() => quiet.connected, "connect");
assert.ok(!quiet.recovered && quiet.id !== sid, "who leaves is somebody new");
quiet.close();

const messages = 400;
const listeners = await Promise.all(
  Array.from({ length: 20 }, async () => {
    const socket = connect(["websocket"]);
    const seen = [];
    socket.on("said", (n) => seen.push(n));
    await socket.emitWithAck("join", "room");
    return { socket, seen };
  }),
);
const speaker = connect(["websocket"]);
await until(() => speaker.connected, "connect");
let cuts = 0, recovered = 0, again = 0;
for (const { socket } of listeners) socket.on("connect", () => (again++, (recovered += socket.recovered)));
for (let n = 0; n < messages; n++) {
  speaker.emit("say", "room", n);
  await sleep(5);
  if (n % 2 === 0) {
    const { socket } = listeners[Math.floor(Math.random() * listeners.length)];
    if (socket.connected) cuts++, cut(socket);
  }
}
await until(() => listeners.every(({ seen }) => seen.at(-1) === messages - 1), "the last message");
for (const { seen, socket } of listeners) {
  assert.deepEqual(seen, Array.from({ length: messages }, (_, n) => n));
  socket.close();
}
assert.ok(cuts > 50 && recovered === again);
console.log(`ok: ${cuts} cuts, ${recovered} recovered`);
process.exit(0);
