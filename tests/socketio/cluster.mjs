// Two nodes that share a Redis, as one: `node cluster.mjs PROGRAM`. Official clients on both.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { io } from "socket.io-client";

const program = process.argv[2];
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const until = async (condition, what, ms = 20000) => {
  for (const end = Date.now() + ms; !(await condition()); await sleep(20)) assert.ok(Date.now() < end, `too late: ${what}`);
};
const range = (length, from = 0) => Array.from({ length }, (_, n) => from + n);
const running = new Set();
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));

const freePort = () => new Promise((resolve) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const { port } = server.address();
    server.close(() => resolve(port));
  });
});

function start(command, options) {
  const child = spawn(command, options, { stdio: ["ignore", "pipe", "inherit"] });
  running.add(child);
  const ended = new Promise((resolve) => child.once("exit", () => resolve(running.delete(child))));
  child.die = () => (child.kill("SIGKILL"), ended);
  return child;
}

const port = await freePort();
const startRedis = async () => {
  const child = start("redis-server", ["--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
  for await (const line of createInterface(child.stdout)) if (line.includes("Ready to accept")) break;
  child.stdout.resume();
  return child;
};
async function node(listen) {
  const child = start(program, ["--listen", `127.0.0.1:${listen}`, "--recovery", "60000", "--redis", `redis://127.0.0.1:${port}/`]);
  for await (const line of createInterface(child.stdout)) {
    child.url = line;
    break;
  }
  return child;
}

let redis = await startRedis();
const ports = [await freePort(), await freePort()];
const nodes = await Promise.all(ports.map(node));

function client(url) {
  const socket = io(url, { forceNew: true, transports: ["websocket"], reconnectionDelay: 100, reconnectionDelayMax: 300 });
  socket.heard = [];
  socket.on("disconnect", () => (socket.again = true));
  socket.on("said", (n) => socket.heard.push(n));
  return socket;
}
const clients = range(6).map((n) => client(nodes[n % 2].url));
const [a, b, c, d, e, f] = clients; // a, c, e on the first node
await until(() => clients.every(({ connected }) => connected), "all are connected");
const count = (socket, ...rooms) => socket.timeout(8000).emitWithAck("count", ...rooms);
await until(async () => (await count(a)) === 6, "both nodes know each other");
assert.equal(await count(b), 6);

// Rooms, on both nodes; and who is in another as well is left out.
for (const socket of [a, b, c, d]) await socket.emitWithAck("join", "room");
for (const socket of [c, d]) await socket.emitWithAck("join", "muted");
assert.deepEqual([await count(a, "room"), await count(b, "muted"), await count(f, "nobody")], [4, 2, 0]);
a.emit("say", "room", 1);
b.emit("say", "room", 2, "muted");
await until(() => [a, b].every(({ heard }) => heard.length === 2) && [c, d].every(({ heard }) => heard.length === 1), "the room");
await sleep(100);
assert.deepEqual([c.heard, d.heard, e.heard, f.heard], [[1], [1], [], []]);
assert.deepEqual(a.heard, b.heard, "all in one order");

// All of a room go into another, wherever they are; and out.
await a.emitWithAck("move", "muted", "third");
await until(async () => (await count(b, "third")) === 2, "both have moved");
b.emit("kick", "third");
await until(() => !c.connected && !d.connected, "both are put out");
assert.equal(await count(a), 4);

// Two speak at once, on two nodes: all hear the same, in the same order, nothing twice.
for (const socket of clients) socket.heard = [];
for (const socket of [e, f]) await socket.emitWithAck("join", "room");
for (const n of range(100)) (a.emit("say", "room", n), b.emit("say", "room", 1000 + n));
await until(() => [a, b, e, f].every(({ heard }) => heard.length === 200), "all");
for (const socket of [b, e, f]) assert.deepEqual(socket.heard, a.heard);

// A node is killed, and its clients come to the other as who they were, with what was said meanwhile.
for (const socket of clients) socket.heard = [];
await sleep(500); // that they are in a room is written
const sids = [b.id, f.id];
b.io.uri = f.io.uri = nodes[0].url;
await nodes[1].die();
const died = Date.now();
for (const n of range(20)) a.emit("say", "room", n);
await until(() => [b, f].every((socket) => socket.connected && socket.again), "they come back");
assert.ok(b.recovered && f.recovered, "as who they were");
assert.deepEqual([b.id, f.id], sids);
for (const n of range(20, 20)) a.emit("say", "room", n);
await until(() => [a, b, e, f].every(({ heard }) => heard.length >= 40), "all of it");
for (const socket of [a, b, e, f]) assert.deepEqual(socket.heard, range(40));
assert.equal(await count(a, "room"), 4);
assert.equal(await count(a), 4);
const forgotten = Date.now() - died;
assert.ok(forgotten < 8000);
console.log(`the dead node was forgotten within ${forgotten} ms`);

// From a node that lives they are taken over, in the middle of a talk.
nodes[1] = await node(ports[1]);
const g = client(nodes[1].url);
await until(async () => g.connected && (await count(g)) === 5, "the second node is back");
for (const socket of clients) socket.heard = [];
let moved = 0;
for (const n of range(200)) {
  a.emit("say", "room", n);
  await sleep(5);
  if (n % 40 === 20) {
    moved++;
    b.io.uri = nodes[moved % 2].url;
    b.io.engine.transport.ws.terminate();
    b.once("connect", () => assert.ok(b.recovered, `taken over, time ${moved}`));
  }
}
await until(() => [a, b, e, f].every(({ heard }) => heard.length >= 200), "all of it, on both nodes");
for (const socket of [a, b, e, f]) assert.deepEqual(socket.heard, range(200));
assert.equal(await count(g, "room"), 4, "nobody is there twice");

// Redis is away: each node's own clients hear each other; once it is back, all do.
await g.emitWithAck("join", "room");
for (const socket of [...clients, g]) socket.heard = [];
await redis.die();
const away = Date.now();
for (const n of range(10)) a.emit("say", "room", n);
await until(() => [a, e].every(({ heard }) => heard.length === 10), "the first node's own");
console.log(`without Redis after ${Date.now() - away} ms`);
assert.deepEqual(g.heard, []);
redis = await startRedis();
await until(() => g.heard.length === 10, "the second node's");
await until(async () => (await count(g)) === 5, "all is well");
for (const n of range(10, 10)) a.emit("say", "room", n);
await until(() => [a, e, g].every(({ heard }) => heard.length >= 20), "all is well");
for (const socket of [a, e, g]) assert.deepEqual(socket.heard, range(20));
process.exit(0);
