// Chromium opens the page of the example `wss`, and its WebSocket, over TLS.
// usage: node wss.mjs [PROGRAM], the built example

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { freePort, launch, shot, until } from './harness.mjs';

const program = process.argv[2] ?? fileURLToPath(new URL('../../target/debug/examples/wss', import.meta.url));
const port = await freePort();
const server = spawn(program, ['--listen', `127.0.0.1:${port}`], { stdio: ['ignore', 'pipe', 'inherit'] });
try {
  await new Promise((ready) => server.stdout.once('data', ready));
  const browser = await launch(['--ignore-certificate-errors']);
  const page = await (await browser.newContext({ ignoreHTTPSErrors: true })).newPage();
  const sockets = [];
  page.on('websocket', (socket) => sockets.push(socket.url()));
  await page.goto(`https://localhost:${port}/`);
  const protocol = await page.evaluate(() => performance.getEntriesByType('navigation')[0].nextHopProtocol);
  assert.equal(protocol, 'http/1.1');
  const lines = () => page.locator('#log li').allTextContents();
  await until('an echo and a close', async () => (await lines()).length === 2);
  assert.deepEqual(await lines(), ['hello over TLS', 'closed: 1000']);
  assert.deepEqual(sockets, [`wss://localhost:${port}/ws`]);
  await shot(page, 'wss');
  await browser.close();
  console.log('ok      a page and its WebSocket over TLS');
} finally {
  server.kill('SIGKILL');
}
