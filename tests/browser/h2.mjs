// Chromium opens its WebSockets over HTTP/2 with TLS (RFC 8441): several on one connection, seen in its network log.
// usage: node h2.mjs [PROGRAM], the built example `hyper_echo`

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort, launch, shot, until } from './harness.mjs';

const program = process.argv[2] ?? fileURLToPath(new URL('../../target/debug/examples/hyper_echo', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'pushline-h2-'));
const logFile = join(folder, 'net.json');
const port = await freePort();
const server = spawn(program, ['--tls', '--listen', `127.0.0.1:${port}`], { stdio: ['ignore', 'pipe', 'inherit'] });
try {
  await new Promise((ready) => server.stdout.once('data', ready));
  const browser = await launch(['--ignore-certificate-errors', `--log-net-log=${logFile}`, '--net-log-capture-mode=Everything']);
  const page = await (await browser.newContext({ ignoreHTTPSErrors: true })).newPage();
  await page.goto(`https://localhost:${port}/`);
  const protocol = await page.evaluate(() => performance.getEntriesByType('navigation')[0].nextHopProtocol);
  assert.equal(protocol, 'h2');
  const lines = () => page.locator('#log li').allTextContents();
  await until('three echoes and three closes', async () => (await lines()).length === 6);
  assert.deepEqual((await lines()).sort(), [1, 2, 3].map((number) => `hello from socket ${number}`)
    .concat([1, 2, 3].map((number) => `socket ${number} closed: 1000`)));
  await shot(page, 'h2');
  await browser.close();

  // The log is written out when the browser ends.
  const { constants, events } = JSON.parse(readFileSync(logFile, 'utf8'));
  const name = Object.fromEntries(Object.entries(constants.logEventTypes).map(([key, value]) => [value, key]));
  const headers = (type) => events.filter((event) => name[event.type] === type && event.params?.headers);
  const asked = headers('HTTP2_SESSION_SEND_HEADERS').filter((event) => event.params.headers.includes(':protocol: websocket'));
  assert.equal(asked.length, 3, 'three extended CONNECTs');
  for (const event of asked) assert.ok(event.params.headers.includes(':method: CONNECT'));
  const sessions = new Set(asked.map((event) => event.source.id));
  assert.equal(sessions.size, 1, 'on one connection');
  for (const { params: { stream_id: stream }, source } of asked) {
    const answers = headers('HTTP2_SESSION_RECV_HEADERS').filter((event) => event.source.id === source.id && event.params.stream_id === stream);
    assert.equal(answers.length, 1);
    assert.ok(answers[0].params.headers.includes(':status: 200'), `stream ${stream}: ${answers[0].params.headers}`);
    console.log(`stream ${stream} of one connection, protocol ${protocol}: :protocol: websocket -> :status: 200`);
  }
  console.log('ok      three WebSockets over one HTTP/2 connection');
} finally {
  server.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
}
