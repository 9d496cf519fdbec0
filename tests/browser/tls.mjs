// The chat over TLS: its page, its WebSocket and its event stream over one HTTP/2 connection, and a WebSocket over HTTP/1.1
// for a client that speaks no other.
// usage: node tls.mjs [PROGRAM], the built example `chat`

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { connect } from 'node:tls';
import { freePort, launch, shot, until } from './harness.mjs';
import { Person } from './world.mjs';

const program = process.argv[2] ?? fileURLToPath(new URL('../../target/debug/examples/chat', import.meta.url));
const port = await freePort();
const server = spawn(program, ['--tls', '--listen', `127.0.0.1:${port}`], { stdio: ['ignore', 'pipe', 'inherit'] });

/** What a WebSocket over HTTP/1.1 and TLS hears behind its hello, until that holds this text. */
function old(text) {
  const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] });
  socket.write(`GET /ws HTTP/1.1\r\nHost: localhost:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n`
    + `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`);
  const hello = Buffer.from(JSON.stringify({ type: 'hello', session: randomBytes(16).toString('hex'), nick: 'Cy' }));
  assert.ok(hello.length < 126);
  // RFC 6455 5.3: masked, if only with zeros.
  socket.once('data', () => socket.write(Buffer.concat([Buffer.from([0x81, 0x80 | hello.length, 0, 0, 0, 0]), hello])));
  let heard = '';
  socket.on('data', (bytes) => { heard += bytes.toString('latin1'); });
  socket.on('error', () => {});
  return until(`${text} over HTTP/1.1`, () => heard.includes(text) && heard).finally(() => socket.destroy());
}

try {
  await new Promise((ready) => server.stdout.once('data', ready));
  const browser = await launch(['--ignore-certificate-errors']);
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  const sockets = [];
  const open = async (nick, transport) => {
    const page = await context.newPage();
    page.on('websocket', (socket) => sockets.push(socket.url()));
    await page.goto(`https://localhost:${port}/?transport=${transport}`);
    assert.equal(await page.evaluate(() => performance.getEntriesByType('navigation')[0].nextHopProtocol), 'h2');
    return new Person(page).join(nick);
  };
  const [ada, bob] = [await open('Ada', 'ws'), await open('Bob', 'sse')];
  await ada.say('by wss');
  await bob.hears('Ada: by wss');
  await bob.say('by events');
  await ada.hears('Bob: by events');
  assert.deepEqual(sockets, [`wss://localhost:${port}/ws`]);
  const heard = await old('by events');
  assert.ok(heard.startsWith('HTTP/1.1 101 ') && heard.includes('by wss'), heard);
  await ada.notices('Cy joined');
  await shot(bob.page, 'tls');
  await browser.close();
  console.log('ok      the chat over TLS: HTTP/2, and a WebSocket over HTTP/1.1');
} finally {
  server.kill('SIGKILL');
}
