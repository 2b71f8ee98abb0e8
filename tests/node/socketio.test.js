// The example `socketio`: Socket.IO and SockJS in one app, whose clients hear each other.
import assert from 'node:assert/strict';
import test from 'node:test';
import { io } from 'socket.io-client';
import { Example } from './example.js';
import { PATIENCE_MS, TRANSPORTS, peersOf, unique } from './support.js';

// A client of Socket.IO that is connected; its `lines` come one at a time.
async function socketioClient(example, transport, t) {
  const socket = io(example.url('/'), { transports: [transport], forceNew: true, reconnection: false });
  t.after(() => socket.disconnect());
  const came = (event) =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no ${event} by ${transport}`)), PATIENCE_MS);
      socket.once(event, (value) => {
        clearTimeout(timer);
        resolve(value);
      });
      socket.once('connect_error', reject);
    });
  await came('connect');
  return { say: (text) => socket.emit('chat', text), line: () => came('chat') };
}

test('clients of Socket.IO and of SockJS hear each other', async (t) => {
  const example = await Example.start('example-socketio', t);
  const page = await (await fetch(example.url('/'))).text();
  assert.match(page, /new SockJS\("\/sockjs"\)/);

  for (const theirs of ['websocket', 'polling']) {
    const socketio = await socketioClient(example, theirs, t);
    for (const ours of TRANSPORTS) {
      const sockjs = await peersOf(t).open(example.url('/sockjs'), ours);
      const fromSocketio = unique(`from ${theirs} to ${ours}`);
      const fromSockjs = unique(`from ${ours} to ${theirs}`);
      for (const [say, line] of [
        [() => socketio.say(fromSocketio), `Socket.IO: ${fromSocketio}`],
        [() => sockjs.send(fromSockjs), `SockJS: ${fromSockjs}`],
      ]) {
        const heard = socketio.line();
        say();
        assert.deepEqual([await heard, await sockjs.next('the line')], [line, line]);
      }
      sockjs.hangUp();
    }
  }
});
