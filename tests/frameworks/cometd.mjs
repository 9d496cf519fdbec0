// Drives npm's cometd 9 and 5 and faye against the built example: in Node, and in Chromium from a page of another origin.
// usage: node cometd.mjs [FOLDER] with the built examples (default: ../../target/debug/examples)

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Cable, Server, freePort, launch, run, sleep, until } from '../browser/harness.mjs';
import { Client } from './cometd-client.mjs';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const folder = process.argv[2] ?? fileURLToPath(new URL('../../target/debug/examples', import.meta.url));
const require = createRequire(import.meta.url);

const { adapt } = await import('cometd-nodejs-client');
adapt();
const cometd9 = await import('cometd');
const cometd5 = {
  ...require('cometd5'),
  AckExtension: require('cometd5/AckExtension'),
  TimeSyncExtension: require('cometd5/TimeSyncExtension'),
};
const faye = require('faye');
const MESSAGES = 200;
const CUTS = 10;
/** Seconds; on a machine that is busy they have taken forty. */
const TALKS_WITHIN = 180;

const pages = createServer(async (request, response) => {
  const type = request.url.endsWith('.html') ? 'text/html' : 'text/javascript';
  const body = await readFile(join(HERE, new URL(request.url, 'http://x').pathname)).catch(() => null);
  response.writeHead(body ? 200 : 404, { 'content-type': type });
  response.end(body);
});
await new Promise((done) => pages.listen(0, '127.0.0.1', done));
const PAGES = `http://127.0.0.1:${pages.address().port}`;
const browser = await launch();

/** The client in a page: the same verbs, from afar. */
class PageClient {
  static async open(world, url, transport, options) {
    const context = await browser.newContext();
    world.contexts.push(context);
    const page = await context.newPage();
    page.on('pageerror', (error) => world.errors.push(error));
    await page.goto(`${PAGES}/cometd.html`);
    await page.waitForFunction('window.isLoaded');
    await page.evaluate(([url, transport, options]) => open_(url, transport, options), [url, transport, options]);
    const call = (verb) => (...values) => page.evaluate(([verb, values]) => client[verb](...values), [verb, values]);
    const client = { page };
    for (const verb of ['handshake', 'subscribe', 'publish', 'publishBytes', 'batch', 'disconnect', 'status']) client[verb] = call(verb);
    client.heardNow = () => page.evaluate(() => client.heard);
    client.bytesNow = () => page.evaluate(() => client.bytes);
    return client;
  }
}

const nodeClient = (library) => async (_, url, transport, options) => {
  const client = new Client(library, url, transport, options);
  client.heardNow = async () => client.heard;
  client.bytesNow = async () => client.bytes;
  return client;
};

async function setUp() {
  const port = await freePort();
  const options = ['--timeout', '2000', '--origin', PAGES, '--one-cookie-many-clients'];
  const server = new Server(join(folder, 'cometd'), port, options);
  await server.start();
  const cable = new Cable(port);
  await cable.open();
  return {
    contexts: [],
    errors: [],
    cable,
    straight: `http://127.0.0.1:${port}/cometd`,
    through: `${cable.origin}/cometd`,
    check() { assert.deepEqual(this.errors, []); },
    async photograph() {},
    async tearDown() {
      for (const context of this.contexts) await context.close();
      cable.close();
      await server.kill();
    },
  };
}

/** What `client` hears of `channel`, once it is so many. */
async function hears(client, channel, count, within = 20_000) {
  let data = [];
  const enough = async () => {
    data = (await client.heardNow()).filter(([name]) => name === channel).map(([, data]) => data);
    return data.length >= count;
  };
  await until(() => `${count} messages on ${channel}; it has ${data.length}: ${JSON.stringify(data)}`, enough, within);
  return data;
}

const talk = (open, transport, ack) => async (world) => {
  const ada = await open(world, world.through, transport, { ack });
  const bob = await nodeClient(cometd9)(world, world.straight, 'websocket', { ack: false });
  await Promise.all([ada.handshake(), bob.handshake()]);
  await Promise.all([ada.subscribe('/chat/*'), ada.subscribe('/deep/**'), ada.subscribe('/cut'), bob.subscribe('/news')]);

  // Wildcards.
  await bob.publish('/chat', 'above');
  await bob.publish('/chat/1/2', 'too deep');
  await bob.publish('/chat/1', { text: 'gr\u00fc\u00dfe \u2028 </script>', __proto__: null });
  await bob.publish('/deep/1/2', [1, null, { a: 'b' }]);
  assert.deepEqual(await hears(ada, '/chat/1', 1), [{ text: 'gr\u00fc\u00dfe \u2028 </script>' }]);
  assert.deepEqual(await hears(ada, '/deep/1/2', 1), [[1, null, { a: 'b' }]]);
  assert.equal((await ada.heardNow()).length, 2);

  // Both ways, and batches.
  const reply = await ada.publish('/news', 'first');
  assert.equal(reply.successful, true);
  await ada.batch('/news', [1, 2, 3]);
  assert.deepEqual(await hears(bob, '/news', 4), ['first', 1, 2, 3]);
  await bob.batch('/chat/batch', [1, 2, 3, 4, 5]);
  assert.deepEqual(await hears(ada, '/chat/batch', 5), [1, 2, 3, 4, 5]);
  if (ada.publishBytes && open !== oldClient) {
    await bob.publishBytes('/chat/bytes', [0, 1, 2, 254, 255]);
    await hears(ada, '/chat/bytes', 1);
    assert.deepEqual(await ada.bytesNow(), [0, 1, 2, 254, 255]);
  }

  // The connection is cut again and again.
  for (let number = 0; number < MESSAGES; number++) {
    await bob.publish('/cut', number);
    if (number % (MESSAGES / CUTS) === 7) {
      if (number % 3 === 0) world.cable.deafen(), await sleep(30);
      world.cable.cut();
    }
    await sleep(10);
  }
  await bob.publish('/cut', 'end');
  const last = async () => (await ada.heardNow()).some(([, data]) => data === 'end');
  await until('the end', last, 60_000);
  const heard = (await hears(ada, '/cut', 1)).slice(0, -1);
  const all = Array.from({ length: MESSAGES }, (_, number) => number);
  // Without acknowledgements what was under way when the connection broke may be lost.
  assert.deepEqual(heard, ack ? all : all.filter((number) => heard.includes(number)));
  if (!ack) console.log(`        ${MESSAGES - heard.length} lost without ack`);
  await ada.disconnect();
  await bob.disconnect();
};

