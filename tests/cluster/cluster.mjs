// One chat on several nodes that share a Redis: what every page shows, whatever is cut, killed and started meanwhile.
// usage: node cluster.mjs PROGRAM

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { Agent, createServer, request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { Server, freePort, launch, run, sleep, until } from '../browser/harness.mjs';
import { DESK, worldOf } from '../browser/world.mjs';

const program = process.argv[2];
const NAMES = ['ws', 'sse', 'xhr-streaming', 'long-polling', 'polling', 'jsonp', 'iframe'];
const MESSAGES = 40; // of each page
const CUTS = 10;
const SMALL = { viewport: { width: 480, height: 420 }, reducedMotion: 'reduce' };

/** A redis-server that keeps what it confirmed. */
class Redis {
  async start() {
    this.port ??= await freePort();
    this.folder ??= mkdtempSync(`${tmpdir()}/pushline-redis-`);
    const options = ['--port', this.port, '--bind', '127.0.0.1', '--dir', this.folder, '--save', '', '--appendonly', 'yes', '--appendfsync', 'always'];
    this.process = spawn('redis-server', options, { stdio: 'ignore' });
    this.ended = new Promise((done) => this.process.once('exit', done));
    await until('Redis answers', () => new Promise((done) => {
      const socket = connect(this.port, '127.0.0.1', () => socket.write('PING\r\n'));
      socket.once('data', (data) => { socket.destroy(); done(String(data).startsWith('+PONG')); });
      socket.once('error', () => done(false));
    }));
    this.url = `redis://127.0.0.1:${this.port}/`;
  }

  async kill() {
    this.process.kill('SIGKILL');
    await this.ended;
  }

  async remove() {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Hands each request to the next node, whoever sent it; can cut everything that goes through it. */
class Balancer {
  constructor(nodes) {
    this.nodes = nodes;
    this.turn = 0;
    this.sockets = new Set();
    this.agent = new Agent({ keepAlive: false });
  }

  async open() {
    this.server = createServer((near, answer) => this.#forward(near, answer, this.nodes.length));
    this.server.on('upgrade', (near, socket, head) => this.#upgrade(near, socket, head));
    this.server.on('connection', (socket) => {
      this.sockets.add(socket);
      socket.on('error', () => {});
      socket.once('close', () => this.sockets.delete(socket));
    });
    await new Promise((done) => this.server.listen(0, '127.0.0.1', done));
    this.origin = `http://127.0.0.1:${this.server.address().port}`;
    this.url = `${this.origin}/`;
    return this;
  }

  #next() {
    this.turn += 1;
    return this.nodes[this.turn % this.nodes.length].port;
  }

  #forward(near, answer, tries) {
    const { method, url, headers } = near;
    const far = request({ port: this.#next(), host: '127.0.0.1', method, path: url, headers, agent: this.agent }, (came) => {
      answer.writeHead(came.statusCode, came.headers);
      answer.flushHeaders();
      came.pipe(answer);
      came.on('error', () => answer.destroy());
      came.on('aborted', () => answer.destroy());
    });
    answer.on('close', () => far.destroy());
    far.on('error', (error) => {
      // A node that is not there: the next one is asked.
      if (error.code === 'ECONNREFUSED' && tries > 0) return this.#forward(near, answer, tries - 1);
      answer.destroy();
    });
    near.pipe(far);
  }

  #upgrade(near, socket, head) {
    const far = connect(this.#next(), '127.0.0.1', () => {
      const fields = near.rawHeaders.reduce((text, part, at) => text + part + (at % 2 ? '\r\n' : ': '), '');
      far.write(`${near.method} ${near.url} HTTP/1.1\r\n${fields}\r\n`);
      far.write(head);
      far.pipe(socket);
      socket.pipe(far);
    });
    far.on('error', () => socket.destroy());
    far.on('close', () => socket.destroy());
    socket.on('close', () => far.destroy());
  }

  cut() {
    for (const socket of this.sockets) socket.resetAndDestroy();
  }

  close() {
    this.cut();
    this.server.close();
  }
}

/** Keeps what the page shows, in its order: texts for all, and those for two. */
const record = ({ page }) => page.evaluate(() => {
  window.heard = [];
  window.secrets = [];
  new MutationObserver((changes) => {
    for (const { addedNodes } of changes) {
      for (const node of addedNodes) {
        if (!node.matches('.said')) continue;
        const text = node.querySelector('.text').textContent;
        (/Only .* can see this/.test(node.textContent) ? window.secrets : window.heard).push(text);
      }
    }
  }).observe(document.querySelector('#messages'), { childList: true });
});

/** Talks without a pause, with a message to one person now and then. */
const talk = ({ page }, name, count, to) => page.evaluate(({ name, count, to }) => {
  let number = 0;
  const timer = setInterval(() => {
    while (number < count && conversation.outbox.length < 3) {
      if (to && number % 10 === 0) conversation.say(`/to ${to}: secret of ${name} ${number}`);
      conversation.say(`${name} ${number++}`);
    }
    if (number === count) clearInterval(timer);
  }, 5);
}, { name, count, to });

const pending = ({ page }) => page.evaluate(() => conversation.outbox.length);
const heard = ({ page }) => page.evaluate(() => window.heard);

/** Has it come back at once. One that was cut while it came back would wait for so long that its member is given up. */
const hurry = ({ page }) => page.evaluate(() => dispatchEvent(new Event('online')));

const world = worldOf(await launch(), program);
const tests = [
  ['two nodes, cut, killed, started, Redis restarted: each page shows each message once, in order', async (world) => {
    const redis = new Redis();
    await redis.start();
    const nodes = [];
    const start = async () => {
      const node = await world.serve(['--redis', redis.url, '--interval', '2']);
      nodes.push(node);
      return node;
    };
    await start();
    await start();
    const balancers = [];
    const people = [];
    try {
      const open = async (name, room) => {
        const balancer = await new Balancer(nodes).open();
        balancer.turn = balancers.length;
        balancers.push(balancer);
        const person = await world.open({ ...SMALL, url: balancer.url, path: `?transport=${name}&room=${room}` });
        await person.join(`${name} of ${room}`);
        people.push({ name, room, person, balancer, own: `${name} of ${room}` });
      };
      for (const name of NAMES) await open(name, 'one');
      for (const name of ['ws', 'polling']) await open(name, 'two');
      const rooms = ['one', 'two'].map((room) => people.filter((one) => one.room === room));
      for (const members of rooms) {
        for (const { person, own } of members) {
          await until(`${own} sees all`, async () => (await person.here()).length === members.length);
          await record(person);
        }
      }

      const all = (members) => members.length * MESSAGES;
      let killed = null;
      let restarted = null;
      await Promise.all(rooms.flatMap((members) => members.map(async ({ person, balancer, own }, index) => {
        await talk(person, own, MESSAGES, members[(index + 1) % members.length].own);
        for (let cut = 1; cut <= CUTS; cut += 1) {
          const share = Math.floor((all(members) * cut) / (CUTS + 2));
          let count = 0;
          await until(() => `${own} hears ${share} messages before cut ${cut}; it has ${count}`, async () => {
            await hurry(person);
            return (count = (await heard(person)).length) >= share;
          }, 60_000, 100);
          if (cut === 4) {
            // One node is killed, without a word, and another takes its place.
            killed ??= (async () => {
              const [gone] = nodes.splice(0, 1);
              await gone.kill();
              await start();
            })();
            await killed;
          }
          if (cut === 7) {
            restarted ??= (async () => {
              await redis.kill();
              await sleep(1_500);
              await redis.start();
            })();
            await restarted;
          }
          balancer.cut();
          await sleep(100);
          await hurry(person);
        }
      })));

      for (const members of rooms) {
        for (const { person, own } of members) {
          let left = 0;
          await until(() => `${own} has nothing unsent; it has ${left}`, async () => {
            await hurry(person);
            return (left = await pending(person)) === 0;
          }, 60_000, 100);
        }
      }
      await sleep(1_500); // what came twice, or was not meant for a page, would come now
      for (const members of rooms) {
        const orders = await Promise.all(members.map(({ person }) => heard(person)));
        const expected = members.flatMap(({ own }) => Array.from({ length: MESSAGES }, (_, number) => `${own} ${number}`));
        for (const [index, { own, person }] of members.entries()) {
          assert.deepEqual(orders[index].toSorted(), expected.toSorted(), `${own} shows each message of its room once`);
          assert.deepEqual(orders[index], orders[0], `${own} shows them in the order of ${members[0].own}`);
          for (const speaker of members.map((one) => one.own)) {
            const numbers = orders[index].filter((text) => text.startsWith(`${speaker} `)).map((text) => Number(text.split(' ').at(-1)));
            assert.deepEqual(numbers, numbers.toSorted((a, b) => a - b), `${own} shows ${speaker} in order`);
          }
          const before = members[(index + members.length - 1) % members.length].own;
          const secrets = [own, before].flatMap((speaker) =>
            Array.from({ length: MESSAGES / 10 }, (_, number) => `secret of ${speaker} ${number * 10}`));
          const seen = await person.page.evaluate(() => window.secrets);
          assert.deepEqual(seen.toSorted(), [...new Set(secrets)].toSorted(), `${own} shows its own secrets and those of ${before}`);
        }
        for (const { person, own } of members) {
          await until(`${own} sees who is here`, async () => (await person.here()).length === members.length, 15_000);
        }
      }
    } finally {
      for (const balancer of balancers) balancer.close();
      await redis.remove();
    }
  }, 85],

  ['without Redis nobody is cut off, nothing is accepted, and nothing is lost', async (world) => {
    const redis = new Redis();
    await redis.start();
    const node = await world.serve(['--redis', redis.url]);
    try {
      const ada = await (await world.open({ ...DESK, url: node.url, path: '?transport=ws' })).join('Ada');
      const bob = await (await world.open({ ...DESK, url: node.url, path: '?transport=sse' })).join('Bob');
      await ada.notices('Bob joined');
      await redis.kill();
      await ada.say('into the dark');
      await sleep(2_500);
      assert.deepEqual([await ada.state(), await bob.state()], ['live', 'live']);
      assert.equal(await ada.page.locator('#pending .text').textContent(), 'into the dark');
      assert.deepEqual(await bob.said(), []);
      await redis.start();
      await bob.hears('Ada: into the dark');
      await until('it is confirmed', async () => (await ada.page.locator('#pending li').count()) === 0);
      assert.deepEqual([await ada.said(), await bob.said()], [['You: into the dark'], ['Ada: into the dark']]);
    } finally {
      await redis.remove();
    }
  }, 40],

  ['the members of a node that died are gone in seconds', async (world) => {
    const redis = new Redis();
    await redis.start();
    const [node, other] = [await world.serve(['--redis', redis.url]), await world.serve(['--redis', redis.url])];
    try {
      const ada = await (await world.open({ ...DESK, url: node.url })).join('Ada');
      const bob = await (await world.open({ ...DESK, url: other.url })).join('Bob');
      await until('Bob is there', async () => (await ada.here()).length === 2);
      await bob.page.close();
      await other.kill();
      await ada.notices('Bob left', 16_000).catch(async (error) => { throw new Error(`${error.message}; ${JSON.stringify([await ada.notes(), await ada.here(), await ada.state()])}`); });
      assert.deepEqual(await ada.here(), ['Ada']);
    } finally {
      await redis.remove();
    }
  }, 40],

  ['one who leaves while Redis is slow to let it in is not left behind', async (world) => {
    const redis = new Redis();
    await redis.start();
    const node = await world.serve(['--redis', redis.url]);
    try {
      const ada = await (await world.open({ ...DESK, url: node.url })).join('Ada');
      redis.process.kill('SIGSTOP');
      const asked = request(`${node.url}long-polling?session=session-of-bob-1&nick=Bob&link=link-of-bob`);
      asked.on('error', () => {});
      asked.end();
      await sleep(400);
      asked.destroy();
      await sleep(200);
      redis.process.kill('SIGCONT');
      await ada.notices('Bob joined');
      await ada.notices('Bob left', 12_000);
      assert.deepEqual(await ada.here(), ['Ada']);
    } finally {
      redis.process.kill('SIGCONT');
      await redis.remove();
    }
  }, 40],

  ['one whom Redis lets in after its node has given that up is not left behind', async (world) => {
    const redis = new Redis();
    await redis.start();
    const node = await world.serve(['--redis', redis.url]);
    try {
      const ada = await (await world.open({ ...DESK, url: node.url })).join('Ada');
      redis.process.kill('SIGSTOP');
      const answer = await fetch(`${node.url}long-polling?session=session-of-bob-1&nick=Bob&link=link-of-bob`);
      assert.match(await answer.text(), /away/);
      await sleep(500); // ticks that are not done in time
      redis.process.kill('SIGCONT');
      await ada.notices('Bob joined');
      await ada.notices('Bob left', 16_000);
      assert.deepEqual(await ada.here(), ['Ada']);
    } finally {
      redis.process.kill('SIGCONT');
      await redis.remove();
    }
  }, 40],
];

const only = process.env.ONLY;
const failed = await run(tests.filter(([name]) => !only || name.includes(only)), world);
process.exit(failed ? 1 : 0);
