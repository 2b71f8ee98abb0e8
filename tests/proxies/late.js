// A handler that begins to receive after eleven seconds: what its client sends meanwhile waits, and so does the proxy.
import { TestServer } from '../browser/servers.js';
import { PATIENCE_MS, Started, same, step } from '../browser/support.js';
import { underNode } from './bench.js';
import { PROGRAMS, ReverseProxy } from './proxies.js';

const TRANSPORTS = ['websocket', 'xhr-streaming', 'xhr-polling'];
const OPENING_MS = 2_000;

// One that fills the server's queue, one that waits for room in it, and one of which the server takes a part.
const TURNS = [
  Array.from({ length: 900 }, (_, n) => `first ${n}`),
  Array.from({ length: 900 }, (_, n) => `second ${n}`),
  Array.from({ length: 40 }, (_, n) => `third ${n} ${'.'.repeat(40_000)}`),
];

async function withProxy(program, file, run) {
  const started = new Started();
  try {
    const server = started.add(await TestServer.start());
    const front = started.add(await ReverseProxy.start({ program, file }, [server]));
    return await run(server, front, started);
  } finally {
    await started.end();
  }
}

function late(program, transport) {
  return withProxy(program, 'recommended', async (_, front, started) => {
    const bench = started.add(await underNode());
    await bench.call('start', 'late', `${front.url}/late_echo`, { transports: [transport], timeout: OPENING_MS });
    await step('open', () => bench.call('opening', 'late'));
    for (const messages of TURNS) {
      await bench.call('send', 'late', ...messages);
    }
    await step('all', () => bench.call('expect', 'late', TURNS.flat(), 'what had to wait'));
    await step('all', () => bench.call('fence', 'late'));
    return { what: 'all that was sent meanwhile, in order' };
  });
}

// Only the request that sends goes through the proxy: what receives would be cut for its silence.
function tooLate(program) {
  return withProxy(program, 'short-timeouts', async (server, front) => {
    const post = (url, action, messages) => {
      const body = messages && JSON.stringify(messages);
      const signal = AbortSignal.timeout(PATIENCE_MS);
      return fetch(`${url}/late_echo/000/late/${action}`, { method: 'POST', body, signal });
    };
    const receiving = await post(server.url, 'xhr_streaming');
    try {
      same((await post(front.url, 'xhr_send', TURNS[0])).status, 204, 'the first answer');
      same((await post(front.url, 'xhr_send', TURNS[1])).status, 504, 'the answer when it is too late');
    } finally {
      await receiving.body.cancel();
    }
    return { what: '504' };
  });
}

export function lateTests() {
  return Object.keys(PROGRAMS).flatMap((program) => [
    ...TRANSPORTS.map((transport) => ({
      label: `${program} recommended, a late handler, ${transport}`,
      judge: () => late(program, transport),
      describe: ({ what }) => what,
    })),
    {
      label: `${program} short-timeouts, a late handler`,
      judge: () => tooLate(program),
      describe: ({ what }) => what,
    },
  ]);
}
