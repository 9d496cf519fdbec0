// One room: a page of the chat for each of its own transports, and the frameworks' own clients, all at once. Everybody hears
// every message once and in order, over cuts.
// usage: node room.mjs FOLDER with the built examples

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { launch, run, shot, sleep, until } from '../browser/harness.mjs';
import { worldOf } from '../browser/world.mjs';

const folder = process.argv[2] ?? '../../target/debug/examples';
const require = createRequire(import.meta.url);
const SockJS = require('sockjs-client');
const { io } = await import('socket.io-client');
const { adapt } = await import('cometd-nodejs-client');
adapt();
const { CometD, AckExtension } = await import('cometd');

const PAGES = ['ws', 'sse', 'xhr-streaming', 'long-polling', 'polling', 'jsonp', 'iframe'];
const MESSAGES = Number(process.env.MESSAGES ?? 100); // of each
const CUTS = Number(process.env.CUTS ?? 2);
const SMALL = { viewport: { width: 480, height: 420 }, reducedMotion: 'reduce' };

/** What a member does, whatever carries it: `docs/transports.md`, "The frameworks". */
class Member {
  constructor(name) {
    this.name = name;
    this.session = randomBytes(16).toString('hex');
    this.heard = [];
    this.outbox = [];
    this.isLive = false;
    this.isOver = false;
  }

  /** Said again until it is answered: it may have gone into a connection that was cut. */
  hello() {
    this.isLive = false;
    clearTimeout(this.patience);
    this.patience = setTimeout(() => { if (!this.isLive && !this.isOver) this.lost(); }, 5_000);
    this.tag = randomBytes(8).toString('hex');
    return { type: 'hello', session: this.session, nick: this.name, cursor: this.cursor, tag: this.tag };
  }

  /** What comes between a cut and the welcome is behind what was lost: it is told again, in its order. */
  hear(told) {
    if (told.seq !== undefined && told.type !== 'welcome') {
      // Two hellos that crossed are answered twice.
      if (!this.isLive || told.seq <= this.seen) return;
      this.seen = told.seq;
      this.cursor = `${this.epoch}.${this.seen}`;
    }
    switch (told.type) {
      case 'welcome':
        // One that answers an earlier hello was on its way when the connection was cut, and what follows it may be lost.
        if (told.tag !== this.tag) return;
        if (told.epoch !== this.epoch) this.seen = 0;
        this.epoch = told.epoch;
        this.isLive = true;
        this.flush();
        break;
      case 'message':
        this.heard.push(told.text);
        this.done(told.id);
        break;
      case 'ack':
        this.done(told.id);
        break;
      case 'error':
        if (told.retry_ms) setTimeout(() => this.flush(), told.retry_ms);
        else if (told.id) throw new Error(`${this.name}: ${told.text}`);
        break;
      case 'bye':
        this.isLive = false;
        this.lost();
        break;
    }
  }

  say(text) {
    this.outbox.push({ type: 'say', id: randomBytes(8).toString('hex'), text });
    if (this.outbox.length === 1) this.flush();
  }

  done(id) {
    if (this.outbox[0]?.id !== id) return;
    this.outbox.shift();
    this.flush();
  }

  /** One at a time, so that they keep their order whatever is cut. */
  flush() {
    if (this.isLive && this.outbox.length > 0) this.send(this.outbox[0]);
  }

  /** It is to join anew. */
  lost() {}

  close() {
    this.isOver = true;
    clearTimeout(this.patience);
  }
}

class OverSockJs extends Member {
  open(origin) {
    this.origin = origin;
    const socket = new SockJS(`${origin}/sockjs`);
    this.socket = socket;
    socket.onopen = () => socket.send(JSON.stringify(this.hello()));
    socket.onmessage = ({ data }) => this.hear(JSON.parse(data));
    socket.onclose = () => { if (!this.isOver && this.socket === socket) setTimeout(() => this.open(origin), 50); };
  }

  send(request) { this.socket.send(JSON.stringify(request)); }

  lost() { this.socket.close(); }

  close() { super.close(); this.socket.close(); }
}

