// Random packets to the example and to npm's socket.io: `node differ.mjs URL REFERENCE_URL [SESSIONS [SEED]]`. What each
// sends back, and whether it closes the connection, is compared; the differences are printed, shortest first. Not part of
// run.sh: `docs/socketio.md` lists which there are. REFERENCE_URL is that of server.mjs.
import WebSocket from "ws";

const [url, reference, sessions = "1000", seed = String(Date.now() % 1e6)] = process.argv.slice(2);
let state = +seed;
const random = (n) => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0, Math.floor((state / 2 ** 32) * n));
const pick = (list) => list[random(list.length)];

const PACKETS = [
  '42["message","a"]', '42["message",1,{"a":[null]}]', '421["message-with-ack","a"]', '42/,["message"]', "42[]", "42", "42{}",
  '452-["message",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]', '451-["message",{"_placeholder":true,"num":0}]',
  '4512-["message"]', '43["a"]', "431[]", "431", "40", '40{"a":1}', "40/none,", "41", "44", '44"x"', "4", "2", "3", "6", "7", "", "1",
  '42["connect"]', "42[1,2]", "42[true]", "42[null]", '4218446744073709551616["message"]', '42/other,["message"]', "42 [1]",
  '42["message","\\ud800"]', '42["message" , 1 ]', "42[01]", "42[1.]", "460-[]", '450-["message",1]', "5-", "45-[]", "45",
];
const CHARACTERS = '0123456789-/,[]{}":ab \\';
function packet() {
  let text = pick(PACKETS);
  for (let n = random(3); n > 0; n--) {
    const at = random(text.length + 1);
    text = pick([
      () => text.slice(0, at) + pick(CHARACTERS) + text.slice(at),
      () => text.slice(0, at) + text.slice(at + 1),
      () => text.slice(0, at) + pick(CHARACTERS) + text.slice(at + 1),
    ])();
  }
  return text;
}

/** All that comes back, names made alike; then whether it still answers. */
function play(url, frames) {
  return new Promise((resolve) => {
    const socket = new WebSocket(`${url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`);
    const got = [];
    const end = (how) => {
      clearTimeout(timer);
      socket.terminate();
      resolve([...got, how].join("\n"));
    };
    const timer = setTimeout(() => end("silent"), 2000);
    let joined = false;
    socket.on("error", () => {});
    socket.on("close", () => end("closed"));
    socket.on("message", (data, binary) => {
      const text = binary ? `binary ${data.toString("hex")}` : data.toString();
      if (text === "2" || text[0] === "0") return text === "2" ? socket.send("3") : socket.send("40");
      if (!joined) {
        // The answer, then `auth`.
        if (!text.startsWith('42["auth"')) return;
        joined = true;
        for (const frame of frames) socket.send(frame);
        return socket.send('42["message","the end"]');
      }
      if (text === '42["message-back","the end"]') return end("open");
      got.push(text.replace(/"sid":"[^"]+"/, '"sid":""'));
    });
  });
}

const differences = new Map();
for (let n = 0; n < +sessions; n += 20) {
  await Promise.all(Array.from({ length: 20 }, async () => {
    const frames = Array.from({ length: 1 + random(2) }, () => (random(6) ? packet() : Buffer.from([random(256)])));
    const [ours, theirs] = await Promise.all([play(url, frames), play(reference, frames)]);
    if (ours !== theirs) differences.set(JSON.stringify(frames.map(String)), [ours, theirs]);
  }));
}
for (const [frames, [ours, theirs]] of [...differences].sort(([a], [b]) => a.length - b.length).slice(0, 60)) {
  console.log(`${frames}: here ${JSON.stringify(ours)}, there ${JSON.stringify(theirs)}`);
}
console.log(`${sessions} sessions, seed ${seed}: ${differences.size} differ`);
process.exit(0);
