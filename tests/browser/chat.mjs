// Drives the chat page in headless Chromium as people would: several tabs, a keyboard, a phone, bad lines.
// usage: node chat.mjs [PROGRAM], the built example (default: ../../target/debug/examples/chat)

import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { launch, run, shot, sleep, until } from './harness.mjs';
import { transports } from './transports.mjs';
import { DESK, PHONE, Person, worldOf } from './world.mjs';

const program = process.argv[2] ?? fileURLToPath(new URL('../../target/debug/examples/chat', import.meta.url));
const browser = await launch();

const tests = [
  ['two tabs talk to each other', async (world) => {
    const context = await world.context();
    const ada = await (await world.open({ context })).join('Ada');
    const bob = await (await world.open({ context })).join('Bob');
    await ada.say('Hello, Bob');
    await bob.hears('Ada: Hello, Bob');
    await bob.say('Hello, Ada');
    await ada.hears('Bob: Hello, Ada');
    assert.deepEqual(await ada.said(), ['You: Hello, Bob', 'Bob: Hello, Ada']);
    assert.deepEqual(await bob.said(), ['Ada: Hello, Bob', 'You: Hello, Ada']);
    for (const time of await ada.page.locator('#messages .said time').all()) {
      assert.match(await time.textContent(), /^\d\d?:\d\d$/);
      const age = Date.now() - Date.parse(await time.getAttribute('datetime'));
      assert.ok(age > -2000 && age < 60_000, `a message is ${age} ms old`);
    }
    assert.equal(await ada.page.locator('#link-text').innerText(), 'Connected');
    assert.equal(await ada.page.locator('#link-more').innerText(), 'WebSocket');
    // Nothing is left behind as unsent.
    assert.equal(await ada.page.locator('#pending li').count(), 0);
  }],

  ['everyone sees who is here, who comes and who goes', async (world) => {
    const ada = await (await world.open()).join('Ada');
    assert.deepEqual(await ada.here(), ['Ada']);
    const bob = await (await world.open()).join('Bob');
    await ada.notices('Bob joined');
    await until('both are here', async () => (await ada.here()).length === 2);
    assert.deepEqual([await ada.here(), await bob.here()], [['Ada', 'Bob'], ['Bob', 'Ada']]);

    // A tab that is closed.
    await bob.page.close();
    await ada.notices('Bob left');
    assert.deepEqual(await ada.here(), ['Ada']);

    // The button, and coming back by the door.
    const eve = await (await world.open()).join('Eve');
    await ada.notices('Eve joined');
    await eve.page.click('#leave');
    await ada.notices('Eve left', 1000);
    assert.equal(await eve.page.locator('#entrance').isVisible(), true);
    await eve.join('Eve');
    assert.deepEqual((await eve.here()).sort(), ['Ada', 'Eve']);
  }],

  ['a latecomer reads what was said before', async (world) => {
    const ada = await (await world.open()).join('Ada');
    await ada.say('one');
    await ada.say('two');
    await ada.hears('You: two');
    const bob = await (await world.open()).join('Bob');
    await bob.hears('Ada: two');
    assert.deepEqual(await bob.said(), ['Ada: one', 'Ada: two']);
    assert.deepEqual(await bob.notes(), ['Today', 'Ada joined', 'You joined']);
  }],

  ['a name is taken once, and can be changed', async (world) => {
    const ada = await (await world.open()).join('Ada');
    const bob = await world.open();
    const enter = async (nick) => {
      await bob.page.fill('#nick', nick);
      await bob.page.press('#nick', 'Enter');
    };
    const fault = (text) => until(text, async () => (await bob.page.locator('#fault').textContent()) === text);
    await enter('   ');
    await fault('A name has at least one character.');
    await enter('x'.repeat(25));
    await fault('A name has at most 24 characters.');
    await enter('ADA');
    await fault('Somebody here is called ADA already.');
    await enter('B\u200bob');
    await fault('That name has characters that cannot be seen.');
    await enter('Bob');
    await bob.connected();
    await ada.notices('Bob joined');

    await bob.page.click('#rename');
    await enter('ada');
    await fault('Somebody here is called ada already.');
    await enter('Robert');
    await ada.notices('Bob is now Robert');
    await bob.notices('You are now Robert');
    await until('the dialog closes', () => bob.page.locator('#entrance').isHidden());
    await bob.say('still me');
    await ada.hears('Robert: still me');
    await until('the list follows', async () => (await ada.here()).includes('Robert'));
  }],

  ['markup is text', async (world) => {
    const markup = [
      '<b>bold</b>', '<img src=x onerror=alert(1)>', '<script>alert(2)</script>', '</li></ol><h1>out</h1>', '&lt;&amp;',
      '" onclick="alert(3)', 'javascript:alert(4)',
    ];
    const ada = await (await world.open()).join('<i>Ada</i>');
    const bob = await (await world.open()).join('<img src=//a.b>');
    for (const text of markup) await ada.say(text);
    await bob.hears(`<i>Ada</i>: ${markup.at(-1)}`);
    assert.deepEqual(await bob.said(), markup.map((text) => `<i>Ada</i>: ${text}`));
    await ada.say('line one\n\n\tline two  with   spaces');
    await bob.hears('<i>Ada</i>: line one\n\n\tline two  with   spaces');
    for (const { page } of [ada, bob]) {
      const inside = page.locator('#messages :is(img, script, i, h1), #people-list :is(img, script, i, h1)');
      assert.equal(await inside.count(), 0);
    }
    assert.equal((await bob.here()).includes('<i>Ada</i>'), true);
    await shot(bob.page, 'markup');
  }],

  ['the policy stops a script that is not the page\'s', async (world) => {
    const answer = await fetch(world.server.url);
    const policy = answer.headers.get('content-security-policy');
    assert.match(policy, /^default-src 'none';/);
    assert.doesNotMatch(policy, /unsafe|\*|https?:/);
    assert.equal(answer.headers.get('x-content-type-options'), 'nosniff');
    assert.match(answer.headers.get('content-type'), /^text\/html; *charset=utf-8$/i);
    const context = await world.context();
    const page = await context.newPage();
    await page.goto(world.server.url);
    const ran = await page.evaluate(() => {
      const script = document.createElement('script');
      script.textContent = 'window.ran = true';
      document.body.append(script);
      return window.ran === true;
    });
    assert.equal(ran, false);
  }],

  ['other paths and methods are answered as HTTP has it', async (world) => {
    const ask = async (path, options) => {
      const answer = await fetch(new URL(path, world.server.url), options);
      await answer.arrayBuffer();
      return answer;
    };
    assert.equal((await ask('/favicon.ico')).status, 204);
    assert.equal((await ask('/nowhere')).status, 404);
    assert.equal((await ask('/', { method: 'HEAD' })).status, 200);
    const refused = await ask('/', { method: 'POST', body: 'x' });
    assert.deepEqual([refused.status, refused.headers.get('allow')], [405, 'GET, HEAD']);
    const upgrade = await ask('/ws');
    assert.deepEqual([upgrade.status >= 400, upgrade.status < 500], [true, true]);
  }],

  ['a keyboard is enough', async (world) => {
    const ada = await (await world.open()).join('Ada');
    const { page } = await world.open();
    const bob = new Person(page);
    const focus = () => page.evaluate(() => document.activeElement.id);
    const type = (text) => page.keyboard.type(text);
    const press = (...keys) => keys.reduce((before, key) => before.then(() => page.keyboard.press(key)), Promise.resolve());

    // The dialog has the focus, keeps it, and does not go away without a name.
    assert.equal(await focus(), 'nick');
    await press('Escape', 'Escape');
    assert.equal(await page.locator('#entrance').isVisible(), true);
    await press('Tab');
    assert.equal(await focus(), 'join');
    await press('Shift+Tab');
    await type('Bob');
    await press('Enter');
    await bob.connected();
    await until('the focus is where one writes', async () => (await focus()) === 'text');

    await type('first line');
    await press('Shift+Enter');
    await type('second line');
    await press('Enter');
    await ada.hears('Bob: first line\nsecond line');
    assert.equal(await focus(), 'text');
    assert.equal(await page.inputValue('#text'), '');
    // Enter alone sends nothing.
    await press('Enter', 'Enter');

    // Around the page, and everything that has the focus shows it.
    await type('x');
    const order = [];
    for (let steps = 0; steps < 8; steps += 1) {
      await press('Tab');
      order.push(await focus());
      const shows = await page.evaluate(() => {
        const style = getComputedStyle(document.activeElement);
        return document.activeElement === document.body || style.outlineStyle !== 'none';
      });
      assert.ok(shows, `${order.at(-1)} does not show that it has the focus`);
    }
    assert.deepEqual(order.slice(0, 3), ['send', 'rename', 'leave']);
    assert.ok(order.includes('scroll') && order.includes('text'), order.join());

    // The conversation scrolls by keys.
    for (let count = 0; count < 7; count += 1) await ada.say(`${'long line\n'.repeat(9)}${count}`);
    await bob.hears(`Ada: ${'long line\n'.repeat(9)}6`);
    await page.focus('#scroll');
    await press('Home');
    await until('scrolled up', () => page.evaluate(() => document.querySelector('#scroll').scrollTop === 0));
    await until('a way down is offered', () => page.locator('#jump').isVisible());
    await ada.say('news');
    await until('news is announced', async () => (await page.locator('#jump').innerText()) === '1 new message');
    assert.equal(await page.evaluate(() => document.querySelector('#scroll').scrollTop), 0);
    await page.focus('#jump');
    await press('Enter');
    await until('down again', () => page.locator('#jump').isHidden());

    // Another name, thought better of, and done.
    await page.focus('#rename');
    await press('Enter');
    assert.equal(await focus(), 'nick');
    await press('Escape');
    await until('the dialog closes', () => page.locator('#entrance').isHidden());
    assert.equal(await focus(), 'rename');
    await press('Enter');
    await type('Robert');
    await press('Enter');
    await ada.notices('Bob is now Robert');
  }],

  ['a screen reader hears what matters', async (world) => {
    const ada = await (await world.open()).join('Ada');
    const { page } = ada;
    const bob = await (await world.open()).join('Bob');
    await bob.say('one');
    await bob.say('two');
    await ada.hears('Bob: two');
    const log = page.getByRole('log', { name: 'Messages' });
    assert.equal(await log.getAttribute('aria-live'), 'polite');
    assert.equal(await log.getAttribute('aria-busy'), 'false');
    // Also a message that stands under another of the same person says whose it is.
    assert.match(await log.locator('.said').last().innerText(), /^Bob/);
    assert.equal(await page.getByRole('status').textContent(), 'Connected');
    for (const [role, name] of [
      ['textbox', 'Message'], ['button', 'Send'], ['button', 'Change name'], ['button', 'Leave'], ['heading', 'Pushline chat'],
      ['complementary', 'People'], ['main', ''], ['banner', ''],
    ]) assert.equal(await page.getByRole(role, name ? { name, exact: true } : {}).count(), 1, `${role} ${name}`);
    assert.equal(await page.getAttribute('html', 'lang'), 'en');
    await page.getByRole('button', { name: 'Change name' }).click();
    assert.equal(await page.getByRole('dialog', { name: 'Change your name' }).count(), 1);
    assert.equal(await page.getByRole('textbox', { name: 'Your name' }).count(), 1);
    await page.fill('#nick', 'bob');
    await page.press('#nick', 'Enter');
    await until('the fault is told', async () => /called bob already/.test(await page.getByRole('alert').textContent()));
    assert.equal(await page.getAttribute('#nick', 'aria-invalid'), 'true');
  }],

  ['a page finds back to a server that was killed and started again', async (world) => {
    const ada = await (await world.open()).join('Ada');
    const bob = await (await world.open()).join('Bob');
    await ada.say('before');
    await bob.hears('Ada: before');
    await world.server.kill();
    await until('the cut is shown', async () => (await ada.state()) === 'waiting');
    await until('the cut is told', async () => (await ada.page.getByRole('status').textContent()) === 'Connection lost');
    await ada.say('while the server is down');
    assert.equal(await ada.page.locator('#pending .text').textContent(), 'while the server is down');
    await until('more than one try', async () => /next try in [234] s/.test(await ada.page.locator('#link').innerText()));
    await shot(ada.page, 'server-down');
    await world.server.start();
    await Promise.all([ada.connected(20_000), bob.connected(20_000)]);
    await bob.hears('Ada: while the server is down');
    await bob.say('and back');
    await ada.hears('Bob: and back');
    assert.deepEqual(await ada.said(), ['You: before', 'You: while the server is down', 'Bob: and back']);
    assert.deepEqual(await bob.said(), ['Ada: before', 'Ada: while the server is down', 'You: and back']);
    await ada.notices('The server started anew. Messages may be missing here.');
    await until('both are here', async () => (await ada.here()).length === 2);
    await shot(ada.page, 'server-back');
  }],

  ['after a cut a page gets what it missed, once, and nobody is told', async (world) => {
    const cable = await world.cable();
    const ada = await (await world.open()).join('Ada');
    const bob = await (await world.open({ url: cable.url })).join('Bob');
    await ada.say('message 0');
    await bob.hears('Ada: message 0');
    const expected = ['Ada: message 0'];
    for (let round = 1; round <= 4; round += 1) {
      cable.cut({ stayOut: true });
      await until('the cut is noticed', async () => (await bob.state()) !== 'live');
      await ada.say(`message ${round}`);
      await bob.say(`answer ${round}`);
      await ada.hears(`You: message ${round}`);
      cable.mend();
      await bob.connected(20_000); // it waits longer from cut to cut
      await ada.hears(`Bob: answer ${round}`);
      expected.push(`Ada: message ${round}`, `You: answer ${round}`);
    }
    await bob.hears('You: answer 4');
    assert.deepEqual(await bob.said(), expected);
    assert.deepEqual(await ada.said(), expected.map((line) => line.replace('You', 'Bob').replace('Ada', 'You')));
    assert.deepEqual(await ada.notes(), ['Today', 'You joined', 'Bob joined']);
    assert.deepEqual(await bob.notes(), ['Today', 'Ada joined', 'You joined']);
    // One who was reading is not taken elsewhere.
    await bob.page.focus('#scroll');
    cable.cut();
    await until('the cut is noticed', async () => (await bob.state()) !== 'live');
    await bob.connected(20_000); // it waits longer from cut to cut
    assert.equal(await bob.page.evaluate(() => document.activeElement.id), 'scroll');
  }],

  ['a message whose confirmation was lost is sent again and shown once', async (world) => {
    const cable = await world.cable();
    const ada = await (await world.open()).join('Ada');
    const bob = await (await world.open({ url: cable.url })).join('Bob');
    await ada.notices('Bob joined');
    for (let round = 1; round <= 3; round += 1) {
      cable.deafen();
      await bob.say(`number ${round}`);
      await ada.hears(`Bob: number ${round}`);
      assert.equal(await bob.page.locator('#pending li').count(), 1);
      cable.cut();
      await until('the cut is noticed', async () => (await bob.state()) !== 'live');
      await bob.connected();
      await until('confirmed', async () => (await bob.page.locator('#pending li').count()) === 0);
    }
    await ada.say('done');
    await bob.hears('Ada: done');
    assert.deepEqual(await bob.said(), ['You: number 1', 'You: number 2', 'You: number 3', 'Ada: done']);
    assert.deepEqual(await ada.said(), ['Bob: number 1', 'Bob: number 2', 'Bob: number 3', 'You: done']);
  }],

  ['a page loaded again is the same member', async (world) => {
    const ada = await (await world.open()).join('Ada');
    const bob = await (await world.open()).join('Bob');
    await bob.say('before');
    await ada.hears('Bob: before');
    await bob.page.reload();
    await bob.connected();
    await bob.hears('You: before');
    await bob.say('after');
    await ada.hears('Bob: after');
    await sleep(2500); // longer than the time in which a closed page may come back
    assert.deepEqual(await ada.notes(), ['Today', 'You joined', 'Bob joined']);
  }],

  ['a tab that was doubled hands the conversation over', async (world) => {
    const context = await world.context();
    const first = await (await world.open({ context })).join('Ada');
    const opened = context.waitForEvent('page');
    await first.page.evaluate(() => { window.open(location.href); }); // with a copy of the session, as doubling makes
    const second = world.watch(await opened, world.server.url);
    await second.connected();
    await until('the first says so', async () => (await first.page.locator('#link').innerText()).includes('Open in another tab'));
    await second.say('from the second');
    await second.hears('You: from the second');
    await first.page.click('text=Use it here');
    await first.connected();
    await first.hears('You: from the second');
    await until('the second gives way', async () => (await second.state()) === 'stopped');
    assert.deepEqual(await first.here(), ['Ada']);
  }],

  ['one who is too fast loses nothing', async (world) => {
    const ada = await (await world.open()).join('Ada');
    const bob = await (await world.open()).join('Bob');
    const texts = Array.from({ length: 14 }, (_, number) => `message ${number}`);
    for (const text of texts) await ada.say(text);
    await bob.hears('Ada: message 13', 20_000);
    assert.deepEqual(await bob.said(), texts.map((text) => `Ada: ${text}`));
  }],

  ['a message to one person is seen by the two', async (world) => {
    const ada = await (await world.open()).join('Ada');
    const bob = await (await world.open()).join('Bob B.');
    const eve = await (await world.open()).join('Eve');
    await ada.notices('Eve joined');
    await ada.page.click('#people-list li:has-text("Bob B.")');
    assert.equal(await ada.page.inputValue('#text'), '/to Bob B.: ');
    await ada.page.keyboard.type('psst');
    await ada.page.keyboard.press('Enter');
    await bob.hears('Ada: psst');
    assert.match(await bob.page.locator('#messages .said').innerText(), /Only you and Ada can see this/);
    await ada.hears('You: psst');
    assert.match(await ada.page.locator('#messages .said').innerText(), /Only Bob B. and you can see this/);
    await shot(ada.page, 'to-one');
    // One who is not here, or has just left: nobody else may hear it.
    await bob.say('/to Nobody: in confidence');
    await until('it is not sent', async () => /Not sent[^]*nobody here whose name is Nobody/.test(await bob.page.locator('#pending').innerText()));
    await bob.page.click('#pending button:has-text("Edit")');
    assert.equal(await bob.page.inputValue('#text'), '/to Nobody: in confidence');
    await bob.page.fill('#text', '');
    await bob.say('to all');
    await eve.hears('Bob B.: to all');
    assert.deepEqual(await eve.said(), ['Bob B.: to all']);
  }],

  ['a room has its own people and messages', async (world) => {
    const ada = await (await world.open({ path: '?room=one' })).join('Ada');
    const other = await (await world.open({ path: '?room=two' })).join('Ada');
    const bob = await (await world.open({ path: '?room=two&transport=sse' })).join('Bob');
    await other.notices('Bob joined');
    await bob.say('in two');
    await other.hears('Bob: in two');
    assert.deepEqual([await ada.here(), await ada.said()], [['Ada'], []]);
  }],

  ['a page that is not seen counts what comes', async (world) => {
    const ada = await (await world.open()).join('Ada');
    const bob = await (await world.open()).join('Bob');
    // As in a tab behind another: there are no frames to draw in.
    const hide = (hidden) => ada.page.evaluate((hidden) => {
      Object.defineProperty(document, 'hidden', { configurable: true, value: hidden });
      window.drawing ??= window.requestAnimationFrame;
      window.requestAnimationFrame = hidden ? () => 1 : window.drawing;
      document.dispatchEvent(new Event('visibilitychange'));
    }, hidden);
    await hide(true);
    await bob.say('one');
    await bob.say('two');
    await ada.hears('Bob: two');
    assert.equal(await ada.page.title(), '(2) Pushline chat');
    await hide(false);
    assert.equal(await ada.page.title(), 'Pushline chat');
    await bob.say('three');
    await ada.hears('Bob: three');
    assert.deepEqual(await ada.said(), ['Bob: one', 'Bob: two', 'Bob: three']);
    assert.equal(await ada.page.title(), 'Pushline chat');
  }],

  ['a message too long is not sent', async (world) => {
    const { page } = await (await world.open()).join('Ada');
    await page.fill('#text', 'é'.repeat(1990));
    assert.equal(await page.locator('#left').textContent(), '10 left');
    await page.fill('#text', 'é'.repeat(2001));
    assert.equal(await page.locator('#left').textContent(), '-1 left');
    assert.equal(await page.locator('#send').isDisabled(), true);
    await page.fill('#text', 'é'.repeat(2000));
    await page.press('#text', 'Enter');
    await until('it arrives', async () => (await page.locator('#messages .text').allTextContents())[0]?.length === 2000);
  }],

  ['it fits a phone', async (world) => {
    const ada = await (await world.open()).join('Ada Lovelace');
    const context = await world.context(PHONE);
    const page = await context.newPage();
    await page.goto(world.server.url);
    await shot(page, 'phone-door');
    const bob = await new Person(page).join('Bob');
    await ada.say('Are you on the train?');
    await bob.say('Yes. It fits a small window, too.');
    await ada.say('averyveryverylongwordwithoutanyspaces'.repeat(4));
    await bob.hears(`Ada Lovelace: ${'averyveryverylongwordwithoutanyspaces'.repeat(4)}`);
    await ada.say('And what it says stays in the window:\nshort lines,\nlong lines that go on and on until they have to be wrapped.');
    await until('all of it', async () => (await bob.said()).length === 4);
    const fits = async () => {
      const size = await page.evaluate(() => ({
        wide: document.documentElement.scrollWidth, high: document.documentElement.scrollHeight,
        out: [...document.querySelectorAll('body *')].filter((element) => {
          const box = element.getBoundingClientRect();
          return element.checkVisibility({ visibilityProperty: true }) && box.width > 1 && (box.right > 361 || box.left < -1);
        }).map((element) => `${element.tagName}#${element.id}.${element.className}`),
      }));
      assert.deepEqual(size, { wide: 360, high: 640, out: [] });
    };
    await fits();
    // Fingers are wider than arrows.
    for (const id of ['#text', '#send', '#people-open']) {
      const box = await page.locator(id).boundingBox();
      assert.ok(box.height >= 40 && box.width >= 40, `${id} is ${box.width} by ${box.height}`);
      assert.ok(box.y + box.height <= 640, `${id} is below the window`);
    }
    await shot(page, 'phone');
    assert.equal(await page.locator('#people-list').isVisible(), false);
    await page.tap('#people-open');
    await until('the people come', () => page.locator('#people-list').isVisible());
    assert.deepEqual(await bob.here(), ['Bob', 'Ada Lovelace']);
    assert.equal(await page.evaluate(() => document.activeElement.id), 'people-close');
    await sleep(300);
    await fits();
    await shot(page, 'phone-people');
    await page.keyboard.press('Escape');
    await until('the people go', () => page.locator('#people-list').isHidden());
    assert.equal(await page.evaluate(() => document.activeElement.id), 'people-open');
    await page.fill('#text', 'several\nlines\nmake\nthe\nfield\ngrow\nup\nto\na\nlimit');
    await fits();
    await page.tap('#send');
    await ada.hears('Bob: several\nlines\nmake\nthe\nfield\ngrow\nup\nto\na\nlimit');
  }],

  ['it fits a phone on its side', async (world) => {
    const { page } = await world.open({ viewport: { width: 640, height: 320 } });
    const isIn = async (id) => {
      const box = await page.locator(id).boundingBox();
      assert.ok(box.y >= 0 && box.y + box.height <= 320, `${id}: ${JSON.stringify(box)}`);
    };
    for (const id of ['#entrance-title', '#nick', '#join']) await isIn(id);
    const ada = await new Person(page).join('Ada');
    await ada.say('sideways');
    await ada.hears('You: sideways');
    await until('both fit', async () => { await isIn('#send'); await isIn('#messages .said'); return true; });
    await shot(page, 'phone-sideways');
  }],

  ['a transport can be pinned', async (world) => {
    const ada = await (await world.open({ path: '?transport=ws' })).join('Ada');
    assert.match(await ada.page.locator('#link').innerText(), /WebSocket$/);
    const { page } = await world.open({ path: '?transport=pigeon' });
    assert.match(await page.locator('#link').innerText(), /no transport “pigeon”/);
  }],

  ['Ctrl-C says goodbye to every connection and ends', async (world) => {
    const ada = await (await world.open()).join('Ada');
    const closed = ada.page.evaluate(() => new Promise((done) => {
      const socket = new WebSocket(`ws://${location.host}/ws`);
      const nick = 'Eve';
      socket.onopen = () => socket.send(JSON.stringify({ type: 'hello', session: 'e'.repeat(22), nick, cursor: null }));
      socket.onclose = ({ code, wasClean }) => done({ code, wasClean });
    }));
    await ada.notices('Eve joined');
    const ended = await world.server.interrupt();
    assert.deepEqual(ended, { code: 0, signal: null });
    assert.deepEqual(await closed, { code: 1001, wasClean: true });
    // The page does not take it for the end: it waits for the server to come back.
    await until('waiting', async () => (await ada.state()) === 'waiting');
    await world.server.start();
    await ada.connected(20_000);
  }],

  ['it looks good', async (world) => {
    const ada = await (await world.open({ colorScheme: 'light' })).join('Ada Lovelace');
    const bob = await (await world.open({ colorScheme: 'dark' })).join('Grace');
    const eve = await (await world.open(PHONE)).join('Linus');
    await ada.say('Morning everyone. The new build is up.');
    await ada.say('It streams to all three of my tabs at once.');
    await bob.say('Nice! What does one message cost now?');
    await eve.say('One frame. Encoded once, queued by reference.');
    await bob.hears('Linus: One frame. Encoded once, queued by reference.');
    await bob.say('And if somebody reads too slowly?');
    await ada.hears('Grace: And if somebody reads too slowly?');
    await ada.say('Then they are dropped when 256 events wait for them, and come back with a cursor. Nobody waits for them, and they get exactly what they missed: no loss, no duplicates.');
    await eve.say('Good. I am on a train, so that will be me.');
    await until('all of it', async () => (await Promise.all([ada, bob, eve].map((one) => one.said()))).every((said) => said.length === 7));
    await shot(ada.page, 'desktop-light');
    await shot(bob.page, 'desktop-dark');
    await shot(eve.page, 'phone-light');
    // Text has enough contrast with what is behind it (WCAG AA: 4.5 to 1), in both schemes.
    for (const { page } of [ada, bob]) {
      const faint = await page.evaluate(() => {
        const canvas = Object.assign(document.createElement('canvas'), { width: 1, height: 1 }).getContext('2d', { willReadFrequently: true });
        const paint = (colors) => {
          canvas.clearRect(0, 0, 1, 1);
          for (const color of colors) { canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); }
          const [red, green, blue] = canvas.getImageData(0, 0, 1, 1).data;
          const linear = (value) => (value <= 10.31475 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
          return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
        };
        const results = [];
        for (const element of document.querySelectorAll('.text, .who, time, .note span, .face, .name, .you, h1, h2, .link-text, button, .hint span')) {
          if (!element.checkVisibility() || element.disabled || !element.textContent.trim() || element.classList.contains('unseen')) continue;
          const backgrounds = [];
          for (let behind = element; behind; behind = behind.parentElement) backgrounds.unshift(getComputedStyle(behind).backgroundColor);
          const style = getComputedStyle(element);
          const below = paint(backgrounds);
          canvas.globalAlpha = 1;
          const color = style.color.replace(/^rgb\((.*)\)$/, (_, parts) => `rgba(${parts}, ${style.opacity})`);
          const text = paint([...backgrounds, color]);
          const contrast = (Math.max(text, below) + 0.05) / (Math.min(text, below) + 0.05);
          if (contrast < 4.5) results.push(`${element.className || element.tagName} ${element.textContent.slice(0, 20)}: ${contrast.toFixed(2)}`);
        }
        return results;
      });
      assert.deepEqual(faint, []);
    }
  }],
];

const only = process.env.ONLY;
const chosen = [...tests, ...transports].filter(([name]) => !only || name.includes(only));
const failed = await run(chosen, worldOf(browser, program));
await browser.close();
process.exitCode = failed ? 1 : 0;
