// Every transport of the chat page: all in one room with bad lines, from another origin, and each as the fallback.

import assert from 'node:assert/strict';
import { freePort, shot, sleep, until } from './harness.mjs';

const LABELS = {
  ws: 'WebSocket', sse: 'Server-Sent Events', 'xhr-streaming': 'XHR streaming', 'long-polling': 'Long polling',
  polling: 'Polling', jsonp: 'JSONP', iframe: 'iframe streaming',
};
const NAMES = Object.keys(LABELS);
const MESSAGES = 200;
const CUTS = 10;
// Seven pages that are all seen at once, as no user has them: what moves on them would take the time of the rest.
const SMALL = { viewport: { width: 480, height: 420 }, reducedMotion: 'reduce' };

const uses = (person, name) => until(`uses ${name}`, async () =>
  (await person.state()) === 'live' && (await person.page.locator('#link-more').innerText()) === LABELS[name], 30_000);

/** Keeps the texts of messages in the order in which the page shows them. */
const record = ({ page }) => page.evaluate(() => {
  window.heard = [];
  new MutationObserver((changes) => {
    for (const { addedNodes } of changes) {
      for (const node of addedNodes) if (node.matches('.said')) window.heard.push(node.querySelector('.text').textContent);
    }
  }).observe(document.querySelector('#messages'), { childList: true });
});

/** What a page lacks, repeats or shows in another order than it was said in. */
function faultsOf(name, order, speakers) {
  const numbers = Array.from({ length: MESSAGES }, (_, number) => number);
  const known = new Set(speakers.flatMap((speaker) => numbers.map((number) => `${speaker} ${number}`)));
  const faults = order.filter((text) => !known.has(text)).map((text) => `${name} shows ${text}, which nobody said`);
  for (const speaker of speakers) {
    const said = order.filter((text) => text.startsWith(`${speaker} `)).map((text) => Number(text.slice(speaker.length + 1)));
    const lacking = numbers.filter((number) => !said.includes(number));
    const repeated = said.filter((number, at) => said.indexOf(number) !== at);
    const early = said.filter((number, at) => at > 0 && number < said[at - 1] && !repeated.includes(number));
    if (lacking.length) faults.push(`${name} lacks ${speaker} ${lacking.join()}`);
    if (repeated.length) faults.push(`${name} repeats ${speaker} ${repeated.join()}`);
    if (early.length) faults.push(`${name} shows too late ${speaker} ${early.join()}`);
  }
  return faults;
}

/** One page a transport, each on a cable of its own; all talk at once while every cable is cut again and again. */
async function talk(people) {
  for (const { person } of people) await record(person);
  const all = people.length * MESSAGES;
  const hears = async (name, { page }, share, when) => {
    let count = 0;
    const isHeard = async () => (count = await page.evaluate(() => window.heard.length)) >= share;
    await until(() => `${name} hears ${share} messages ${when}; it has ${count}`, isHeard, 90_000, 250);
  };
  await Promise.all(people.map(async ({ name, person, cable }) => {
    const { page } = person;
    await page.evaluate(({ name, count }) => {
      let number = 0;
      const timer = setInterval(() => {
        while (number < count && conversation.outbox.length < 3) conversation.say(`${name} ${number++}`);
        if (number === count) clearInterval(timer);
      }, 5);
    }, { name, count: MESSAGES });
    for (let cut = 1; cut <= CUTS; cut += 1) {
      const share = Math.floor((all * cut) / (CUTS + 2));
      await hears(name, person, share, `before cut ${cut}`);
      cable.cut();
      // As when the network is back: what waits for its next try need not wait longer.
      await sleep(100);
      await page.evaluate(() => dispatchEvent(new Event('online')));
    }
    await hears(name, person, all, 'in all');
  }));
  await sleep(1_500); // what came twice would come now
  const orders = await Promise.all(people.map(({ person }) => person.page.evaluate(() => window.heard)));
  const faults = people.flatMap(({ name }, index) => faultsOf(name, orders[index], people.map((one) => one.name)));
  assert.deepEqual(faults, []);
  for (const [index, order] of orders.entries()) {
    const at = order.findIndex((text, place) => text !== orders[0][place]);
    assert.equal(at, -1, `${people[index].name} shows ${order[at]} where ${people[0].name} shows ${orders[0][at]}`);
  }
  for (const { name, person } of people) {
    assert.equal(await person.page.locator('#pending li').count(), 0, `${name} has something unsent`);
    await uses(person, name); // and has not taken to another transport
  }
}

