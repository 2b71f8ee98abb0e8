// The page of sockjs-gateway's example `gateway_demo`, which is built before: see README.md.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Example } from '../node/example.js';
import { BROWSERS, launch, quit } from './browsers.js';
import { openPage } from './pages.js';
import { PATIENCE_MS, Started } from './support.js';

const PORT = /open http:\/\/([^/\s]+)/;

class Demo extends Example {
  static async start(t) {
    const demo = new Demo();
    const args = ['127.0.0.1:0', '--gateway', '127.0.0.1:0'];
    [, demo.address] = await demo.run('examples/gateway_demo', t, args, PORT);
    return demo;
  }
}

async function open(driver, url, t) {
  const started = new Started();
  t.after(() => started.end());
  return openPage({ driver }, url, started);
}

// Waits until a function of the page's gives something, and gives that.
async function until(page, awaited, look, ...args) {
  try {
    const handle = await page.waitForFunction(look, { timeout: PATIENCE_MS, polling: 50 }, ...args);
    return await handle.jsonValue();
  } catch (error) {
    const text = await page.evaluate(() => document.body.innerText);
    throw new Error(`${awaited}: ${error.message}; the page shows: ${text}`);
  }
}

const status = (page, start) => until(page, `the status ${start}`, (text) => {
  const shown = document.getElementById('status').textContent;
  return shown.startsWith(text) && shown;
}, start);

// The backend that has the session.
const home = (page) => until(page, 'the backend with the session', () => document.querySelector('.backend.home')?.dataset.backend);

// A line of one of the two lists, without its time.
const line = (page, list, text) => until(page, `"${text}" in ${list}`, (id, wanted) => {
  const lines = [...document.querySelectorAll(`#${id} li`)].map((one) => one.textContent);
  return lines.find((one) => one.includes(wanted));
}, list, text);

const talk = (page, text) => until(page, `"${text}" in the chat`, (wanted) => {
  const lines = [...document.querySelectorAll('#talk > div')].map((one) => one.textContent);
  return lines.find((one) => one.includes(wanted));
}, text);

const report = (page, text) => until(page, `the report ${text}`, (wanted) => {
  return document.getElementById('report').textContent.includes(wanted);
}, text);

const badge = (page, backend, text) => until(page, `${backend} is ${text}`, (name, wanted) => {
  return document.querySelector(`.backend[data-backend=${name}] .badge`)?.textContent === wanted;
}, backend, text);

const click = (page, selector) => page.evaluate((where) => document.querySelector(where).click(), selector);
const press = (page, backend, action) => click(page, `.backend[data-backend=${backend}] [data-action=${action}]`);

function choose(page, backend, temper) {
  return page.evaluate((name, value) => {
    const select = document.querySelector(`.backend[data-backend=${name}] select`);
    select.value = value;
    select.dispatchEvent(new Event('change', { bubbles: true }));
  }, backend, temper);
}

function say(page, text) {
  return page.evaluate((words) => {
    document.getElementById('words').value = words;
    document.getElementById('say').requestSubmit();
  }, text);
}

for (const kind of Object.keys(BROWSERS)) {
  describe(kind, () => {
    let driver;
    before(async () => {
      driver = await launch(kind);
    });
    after(() => quit(driver));

    test('the page shows both sides of the gateway, and what becomes of its session', async (t) => {
      const demo = await Demo.start(t);
      const page = await open(driver, demo.url('/?name=Ada&transport=xhr-streaming'), t);
      assert.match(await status(page, 'Connected'), /^Connected over xhr-streaming; backend [ab] has the session$/);
      const first = await home(page);
      const other = first === 'a' ? 'b' : 'a';

      // Each list has both directions.
      await say(page, 'hello there');
      await talk(page, `${first}Ada: hello there`);
      await line(page, 'browser-wire', 'xhr_send: messages["{\\"type\\":\\"say\\"');
      await line(page, 'browser-wire', 'xhr_streaming: messagesa["{\\"type\\":\\"said\\"');
      await line(page, 'backend-wire', `${first}message{"type":"say","text":"hello there"}`);
      await line(page, 'backend-wire', `${first}message{"type":"said"`);
      const handshake = await line(page, 'backend-wire', `${first}handshake`);
      assert.match(handshake, /x-forwarded-for: 127\.0\.0\.1/);
      assert.match(handshake, /origin: http:\/\/127\.0\.0\.1:\d+/);
      await line(page, 'backend-wire', 'message{"type":"tick","count":1}');

      // A close frame of the backend's reaches the page as it is.
      await click(page, '#close');
      await talk(page, 'Closed: 4001 enough');
      await until(page, 'a session at the other backend', (name) => {
        return document.querySelector('.backend.home')?.dataset.backend === name;
      }, other);

      // A backend that is killed ends its session, and the next one is at the other backend.
      await press(page, other, 'kill');
      await badge(page, other, 'killed');
      await talk(page, 'Closed: 1011');
      await until(page, 'a session at the backend that lives', (name) => {
        return document.querySelector('.backend.home')?.dataset.backend === name;
      }, first);
      await press(page, other, 'start');
      await badge(page, other, 'running');

      // A reload drains one: its session stays.
      await press(page, first, 'drain');
      await report(page, 'reloaded: routes changed: /chat');
      await badge(page, first, 'draining');
      assert.equal(await page.evaluate(() => document.querySelector('#config .changed').textContent.includes('drain = true')), true);
      await say(page, 'still here');
      await talk(page, `${first}Ada: still here`);

      // What the other one answers is what the client gets.
      for (const [temper, code] of [['unauthorized', 401], ['forbidden', 403]]) {
        await choose(page, other, temper);
        await click(page, '#connect');
        await until(page, 'the end of the session', () => document.getElementById('name').disabled === false);
        await click(page, '#connect');
        await line(page, 'browser-wire', `xhr_streaming answered ${code}`);
        await line(page, 'backend-wire', `${other}refused: ${code}`);
        await talk(page, `Did not open: 2000 All transports failed (xhr_streaming answered ${code})`);
      }

      // A slow one takes longer than the gateway waits.
      await choose(page, other, 'slow');
      await line(page, 'browser-wire', 'xhr_streaming answered 504');
      await choose(page, other, 'accepts');
      await status(page, 'Connected');
      assert.equal(await home(page), other);
      assert.deepEqual(page.errors, []);
      await demo.stop();
    });

    for (const transport of ['websocket', 'eventsource', 'iframe-eventsource', 'xhr-polling', 'jsonp-polling']) {
      test(`it shows what passes over ${transport}`, async (t) => {
        const demo = await Demo.start(t);
        const page = await open(driver, demo.url(`/?name=Ada&transport=${transport}`), t);
        await status(page, `Connected over ${transport}`);
        await say(page, 'hello there');
        await talk(page, 'Ada: hello there');
        await line(page, 'browser-wire', 'said');
        await line(page, 'backend-wire', 'message{"type":"say","text":"hello there"}');
        assert.deepEqual(page.errors, []);
        await demo.stop();
      });
    }
  });
}
