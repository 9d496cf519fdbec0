// Node's ws and Chromium as peers: `peer.mjs client|chromium URL VARIANT EXPECTED` or `peer.mjs server VARIANT EXPECTED`.
// VARIANT is what ws offers or wishes (Chromium has no choice); EXPECTED is what must have been agreed. A server prints its
// port, echoes one connection and ends. Over TLS a client trusts the certificate in the file (DER) that CA names, and a server
// has that of CERT and KEY (PEM).

import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createSecure } from 'node:https';
import { WebSocket, WebSocketServer } from 'ws';

const LENGTHS = [0, 1, 125, 126, 4096, 70 * 1024];

const WISHES = {
  default: {},
  nct: { serverNoContextTakeover: true, clientNoContextTakeover: true },
  9: { serverMaxWindowBits: 9, clientMaxWindowBits: 9 },
  15: { serverMaxWindowBits: 15, clientMaxWindowBits: 15 },
};

/** Whether the Sec-WebSocket-Extensions value of the answer is what is expected. */
function check(value, expected) {
  const parameters = new Map((value ?? '').split(';').map((part) => part.trim().split('=')));
  const flags = ['server', 'client'].map((side) => parameters.has(`${side}_no_context_takeover`));
  const bits = ['server', 'client'].map((side) => Number(parameters.get(`${side}_max_window_bits`) ?? 15));
  const all = (n) => bits.every((value) => value === n);
  const agreed = { default: !flags.includes(true) && all(15), nct: !flags.includes(false), 9: all(9), 15: all(15) };
  if (expected === 'none' && !value) return;
  if (!parameters.has('permessage-deflate') || !agreed[expected]) throw new Error(`agreed on ${value}`);
}

/** Sends messages and compares what comes back; runs in a page, too. Resolves with what was agreed. */
function talk(socket, lengths) {
  socket.binaryType = 'arraybuffer';
  const messages = [...lengths, ...lengths].flatMap((length) => [
    'a\u00e9\u20ac\u{1f600} and so on; '.repeat(length / 8 + 1).slice(0, length).replace(/[\ud800-\udbff]$/, ''),
    Uint8Array.from({ length }, (_, n) => (Math.imul(n, 2654435761) >>> 24) & 0x9f),
  ]);
  return new Promise((done, failed) => {
    let next = 0;
    const send = () => (next < messages.length ? socket.send(messages[next]) : socket.close(1000));
    socket.onopen = send;
    socket.onmessage = ({ data }) => {
      const sent = messages[next];
      const same =
        typeof sent === 'string'
          ? data === sent
          : data.byteLength === sent.length && new Uint8Array(data).every((byte, n) => byte === sent[n]);
      if (!same) failed(new Error(`message ${next} came back as another`));
      next += 1;
      send();
    };
    socket.onerror = () => failed(new Error('the connection failed'));
    socket.onclose = ({ code }) =>
      code === 1000 && next === messages.length ? done(socket.extensions) : failed(new Error(`closed with ${code}`));
  });
}

const modes = {
  async client(url, variant, expected) {
    const pem = (der) => `-----BEGIN CERTIFICATE-----\n${der.toString('base64')}\n-----END CERTIFICATE-----\n`;
    const ca = process.env.CA && pem(readFileSync(process.env.CA));
    const socket = new WebSocket(url, { ca, perMessageDeflate: { threshold: 0, clientMaxWindowBits: true, ...WISHES[variant] } });
    let value;
    socket.on('upgrade', (response) => (value = response.headers['sec-websocket-extensions']));
    await talk(socket, LENGTHS);
    check(value, expected);
  },

  async chromium(url, _variant, expected) {
    const { chromium } = await import('playwright-core');
    const page = createServer((_, response) => response.setHeader('Content-Type', 'text/html').end('<title>echo</title>'));
    await new Promise((done) => page.listen(0, '127.0.0.1', done));
    const browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: ['--no-sandbox'],
    });
    try {
      const tab = await browser.newPage();
      await tab.goto(`http://127.0.0.1:${page.address().port}/`);
      const body = `(${talk})(new WebSocket(${JSON.stringify(url)}), ${JSON.stringify(LENGTHS)})`;
      check(await tab.evaluate(body), expected);
    } finally {
      await browser.close();
      page.close();
      page.closeAllConnections();
    }
  },

  async server(variant, expected) {
    const perMessageDeflate = { threshold: 0, ...WISHES[variant] };
    const { CERT, KEY } = process.env;
    const secure = CERT && createSecure({ cert: readFileSync(CERT), key: readFileSync(KEY) }).listen(0, '127.0.0.1');
    const where = secure ? { server: secure } : { host: '127.0.0.1', port: 0 };
    const server = new WebSocketServer({ ...where, perMessageDeflate });
    let value;
    server.on('headers', (headers) => {
      value = headers.find((line) => line.startsWith('Sec-WebSocket-Extensions: '))?.split(': ')[1];
    });
    server.on('listening', () => console.log(server.address().port));
    const socket = await new Promise((done) => server.on('connection', done));
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
    const code = await new Promise((done) => socket.on('close', done));
    server.close();
    secure?.close();
    check(value, expected);
    if (code !== 1000) throw new Error(`closed with ${code}`);
  },
};

const [mode, ...rest] = process.argv.slice(2);
await modes[mode](...rest);
