// People at tabs, and the servers and cables between them: what a test stands in.

import assert from 'node:assert/strict';
import { Cable, Server, freePort, shot, until } from './harness.mjs';

export const DESK = { viewport: { width: 1200, height: 780 }, colorScheme: 'light' };
export const PHONE = { viewport: { width: 360, height: 640 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true, colorScheme: 'light' };

/** One person at one tab. */
export class Person {
  constructor(page) {
    this.page = page;
  }

  async join(nick) {
    await this.page.fill('#nick', nick);
    await this.page.press('#nick', 'Enter');
    await this.connected();
    return this;
  }

  async say(text) {
    await this.page.fill('#text', text);
    await this.page.press('#text', 'Enter');
  }

  connected(within) {
    return until('connected', async () => (await this.state()) === 'live', within);
  }

  state() {
    return this.page.locator('#link').getAttribute('data-state');
  }

  /** What was said, as `name: text`, oldest first. */
  said() {
    return this.page.locator('#messages .said').evaluateAll((items) =>
      items.map((item) => `${item.querySelector('.who').textContent}: ${item.querySelector('.text').textContent}`));
  }

  /** Who came, left or changed the name, without the times. */
  notes() {
    return this.page.locator('#messages .note').evaluateAll((items) => items.map((item) => {
      const text = item.cloneNode(true);
      text.querySelector('time')?.remove();
      return text.textContent;
    }));
  }

  here() {
    return this.page.locator('#people-list li .name').allTextContents();
  }

  hears(line, within) {
    return until(`hears ${JSON.stringify(line)}`, async () => (await this.said()).includes(line), within);
  }

  notices(note, within) {
    return until(`notices ${JSON.stringify(note)}`, async () => (await this.notes()).includes(note), within);
  }
}

/** A server of its own for each test, and the tabs opened in it. */
export const worldOf = (browser, program) => async () => {
  const server = new Server(program, await freePort());
  await server.start();
  const servers = [server];
  const contexts = [];
  const cables = [];
  const faults = [];
  let tolerated = /^$/;
  // `urls`: all that the page may ask for.
  const watch = (page, ...urls) => {
    page.on('pageerror', (error) => faults.push(`error on the page: ${error}`));
    page.on('console', (message) => {
      // That the server cannot be reached is what some tests are about.
      if (message.type() === 'error' && !tolerated.test(message.text()) && !/WebSocket connection to|Failed to load resource|net::ERR_|MIME type/.test(message.text())) {
        faults.push(`on the console: ${message.text()}`);
      }
    });
    page.on('dialog', (dialog) => { faults.push(`a script ran: ${dialog.message()}`); dialog.dismiss(); });
    page.on('request', (request) => {
      if (!urls.some((url) => request.url().startsWith(url))) faults.push(`asked for an outside resource: ${request.url()}`);
    });
    return new Person(page);
  };
  return {
    server,
    watch,
    async context(options = DESK) {
      const context = await browser.newContext({ locale: 'en-GB', timezoneId: 'Europe/London', ...options });
      contexts.push(context);
      return context;
    },
    async open({ context, url = server.url, path = '', also = [], ...options } = {}) {
      context ??= await this.context({ ...DESK, ...options });
      const page = await context.newPage();
      const person = watch(page, url, ...also);
      await page.goto(url + path);
      return person;
    },
    /** Another server, on this port if one is given. */
    async serve(options, port) {
      const other = new Server(program, port ?? await freePort(), options);
      await other.start();
      servers.push(other);
      return other;
    },
    async cable(port = server.port) {
      const cable = new Cable(port);
      await cable.open();
      cables.push(cable);
      return cable;
    },
    /** Errors of this kind on the console are what a test is about. */
    tolerate: (pattern) => { tolerated = pattern; },
    check: () => assert.deepEqual(faults, []),
    async photograph(name) {
      const pages = contexts.flatMap((context) => context.pages());
      for (const [index, page] of pages.entries()) await shot(page, `failed-${name}-${index + 1}`);
    },
    async tearDown() {
      for (const context of contexts) await context.close();
      for (const cable of cables) cable.close();
      for (const server of servers) await server.kill();
    },
  };
};
