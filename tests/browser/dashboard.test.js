// The pages of axum-stomp's example `dashboard`, which is built before, as its page is: see README.md.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Example } from '../node/example.js';
import { BROWSERS, launch, quit } from './browsers.js';
import { openPage } from './pages.js';
import { PATIENCE_MS, Started } from './support.js';

const TOPICS = ['cpu', 'memory', 'sessions', 'messages'].map((name) => `/monitoring/${name}`);

async function open(driver, url, t) {
  const started = new Started();
  t.after(() => started.end());
  return openPage({ driver }, url, started);
}

// Waits until a function of the page's gives something, and gives that.
async function until(page, awaited, look, ...args) {
  try {
    const handle = await page.waitForFunction(look, { timeout: PATIENCE_MS, polling: 100 }, ...args);
    return await handle.jsonValue();
  } catch (error) {
    const text = await page.evaluate(() => document.body.innerText);
    throw new Error(`${awaited}: ${error.message}; the page shows: ${text}`);
  }
}

function state(page, wanted) {
  return until(page, `the state ${wanted}`, (text) => {
    const shown = document.querySelector('[role=status]').textContent;
    return shown.startsWith(text) && shown;
  }, wanted);
}

function click(page, name) {
  return page.evaluate((text) => {
    [...document.querySelectorAll('button')].find(({ textContent }) => textContent === text).click();
  }, name);
}

// How many points the first line of each chart has, if none has fewer than `least` says.
function points(least) {
  const count = (figure) => [...figure.querySelectorAll('path.line-0')]
    .reduce((sum, path) => sum + path.getAttribute('d').match(/[ML]/g).length, 0);
  const counts = [...document.querySelectorAll('figure')].map(count);
  return counts.every((points, index) => points >= (least[index] ?? 0)) && counts;
}

// Waits until each line has that many points more than now.
async function growth(page, more) {
  const now = await page.evaluate(points, []);
  await until(page, `${more} values more in each chart`, points, now.map((count) => count + more));
}

for (const kind of Object.keys(BROWSERS)) {
  describe(kind, () => {
    let driver;
    before(async () => {
      driver = await launch(kind);
    });
    after(() => quit(driver));

    test('the dashboard shows what comes, also after a restart of the server', async (t) => {
      const example = await Example.start('examples/dashboard', t);
      const page = await open(driver, example.url('/'), t);
      assert.equal(await state(page, 'Connected'), 'Connected over websocket');
      await growth(page, 3);
      const values = await page.evaluate(() => [...document.querySelectorAll('dd')].map((dd) => dd.textContent));
      assert.equal(values.length, 8);
      values.forEach((value) => assert.match(value, /^\d{1,3}(,\d{3})*(\.\d\d?)?( (%|\/s|[KMGT]iB))?$/));
      // Of this page alone: one session, and four subscriptions.
      assert.deepEqual(values.slice(4, 6), ['1', '4']);
      const label = await page.evaluate(() => document.querySelector('figure svg[role=img]').getAttribute('aria-label'));
      assert.match(label, /^Two minutes\. .*: \d.* %, between \d.* % and \d.* %$/);

      await page.evaluate(() => document.querySelector('summary').click());
      await until(page, 'a table', () => document.querySelectorAll('tbody tr').length >= 3);

      await example.stop();
      await state(page, 'Connection lost');
      const next = await Example.start('examples/dashboard', t, example.address);
      await state(page, 'Connected over');
      await growth(page, 2);

      await click(page, 'Disconnect');
      await state(page, 'Disconnected');
      await click(page, 'Connect');
      await state(page, 'Connected over');
      await growth(page, 1);
      assert.deepEqual(page.errors, []);
      await next.stop();
    });

    test('a page of a Spring application works as it is', async (t) => {
      const example = await Example.start('examples/dashboard', t);
      const page = await open(driver, example.url('/spring/'), t);
      await click(page, 'Connect');
      await state(page, 'Connected');
      for (const topic of TOPICS) {
        const body = await until(page, `three messages of ${topic}`, (id) => {
          const [, count, text] = document.getElementById(id).cells;
          return Number(count.textContent) >= 3 && text.textContent;
        }, topic);
        assert.ok(JSON.parse(body).at > 0, body);
      }
      await click(page, 'Disconnect');
      await state(page, 'Disconnected');
      assert.deepEqual(page.errors, []);
      await example.stop();
    });
  });
}
