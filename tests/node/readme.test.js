// The README's page that reconnects: its code, with a server that is stopped and started again.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import test from 'node:test';
import SockJS from 'sockjs-client';
import { Example } from './example.js';
import { PATIENCE_MS } from './support.js';

test('the README’s page comes back after a restart', async (t) => {
  const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8');
  const [, code] = /```js\n([^]*?)```/.exec(readme);
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
  const show = (line) => {
    shown.push(line);
    look();
  };
  let socket = null;
  // What a browser does with a path, and a random number that is always the greatest.
  class Page {
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
  new Function('SockJS', 'show', 'setTimeout', 'Math', code)(Page, show, wait, {
    min: Math.min,
    random: () => 1,
  });
  t.after(() => {
    clearTimeout(timer);
    socket.onclose = null;
    socket.close();
  });

  await until('connected');
  assert.equal(await first.stop(), '1 sessions closed, 0 lost with 0 messages, 0 handlers still running');
  await until('closed: 4001 restarting');
  // In vain, more than once.
  await until('closed: 1002 Cannot connect to server');
  await until('closed: 1002 Cannot connect to server');
  await Example.start('examples/shutdown', t, first.address);
  await until('connected');
  const tries = waits.length;
  assert.deepEqual(waits, Array.from({ length: tries }, (_, n) => 1.5 * Math.min(500 * 2 ** n, 30_000)));

  // A message says that the connection works: the next wait is short again.
  socket.send('hello');
  await until('hello');
  socket.close();
  await until('closed: 1000 Normal closure');
  assert.equal(waits[tries], 750);
});
