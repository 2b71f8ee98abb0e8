// What the client is told to send in one turn leaves as one request over HTTP, however large.
import { TestServer } from '../browser/servers.js';
import { Started, step } from '../browser/support.js';
import { underNode } from './bench.js';
import { PROGRAMS, ReverseProxy } from './proxies.js';

const TRANSPORTS = ['websocket', 'xhr-streaming', 'xhr-polling'];
const OPENING_MS = 2_000;

const TURNS = {
  '40 messages of 40 KB': Array.from({ length: 40 }, (_, n) => `${n} ${'.'.repeat(40_000)}`),
  '1,500 short messages': Array.from({ length: 1_500 }, (_, n) => `message ${n}`),
};

async function turn(program, transport) {
  const started = new Started();
  try {
    const server = started.add(await TestServer.start());
    const front = started.add(await ReverseProxy.start({ program, file: 'recommended' }, [server]));
    const bench = started.add(await underNode());
    await bench.call('start', 'turn', `${front.url}/echo`, { transports: [transport], timeout: OPENING_MS });
    const { code, reason } = await step('open', () => bench.call('opening', 'turn'));
    if (code !== undefined) {
      throw new Error(`closed with ${code} "${reason}" instead of opening`);
    }
    for (const [what, messages] of Object.entries(TURNS)) {
      await step(what, () => bench.call('echo', 'turn', messages, what));
      await step(what, () => bench.call('fence', 'turn'));
    }
    return { what: `${Object.keys(TURNS).join(', ')}: all of them, in order` };
  } finally {
    await started.end();
  }
}

export function turnTests() {
  return Object.keys(PROGRAMS).flatMap((program) =>
    TRANSPORTS.map((transport) => ({
      label: `${program} recommended, one turn, ${transport}`,
      judge: () => turn(program, transport),
      describe: ({ what }) => what,
    })),
  );
}
