// The page of examples/pushlet in Chromium, which does what Pushlet's own clients did, in each mode.
// usage: node pushlet.mjs FOLDER with the built examples

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { Server, freePort, launch, run, until } from '../browser/harness.mjs';

const folder = process.argv[2] ?? '../../target/debug/examples';
const browser = await launch();
const server = new Server(join(folder, 'pushlet'), await freePort());
await server.start();

class World {
  faults = [];
  contexts = [];

  async page(mode) {
    const context = await browser.newContext();
    this.contexts.push(context);
    const page = await context.newPage();
    page.on('pageerror', (error) => this.faults.push(`${error}`));
    await page.goto(`${server.url}?mode=${mode}`, { waitUntil: 'commit' }); // a stream never loads
    await until('it has joined', () => page.evaluate(() => typeof id === 'string').catch(() => false));
    return page;
  }

  check() {
    assert.deepEqual(this.faults, []);
  }

  async photograph() {}

  async tearDown() {
    for (const context of this.contexts) await context.close();
  }
}

const said = (page) => page.locator('#said li').allTextContents();

const tests = [
  ['in each mode every page hears all that is said, once and in order', async (world) => {
    const pages = [];
    for (const mode of ['pull', 'poll', 'stream']) pages.push(await world.page(mode));
    const texts = Array.from({ length: 30 }, (_, at) => `message ${at} <b>"quoted" & more</b> grüße 漢字 \u2028 %41+`);
    for (const [at, text] of texts.entries()) await pages[at % 3].evaluate((text) => say(text), text);
    for (const page of pages) {
      await until(async () => (await said(page)).length, async () => (await said(page)).length >= texts.length, 20_000);
      assert.deepEqual(await said(page), texts);
    }
  }],
];

const failed = await run(tests, () => new World());
await browser.close();
await server.kill();
process.exitCode = failed ? 1 : 0;
