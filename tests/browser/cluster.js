// Each transport in each browser through nginx, which sends each request to the next of three nodes: see README.md.
import { BROWSERS, launch, quit } from './browsers.js';
import { ORIGINS, TRANSPORTS } from './cells.js';
import { call, closePage, inTurn, openPage } from './pages.js';
import { CLIENT, PAGE, startPages } from './servers.js';
import { PATIENCE_MS, Started, same, step, within } from './support.js';
import { possibilities, title } from './table.js';
import { OPENING_MS, Visit } from './visit.js';
import { until } from '../cluster/processes.js';
import { startCluster } from '../cluster/scene.js';

// No test is allowed more.
const LONGEST_MS = 120_000;

// How a page says who it is, from where, and whom the nodes are to take it for. A cookie does not come along from
// another site. One way has as many messages as the clients under Node: who it is changes nothing of a transport.
const WAYS = [
  { name: 'token', origins: ORIGINS, query: '?token=for-robots', user: 'R2', messages: 1000 },
  { name: 'cookie', origins: ['same-origin'], query: '', cookie: 'login=for-people; path=/', user: 'Ada', messages: 100 },
];

let passed = 0;
let failed = 0;

async function judge({ browser, context, front, pages, origin, way, transport, verdict }) {
  const started = new Started();
  const visit = new Visit({ browser: { kind: browser.kind, driver: context }, pages, origin, transport });
  visit.query = verdict.query;
  const url = `${front.url}/private${way.query}`;
  try {
    const page = await visit.openPage(front, started);
    if (way.cookie !== undefined) {
      await page.evaluate((cookie) => {
        document.cookie = cookie;
      }, way.cookie);
    }
    if (!verdict.isPossible) {
      const { code } = await visit.tryOpen(page, 'private', url);
      same(code, 2000, 'the code of the close event');
      return;
    }
    await visit.open(page, 'private', url);
    // The client's address is that of nginx, which says whose request it is.
    const hello = JSON.stringify({ address: '127.0.0.1', client: '127.0.0.1', user: way.user });
    await call(page, 'expect', 'private', [hello], 'the greeting');
    await visit.messages(page, 'private', way.messages);
    await visit.large(page, 'private');
    await call(page, 'hangUp', 'private', 3000, 'done');
    await closePage(browser, page);
  } finally {
    await started.end();
  }
}

// A page that does not say who it is.
async function judgeStranger({ context, front }) {
  const started = new Started();
  try {
    const page = await openPage({ driver: context }, `${front.url}/`, started);
    await call(page, 'start', 'private', `${front.url}/private?token=wrong`, { timeout: OPENING_MS });
    const { code } = await call(page, 'opening', 'private');
    if (![1002, 2000].includes(code)) {
      throw new Error(`it is answered ${code ?? 'as if it were known'}`);
    }
  } finally {
    await started.end();
  }
}

async function test(label, run) {
  try {
    await within(LONGEST_MS, 'the end of the test', run());
    passed += 1;
    console.log(`ok      ${label}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${label}: ${error.message}`);
  }
}

async function testBrowser(kind, scene, started) {
  const driver = await step(`starting ${kind}`, () => launch(kind));
  started.add(driver, () => quit(driver));
  const browser = { kind, driver };
  for (const way of WAYS) {
    // With cookies of its own: a cookie does not care about ports.
    const context = await inTurn(driver, () => driver.createBrowserContext());
    for (const origin of way.origins) {
      for (const transport of TRANSPORTS) {
        const verdict = scene.verdicts.get(`${title(kind)}, ${origin} ${transport}`);
        const label = `${kind} ${origin} ${transport}, by ${way.name}${verdict.isPossible ? '' : ', not possible'}`;
        await test(label, () => judge({ ...scene, browser, context, origin, way, transport, verdict }));
      }
    }
    if (way.cookie === undefined) {
      await test(`${kind}, a stranger`, () => judgeStranger({ ...scene, context }));
    }
    await inTurn(driver, () => context.close());
  }
}

async function main(started) {
  const pages = started.add(await startPages());
  const owner = { after: (end) => started.add(null, end) };
  const { nodes, front } = await startCluster(owner, { more: ['--static', PAGE, '--client', CLIENT] });
  const scene = { front, pages, verdicts: await possibilities(Object.keys(BROWSERS)) };
  await Promise.all(Object.keys(BROWSERS).map((kind) => testBrowser(kind, scene, started)));
  await test('each node was an edge and an owner, and no session stays', async () => {
    for (const node of nodes) {
      const { requests, forwarded, endpoints } = await node.stats();
      if (requests - forwarded < 100 || forwarded === 0 || endpoints.private.opened < 5) {
        throw new Error(`one had ${requests} requests, ${forwarded} of them forwarded, and ${endpoints.private.opened} sessions`);
      }
      await until('no open session', async () => (await node.stats()).endpoints.private.open === 0, 40_000);
    }
  });
}

const started = new Started();
for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM']) {
  process.once(signal, () => started.end().finally(() => process.exit(1)));
}
try {
  await main(started);
} catch (error) {
  failed += 1;
  console.log(`FAILED  the run: ${error.message}`);
} finally {
  await within(PATIENCE_MS, 'the end of all that was started', started.end()).catch((error) => {
    failed += 1;
    console.log(`FAILED  the run: ${error.message}`);
  });
}
console.log(`${passed} passed, ${failed} failed`);
// A test that was given up may have left something that still waits.
process.exit(failed === 0 && passed > 0 ? 0 : 1);
