// npm sockjs-client in Chromium against examples/sockjs, over each transport that it has there.
// usage: node sockjs.mjs FOLDER with the built examples

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { Server, freePort, launch, run, until } from '../browser/harness.mjs';
import { site } from './site.mjs';

const folder = process.argv[2] ?? '../../target/debug/examples';
const client = readFileSync(createRequire(import.meta.url).resolve('sockjs-client/dist/sockjs.min.js'), 'utf8');
const pages = await site({
  '/': '<!doctype html><meta charset="utf-8"><title>SockJS</title><body><script src="/sockjs.js"></script>',
  '/sockjs.js': client,
});
const browser = await launch();
const port = await freePort();
const server = new Server(join(folder, 'sockjs'), port, ['--client', `${pages.origin}/sockjs.js`]);
await server.start();

const TRANSPORTS = [
  'websocket', 'xhr-streaming', 'eventsource', 'iframe-eventsource', 'htmlfile', 'iframe-htmlfile',
  'xhr-polling', 'iframe-xhr-polling', 'jsonp-polling',
];

const AWKWARD = [
  'plain', '', ' ', '"quoted" \\ back', '</script><script>alert(1)</script>', '<!-- & &amp;', 'line\nends\r\n\u2028\u2029',
  '\0\x01\x7f\x85\xad', 'grüße 漢字 😀 e\u0301', '\u200b\u200c\u200d\u200e\u202e\u2060\ufeff\ufff0\uffff', '[1,2]', '100% + a=b&c %25 %zz', 'x'.repeat(5000),
];

class World {
  constructor() {
    this.faults = [];
  }

  async start() {
    this.context = await browser.newContext();
    this.page = await this.context.newPage();
    this.page.on('pageerror', (error) => this.faults.push(`${error}`));
    await this.page.goto(`${pages.origin}/`);
    return this;
  }

  /** A client in the page as `window.sock`; what happens to it is in `window.seen`. */
  async connect(service, transport) {
    // This one needs a page of the server's own origin: the iframe's document has the client, too.
    if (transport === 'htmlfile') await this.page.goto(`${server.url}echo/iframe.html`);
    await this.page.evaluate(([url, transport]) => {
      window.seen = [];
      window.sock = new SockJS(url, null, { transports: transport, timeout: 10_000 });
      window.sock.onopen = () => window.seen.push(['open', window.sock.transport]);
      window.sock.onmessage = ({ data }) => window.seen.push(['message', data]);
      window.sock.onclose = ({ code, reason, wasClean }) => window.seen.push(['close', code, reason, wasClean]);
    }, [`${server.origin}${service}`, transport]);
  }

  async seen(count) {
    let seen;
    await until(() => `${count} of ${JSON.stringify(seen).slice(0, 2000)}`, async () => {
      seen = await this.page.evaluate(() => window.seen);
      return seen.length >= count;
    }, 20_000);
    return seen;
  }

  check() {
    assert.deepEqual(this.faults, []);
  }

  async photograph() {}

  async tearDown() {
    await this.context.close();
  }
}

const tests = [
  ...TRANSPORTS.map((transport) => [`${transport}: all that is sent comes back, once and in order`, async (world) => {
    await world.connect('/echo', transport);
    assert.deepEqual(await world.seen(1), [['open', transport]]);
    const texts = [...AWKWARD, ...Array.from({ length: 100 }, (_, at) => `message ${at}`)];
    await world.page.evaluate((texts) => texts.forEach((text) => window.sock.send(text)), texts);
    await world.seen(1 + texts.length);
    // One at a time, too: each answer is a response's first and last message.
    for (const text of ['one', 'two', 'three']) {
      const { length } = await world.page.evaluate(() => window.seen);
      await world.page.evaluate((text) => window.sock.send(text), text);
      texts.push(text);
      await world.seen(length + 1);
    }
    const seen = await world.seen(1 + texts.length);
    assert.deepEqual(seen.slice(1), texts.map((text) => ['message', text]));
    await world.page.evaluate(() => window.sock.close(3001, 'done'));
    assert.deepEqual((await world.seen(2 + texts.length)).at(-1), ['close', 3001, 'done', true]);
  }]),
  ...TRANSPORTS.map((transport) => [`${transport}: the server closes`, async (world) => {
    await world.connect('/close', transport);
    assert.deepEqual(await world.seen(2), [['open', transport], ['close', 3000, 'Go away!', true]]);
  }]),
  ['without a WebSocket to be had, the next best is taken', async (world) => {
    await world.connect('/disabled_websocket_echo', undefined);
    assert.deepEqual(await world.seen(1), [['open', 'xhr-streaming']]);
  }],
  ['with a cookie', async (world) => {
    await world.connect('/cookie_needed_echo', 'xhr-polling');
    await world.seen(1);
    await world.page.evaluate(() => window.sock.send('x'));
    assert.deepEqual(await world.seen(2), [['open', 'xhr-polling'], ['message', 'x']]);
  }],
];

const only = process.env.ONLY;
const failed = await run(tests.filter(([name]) => !only || name.includes(only)), () => new World().start());
await browser.close();
await server.kill();
pages.close();
process.exitCode = failed ? 1 : 0;