class OverSocketIo extends Member {
  open(origin) {
    const auth = (give) => give(this.hello());
    this.socket = io(`${origin}/chat`, { auth, reconnectionDelay: 50, reconnectionDelayMax: 200, forceNew: true });
    this.socket.on('told', (told) => this.hear(told));
    this.socket.on('disconnect', (reason) => { if (reason === 'io server disconnect' && !this.isOver) this.socket.connect(); });
  }

  send(request) { this.socket.emit('request', request); }

  close() { super.close(); this.socket.close(); }
}

class OverCometD extends Member {
  open(origin) {
    const cometd = new CometD();
    this.cometd = cometd;
    cometd.configure({ url: `${origin}/cometd`, logLevel: 'error', backoffIncrement: 50, maxBackoff: 200 });
    cometd.registerExtension('ack', new AckExtension());
    cometd.addListener('/meta/handshake', ({ successful }) => {
      if (!successful) return;
      cometd.batch(() => {
        cometd.subscribe('/chat', ({ data }) => this.hear(data));
        this.lost();
      });
    });
    cometd.handshake();
  }

  send(request) {
    if (this.isOver) return; // it throws then
    this.cometd.publish('/service/chat', request, ({ successful }) => { if (!successful) setTimeout(() => this.flush(), 200); });
  }

  lost() { this.cometd.publish('/service/chat', this.hello()); }

  close() { super.close(); this.cometd.disconnect(); }
}

/** Pushlet's flow in pull mode: each answer says where to ask next. */
class OverPushlet extends Member {
  async open(origin) {
    this.origin = origin;
    while (!this.isOver) {
      try {
        const [joined] = await this.ask({ p_event: 'join', p_format: 'json' });
        this.id = joined.p_id;
        await this.ask({ p_event: 'subscribe', p_id: this.id, p_subject: '/chat' });
        let events = await this.ask({ p_event: 'listen', p_id: this.id, p_mode: 'pull' });
        await this.publish(this.hello());
        while (!this.isOver) {
          for (const event of events) if (event.p_event === 'data') this.hear(JSON.parse(event.text));
          events = await this.ask({ p_event: 'refresh', p_id: this.id });
        }
      } catch (error) {
        if (this.isOver) return;
        this.isLive = false; // what a cut answer held is asked for by the cursor
        await sleep(50);
      }
    }
  }

  async ask(fields) {
    const answer = await fetch(`${this.origin}/pushlet.srv`, { method: 'POST', body: new URLSearchParams(fields) });
    if (!answer.ok) throw new Error(`${answer.status}`);
    const body = await answer.json();
    return Array.isArray(body) ? body : [body];
  }

  publish(request) {
    return this.ask({ p_event: 'publish', p_id: this.id, p_subject: '/chat', text: JSON.stringify(request) });
  }

  send(request) { this.publish(request).catch(() => setTimeout(() => this.flush(), 100)); }
}

/** atmosphere.js runs in browsers: a page carries, what it carries is read here. */
class OverAtmosphere extends Member {
  async open(origin, page) {
    this.page = page;
    const script = readFileSync(new URL('node_modules/atmosphere.js/dist/atmosphere.global.js', import.meta.url), 'utf8');
    await page.exposeFunction('hear', (text) => this.hear(JSON.parse(text)));
    await page.exposeFunction('cut', () => { this.isLive = false; });
    await page.exposeFunction('hello', () => JSON.stringify(this.hello()));
    // The server's own answer, if only a 404: to a page from anywhere else Chromium may deny WebSockets of this machine.
    await page.goto(`${origin}/atmosphere.html`);
    await page.addScriptTag({ content: script });
    await page.evaluate((url) => {
      const join = async () => window.say(await window.hello());
      const request = {
        url, transport: 'websocket', fallbackTransport: 'websocket', trackMessageLength: true, enableProtocol: true,
        reconnect: true, reconnectInterval: 100, maxReconnectOnClose: 50, contentType: 'text/plain',
      };
      const handlers = {
        open: () => { if (window.say) join(); else window.isOpen = true; },
        reopen: () => join(),
        close: () => window.cut(),
        message: ({ responseBody }) => window.hear(responseBody),
      };
      atmosphere.subscribe(request, handlers).then((socket) => {
        window.say = (text) => socket.push(text);
        if (window.isOpen) join();
      });
    }, `${origin}/atmosphere/chat`);
  }