export const transports = [
  ['one page a transport, one room, bad lines: each message once, in order', async (world) => {
    const server = await world.serve(['--interval', '2']);
    const people = [];
    for (const name of NAMES) {
      const cable = await world.cable(server.port);
      const person = await world.open({ url: cable.url, path: `?transport=${name}`, ...SMALL });
      await person.join(LABELS[name]);
      await uses(person, name);
      people.push({ name, person, cable });
    }
    await talk(people);
    for (const { name, person } of people) await shot(person.page, `transport-${name}`);
  }, 240],

  ['the same from another origin', async (world) => {
    const port = await freePort();
    const server = await world.serve(['--interval', '2', '--allow-origin', `http://127.0.0.1:${port}`]);
    const cables = [];
    for (const _ of NAMES) cables.push(await world.cable(server.port));
    const pages = await world.serve(cables.flatMap(({ origin }) => ['--backend', origin]), port);
    const people = [];
    for (const [index, name] of NAMES.entries()) {
      const cable = cables[index];
      const person = await world.open({
        ...SMALL, url: pages.url, path: `?transport=${name}&server=${encodeURIComponent(cable.origin)}`, also: [cable.url, cable.url.replace('http', 'ws')],
      });
      await person.join(LABELS[name]);
      await uses(person, name);
      people.push({ name, person, cable });
    }
    await talk(people);
    await shot(people.at(-1).person.page, 'transport-cross-origin');
  }, 240],
  ['no page takes more than two connections to the host', async (world) => {
    const port = await freePort();
    const server = await world.serve(['--interval', '2', '--allow-origin', `http://127.0.0.1:${port}`]);
    const cables = [];
    for (const _ of NAMES) cables.push(await world.cable(server.port));
    const pages = await world.serve(cables.flatMap(({ origin }) => ['--backend', origin]), port);
    await Promise.all(NAMES.map(async (name, index) => {
      const { url, origin } = cables[index];
      const path = `?transport=${name}&server=${encodeURIComponent(origin)}`;
      const person = await (await world.open({ ...SMALL, url: pages.url, path, also: [url, url.replace('http', 'ws')] })).join(LABELS[name]);
      for (let number = 0; number < 8; number += 1) await person.say(`${name} ${number}`);
      await person.hears(`You: ${name} 7`, 30_000);
    }));
    assert.deepEqual(cables.map(({ most }) => most <= 2), cables.map(() => true), cables.map(({ most }) => most).join());
  }],

  ['a page of an origin that is not allowed gets nowhere', async (world) => {
    world.tolerate(/CORS policy|frame-ancestors|refused to connect|Framing/);
    const pages = await world.serve(['--backend', world.server.origin]);
    await Promise.all(NAMES.filter((name) => name !== 'jsonp').map(async (name) => {
      const person = await world.open({
        url: pages.url, path: `?transport=${name}&server=${encodeURIComponent(world.server.origin)}`, also: [world.server.url],
      });
      await person.page.fill('#nick', name);
      await person.page.press('#nick', 'Enter');
      await until(`${name} is refused`, async () => (await person.state()) === 'waiting', 20_000);
    }));
  }],

  ['each transport is found when the better ones are blocked', async (world) => {
    world.tolerate(/jsonp\?.* violates/); // without JSONP, the policy has no scripts
    await Promise.all(NAMES.map(async (name, index) => {
      const blocked = NAMES.slice(0, index);
      const server = await world.serve(blocked.length ? ['--disable', blocked.join()] : []);
      const ada = await (await world.open({ url: server.url })).join('Ada');
      await uses(ada, name);
      const bob = await (await world.open({ url: server.url })).join('Bob');
      await ada.notices('Bob joined');
      await ada.say('<b>Hello</b> </script>');
      await bob.hears('Ada: <b>Hello</b> </script>');
      await bob.say('🌿\u2028"\\');
      await ada.hears('Bob: 🌿\u2028"\\');
      // The longest, of characters that take the most room in a URL.
      await bob.say('🌿'.repeat(2000));
      await ada.hears(`Bob: ${'🌿'.repeat(2000)}`);
      assert.match(await bob.page.locator('#link').innerText(), new RegExp(LABELS[name]));
      if (name === 'iframe') await shot(bob.page, 'fallback-iframe');
    }));
  }, 90],

  ['who vanishes is released on every transport', async (world) => {
    const ada = await (await world.open()).join('Ada');
    // Who polls is held for longer than a test may take, as a browser runs the timers of a page that nobody looks at once
    // a minute; examples/chat/tests.rs has a test of it on a clock of its own.
    const others = NAMES.filter((name) => name !== 'polling');
    for (const name of others) {
      const cable = await world.cable();
      const person = await (await world.open({ url: cable.url, path: `?transport=${name}` })).join(LABELS[name]);
      await uses(person, name);
      cable.cut({ stayOut: true });
    }
    await Promise.all(others.map((name) => ada.notices(`${LABELS[name]} left`, 40_000)));
    await until('Ada is alone', async () => (await ada.here()).length === 1);
  }, 60],

  ['the policy of a server without the old transports is the strictest', async (world) => {
    const server = await world.serve(['--disable', 'jsonp,iframe']);
    const policyOf = async (url) => (await fetch(url)).headers.get('content-security-policy');
    assert.match(await policyOf(server.url), /script-src 'sha256-[^ ]+';.* connect-src 'self'; base-uri/);
    assert.doesNotMatch(await policyOf(server.url), /frame-src/);
    assert.match(await policyOf(world.server.url), /script-src 'sha256-[^ ]+' 'self';.* frame-src 'self';/);
  }],
];
