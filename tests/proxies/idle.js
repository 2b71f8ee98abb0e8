// A session in which nobody says anything, behind a proxy whose time-outs are below the heartbeat.
import { TestServer } from '../browser/servers.js';
import { Started, same, step } from '../browser/support.js';
import { inBrowser } from './bench.js';
import { TRANSPORTS } from './configurations.js';
import { PROGRAMS, ReverseProxy } from './proxies.js';

// The time-outs are two seconds.
const SILENCE_MS = 6_000;

// How the cut shows. An EventSource that reports an error as reconnecting makes the client ask again, and the
// server answers 1002; one that reports itself closed makes it give up with 1006. Firefox does either for a
// response cut short, from run to run.
const CUT = { eventsource: [1002, 1006] };
const DEFAULT_CUT = [1006];

async function idle(program, browser, transport) {
  const started = new Started();
  try {
    const server = started.add(await TestServer.start());
    const front = started.add(await ReverseProxy.start({ program, file: 'short-timeouts' }, [server]));
    const page = await inBrowser(browser, front, started);
    await page.call('start', 'idle', `${front.url}/echo`, { transports: [transport], timeout: SILENCE_MS });
    const opening = await step('open', () => page.call('opening', 'idle'));
    same(opening.transport, transport, 'the transport');
    const closure = await page.call('closingWithin', 'idle', SILENCE_MS);
    if (closure !== null) {
      const codes = CUT[transport] ?? DEFAULT_CUT;
      same(codes.includes(closure.code), true, `one of ${codes} is the code ${closure.code}`);
      return { what: `closed with ${codes.join(' or ')}` };
    }
    await step('after the silence', () => page.call('fence', 'idle'));
    return { what: 'goes on' };
  } finally {
    await started.end();
  }
}

export function idleTests(browsers) {
  return Object.keys(PROGRAMS).flatMap((program) =>
    browsers.flatMap((browser) =>
      TRANSPORTS.map((transport) => ({
        label: `${program} short-timeouts, ${browser.kind} ${transport}`,
        judge: () => idle(program, browser, transport),
        describe: ({ what }) => what,
      })),
    ),
  );
}
