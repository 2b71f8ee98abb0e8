// The README's page with the lines that reconnect, and a server that is stopped and started again.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import test from 'node:test';
import SockJS from 'sockjs-client';
import { Example } from './example.js';
import { PATIENCE_MS } from './support.js';

// The page's script, in which the lines that reconnect take the place of those that the README names.
async function script() {
  const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8');
  const [, page] = /<script>\n([^]*?)<\/script>/.exec(readme);
  const [, reconnecting] = /```js\n([^]*?)```/.exec(readme);
  const replaced = /^ *const socket = [^]*^ *socket\.onclose = .*\n/m;
  assert.match(page, replaced);
  return page.replace(replaced, () => reconnecting);
}

test('the README’s page comes back after a restart', async (t) => {
  const first = await Example.start('examples/shutdown', t);

  const shown = [];
  const waits = [];
  let look = () => {};
  const until = (line) =>
    new Promise((resolve, reject) => {
      const limit = setTimeout(() => reject(new Error(`no "${line}" in ${shown}`)), PATIENCE_MS);
      look = () => {
        if (shown.includes(line)) {
          clearTimeout(limit);
          resolve(shown.splice(0));
        }
      };
      look();
    });
  const elements = {
    form: {},
    input: { value: '' },
    pre: {
      append(line) {
        shown.push(line);
        look();
      },
    },
  };
  const document = { querySelector: (name) => elements[name] };
  let socket = null;
  // What a browser does with a path, and a random number that is always the greatest.
  class Page {
    static OPEN = SockJS.OPEN;

    constructor(path) {
      socket = new SockJS(first.url(path));
      return socket;
    }
  }
  let timer = null;
  const wait = (retry, delay) => {
    waits.push(delay);
    // Ten times as fast as the page.
    timer = setTimeout(retry, delay / 10);
  };
  new Function('SockJS', 'document', 'setTimeout', 'Math', await script())(Page, document, wait, {
    min: Math.min,
    random: () => 1,
  });
  t.after(() => {
    clearTimeout(timer);
    socket.onclose = null;
    socket.close();
  });
  const say = (line) => {
    elements.input.value = line;
    assert.equal(elements.form.onsubmit(), false, 'the page stays');
  };

  say('too early');
  assert.equal(elements.input.value, 'too early');
  await until('connected');
  assert.equal(await first.stop(), '1 sessions closed, 0 lost with 0 messages, 0 handlers still running');
  await until('closed: 4001 restarting');
  // In vain, more than once.
  await until('closed: 1002 Cannot connect to server');
  say('hello');
  assert.equal(elements.input.value, 'hello', 'the line is not lost');
  await until('closed: 1002 Cannot connect to server');
  await Example.start('examples/shutdown', t, first.address);
  await until('connected');
  const tries = waits.length;
  assert.deepEqual(waits, Array.from({ length: tries }, (_, n) => 1.5 * Math.min(500 * 2 ** n, 30_000)));

  // A message says that the connection works: the next wait is short again.
  elements.form.onsubmit();
  assert.equal(elements.input.value, '');
  await until('hello');
  socket.close();
  await until('closed: 1000 Normal closure');
  assert.equal(waits[tries], 750);
});
