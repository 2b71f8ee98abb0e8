// Runs everything: see README.md.
import { parseArgs } from 'node:util';
import { BROWSERS, launch, quit } from '../browser/browsers.js';
import { TestServer, findBinary } from '../browser/servers.js';
import { PATIENCE_MS, Started, same, step, within } from '../browser/support.js';
import { affinityTests } from './affinity.js';
import { inBrowser, underNode } from './bench.js';
import { SMOKE, TRANSPORTS } from './configurations.js';
import { checkDocument } from './document.js';
import { errorTests } from './errors.js';
import { idleTests } from './idle.js';
import { lateTests } from './late.js';
import { originTests } from './origins.js';
import { PROGRAMS, ReverseProxy, trustUnderNode } from './proxies.js';
import { Smoke } from './smoke.js';
import { turnTests } from './turn.js';
import { Watchers } from './watchers.js';

// No test is allowed more.
const LONGEST_MS = 60_000;

// In browsers: what they choose, one stream and one that polls.
const IN_BROWSERS = ['default', 'xhr-streaming', 'xhr-polling'];

const { values } = parseArgs({
  options: { write: { type: 'boolean' }, only: { type: 'string', default: '' } },
});

// By label.
const results = new Map();
let passed = 0;
let failed = 0;

function pass(label, what = '') {
  passed += 1;
  console.log(`ok      ${label}${what && `: ${what}`}`);
}

function fail(label, error) {
  failed += 1;
  console.log(`FAILED  ${label}: ${error.message}`);
}

function wanted(label) {
  return label.includes(values.only);
}

// Runs `judge`, which resolves with a result; its promise `late` is waited for too, but not here: it is put
// into `late`.
async function test(label, late, judge, describe) {
  if (!wanted(label)) {
    return;
  }
  try {
    const result = await within(LONGEST_MS, 'the end of the test', judge());
    const finish = async () => {
      await within(LONGEST_MS, 'the end of the test', result.late ?? Promise.resolve());
      results.set(label, result);
      pass(label, describe(result));
    };
    late.push(finish().catch((error) => fail(label, error)));
  } catch (error) {
    fail(label, error);
  }
}

export function describeSmoke({ transport, code, reason, ms }) {
  return `${transport ?? `closed with ${code} "${reason}"`}, ${Math.round(ms)} ms`;
}

function each(things, run) {
  return Promise.all(things.map(run));
}

async function inSequence(things, run) {
  for (const thing of things) {
    await run(thing);
  }
}

function labelOf({ program, file }, engine, asked) {
  return `${program} ${file}, ${engine} ${asked}`;
}

// Starts the servers and the proxy of a configuration.
async function setScene(configuration, started) {
  const servers = await Promise.all(
    Array.from({ length: configuration.backends }, async () => started.add(await TestServer.start())),
  );
  const front = started.add(await ReverseProxy.start(configuration, servers));
  const watchers = await Watchers.open(servers, started);
  const urls = Object.fromEntries(
    Object.entries(configuration.paths).map(([name, path]) => [name, `${front.url}${path}`]),
  );
  return { servers, front, watchers, urls };
}

async function smoke(configuration, scene, engine, asked, openClient, late, check) {
  const label = labelOf(configuration, engine, asked);
  const judge = async () => {
    const started = new Started();
    const client = started.add(await openClient(started));
    const end = () => started.end();
    try {
      const { urls, watchers } = scene;
      const expected = configuration.expected[asked];
      const result = await new Smoke({ client, urls, watchers, asked, expected, label }).judge();
      await check?.(client);
      // The page stays open until the server has seen the session's end: else that would end it.
      const settled = result.late.finally(end);
      settled.catch(() => {});
      return { ...result, late: settled };
    } catch (error) {
      await end().catch(() => {});
      throw error;
    }
  };
  await test(label, late, judge, describeSmoke);
}

