// Drives Chromium's EventSource, and the pages of sse_server and llm_proxy, against the built examples.
// usage: node sse.mjs [FOLDER] with the built examples (default: ../../target/debug/examples)

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort, launch, run, shot, sleep, until } from './harness.mjs';

const folder = process.argv[2] ?? fileURLToPath(new URL('../../target/debug/examples', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'sse-'));
const browser = await launch();

/** What goes into the encoder, a line of --play each; and what a client makes of it, if that is not the same. */
const AWKWARD = [
  { data: 'plain', id: '1' },
  { data: '' },
  { data: ' one leading space' },
  { data: '  two, and trailing  ' },
  { data: ':not a comment' },
  { data: 'data: nested\nevent: nested\nid: nested\nretry: 1' },
  { data: '\n' },
  { data: '\n\n\n' },
  { data: 'ends with LF\n' },
  { data: '\nbegins with LF' },
  { data: 'CR LF\r\nCR\rLF\n\rend', seen: { data: 'CR LF\nCR\nLF\n\nend' } },
  { data: '\ufeffBOM first' },
  { data: 'NUL \0 inside, U+0001 \u0001, DEL \x7f, NEL \u0085, LS \u2028, PS \u2029' },
  { data: 'grüße, 漢字, 😀, e\u0301, \u202ertl, \ufffd, \uffff, \u{10ffff}' },
  { event: 'named', data: 'a type' },
  { event: 'with space: and colon', data: 'x' },
  { event: ' leading space', data: 'x' },
  { event: 'grün😀', data: 'x' },
  { event: '', data: 'an empty type is message', seen: { event: 'message' } },
  { event: 'open', data: 'a type that the browser uses itself' },
  { event: 'error', data: 'another one' },
  { event: '__proto__', data: 'x' },
  { id: ' leading space', data: 'x' },
  { id: 'a:b, c\td', data: 'x' },
  { id: 'ID 漢字😀', data: 'x' },
  { data: 'the ID stays', seen: { id: 'ID 漢字😀' } },
  { id: '', data: 'the ID is unset' },
  { data: 'and stays so', seen: { id: '' } },
  { id: 'alone', seen: null },
  { data: 'has the ID that came alone', seen: { id: 'alone' } },
  { event: 'never seen', seen: null },
  { data: 'the type did not stay', seen: { event: 'message', id: 'alone' } },
  { comment: 'a comment\nof two lines', seen: null },
  { comment: 'and data: this', data: 'behind a comment' },
  { retry: 1234, seen: null },
  { retry: 50, event: 'all', id: 'fields', data: 'two\nlines', comment: 'of one' },
  { data: JSON.stringify({ text: 'quotes " and \\ and \n', list: [1, null] }) },
  { data: 'x'.repeat(100_000), id: 'long' },
  { data: Array.from({ length: 2000 }, (_, line) => `line ${line}`).join('\n') },
  { data: 'last', id: 'last', event: 'last' },
];

/** What the page is to see: the events with data, with their types and last event IDs. */
function expected(table) {
  const events = [];
  let lastId = 'start';
  for (const { event, id, data, seen } of table) {
    if (id !== undefined) lastId = id;
    if (data === undefined) continue;
    events.push({ event: seen?.event ?? event ?? 'message', data: seen?.data ?? data, id: seen?.id ?? lastId });
  }
  return events;
}

let files = 0;
function recording(table) {
  const file = join(scratch, `${files += 1}.jsonl`);
  writeFileSync(file, table.map(({ seen, ...row }) => `${JSON.stringify(row)}\n`).join(''));
  return file;
}

/** One example, one page, what the browser asked for. */
class World {
  constructor() {
    this.faults = [];
    this.processes = [];
  }

  async start(example, ...args) {
    const port = await freePort();
    const child = spawn(join(folder, example), ['--listen', `127.0.0.1:${port}`, ...args], { stdio: ['ignore', 'ignore', 'inherit'] });
    this.processes.push({ child, ended: new Promise((done) => child.once('exit', done)) });
    this.url = `http://127.0.0.1:${port}/`;
    await until('the server answers', () => fetch(`${this.url}favicon.ico`).then(() => true, () => false));
    this.context ??= await browser.newContext({ viewport: { width: 1000, height: 640 }, colorScheme: 'light' });
    this.page = await this.context.newPage();
    this.page.on('pageerror', (error) => this.faults.push(`${error}`));
    this.page.on('console', (message) => {
      if (/Content.Security.Policy/i.test(message.text())) this.faults.push(message.text());
    });
    await this.page.goto(this.url);
  }

  /** A page of the same server that has no stream of its own. */
  async startBlank(...args) {
    await this.start(...args);
    await this.page.goto(`${this.url}blank`);
  }

  async kill() {
    for (const { child, ended } of this.processes.splice(0)) {
      child.kill('SIGKILL');
      await ended;
    }
  }

  /** Listens in the page to all these types; what comes is in window.seen. */
  async listen(types) {
    const requests = [];
    this.page.on('request', (request) => {
      if (request.url().endsWith('/events')) requests.push(request);
    });
    await this.page.evaluate((types) => {
      window.seen = [];
      window.opened = 0;
      window.source = new EventSource('/events');
      for (const type of new Set(types)) {
        window.source.addEventListener(type, (event) => {
          // The browser's own open and error have no data.
          if (event.data === undefined) window.opened += type === 'open' ? 1 : 0;
          else window.seen.push({ event: event.type, data: event.data, id: event.lastEventId });
        });
      }
    }, ['open', 'error', ...types]);
    return requests;
  }

