// A publish to many subscribers of one channel: the servers' CPU and memory, pushline's example beside npm's faye, turn by
// turn in one run. usage: node run.mjs PROGRAM [SUBSCRIBERS [MESSAGES [ROUNDS]]]
// PROGRAM is the built example: cargo build --release --example cometd

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
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

/** Milliseconds of user and of system time. */
const cpu = (pid) => {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return [Number(fields[11]) * TICK, Number(fields[12]) * TICK];
};
const memory = (pid) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);

/** A client by hand: as little as there can be on this side. */
async function client(url, transport, onEvent) {
  const waiting = new Map();
  let id = 0;
  let clientId;
  const receive = (messages) => {
    for (const message of messages) {
      if (message.data !== undefined) { onEvent?.(message); continue; }
      waiting.get(message.id)?.(message);
      waiting.delete(message.id);
      if (message.channel === '/meta/connect' && message.successful) connect();
    }
  };
  let post;
  let end;
  if (transport === 'websocket') {
    const socket = new WebSocket(url.replace('http', 'ws'), { perMessageDeflate: false });
    await new Promise((done, failed) => socket.once('open', done).once('error', failed));
    socket.on('message', (data) => receive(JSON.parse(data)));
    post = (text) => socket.send(text);
    end = () => socket.terminate();
  } else {
    const agent = new Agent({ keepAlive: true, maxSockets: 2 });
    post = (text) => {
      const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) };
      request(url, { agent, method: 'POST', headers }, async (response) => {
        let body = '';
        for await (const piece of response) body += piece;
        receive(JSON.parse(body));
      }).on('error', () => {}).end(text);
    };
    end = () => agent.destroy();
  }
  const sendAll = (messages) => {
    const replies = messages.map((message) => {
      message.id = `${++id}`;
      return new Promise((done) => waiting.set(message.id, done));
    });
    post(JSON.stringify(messages));
    return Promise.all(replies);
  };
  const send = async (message) => (await sendAll([message]))[0];
  const connect = (advice) => send({ channel: '/meta/connect', clientId, connectionType: transport, advice });
  const shaken = await send({ channel: '/meta/handshake', version: '1.0', supportedConnectionTypes: [transport] });
  clientId = shaken.clientId;
  await connect({ timeout: 0 });
  return { send, sendAll, end, clientId };
}

async function measure(name, command, args, port, { transport, batch }) {
  const server = spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  const url = `http://127.0.0.1:${port}/cometd`;
  for (let tries = 0; tries < 100; tries++) {
    await sleep(50);
    if (await fetch(url).then(() => true, () => false)) break;
  }
  const empty = memory(server.pid);
  let heard = 0;
  const clients = [];
  while (clients.length < SUBSCRIBERS) {
    const some = Math.min(50, SUBSCRIBERS - clients.length);
    const made = Array.from({ length: some }, async () => {
      const one = await client(url, transport, () => { heard += 1; });
      await one.send({ channel: '/meta/subscribe', clientId: one.clientId, subscription: '/chat' });
      return one;
    });
    clients.push(...await Promise.all(made));
  }
  await sleep(500);
  const perSession = (memory(server.pid) - empty) / SUBSCRIBERS;
  const publisher = await client(url, 'websocket');
  const before = cpu(server.pid);
  const began = Date.now();
  for (let number = batch; number <= MESSAGES; number += batch) {
    const message = () => ({ channel: '/chat', clientId: publisher.clientId, data: TEXT });
    await publisher.sendAll(Array.from({ length: batch }, message));
    while (heard < number * SUBSCRIBERS) await sleep(1);
  }
  const [user, system] = cpu(server.pid).map((time, at) => ((time - before[at]) * 1000) / (MESSAGES * SUBSCRIBERS));
  const took = Date.now() - began;
  for (const { end } of [...clients, publisher]) end();
  const ended = new Promise((done) => server.once('exit', done));
  server.kill('SIGKILL');
  await ended;
  const micros = user + system;
  console.log(`${name.padEnd(9)} ${micros.toFixed(2)} us of CPU a delivery (${user.toFixed(2)} user, ${system.toFixed(2)} system), ${perSession.toFixed(1)} KiB a session, ${took} ms in all`);
  return { micros, perSession };
}

const faye = fileURLToPath(new URL('faye-server.mjs', import.meta.url));
const MODES = [


  { transport: 'long-polling', batch: 1 },

];
for (const mode of MODES) {
  console.log(`-- ${mode.transport}, ${mode.batch} a publish, ${SUBSCRIBERS} subscribers`);
  const results = { pushline: [], faye: [] };
  for (let round = 0; round < ROUNDS; round++) {
    for (const name of ['pushline']) {
      const port = await freePort();
      const [command, args] = name === 'faye' ? [process.execPath, [faye, `${port}`]] : [program, ['--listen', `127.0.0.1:${port}`]];
      results[name].push(await measure(name, command, args, port, mode));
    }
  }
  const median = (name) => results[name].map(({ micros }) => micros).sort((a, b) => a - b)[ROUNDS >> 1];
  console.log(`faye takes ${(median('faye') / median('pushline')).toFixed(1)} times the CPU`);
}
process.exit(0);
