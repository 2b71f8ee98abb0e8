// What a page sends in one turn, which over HTTP leaves as one request of any size: all of it comes back, once and in
// order. The application may take its time for it, too.
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { TRANSPORTS, peersOf, unique } from './support.js';

// JSON escapes some of these characters. In UTF-8 they have one to four bytes, any of which may end a piece.
const ESCAPED = '\u00e9\u0001\u{1f600}"\u2028\\%+&\u6f22';

function numbered(count, text) {
  return Array.from({ length: count }, (_, n) => `${n} ${text(n)}`);
}

const TURNS = {
  '1,500 short messages': numbered(1500, () => 'short'),
  '40 messages of 40 KB': numbered(40, () => 'x'.repeat(40_000)),
  '5,000 messages of growing length': numbered(5000, (n) => '.'.repeat(n / 8)),
  '200 messages of characters that are escaped': numbered(200, (n) => `${'.'.repeat(n % 7)}${ESCAPED.repeat(300)}`),
  '6 messages of 100 KB, each of 600 KB in escapes': numbered(6, () => '\u0001'.repeat(100_000)),
};

// Expects what has been sent, and nothing behind it.
async function comesBack(peer, messages, what) {
  await peer.expect(messages, what);
  const fence = unique('fence');
  peer.send(fence);
  await peer.expect([fence], `fence after ${what}`);
}

for (const transport of TRANSPORTS) {
  for (const [what, messages] of Object.entries(TURNS)) {
    test(`${transport}: ${what} in one turn`, async (t) => {
      // The eventsource client waits 200 ms after each response.
      const peer = await peersOf(t).open('/long_echo', transport);
      peer.send(...messages);
      await comesBack(peer, messages, what);
    });
  }
}

// More than the ten seconds that the server allows by default for several other things.
test('a handler that begins to receive after eleven seconds', { concurrency: TRANSPORTS.length }, (t) =>
  Promise.all(
    TRANSPORTS.map((transport) =>
      t.test(transport, async (t) => {
        const peer = await peersOf(t).open('/late_echo', transport);
        const turns = [
          numbered(900, () => 'fills the queue'),
          numbered(900, () => 'waits for room'),
          TURNS['40 messages of 40 KB'],
        ];
        for (const messages of turns) {
          peer.send(...messages);
          // The next turn finds the request under way.
          await sleep(100);
        }
        await comesBack(peer, turns.flat(), 'what had to wait');
      }),
    ),
  ),
);
