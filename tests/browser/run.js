// Runs everything: see README.md.
import { parseArgs } from 'node:util';
import { bareTests } from './bare.js';
import { BROWSERS, launch, quit } from './browsers.js';
import { Cell, ORIGINS, TRANSPORTS } from './cells.js';
import { CASES, Fallback, LateCut } from './fallback.js';
import { breakages } from './mischief.js';
import { findBinaries, startPages } from './servers.js';
import { CARRIAGES, stompCells } from './stomp.js';
import { Started, step, within } from './support.js';
import { differences, read, render, title, write } from './table.js';

// No test is allowed more; only those that wait for jsonp-polling's heartbeat come near.
const LONGEST_MS = 120_000;

const { values } = parseArgs({
  options: { write: { type: 'boolean' }, only: { type: 'string', default: '' } },
});

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

function wanted(test) {
  return test.label.includes(values.only);
}

// Runs one test. The promise that is put into `late` ends with the test's late part.
async function runTest(test, describe, late) {
  try {
    const result = await within(LONGEST_MS, 'the end of the test', test.judge());
    const finish = async () => {
      await within(LONGEST_MS, 'the end of the test', result.late ?? Promise.resolve());
      results.set(test.label, result);
      pass(test.label, describe(result));
    };
    late.push(finish().catch((error) => fail(test.label, error)));
  } catch (error) {
    fail(test.label, error);
  }
}

// One test after the other; the late parts of all of them meanwhile.
async function runAll(tests, describe, late) {
  for (const test of tests.filter(wanted)) {
    await runTest(test, describe, late);
  }
}

const describeCell = ({ ms, notes }) =>
  [ms === null ? 'not possible' : `${ms} ms`, ...notes].join('; ');
const describeFallback = ({ transport, ms }) => `${transport}, ${ms} ms`;

function cellsOf(browser, pages) {
  // Those that take longest to be done with come first.
  const transports = [...TRANSPORTS].reverse();
  return transports.flatMap((transport) =>
    ORIGINS.map((origin) => new Cell({ browser, pages, origin, transport })),
  );
}

function fallbacksOf(browser) {
  return [...CASES.map((kind) => new Fallback({ browser, ...kind })), new LateCut({ browser })];
}

async function checkTable(browsers) {
  const fallbacks = fallbacksOf(browsers[0]);
  const seen = render({
    kinds: browsers.map(({ kind }) => kind),
    versions: Object.fromEntries(browsers.map(({ kind, version }) => [kind, version])),
    cell: (kind, origin, transport) => results.get(`${kind} ${origin} ${transport}`),
    carriages: CARRIAGES,
    stomp: (kind, origin, carriage) => results.get(`${kind} ${origin} STOMP over ${carriage}`),
    cases: fallbacks.map(({ name }) => name),
    fallback: (kind, name) => results.get(`${kind} behind a proxy that ${name}`),
  });
  // The comparison itself is worth a test: a verdict that differs is found, and a time is not.
  const spoiled = [seen.replace('passed', 'not possible'), seen.split('\n').slice(0, -1).join('\n')];
  if (spoiled.some((text) => differences(text, seen).length !== 1)) {
    throw new Error('the comparison does not find what differs');
  }
  if (differences(seen.replace(/, \d+ ms/g, ', 7 ms'), seen).length > 0) {
    throw new Error('the comparison finds what does not matter');
  }
  if (values.write) {
    await write(seen);
    return;
  }
  const found = differences(await read(), seen);
  if (found.length > 0) {
    throw new Error(`docs/browsers.md differs; npm test -- --write rewrites it:\n  ${found.join('\n  ')}`);
  }
}

function each(things, run) {
  return Promise.all(things.map(run));
}

async function launchAll(started) {
  const launches = await Promise.allSettled(
    Object.keys(BROWSERS).map(async (kind) => {
      const driver = await step(`starting ${kind}`, () => launch(kind));
      started.add(driver, () => quit(driver));
      const version = (await driver.version()).replace(/^.*\//, `${title(kind)} `);
      console.log(version);
      return { kind, driver, version };
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
  await findBinaries();
  const browsers = await launchAll(started);
  const pages = started.add(await startPages());
  const late = [];
  await each(browsers, async (browser) => {
    await runAll(cellsOf(browser, pages), describeCell, late);
    await runAll(stompCells(browser, pages), describeCell, late);
    await runAll(bareTests(browser, pages), () => '', late);
    // One browser is enough for these. Chromium would only wait for the other.
    if (browser.kind === 'chromium') {
      await runAll(breakages(browser, pages), (result) => result.message, late);
    }
  });
  // Here the client's own short limits count, so nothing else runs beside.
  await each(browsers, (browser) => runAll(fallbacksOf(browser), describeFallback, late));
  await Promise.all(late);
  if (values.only !== '' || failed > 0) {
    console.log('docs/browsers.md is neither checked nor written: that takes all tests, all passed');
    return;
  }
  const label = `docs/browsers.md ${values.write ? 'is written' : 'agrees'}`;
  await checkTable(browsers).then(() => pass(label), (error) => fail(label, error));
}

const started = new Started();
for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM']) {
  process.once(signal, () => started.end().finally(() => process.exit(1)));
}
try {
  await main(started);
} catch (error) {
  fail('the run', error);
} finally {
  await started.end().catch((error) => fail('the run', error));
}
console.log(`${passed} passed, ${failed} failed`);
// A test that was given up may have left something that still waits.
process.exit(failed === 0 && passed > 0 ? 0 : 1);
