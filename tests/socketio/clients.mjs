// The official clients against the example: `node clients.mjs URL VERSION [ATTACHMENTS]`. The last argument is how many
// attachments the server takes, and how many the client is to send at once; one more is to be refused.
import assert from "node:assert/strict";
import { io as io4 } from "socket.io-client";
import v3 from "socket.io-client-3";
import { io as io40 } from "socket.io-client-4.0";

const [url, version, attachments = "10"] = process.argv.slice(2);
const io = { 3: v3.io, "4.0": io40, 4: io4 }[version];
const once = (socket, event) => new Promise((resolve) => socket.once(event, (...args) => resolve(args)));
const within = (ms, promise, what) => {
  let timer;
  const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error(`too late: ${what}`)), ms)));
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
};
const connect = (namespace, options = {}) => io(`${url}${namespace}`, { forceNew: true, reconnection: false, ...options });

async function talk(transports, namespace) {
  const socket = connect(namespace, { transports, auth: { token: "\u{1f600}\u001e" } });
  const [auth] = await within(5000, once(socket, "auth"), "auth");
  assert.deepEqual(auth, { token: "\u{1f600}\u001e" });
  if (transports.length > 1 && socket.io.engine.transport.name !== "websocket") {
    await within(5000, new Promise((resolve) => socket.io.engine.once("upgrade", resolve)), "upgrade");
  }
  const args = [1, "zwei\u2028", { 3: [true, null] }, Buffer.from([1, 2, 3]), { deep: [Buffer.alloc(0)] }];
  let back = once(socket, "message-back");
  socket.emit("message", ...args);
  assert.deepEqual(await within(5000, back, "message-back"), args);
  const acked = await within(5000, new Promise((resolve) => socket.emit("message-with-ack", ...args, (...got) => resolve(got))), "ack");
  assert.deepEqual(acked, args);
  back = new Promise((resolve) => {
    let first = true;
    socket.on("emit-with-ack", (...got) => {
      if (!first) return resolve(got);
      first = false;
      const ack = got.pop();
      assert.deepEqual(got, args);
      ack("yes", Buffer.from([9]));
    });
  });
  socket.emit("emit-with-ack", ...args);
  assert.deepEqual(await within(5000, back, "emit-with-ack"), ["yes", Buffer.from([9])]);

  // Many at once, in order.
  const count = 500, seen = [];
  const all = new Promise((resolve) => socket.on("message-back", (n) => seen.push(n) === count && resolve()));
  for (let n = 0; n < count; n++) socket.emit("message", n);
  await within(20000, all, "500 messages");
  assert.deepEqual(seen, Array.from({ length: count }, (_, n) => n));

  // As many attachments as there may be.
  const many = Array.from({ length: +attachments }, (_, n) => Buffer.from([n]));
  back = new Promise((resolve) => socket.on("message-back", (...got) => Buffer.isBuffer(got[0]) && resolve(got)));
  socket.emit("message", ...many);
  assert.deepEqual(await within(5000, back, "attachments"), many);

  // And one more: the connection is closed.
  const closed = once(socket, "disconnect");
  socket.emit("message", ...many, Buffer.from([255]));
  await within(5000, closed, "disconnect");
  socket.close();
}

// While a client upgrades, messages go both ways: none is lost, repeated or out of order.
async function upgradeUnderLoad(clients, messages) {
  await Promise.all(Array.from({ length: clients }, async () => {
    const socket = connect("/", {});
    await within(20000, once(socket, "connect"), "connect");
    const seen = [];
    const all = new Promise((resolve) => socket.on("message-back", (n) => seen.push(n) === messages && resolve()));
    for (let n = 0; n < messages; n++) {
      socket.emit("message", n);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await within(20000, all, "messages");
    assert.deepEqual(seen, Array.from({ length: messages }, (_, n) => n));
    assert.equal(socket.io.engine.transport.name, "websocket");
    socket.close();
  }));
}

for (const transports of [["polling"], ["websocket"], ["polling", "websocket"]]) {
  for (const namespace of ["/", "/custom"]) await talk(transports, namespace);
}
await upgradeUnderLoad(50, 60);

const unknown = connect("/unknown");
const [error] = await within(5000, once(unknown, "connect_error"), "connect_error");
assert.equal(error.message, "Invalid namespace");
unknown.close();

// It comes back by itself after its connection was cut.
const socket = connect("/", { reconnection: true, reconnectionDelay: 10, transports: ["websocket"] });
await within(5000, once(socket, "connect"), "connect");
const sid = socket.id;
socket.io.engine.transport.ws.terminate?.() ?? socket.io.engine.transport.ws.close();
await within(5000, once(socket, "connect"), "reconnect");
assert.notEqual(socket.id, sid);
socket.close();

// 10 MB over both transports, if the server takes as much.
if (process.argv[5] === "large") {
  for (const transports of [["polling"], ["websocket"]]) {
    const socket = connect("/", { transports });
    const large = Buffer.alloc(10_000_000, 7);
    const back = once(socket, "message-back");
    socket.emit("message", large);
    const [got] = await within(20000, back, "10 MB");
    assert.ok(Buffer.compare(got, large) === 0);
    socket.close();
  }
}
console.log("ok");
process.exit(0);
