// socket.io-client 4.8 in Chromium: `node browser.mjs URL ORIGIN_PORT`. The page is another origin's, which the server allows.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { chromium } from "playwright-core";

const [url, port] = process.argv.slice(2);
const script = readFileSync(new URL("node_modules/socket.io-client/dist/socket.io.js", import.meta.url));
const site = createServer((request, response) => {
  const page = request.url === "/" ? '<!doctype html><script src="/socket.io.js"></script>' : script;
  response.setHeader("content-type", request.url === "/" ? "text/html" : "text/javascript");
  response.end(page);
});
await new Promise((resolve) => site.listen(+port, "127.0.0.1", resolve));
const executablePath = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/google-chrome"].find((path) => path && existsSync(path));
const browser = await chromium.launch({ executablePath, args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"] });
try {
  const page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${port}/`);
  for (const transports of [["polling"], ["websocket"], ["polling", "websocket"]]) {
    const result = await page.evaluate(async ([url, transports]) => {
      const socket = io(url, { forceNew: true, reconnection: false, transports, auth: { token: "\u{1f600}" }, withCredentials: true });
      const once = (name) => new Promise((resolve) => socket.once(name, (...args) => resolve(args)));
      const [auth] = await once("auth");
      if (transports.length > 1 && socket.io.engine.transport.name !== "websocket") {
        await new Promise((resolve) => socket.io.engine.once("upgrade", resolve));
      }
      const seen = [];
      socket.on("message-back", (n) => seen.push(n));
      for (let n = 0; n < 200; n++) socket.emit("message", n);
      const acked = await socket.emitWithAck("message-with-ack", "x", new Uint8Array([1, 2, 3]));
      const bytes = await new Promise((resolve) => socket.emit("message-with-ack", new Blob([new Uint8Array(70000)]), resolve));
      while (seen.length < 200) await new Promise((resolve) => setTimeout(resolve, 10));
      // Eleven attachments: the server closes the connection.
      const closed = once("disconnect");
      socket.emit("message", ...Array.from({ length: 11 }, () => new Uint8Array(1)));
      const [reason] = await closed;
      return { auth, acked: acked, length: bytes.byteLength, ordered: seen.every((n, at) => n === at), reason, name: transports.at(-1) };
    }, [url, transports]);
    assert.deepEqual(result.auth, { token: "\u{1f600}" });
    assert.ok(result.ordered && result.length === 70000, JSON.stringify(result));
    assert.match(result.reason, /transport/);
  }
} finally {
  await browser.close();
}
console.log("ok");
process.exit(0);
