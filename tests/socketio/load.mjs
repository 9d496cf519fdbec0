// Many clients at once: `node load.mjs upgrade URL`, `jitter URL`, `avalanche URL`; the last two want a server with
// --recovery. With LONG=1 in the size that the project claims, else in one for every day.
import assert from "node:assert/strict";
import { io } from "socket.io-client";
import WebSocket from "ws";

const [what, url] = process.argv.slice(2);
const long = process.env.LONG === "1";
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const until = async (condition, what, ms) => {
  for (const end = Date.now() + ms; !condition(); await sleep(20)) assert.ok(Date.now() < end, `too late: ${what()}`);
};
const range = (length) => Array.from({ length }, (_, n) => n);

// Clients connect and upgrade at once, while each sends and gets messages: none is lost, repeated or out of order, no
// upgrade takes a second (unless this very process is late), no client polls more often than it must.
async function upgrade(clients, perSecond, seconds) {
  let late = 0, last = Date.now();
  setInterval(() => ((late = Math.max(late, Date.now() - last - 50)), (last = Date.now())), 50).unref();
  const upgrades = [], polls = [];
  const count = perSecond * seconds;
  await Promise.all(range(clients).map(async () => {
    const socket = io(url, { forceNew: true, reconnection: false });
    const seen = [];
    let polled = 0, opened;
    socket.on("message-back", (n) => seen.push(n));
    socket.io.engine.on("handshake", () => (opened = Date.now()));
    socket.io.engine.transport.on("poll", () => polled++);
    const upgraded = new Promise((resolve) => socket.io.engine.once("upgrade", () => resolve(Date.now() - opened)));
    await new Promise((resolve) => socket.once("connect", resolve));
    for (let n = 0; n < count; n++) {
      socket.emit("message", n);
      await sleep(1000 / perSecond);
    }
    upgrades.push(await upgraded);
    polls.push(polled);
    await until(() => seen.length >= count, () => `${seen.length} of ${count}`, 60000);
    assert.deepEqual(seen, range(count));
    socket.close();
  }));
  const [slowest, most] = [Math.max(...upgrades), Math.max(...polls)];
  console.log(`${clients} clients: slowest upgrade ${slowest} ms, most polls ${most}, this process late by ${late} ms`);
  assert.ok(slowest < 1000 + 4 * late && most < 10 + slowest / 50);
}

// Clients are cut off and stay away for a random time, again and again, while a room talks: 100 % of it arrives.
async function jitter(clients, messages, pause, [least, most]) {
  const connect = () => io(url, { forceNew: true, transports: ["websocket"], randomizationFactor: 0 });
  const listeners = await Promise.all(range(clients).map(async () => {
    const socket = connect();
    const seen = [];
    socket.on("said", (n) => seen.push(n));
    await socket.emitWithAck("join", "room");
    return { socket, seen };
  }));
  const speaker = connect();
  await new Promise((resolve) => speaker.once("connect", resolve));
  let cuts = 0, recovered = 0, again = 0;
  for (const { socket } of listeners) socket.on("connect", () => (again++, (recovered += socket.recovered)));
  for (let n = 0; n < messages; n++) {
    speaker.emit("say", "room", n);
    await sleep(pause);
    for (const { socket } of listeners) {
      if (!socket.connected || Math.random() * 2 * most > pause) continue;
      const away = least + Math.random() * (most - least);
      socket.io.reconnectionDelay(away).reconnectionDelayMax(away);
      socket.io.engine.transport.ws.terminate();
      cuts++;
    }
  }
  const whole = () => listeners.filter(({ seen }) => seen.length === messages).length;
  await until(() => whole() === clients, () => `${whole()} of ${clients} have all`, 2 * most + 10000);
  for (const { socket, seen } of listeners) {
    assert.deepEqual(seen, range(messages));
    socket.close();
  }
  assert.ok(cuts > clients && recovered === again, `${cuts} cuts, ${recovered} of ${again} recovered`);
  console.log(`${clients} clients, ${cuts} cuts of ${least} to ${most} ms, ${messages} messages: 100 % delivered`);
}

// One client by hand: as little as there can be on this side.
class Raw {
  seen = [];
  async connect() {
    this.socket = new WebSocket(`${url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`);
    const before = this.sid;
    await new Promise((resolve, reject) => {
      this.socket.on("error", reject);
      this.socket.on("close", () => reject(new Error("closed")));
      this.socket.on("message", (data) => {
        const text = data.toString();
        if (text === "2") return this.socket.send("3");
        if (text[0] === "0") return this.socket.send(this.pid ? `40${JSON.stringify({ pid: this.pid, offset: this.offset })}` : "40");
        if (text.startsWith("40")) {
          ({ sid: this.sid, pid: this.pid } = JSON.parse(text.slice(2)));
          if (before) return resolve();
          return this.socket.send('420["join","all"]');
        }
        if (text.startsWith("43")) return resolve((this.acked = text));
        const [name, ...args] = JSON.parse(text.slice(2));
        this.offset = args.pop();
        if (name === "said") this.seen.push(args[0]);
      });
    });
    return !before || before === this.sid;
  }
}

// All are cut off at once, miss something, and come back at once.
async function avalanche(clients) {
  const all = range(clients).map(() => new Raw());
  for (let at = 0; at < clients; at += 200) await Promise.all(all.slice(at, at + 200).map((raw) => raw.connect()));
  const speaker = new Raw();
  await speaker.connect();
  speaker.socket.send('42["say","all",0]');
  await until(() => all.every(({ seen }) => seen.length === 1), () => "the first message", 60000);
  for (const { socket } of all) socket.removeAllListeners("close").terminate();
  for (let n = 1; n <= 5; n++) speaker.socket.send(`42["say","all",${n}]`);
  speaker.socket.send('427["join","all"]');
  await until(() => speaker.acked === "437[]", () => "the speaker", 10000);
  const begun = Date.now();
  const recovered = await Promise.all(all.map((raw) => raw.connect().catch(() => false)));
  const took = Date.now() - begun;
  await until(() => all.every(({ seen }) => seen.length === 6), () => "the last message", 60000);
  for (const { seen } of all) assert.deepEqual(seen, range(6));
  assert.ok(recovered.every(Boolean), `${recovered.filter(Boolean).length} of ${clients} recovered`);
  console.log(`${clients} clients back and recovered within ${took} ms`);
}

switch (what) {
  case "upgrade": await (long ? upgrade(1000, 20, 10) : upgrade(100, 20, 3)); break;
  case "jitter": await (long ? jitter(100, 1200, 50, [1000, 10000]) : jitter(40, 200, 20, [100, 1000])); break;
  case "avalanche": await avalanche(long ? 10000 : 1000); break;
}
process.exit(0);
