// What node's peers make of cases: `node peer.mjs KIND < CASES`, a case a line, an answer a line, both JSON. A case is a list of reads
// in hex; the kinds are `frames-server`, `frames-client` (`-deflate`: with permessage-deflate), `handshake-server`,
// `handshake-client` (ws), and `events` (eventsource-parser). See differ.py, which compares.
import { createRequire } from "node:module";
import { createServer } from "node:http";
import { Duplex } from "node:stream";
import { createInterface } from "node:readline";

const require = createRequire(import.meta.url);
// The key of every handshake is that of RFC 6455 1.3, so that a case can be a whole response. Before ws takes its reference.
const crypto = require("node:crypto");
const { randomBytes } = crypto;
crypto.randomBytes = (size, ...rest) => (size === 16 && !rest.length ? Buffer.from("the sample nonce") : randomBytes(size, ...rest));
const { WebSocket, WebSocketServer, Receiver, PerMessageDeflate } = require("ws");
const { createParser } = await import("eventsource-parser");

const turn = () => new Promise((resolve) => setImmediate(resolve));
const hex = (data) => Buffer.from(data).toString("hex");

function frames(reads, { server, deflate }) {
  return new Promise((resolve) => {
    const events = [];
    const extensions = {};
    if (deflate) {
      const extension = new PerMessageDeflate(server ? { isServer: true } : {});
      extension.accept([{}]);
      extensions["permessage-deflate"] = extension;
    }
    const receiver = new Receiver({ isServer: server, extensions, allowSynchronousEvents: true, maxPayload: 16 << 20 });
    const end = (...how) => resolve({ events, end: how });
    receiver.on("message", (data, binary) => events.push([binary ? "binary" : "text", hex(data)]));
    receiver.on("ping", (data) => events.push(["ping", hex(data)]));
    receiver.on("pong", (data) => events.push(["pong", hex(data)]));
    receiver.on("conclude", (code, reason) => end("close", code, hex(reason)));
    receiver.on("error", (error) => {
      const [status] = Object.getOwnPropertySymbols(error).filter((symbol) => symbol.description === "status-code");
      end("fail", error[status] ?? 1002, error.message);
    });
    for (const read of reads) receiver.write(Buffer.from(read, "hex"));
    // Its own end is written once all that stood before it is read, that which is inflated elsewhere, too.
    receiver.write(Buffer.alloc(0), () => setImmediate(() => end("open")));
  });
}

/** A socket whose reads are the case's; what is written is kept. */
function wire() {
  const written = [];
  const socket = new Duplex({
    read() {},
    write(data, _, done) {
      written.push(data);
      done();
    },
  });
  Object.assign(socket, { setTimeout() {}, setNoDelay() {}, setKeepAlive() {}, ref() {}, unref() {} });
  socket.on("error", () => {});
  return [socket, written];
}

let http, upgrades;
async function handshakeServer(reads) {
  if (!http) {
    const handle = (protocols) => [...protocols].find((name) => ["chat", "superchat"].includes(name)) ?? false;
    upgrades = new WebSocketServer({ noServer: true, handleProtocols: handle, perMessageDeflate: false });
    upgrades.on("wsClientError", (_, socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
    http = createServer({ keepAlive: false }, (_, response) => response.writeHead(426).end());
    http.on("upgrade", (request, socket, head) => upgrades.handleUpgrade(request, socket, head, (ws) => ws.on("error", () => {})));
    http.on("connect", (_, socket) => socket.end("HTTP/1.1 405 Method Not Allowed\r\n\r\n"));
  }
  const [socket, written] = wire();
  http.emit("connection", socket);
  for (const read of reads) {
    socket.push(Buffer.from(read, "hex"));
    await turn();
  }
  await turn();
  await turn();
  const answer = Buffer.concat(written).toString("latin1");
  const status = /^HTTP\/1\.1 (\d\d\d)/.exec(answer)?.[1];
  socket.destroy();
  const protocol = /\r\nSec-WebSocket-Protocol: ([^\r]*)/.exec(answer)?.[1] ?? "";
  if (!status) return { events: [], end: ["incomplete"] };
  return { events: [], end: status === "101" ? ["accept", protocol] : ["refuse", +status] };
}

async function handshakeClient(reads) {
  const [socket] = wire();
  let end;
  const client = new WebSocket("ws://example.com/", ["chat", "superchat"], { createConnection: () => socket, perMessageDeflate: false });
  client.on("open", () => (end ??= ["accept", client.protocol]));
  client.on("error", (error) => (end ??= ["refuse", error.message]));
  client.on("unexpected-response", (_, response) => (end ??= ["refuse", response.statusCode]));
  await turn();
  for (const read of reads) {
    socket.push(Buffer.from(read, "hex"));
    await turn();
  }
  await turn();
  await turn();
  const seen = end ?? ["incomplete"];
  end = seen;
  client.terminate();
  socket.destroy();
  return { events: [], end: seen };
}

function events(reads) {
  const events = [];
  let id = "";
  const parser = createParser({
    // It leaves to its caller that an ID is kept (9.2.6): this is done here as its own client, eventsource, does.
    onEvent: (event) => events.push(["event", event.event ?? "", (id = event.id ?? id), event.data]),
    onRetry: (time) => events.push(["retry", time]),
    onComment: (text) => events.push(["comment", text]),
  });
  // As documented: a streaming decoder stands before it.
  const decoder = new TextDecoder("utf-8");
  for (const read of reads) parser.feed(decoder.decode(Buffer.from(read, "hex"), { stream: true }));
  return { events, end: ["open"] };
}

const KINDS = {
  "frames-server": (reads) => frames(reads, { server: true }),
  "frames-client": (reads) => frames(reads, { server: false }),
  "frames-server-deflate": (reads) => frames(reads, { server: true, deflate: true }),
  "frames-client-deflate": (reads) => frames(reads, { server: false, deflate: true }),
  "handshake-server": handshakeServer,
  "handshake-client": handshakeClient,
  events,
};
const answer = KINDS[process.argv[2]];
process.on("uncaughtException", (error) => console.error("uncaught:", error.message));
for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await answer(JSON.parse(line)))}\n`);
}
process.exit(0);
