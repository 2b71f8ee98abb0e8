// The example `tabs`: users with several tabs, and the last lines for who comes later.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Example } from './example.js';
import { TRANSPORTS, peersOf } from './support.js';

const say = (peer, text) => peer.send(JSON.stringify({ type: 'say', text }));

// Opens tabs for one test. Each has a `room`, as it has heard of it.
function tabsOf(t, example) {
  const peers = peersOf(t);
  return async (name, transport) => {
    const rooms = [];
    const accept = (text) => {
      const { type, ...event } = JSON.parse(text);
      const room = rooms.at(-1);
      if (type === 'room') {
        rooms.push({ users: [], lines: [] });
      } else if (type === 'line') {
        room.lines.push(event);
      } else {
        const users = new Set([...room.users, ...event.here]);
        event.gone.forEach((name) => users.delete(name));
        rooms.push({ ...room, users: [...users].sort() });
      }
      return true;
    };
    const tab = await peers.open(example.url(`/room?name=${name}`), transport, { accept });
    return Object.defineProperty(tab, 'room', { get: () => rooms.at(-1) });
  };
}

// Waits until the room is so.
const until = (tab, what, wanted) => tab.find(what, () => wanted(tab.room));
const untilUsersAre = (tab, ...users) =>
  until(tab, `${users} to be there`, (room) => String(room.users) === String(users));

test('a user is there as long as one tab is', async (t) => {
  const example = await Example.start('examples/tabs', t);
  const open = tabsOf(t, example);
  const bob = await open('Bob', 'websocket');
  await untilUsersAre(bob, 'Bob');
  const tabs = [];
  for (const transport of TRANSPORTS) {
    const tab = await open('Ada', transport);
    tabs.push(tab);
    await untilUsersAre(tab, 'Ada', 'Bob');
  }
  say(tabs.at(-1), ' from one tab ');
  for (const peer of [bob, ...tabs]) {
    await until(peer, 'the line', ({ lines }) => lines.length === 1);
    // What is told together may come later than a line.
    await untilUsersAre(peer, 'Ada', 'Bob');
    assert.deepEqual(peer.room.lines, [{ from: 'Ada', text: 'from one tab' }], peer.label);
  }
  const changes = () => bob.received.filter((text) => JSON.parse(text).type === 'users').length;
  const before = changes();
  for (const tab of tabs) {
    assert.equal(String(bob.room.users), 'Ada,Bob');
    tab.hangUp();
  }
  await untilUsersAre(bob, 'Bob');
  assert.equal(changes(), before + 1);
});

test('who comes later is shown the last lines, whole and in order', async (t) => {
  const example = await Example.start('examples/tabs', t);
  const open = tabsOf(t, example);
  const ada = await open('Ada', 'websocket');
  // More than a tab may be behind.
  const texts = Array.from({ length: 1_000 }, (_, n) => `line ${n}`);
  texts.forEach((text) => say(ada, text));
  say(ada, ' ');
  ada.send('no JSON', JSON.stringify({ type: 'unknown' }));
  await until(ada, 'the last line', ({ lines }) => lines.at(-1)?.text === texts.at(-1));
  for (const transport of TRANSPORTS) {
    const late = await open('Bob', transport);
    await until(late, 'the last line', ({ lines }) => lines.at(-1)?.text === texts.at(-1));
    assert.deepEqual(late.room.lines, texts.slice(-50).map((text) => ({ from: 'Ada', text })), late.label);
  }
});

test('a tab without a name is told so', async (t) => {
  const example = await Example.start('examples/tabs', t);
  for (const query of ['', '?name=', '?name=%20', `?name=${'x'.repeat(31)}`]) {
    const peer = peersOf(t).make(example.url(`/room${query}`));
    assert.deepEqual(await peer.closed(), { code: 4400, reason: 'say who you are', wasClean: true }, query);
  }
});