// Resolves when the next configuration may begin; what the servers take their time for goes on meanwhile, and
// `settled` gets the end of it.
async function smokeConfiguration(configuration, browsers, settled) {
  const { program, file, tls = false } = configuration;
  const engines = ['node', ...(configuration.browsers ? browsers.map(({ kind }) => kind) : [])];
  const labels = engines.flatMap((engine) =>
    (engine === 'node' ? ['default', ...TRANSPORTS] : IN_BROWSERS).map((asked) => labelOf(configuration, engine, asked)),
  );
  if (!labels.some(wanted)) {
    return;
  }
  const started = new Started();
  const late = [];
  try {
    const scene = await setScene(configuration, started);
    const node = (asked) => smoke(configuration, scene, 'node', asked, underNode, late);
    await node('default');
    await Promise.all(TRANSPORTS.map(node));
    if (configuration.browsers) {
      const inTurn = configuration.alone ? inSequence : each;
      await inTurn(browsers, async (browser) => {
        // What they choose comes last: a browser that has only just started takes its time for /info, and the
        // client then gives each transport that fails as much more.
        for (const asked of [...IN_BROWSERS].reverse()) {
          const open = (own) => inBrowser(browser, scene.front, own);
          const check = async (client) => same(await client.protocol(), tls ? 'h2' : 'http/1.1', 'the version of HTTP');
          await smoke(configuration, scene, browser.kind, asked, open, late, check);
        }
      });
    }
  } catch (error) {
    fail(`${program} ${file}`, error);
  }
  const finish = async () => {
    await Promise.all(late);
    await started.end().catch((error) => fail(`${program} ${file}`, error));
  };
  settled.push(finish());
}

async function runTests(tests) {
  for (const { label, judge, describe } of tests) {
    const late = [];
    await test(label, late, judge, describe);
    await Promise.all(late);
  }
}

async function launchAll(started) {
  const launches = await Promise.allSettled(
    Object.entries(BROWSERS).map(async ([kind, options]) => {
      // As that module starts them, and besides content with a certificate that nobody has signed.
      BROWSERS[`${kind}, lenient`] = () => ({ ...options(), acceptInsecureCerts: true });
      const driver = await step(`starting ${kind}`, () => launch(`${kind}, lenient`));
      started.add(driver, () => quit(driver));
      return { kind, driver, version: (await driver.version()).replace(/^.*\//, '') };
    }),
  );
  // Only now: one that has started is to be ended although the other has not.
  const failure = launches.find(({ status }) => status === 'rejected');
  if (failure !== undefined) {
    throw failure.reason;
  }
  return launches.map(({ value }) => value);
}

async function main(started) {
  await findBinary(TestServer);
  await trustUnderNode();
  const versions = Object.fromEntries(Object.entries(PROGRAMS).map(([name, { version }]) => [name, version()]));
  const browsers = await launchAll(started);
  for (const { kind, version } of browsers) {
    versions[kind] = version;
  }
  console.log(Object.entries(versions).map(([name, version]) => `${name} ${version}`).join(', '));

  const settled = [];
  // Here the client's own short limits count, so nothing else runs beside.
  await inSequence(SMOKE.filter(({ alone }) => alone), (one) => smokeConfiguration(one, browsers, settled));
  // The two programs side by side: much of a test is waiting.
  await Promise.all(
    Object.keys(PROGRAMS).map(async (program) => {
      for (const configuration of SMOKE.filter((one) => one.program === program && !one.alone)) {
        await smokeConfiguration(configuration, browsers, settled);
      }
      await runTests(affinityTests(program, browsers));
    }),
  );
  await runTests([...originTests(), ...errorTests(), ...turnTests()]);
  // All of them at once: this is waiting and nothing else.
  await Promise.all([...idleTests(browsers), ...lateTests()].map((one) => runTests([one])));
  await Promise.all(settled);

  const label = `docs/proxies.md ${values.write ? 'is written' : 'agrees'}`;
  const whole = values.only === '' && failed === 0;
  await checkDocument({ results, versions, browsers, engines: IN_BROWSERS, whole, write: values.write }).then(
    (what) => pass(label, what),
    (error) => fail(label, error),
  );
}

// What is left of servers, proxies and browsers then is ended on exit.
for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM']) {
  process.on(signal, () => process.exit(1));
}


const started = new Started();
try {
  await main(started);
} catch (error) {
  fail('the run', error);
} finally {
  await within(PATIENCE_MS, 'the end of all that was started', started.end()).catch((error) => fail('the run', error));
}
console.log(`${passed} passed, ${failed} failed`);
// A test that was given up may have left something that still waits.
process.exit(failed === 0 && passed > 0 ? 0 : 1);