  send(request) { this.page.evaluate((text) => window.say(text), JSON.stringify(request)).catch(() => {}); }

  lost() { this.send(this.hello()); }
}

/** Keeps the texts of messages in the order in which the page shows them. */
const record = ({ page }) => page.evaluate(() => {
  window.heard = [];
  new MutationObserver((changes) => {
    for (const { addedNodes } of changes) {
      for (const node of addedNodes) if (node.matches('.said')) window.heard.push(node.querySelector('.text').textContent);
    }
  }).observe(document.querySelector('#messages'), { childList: true });
});

const tests = [
  ['a page for each transport and a client of each framework: each message once, in order', async (world) => {
    const server = await world.serve(['--interval', '2']);
    const everybody = [];
    for (const name of PAGES) {
      const cable = await world.cable(server.port);
      const person = await world.open({ url: cable.url, path: `?transport=${name}`, ...SMALL });
      await person.join(`the ${name}`);
      await record(person);
      const say = (count) => person.page.evaluate(({ name, count }) => {
        let number = 0;
        const timer = setInterval(() => {
          while (number < count && conversation.outbox.length < 6) conversation.say(`${name} ${number++}`);
          if (number === count) clearInterval(timer);
        }, 5);
      }, { name, count });
      everybody.push({ name, cable, person, say, heard: () => person.page.evaluate(() => window.heard) });
    }
    for (const [name, Kind] of [
      ['sockjs', OverSockJs], ['socketio', OverSocketIo], ['cometd', OverCometD], ['pushlet', OverPushlet], ['atmosphere', OverAtmosphere],
    ]) {
      const cable = await world.cable(server.port);
      const member = new Kind(name);
      const page = Kind === OverAtmosphere ? await (await world.context()).newPage() : undefined;
      Promise.resolve(member.open(cable.origin, page)).catch((error) => { member.fault = error; });
      await until(() => `${name} is in the room ${member.fault ?? ''}`, () => member.isLive, 15_000);
      const say = (count) => { for (let number = 0; number < count; number += 1) member.say(`${name} ${number}`); };
      everybody.push({ name, cable, member, say, heard: () => member.heard });
    }
    const all = everybody.length * MESSAGES;
    try {
      await Promise.all(everybody.map(async ({ name, cable, person, say, heard }) => {
        await say(MESSAGES);
        let count = 0;
        const hears = (share) => until(
          () => `${name} hears ${share}; it has ${count}`, async () => (count = (await heard()).length) >= share, 150_000, 250);
        for (let cut = 1; cut <= CUTS; cut += 1) {
          const share = Math.floor((all * cut) / (CUTS + 2));
          await hears(share);
          cable.cut();
          if (person) {
            await sleep(100);
            await person.page.evaluate(() => dispatchEvent(new Event('online')));
          }
        }
        await hears(all);
      }));
      await sleep(1_000); // what came twice would come now
      const first = await everybody[0].heard();
      assert.equal(new Set(first).size, all);
      for (const { name } of everybody) {
        const own = first.filter((text) => text.startsWith(`${name} `)).map((text) => Number(text.slice(name.length + 1)));
        assert.deepEqual(own, Array.from({ length: MESSAGES }, (_, number) => number), `what ${name} said`);
      }
      for (const { name, heard } of everybody) assert.deepEqual(await heard(), first, `what ${name} heard`);
      for (const { name, person } of everybody) {
        if (!person) continue;
        await person.page.setViewportSize({ width: 1000, height: 760 });
        await shot(person.page, `room-${name}`);
      }
    } finally {
      for (const { member } of everybody) member?.close();
    }
  }, 360],
];

const browser = await launch();
const failed = await run(tests, worldOf(browser, join(folder, 'chat')));
await browser.close();
process.exit(failed ? 1 : 0);
