// npm atmosphere.js 5 and 3 in Chromium against examples/atmosphere, on each of their transports.
// usage: node atmosphere.mjs FOLDER with the built examples

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { Cable, Server, freePort, launch, run, until } from '../browser/harness.mjs';
import { site } from './site.mjs';

const folder = process.argv[2] ?? '../../target/debug/examples';
const require = createRequire(import.meta.url);
const script = (name, file) => readFileSync(join(dirname(require.resolve(`${name}/package.json`)), file), 'utf8');
const page = (client) => `<!doctype html><meta charset="utf-8"><title>Atmosphere</title><script src="/${client}.js"></script>`;
const pages = await site({
  '/5.html': page(5), '/5.js': readFileSync(new URL('node_modules/atmosphere.js/dist/atmosphere.global.js', import.meta.url), 'utf8'),
  '/3.html': page(3), '/3.js': script('atmosphere3', 'lib/atmosphere.js'),
});
const browser = await launch();
const server = new Server(join(folder, 'atmosphere'), await freePort());
await server.start();

class World {
  faults = [];
  contexts = [];
  cables = [];

  /** A page with this client, connected; what it hears is in `window.seen`. */
  async join(client, transport, { origin = server.origin, trackMessageLength = true } = {}) {
    const context = await browser.newContext();
    this.contexts.push(context);
    const page = await context.newPage();
    page.on('pageerror', (error) => this.faults.push(`${error}`));
    // Version 3 has event streams on its server's own origin only.
    const home = client === 3 && transport === 'sse' ? server.origin : pages.origin;
    if (home === server.origin) {
      await page.route(/\/3\.(html|js)$/, async (route) => {
        await route.fulfill({ response: await route.fetch({ url: `${pages.origin}${new URL(route.request().url()).pathname}` }) });
      });
    }
    await page.goto(`${home}/${client}.html`);
    await page.evaluate(([client, request]) => {
      window.seen = [];
      window.opened = 0;
      const message = ({ messages }) => window.seen.push(...messages);
      const opened = () => { window.opened += 1; };
      if (client === 5) {
        const handlers = { open: opened, reopen: opened, message: ({ responseBody }) => window.seen.push(responseBody) };
        atmosphere.subscribe(request, handlers).then((socket) => { window.say = (text) => socket.push(text); });
      } else {
        const socket = atmosphere.subscribe({ ...request, onOpen: opened, onReopen: opened, onMessage: message });
        window.say = (text) => socket.push(text);
        window.leave = () => atmosphere.unsubscribe();
      }
    }, [client, {
      url: `${origin}/atmosphere/chat`, transport, fallbackTransport: transport, trackMessageLength, enableProtocol: true,
      reconnect: true, reconnectInterval: 100, maxReconnectOnClose: 50, contentType: 'text/plain',
    }]);
    await until(`${client} over ${transport} is open`, () => page.evaluate(() => window.opened > 0 && Boolean(window.say)));
    return page;
  }

  async cable() {
    const cable = new Cable(server.port);
    await cable.open();
    this.cables.push(cable);
    return cable;
  }

  check() {
    assert.deepEqual(this.faults, []);
  }

  async photograph() {}

  async tearDown() {
    for (const context of this.contexts) await context.close();
    for (const cable of this.cables) cable.close();
  }
}

const seen = (page) => page.evaluate(() => window.seen);
const say = (page, text) => page.evaluate((text) => window.say(text), text);

async function hears(page, texts) {
  await until('all is heard', async () => (await seen(page)).length >= texts.length, 20_000);
  assert.deepEqual(await seen(page), texts);
}

const AWKWARD = ['plain', '1|2|3|', '12|', 'grüße 漢字 😀', '<b>"quoted"</b> \\ & +%41', 'two\nlines', '  blanks  ', 'a\u2028\u2029\ufeffb', 'x'.repeat(100_000)];
const TRANSPORTS = ['websocket', 'sse', 'streaming', 'long-polling'];

const tests = [
  ...TRANSPORTS.map((transport) => [`5 over ${transport}: what one says all hear, once and in order`, async (world) => {
    const [one, two] = [await world.join(5, transport), await world.join(5, transport)];
    const texts = [...AWKWARD, ...Array.from({ length: 20 }, (_, at) => `message ${at}`)];
    for (const [at, text] of texts.entries()) {
      await say(at % 2 ? one : two, text);
      // A request each: their order is that of their arrival.
      await until(`'${text.slice(0, 50)}' is heard`, async () => (await seen(one)).length > at && (await seen(two)).length > at);
    }
    await hears(one, texts);
    await hears(two, texts);
  }]),
  ...TRANSPORTS.map((transport) => [`3 over ${transport}: likewise`, async (world) => {
    const [one, two] = [await world.join(3, transport), await world.join(5, 'websocket')];
    const texts = [...AWKWARD, ...Array.from({ length: 20 }, (_, at) => `message ${at}`)];
    for (const [at, text] of texts.entries()) {
      await say(at % 2 ? one : two, text);
      await until(`'${text.slice(0, 50)}' is heard`, async () => (await seen(one)).length > at && (await seen(two)).length > at);
    }
    await hears(one, texts);
    await hears(two, texts);
    await one.evaluate(() => leave());
  }]),
  ...TRANSPORTS.map((transport) => [`5 over ${transport}: nothing is swallowed after a cut`, async (world) => {
    const cable = await world.cable();
    const [one, two] = [await world.join(5, transport, { origin: cable.origin }), await world.join(5, 'websocket')];
    const texts = [];
    for (let round = 0; round < 3; round += 1) {
      // The other transports of version 5 give up for good if they find nobody once.
      const staysOut = transport === 'websocket' || transport === 'sse';
      cable.cut({ stayOut: staysOut });
      // Said while it is away, once the server knows: the protocol has no acknowledgement, so what is written to a
      // connection that was just cut is lost.
      await new Promise((done) => setTimeout(done, 500));
      await server.hasLooked();
      for (const text of [`away ${round}`, `still away ${round}`, `and again ${round}`]) {
        texts.push(text);
        await say(two, text);
        await until('the other hears it', async () => (await seen(two)).length >= texts.length);
      }
      cable.mend();
      await until('it has what it missed', async () => (await seen(one)).length >= texts.length, 30_000);
      texts.push(`back ${round}`);
      await say(two, texts.at(-1));
      await until('both hear it', async () => (await seen(one)).length >= texts.length);
    }
    await hears(one, texts);
  }, 120]),
];

const only = process.env.ONLY;
const failed = await run(tests.filter(([name]) => !only || name.includes(only)), () => new World());
await browser.close();
await server.kill();
pages.close();
process.exitCode = failed ? 1 : 0;
