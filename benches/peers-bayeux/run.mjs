// A publish to many subscribers of one channel: the servers' CPU and memory, pushline's example beside npm's faye, turn by
// turn in one run. usage: node run.mjs PROGRAM [SUBSCRIBERS [MESSAGES [ROUNDS]]]
// PROGRAM is the built example: cargo build --release --example cometd

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import WebSocket from 'ws';

const [program, subscribers = '1000', messages = '200', rounds = '3'] = process.argv.slice(2);
const [SUBSCRIBERS, MESSAGES, ROUNDS] = [subscribers, messages, rounds].map(Number);
const TICK = 10; // milliseconds a clock tick of /proc
const TEXT = { text: 'x'.repeat(100) };

async function freePort() {
  const server = createServer();
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

/** Milliseconds of user and system time. */
const cpu = (pid) => {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK;
};
const memory = (pid) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);

/** A client by hand: as little as there can be on this side. */
async function client(url, onEvent) {
  const socket = new WebSocket(url, { perMessageDeflate: false });
  await new Promise((done, failed) => socket.once('open', done).once('error', failed));
  let waiting = new Map();
  let id = 0;
  const send = (message) => {
    message.id = `${++id}`;
    const reply = new Promise((done) => waiting.set(message.id, done));
    socket.send(JSON.stringify([message]));
    return reply;
  };
  let clientId;
  const connect = (advice) => send({ channel: '/meta/connect', clientId, connectionType: 'websocket', advice });
  socket.on('message', (data) => {
    for (const message of JSON.parse(data)) {
      if (message.data !== undefined) { onEvent?.(message); continue; }
      waiting.get(message.id)?.(message);
      waiting.delete(message.id);
      if (message.channel === '/meta/connect' && message.successful) connect();
    }
  });
  const shaken = await send({ channel: '/meta/handshake', version: '1.0', supportedConnectionTypes: ['websocket'] });
  clientId = shaken.clientId;
  await connect({ timeout: 0 });
  return { send, socket, clientId };
}

async function measure(name, command, args, port) {
  const server = spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  const url = `ws://127.0.0.1:${port}/cometd`;
  for (let tries = 0; tries < 100; tries++) {
    await sleep(50);
    if (await fetch(url.replace('ws', 'http')).then(() => true, () => false)) break;
  }
  const empty = memory(server.pid);
  let heard = 0;
  const clients = [];
  while (clients.length < SUBSCRIBERS) {
    const some = Math.min(50, SUBSCRIBERS - clients.length);
    const made = Array.from({ length: some }, async () => {
      const one = await client(url, () => { heard += 1; });
      await one.send({ channel: '/meta/subscribe', clientId: one.clientId, subscription: '/chat' });
      return one;
    });
    clients.push(...await Promise.all(made));
  }
  await sleep(500);
  const perSession = (memory(server.pid) - empty) / SUBSCRIBERS;
  const publisher = await client(url);
  const before = cpu(server.pid);
  const began = Date.now();
  for (let number = 1; number <= MESSAGES; number++) {
    await publisher.send({ channel: '/chat', clientId: publisher.clientId, data: TEXT });
    while (heard < number * SUBSCRIBERS) await sleep(1);
  }
  const spent = cpu(server.pid) - before;
  const took = Date.now() - began;
  for (const { socket } of [...clients, publisher]) socket.terminate();
  const ended = new Promise((done) => server.once('exit', done));
  server.kill('SIGKILL');
  await ended;
  const micros = (spent * 1000) / (MESSAGES * SUBSCRIBERS);
  console.log(`${name.padEnd(9)} ${micros.toFixed(2)} us of CPU a delivery, ${perSession.toFixed(1)} KiB a session, ${took} ms in all`);
  return { micros, perSession };
}

const faye = fileURLToPath(new URL('faye-server.mjs', import.meta.url));
const results = { pushline: [], faye: [] };
for (let round = 0; round < ROUNDS; round++) {
  for (const name of ['pushline', 'faye']) {
    const port = await freePort();
    const [command, args] = name === 'faye' ? [process.execPath, [faye, `${port}`]] : [program, ['--listen', `127.0.0.1:${port}`]];
    results[name].push(await measure(name, command, args, port));
  }
}
const median = (name) => results[name].map(({ micros }) => micros).sort((a, b) => a - b)[ROUNDS >> 1];
const ratio = median('faye') / median('pushline');
console.log(`${SUBSCRIBERS} subscribers: faye takes ${ratio.toFixed(1)} times the CPU`);
process.exit(ratio >= 5 ? 0 : 1);