  check() {
    assert.deepEqual(this.faults, []);
  }

  photograph(name) {
    return shot(this.page, name);
  }

  async tearDown() {
    await this.context?.close();
    await this.kill();
  }
}

const tests = [
  ['EventSource gets exactly what the encoder was given', async (world) => {
    await world.startBlank('sse_server', '--play', recording(AWKWARD));
    const want = expected(AWKWARD);
    await world.listen(want.map(({ event }) => event));
    await until('the last event', () => world.page.evaluate(() => window.seen.some(({ event }) => event === 'last')));
    const seen = await world.page.evaluate(() => window.seen);
    for (const [at, event] of want.entries()) assert.deepEqual(seen[at], event, `event ${at}`);
    assert.equal(seen.length, want.length);
    assert.equal(await world.page.evaluate(() => window.opened), 1);
  }],

  ['a stream that is cut twenty times shows every event once, in order', async (world) => {
    const table = Array.from({ length: 105 }, (_, at) => ({ id: `${at + 1}`, data: `event ${at + 1}\nof many`, retry: 10 }));
    await world.startBlank('sse_server', '--cut', '5', '--play', recording(table));
    const requests = await world.listen(['message']);
    await until('the last event', () => world.page.evaluate(() => window.seen.length >= 105), 30_000);
    await sleep(300);
    const seen = await world.page.evaluate(() => window.seen);
    assert.deepEqual(seen, table.map(({ id, data }) => ({ event: 'message', data, id })));
    // A browser may drop what it has not looked at when it learns of the cut: then it asks once more.
    const ids = await Promise.all(requests.map(async (request) => Number((await request.allHeaders())['last-event-id'] ?? 0)));
    assert.ok(ids.length >= 21, `${ids}`);
    assert.equal(await world.page.evaluate(() => window.opened), ids.length);
    assert.deepEqual(ids, ids.toSorted((a, b) => a - b));
    assert.equal(ids[0], 0);
    for (const [at, id] of ids.entries()) assert.ok(id <= at * 5, `${ids}`);
  }],

  ['the dashboard ticks, and goes on after the server was gone', async (world) => {
    await world.start('sse_server');
    const { page, url } = world;
    await until('it ticks', async () => /%/.test(await page.locator('#cpu output').textContent()));
    const points = () => page.locator('#memory polyline').getAttribute('points').then((text) => text.split(' ').length);
    const before = await points();
    await until('more points', async () => (await points()) >= before + 2);
    assert.equal(await page.locator('#link').textContent(), 'live');
    await world.photograph('dashboard');
    await world.kill();
    await until('it says so', async () => /connecting/.test(await page.locator('#link').textContent()));
    const port = new URL(url).port;
    const child = spawn(join(folder, 'sse_server'), ['--listen', `127.0.0.1:${port}`], { stdio: ['ignore', 'ignore', 'inherit'] });
    world.processes.push({ child, ended: new Promise((done) => child.once('exit', done)) });
    await until('live again', async () => (await page.locator('#link').textContent()) === 'live', 20_000);
    await until('it says what it missed', async () => /once/.test(await page.locator('#gaps').textContent()));
    await until('it ticks again', async () => (await points()) >= 2);
  }],

  ['the proxy forwards a whole answer', async (world) => {
    await world.start('llm_proxy', '--delay', '2');
    await world.page.click('#go');
    await until('done', async () => /^Done: \d+ tokens\.$/.test(await world.page.locator('#status').textContent()), 20_000);
    const answer = await world.page.locator('#answer').textContent();
    assert.match(answer, /^Server-Sent Events are the simplest way/);
    assert.match(answer, /no one will see\.$/);
    await world.photograph('llm-proxy');
    await until('upstream finished', async () => (await (await fetch(`${world.url}counts`)).text()) === 'begun 1, finished 1, cancelled 0');
  }],

  ['the proxy cancels the upstream when the browser stops, and when it leaves', async (world) => {
    await world.start('llm_proxy', '--delay', '40');
    const counts = () => fetch(`${world.url}counts`).then((response) => response.text());
    await world.page.click('#go');
    await until('tokens', async () => /^\d\d tokens$/.test(await world.page.locator('#status').textContent()));
    assert.equal(await counts(), 'begun 1, finished 0, cancelled 0');
    await world.page.click('#go');
    await until('stopped', async () => (await world.page.locator('#status').textContent()) === 'Stopped.');
    await until('cancelled', async () => (await counts()) === 'begun 1, finished 0, cancelled 1', 2_000);
    await world.page.click('#go');
    await until('tokens', async () => /^\d tokens$/.test(await world.page.locator('#status').textContent()));
    await world.page.goto('about:blank');
    await until('cancelled', async () => (await counts()) === 'begun 2, finished 0, cancelled 2', 2_000);
  }],
];

const only = process.env.ONLY;
const failed = await run(tests.filter(([name]) => !only || name.includes(only)), async () => new World());
await browser.close();
rmSync(scratch, { recursive: true });
process.exitCode = failed ? 1 : 0;
