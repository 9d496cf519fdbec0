// What is on the wire, request by request and frame by frame: `node wire.mjs URL`. The server runs with a ping interval
// of 300 ms and a timeout of 200 ms.
import assert from "node:assert/strict";
import { Socket as EngineClient } from "engine.io-client";
import WebSocket from "ws";

const [url] = process.argv.slice(2);
const engine = `${url}/engine.io/?EIO=4`, sio = `${url}/socket.io/?EIO=4`;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const open = async (base = engine) => JSON.parse((await (await fetch(`${base}&transport=polling`)).text()).slice(1)).sid;
const at = (sid, base = engine) => `${base}&transport=polling&sid=${sid}`;
const poll = async (sid, base) => {
  const response = await fetch(at(sid, base));
  return [response.status, await response.text()];
};
const post = async (sid, body, base) => {
  const response = await fetch(at(sid, base), { method: "POST", body });
  return [response.status, await response.text()];
};
class Frames {
  constructor(address) {
    this.frames = [], this.waiting = [];
    this.socket = new WebSocket(address.replace("http", "ws"));
    this.push = (frame) => (this.waiting.length ? this.waiting.shift()(frame) : this.frames.push(frame));
    this.socket.on("message", (data, binary) => this.push(binary ? data : data.toString()));
    this.socket.on("close", () => this.push("closed"));
    this.socket.on("error", () => {});
    this.opened = new Promise((resolve) => this.socket.once("open", resolve));
  }
  send(...frames) { for (const frame of frames) this.socket.send(frame); }
  async next() {
    for (;;) {
      const frame = this.frames.length ? this.frames.shift() : await new Promise((resolve) => this.waiting.push(resolve));
      if (frame !== "2") return frame; // pings
    }
  }
}
const upgrade = async (sid, base = engine) => {
  const frames = new Frames(`${base}&transport=websocket&sid=${sid}`);
  await frames.opened;
  return frames;
};
const websocket = async (base) => {
  const frames = new Frames(`${base}&transport=websocket`);
  assert.match(await frames.next(), /^0\{/);
  return frames;
};
const joined = async () => {
  const frames = await websocket(sio);
  frames.send("40");
  assert.match(await frames.next(), /^40\{"sid":"[\w-]{20}"\}$/);
  assert.equal(await frames.next(), '42["auth",{}]');
  return frames;
};
const error = async (query, init, code) => {
  const response = await fetch(`${url}/engine.io/${query}`, init);
  assert.equal(response.status, 400, query);
  assert.equal((await response.json()).code, code, query);
};

const tests = {
  async handshake() {
    const response = await fetch(`${engine}&transport=polling`);
    const text = await response.text();
    assert.equal(response.headers.get("content-type"), "text/plain; charset=UTF-8");
    assert.equal(response.headers.get("cache-control"), "no-store");
    const { sid, ...rest } = JSON.parse(text.slice(1));
    assert.match(sid, /^[\w-]{20}$/);
    assert.deepEqual(rest, { upgrades: ["websocket"], pingInterval: 300, pingTimeout: 200, maxPayload: 1000000 });
  },
  async errors() {
    await error("?EIO=4", {}, 0);
    await error("?EIO=4&transport=abc", {}, 0);
    await error("?EIO=4&transport=polling&sid=none", {}, 1);
    await error("?EIO=4&transport=polling", { method: "POST" }, 2);
    await error("?EIO=4&transport=polling", { method: "PUT" }, 2);
    await error("?EIO=4&transport=websocket", {}, 3);
    await error("?EIO=3&transport=polling", {}, 5);
    await error("?transport=polling", {}, 5);
  },
  async echoOverPolling() {
    const sid = await open();
    assert.deepEqual(await post(sid, "4hello\u001ebAQIDBA==\u001e4"), [200, "ok"]);
    assert.deepEqual(await poll(sid), [200, "4hello\u001ebAQIDBA==\u001e4"]);
  },
  async atMost16Packets() {
    const sid = await open();
    await post(sid, Array(40).fill("4a").join("\u001e"));
    const counts = [];
    for (let n = 0; n < 3; n++) counts.push((await poll(sid))[1].split("\u001e").length);
    assert.deepEqual(counts, [16, 16, 8]);
  },
  async invalidPayloads() {
    for (const body of ["abc", "4a\u001e", "b?", "2", "\u001e4a"]) {
      const sid = await open();
      assert.equal((await post(sid, body))[0], 400, body);
      assert.equal((await poll(sid))[0], 400);
    }
    const sid = await open();
    const headers = { "content-type": "application/octet-stream" };
    assert.equal((await fetch(at(sid), { method: "POST", body: "4a", headers })).status, 400);
  },
  async tooLarge() {
    const sid = await open();
    assert.deepEqual(await post(sid, "4" + "a".repeat(999_999)), [200, "ok"]);
    await post(sid, "3"); // this takes its time
    assert.equal((await poll(sid))[1].length, 1_000_000);
    assert.deepEqual(await post(sid, "4" + "a".repeat(1_000_000)), [413, ""]);
    assert.deepEqual(await post(sid, "4b"), [200, "ok"]);
    assert.deepEqual(await poll(sid), [200, "4b"]);
  },
  async twoPolls() {
    const sid = await open();
    const first = poll(sid);
    await sleep(20);
    assert.deepEqual(await poll(sid), [400, ""]);
    assert.deepEqual(await first, [200, "1"]);
    assert.equal((await poll(sid))[0], 400);
  },
  async cutPoll() {
    const sid = await open();
    const controller = new AbortController();
    fetch(at(sid), { signal: controller.signal }).catch(() => {});
    await sleep(20);
    controller.abort();
    await sleep(20);
    assert.equal((await poll(sid))[0], 400);
  },
  async heartbeat() {
    const sid = await open();
    for (let n = 0; n < 3; n++) {
      assert.deepEqual(await poll(sid), [200, "2"]);
      assert.deepEqual(await post(sid, "3"), [200, "ok"]);
    }
    const silent = await open();
    await sleep(500);
    assert.equal((await poll(silent))[0], 400);
    const frames = await websocket(engine);
    const begun = Date.now();
    assert.equal(await frames.next(), "closed");
    assert.ok(Math.abs(Date.now() - begun - 500) < 100);
  },
  async close() {
    const sid = await open();
    const held = poll(sid);
    await sleep(20);
    assert.deepEqual(await post(sid, "1"), [200, "ok"]);
    assert.deepEqual(await held, [200, "6"]);
    assert.equal((await poll(sid))[0], 400);
    const frames = await websocket(engine);
    frames.send("1");
    assert.equal(await frames.next(), "closed");
  },
  async invalidFrames() {
    for (const frame of ["abc", "", "2", "7"]) {
      const frames = await websocket(engine);
      frames.send(frame);
      assert.equal(await frames.next(), "closed", frame);
    }
  },
  async echoOverWebSocket() {
    const frames = await websocket(engine);
    frames.send("4hello", Buffer.from([1, 2, 3]), "4a\u001eb");
    assert.equal(await frames.next(), "4hello");
    assert.deepEqual(await frames.next(), Buffer.from([1, 2, 3]));
    assert.equal(await frames.next(), "4a\u001eb");
  },
  async upgrade() {
    const sid = await open();
    const held = poll(sid);
    await sleep(20);
    const frames = await upgrade(sid);
    frames.send("2probe");
    assert.equal(await frames.next(), "3probe");
    assert.deepEqual(await held, [200, "6"]);
    // Further polls are held for a while, or until there is something.
    const begun = Date.now();
    assert.deepEqual(await poll(sid), [200, "6"]);
    assert.ok(Date.now() - begun > 50);
    const last = poll(sid);
    await post(sid, "4over polling");
    assert.deepEqual(await last, [200, "4over polling"]);
    frames.send("5", "4hello");
    assert.equal(await frames.next(), "4hello");
    const response = await fetch(at(sid));
    assert.deepEqual([response.status, await response.json()], [400, { code: 3, message: "Bad request" }]);
    const second = await upgrade(sid);
    assert.equal(await second.next(), "closed");
    frames.send("4still here");
    assert.equal(await frames.next(), "4still here");
  },
  // A probe that fails, whichever way, leaves the session where it is.
  async failedProbes() {
    for (const bad of [[], ["2"], ["5"], ["4a"], ["2probe", "2probe"], ["2probe", "4a"], ["2probe", "x"], [""]]) {
      const sid = await open();
      const frames = await upgrade(sid);
      frames.send(...bad);
      if (bad.length === 0) frames.socket.terminate();
      let frame;
      while ((frame = await frames.next()) !== "closed") assert.equal(frame, "3probe");
      const held = poll(sid);
      await sleep(10);
      await post(sid, "4a");
      assert.deepEqual(await held, [200, "4a"], JSON.stringify(bad));
    }
  },
  async twoProbes() {
    const sid = await open();
    const [first, second] = [await upgrade(sid), await upgrade(sid)];
    assert.equal(await second.next(), "closed");
    first.send("2probe");
    assert.equal(await first.next(), "3probe");
    first.send("5", "4a");
    assert.equal(await first.next(), "4a");
  },
  async openedButNotProbed() {
    const sid = await open();
    await upgrade(sid);
    const begun = Date.now();
    const answered = poll(sid).then((answer) => [answer, Date.now() - begun]);
    await sleep(200);
    await post(sid, "4a");
    const [answer, time] = await answered;
    assert.deepEqual(answer, [200, "4a"]);
    assert.ok(time > 150);
  },
  async connects() {
    const frames = await websocket(sio);
    frames.send('40/custom,{"token":"abc"}', "40/random");
    assert.match(await frames.next(), /^40\/custom,\{"sid":"[\w-]{20}"\}$/);
    assert.equal(await frames.next(), '44/random,{"message":"Invalid namespace"}');
    assert.equal(await frames.next(), '42/custom,["auth",{"token":"abc"}]');
    frames.send("40");
    assert.match(await frames.next(), /^40\{"sid":"/);
    assert.equal(await frames.next(), '42["auth",{}]');
    frames.send("41/custom", '42["message","to the main one"]');
    assert.equal(await frames.next(), '42["message-back","to the main one"]');
  },
  async connectTimeout() {
    const frames = await websocket(sio);
    const pongs = setInterval(() => frames.send("3"), 100);
    const begun = Date.now();
    assert.equal(await frames.next(), "closed");
    clearInterval(pongs);
    assert.ok(Math.abs(Date.now() - begun - 1000) < 200);
  },
  async events() {
    const frames = await joined();
    frames.send('42["message",1,"2",{"3":[true]}]', '42456["message-with-ack",1]', '42["emit-with-ack",1]');
    assert.equal(await frames.next(), '42["message-back",1,"2",{"3":[true]}]');
    assert.equal(await frames.next(), "43456[1]");
    assert.equal(await frames.next(), '420["emit-with-ack",1]');
    frames.send('430["yes"]');
    assert.equal(await frames.next(), '42["emit-with-ack","yes"]');
    const two = '{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}';
    frames.send(`452-["message",${two}]`, Buffer.from([1]), Buffer.from([2]));
    assert.equal(await frames.next(), `452-["message-back",${two}]`);
    assert.deepEqual([await frames.next(), await frames.next()], [Buffer.from([1]), Buffer.from([2])]);
    frames.send(`452-789["message-with-ack",${two}]`, Buffer.from([1]), Buffer.from([2]));
    assert.equal(await frames.next(), `462-789[${two}]`);
  },
  async faults() {
    const placeholder = '{"_placeholder":true,"num":0}';
    for (const bad of [
      ["4abc"], ["42{}"], ['42abc["x"]'], ["42"], ["42[]"], ['42["connect"]'], ['42/none,["a"]'], ["40"], ['44{"message":""}'],
      ['4299999999999999999999["a"]'], ["41{}"], ['4511-["a"]'], ['452147483648-["a"]'], ['45["a"]'], [Buffer.from([1])],
      [`451-["a",${placeholder}]`, '42["a"]'], [`451-["a",{"_placeholder":true,"num":1}]`, Buffer.from([1])],
      ["42" + '["a",' + "[".repeat(9000) + "]".repeat(9000) + "]"],
    ]) {
      const frames = await joined();
      frames.send(...bad);
      assert.equal(await frames.next(), "closed", String(bad[0]).slice(0, 60));
    }
    const frames = await joined();
    frames.send("431[]", "6", "5", "0{}", '42[5,"x"]', '42["message",1]'); // nothing to any of these but the last
    assert.equal(await frames.next(), '42["message-back",1]');
  },
  // Node's engine.io-client by itself.
  async engineClient() {
    for (const transports of [["polling"], ["websocket"], ["polling", "websocket"]]) {
      const client = new EngineClient(url, { path: "/engine.io/", transports });
      const got = [];
      const done = new Promise((resolve) => client.on("message", (data) => got.push(data) === 3 && resolve()));
      await new Promise((resolve) => client.on("open", resolve));
      client.send("one");
      client.send(Buffer.from([1, 2]));
      if (transports.length > 1) await new Promise((resolve) => client.once("upgrade", resolve));
      client.send("three");
      await done;
      assert.deepEqual(got, ["one", Buffer.from([1, 2]), "three"]);
      client.close();
    }
  },
};

let failed = 0;
for (const [name, test] of Object.entries(tests)) {
  let timer;
  const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error("too late")), 30000)));
  try {
    await Promise.race([test(), late]);
  } catch (error) {
    failed++;
    console.log(`FAILED: ${name}: ${error.stack}`);
  }
  clearTimeout(timer);
}
console.log(`${Object.keys(tests).length - failed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
