// What the browser tests stand on: the server as a process, a cable that can be cut, Chromium, and a test runner.

import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { createServer, connect } from 'node:net';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { chromium } from 'playwright-core';

export { sleep };

const OUT = fileURLToPath(new URL('out/', import.meta.url));
rmSync(OUT, { recursive: true, force: true });
mkdirSync(OUT, { recursive: true });

export const shot = (page, name) => page.screenshot({ path: `${OUT}${name}.png`, animations: 'disabled' });

/**
 * Asks again and again until `probe` gives something true, or throws what it was waiting for: a text, or a function that
 * gives one at the end.
 */
export async function until(what, probe, within = 10_000, pause = 40) {
  const end = Date.now() + within;
  for (;;) {
    const value = await probe();
    if (value) return value;
    if (Date.now() > end) throw new Error(`waited ${within} ms in vain: ${typeof what === 'function' ? what() : what}`);
    await sleep(pause);
  }
}

export async function freePort() {
  const server = createServer();
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

/** The built example. */
export class Server {
  constructor(program, port, options = []) {
    this.program = program;
    this.options = options;
    this.port = port;
    this.url = `http://127.0.0.1:${port}/`;
    this.origin = `http://127.0.0.1:${port}`;
  }

  async start() {
    this.process = spawn(this.program, ['--listen', `127.0.0.1:${this.port}`, ...this.options], { stdio: ['ignore', 'ignore', 'inherit'] });
    this.ended = new Promise((done) => this.process.once('exit', (code, signal) => done({ code, signal })));
    await until('the server answers', () => fetch(`${this.url}favicon.ico`).then(() => true, () => false));
  }

  /**
   * Until it has had the time to notice what has happened to its connections: it has answered requests of later, one after the
   * other. On a machine that is busy no fixed time is enough for that.
   */
  async hasLooked() {
    for (let count = 0; count < 50; count += 1) await (await fetch(this.url)).text();
  }

  /** Without a word to anybody. */
  async kill() {
    this.process?.kill('SIGKILL');
    await this.ended;
  }

  async interrupt() {
    this.process.kill('SIGINT');
    const late = sleep(10_000, { code: 'still running' }, { ref: false });
    return Promise.race([this.ended, late]);
  }
}

/** A way to the server that can be cut, or deafened first: what the server says is then lost. */
export class Cable {
  constructor(port) {
    this.target = port;
    this.pairs = new Set();
    this.most = 0; // connections at once
    this.isDeaf = false;
    this.isOut = false;
  }

  async open() {
    this.listener = createServer((near) => {
      near.on('error', () => {});
      if (this.isOut) return near.destroy();
      const far = connect(this.target, '127.0.0.1');
      far.on('error', () => near.destroy());
      const pair = { near, far };
      this.pairs.add(pair);
      this.most = Math.max(this.most, this.pairs.size);
      near.on('data', (bytes) => far.write(bytes));
      far.on('data', (bytes) => { if (!this.isDeaf) near.write(bytes); });
      for (const [one, other] of [[near, far], [far, near]]) {
        one.on('close', () => { other.destroy(); this.pairs.delete(pair); });
      }
    });
    await new Promise((done) => this.listener.listen(0, '127.0.0.1', done));
    this.origin = `http://127.0.0.1:${this.listener.address().port}`;
    this.url = `${this.origin}/`;
  }

  deafen() {
    this.isDeaf = true;
  }

  /** Resets every connection; new ones get through at once unless the cable stays out. */
  cut({ stayOut = false } = {}) {
    this.isOut = stayOut;
    for (const { near, far } of this.pairs) {
      near.resetAndDestroy();
      far.resetAndDestroy();
    }
    this.isDeaf = false;
  }

  mend() {
    this.isOut = false;
  }

  close() {
    this.cut({ stayOut: true });
    this.listener?.close();
  }
}

export async function launch(more = []) {
  const candidates = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
  const executablePath = candidates.find((path) => path && existsSync(path));
  if (!executablePath) throw new Error('no Chromium found: name one in CHROMIUM');
  // Playwright gives every launch a user data directory of its own and removes it at the end.
  return chromium.launch({
    executablePath,
    args: [
      '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync', ...more,
    ],
  });
}

/** Runs the tests one after the other; gives the number that failed. */
export async function run(tests, setUp) {
  const failed = [];
  for (const [name, test, seconds = 60] of tests) {
    const world = await setUp();
    const began = Date.now();
    try {
      const late = sleep(seconds * 1000, 'late', { ref: false });
      if ((await Promise.race([test(world), late])) === 'late') throw new Error(`not done after ${seconds} s`);
      world.check();
      console.log(`ok      ${name} (${Date.now() - began} ms)`);
    } catch (error) {
      failed.push(name);
      console.log(`FAILED  ${name}\n${error.stack}`);
      await world.photograph(name.replace(/\W+/g, '-')).catch(() => {});
    } finally {
      await world.tearDown();
    }
  }
  console.log(`${tests.length - failed.length} passed, ${failed.length} failed`);
  return failed.length;
}