const oldClient = nodeClient(cometd5);

/** Faye's client has no acknowledgements. */
const fayeTalks = (transport) => async (world) => {
  const ada = new faye.Client(world.through, { retry: 0.1 });
  const bob = new faye.Client(world.straight, { retry: 0.1 });
  const others = ['websocket', 'eventsource', 'long-polling', 'cross-origin-long-polling', 'callback-polling', 'in-process'];
  // It shakes hands by long polling whatever comes then.
  for (const other of others) if (other !== transport && other !== 'long-polling') ada.disable(other);
  const heard = [];
  const news = [];
  await ada.subscribe('/chat/*', (data) => heard.push(data));
  await ada.subscribe('/deep/**').withChannel((channel, data) => heard.push([channel, data]));
  await bob.subscribe('/news', (data) => news.push(data));
  await bob.publish('/chat/1', { text: 'one' });
  await bob.publish('/chat/1/2', 'too deep');
  await bob.publish('/deep/1/2', 'two');
  await ada.publish('/news', 'three');
  await until(() => JSON.stringify([heard, news]), () => heard.length >= 2 && news.length >= 1);
  assert.deepEqual(heard, [{ text: 'one' }, ['/deep/1/2', 'two']]);
  assert.deepEqual(news, ['three']);
  assert.equal(ada._dispatcher.connectionType, transport);
  for (let round = 0; round < 3; round++) {
    world.cable.cut();
    await sleep(300);
    await bob.publish('/chat/after', round);
    await until(() => JSON.stringify(heard), () => heard.at(-1) === round, 15_000);
  }
  await ada.disconnect();
  await bob.disconnect();
};

/** What no official client sends. */
const refusals = async (world) => {
  const ask = async (body, options) => {
    const response = await fetch(world.straight, { method: 'POST', headers: { 'content-type': 'application/json' }, body, ...options });
    return [response.status, response.ok ? (await response.json())[0] : null];
  };
  const [, unknown] = await ask(`[{"channel":"/meta/connect","id":"1","clientId":"${'0'.repeat(32)}","connectionType":"long-polling"}]`);
  assert.equal(unknown.error, '402::session_unknown');
  assert.equal(unknown.advice.reconnect, 'handshake');
  for (const body of ['', '[', '[]', '[1]', '"x"', '['.repeat(100_000)]) assert.equal((await ask(body))[0], 400);
  assert.equal((await ask(' '.repeat(300_000)))[0], 413);
  assert.equal((await ask('[]', { method: 'PUT' }))[0], 405);
  assert.equal((await ask('[{}]', { headers: { origin: 'https://evil.example' } }))[0], 403);
  const inject = await fetch(`${world.straight}?jsonp=alert(1)//&message=%5B%7B%7D%5D`);
  assert.equal(inject.status, 400);
};

const page = (...values) => PageClient.open(...values);
const node = nodeClient(cometd9);
const tests = [['bad requests get their answers', refusals]];
for (const ack of [true, false]) {
  const how = ack ? 'with ack' : 'without ack';
  for (const transport of ['websocket', 'long-polling']) tests.push([`cometd 9 in Node, ${transport}, ${how}`, talk(node, transport, ack), TALKS_WITHIN]);
  for (const transport of ['websocket', 'long-polling', 'callback-polling']) {
    tests.push([`cometd 9 in Chromium, ${transport}, ${how}`, talk(page, transport, ack), TALKS_WITHIN]);
  }
}
tests.push(['cometd 5 in Node, websocket, with ack', talk(oldClient, 'websocket', true), TALKS_WITHIN]);
tests.push(['cometd 5 in Node, long-polling, with ack', talk(oldClient, 'long-polling', true), TALKS_WITHIN]);
tests.push(['faye 1.4 in Node, websocket', fayeTalks('websocket')]);
tests.push(['faye 1.4 in Node, long-polling', fayeTalks('long-polling')]);

const only = process.argv[3];
const failed = await run(tests.filter(([name]) => !only || name.includes(only)), setUp);
await browser.close();
pages.close();
process.exit(failed ? 1 : 0);
