// The results, as they stand in docs/browsers.md between two marks.
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { ORIGINS, TRANSPORTS } from './cells.js';

const FILE = fileURLToPath(new URL('../../docs/browsers.md', import.meta.url));
const BEGIN = '<!-- The results: written by tests/browser, do not edit. -->';
const END = '<!-- The end of the results. -->';

function row(cells) {
  return `| ${cells.join(' | ')} |`;
}

export function title(kind) {
  return kind[0].toUpperCase() + kind.slice(1);
}

// A table with its notes: each thing in each browser and from each origin.
function matrix(head, things, columns, cell) {
  const notes = [];
  const number = (note) => {
    if (!notes.includes(note)) {
      notes.push(note);
    }
    return notes.indexOf(note) + 1;
  };
  const marks = (some) => some.map(number).sort().map((n) => `[${n}]`);
  const lines = [
    row([head, ...columns.map(({ kind, origin }) => `${title(kind)}, ${origin}`)]),
    row(['---', ...columns.map(() => '---')]),
  ];
  for (const thing of things) {
    const results = columns.map(({ kind, origin }) => {
      const result = cell(kind, origin, thing);
      const verdict = result.ms === null ? 'not possible' : `passed, ${result.ms} ms`;
      return [verdict, ...marks(result.notes)].join(' ');
    });
    const name = TRANSPORTS.includes(thing) ? `\`${thing}\`` : thing;
    lines.push(row([name, ...results]));
  }
  return [...lines, '', ...notes.map((note, index) => `${index + 1}. ${note}`)];
}

// `versions` by browser; `cell`, `stomp` and `fallback` give the result of a test, and `cases` names the proxies.
export function render({ kinds, versions, cell, carriages, stomp, cases, fallback }) {
  const columns = kinds.flatMap((kind) => ORIGINS.map((origin) => ({ kind, origin })));

  const lines = ['', `With ${kinds.map((kind) => versions[kind]).join(' and ')}:`, ''];
  lines.push(...matrix('transport', TRANSPORTS, columns, cell), '');
  lines.push(...matrix('STOMP over', carriages, columns, stomp), '');

  lines.push(row(['a proxy that …', ...kinds.map(title)]), row(['---', ...kinds.map(() => '---')]));
  for (const name of cases) {
    const results = kinds.map((kind) => fallback(kind, name));
    lines.push(row([name, ...results.map(({ transport, ms }) => `${transport}, ${ms} ms`)]));
  }
  return lines.join('\n');
}

// The verdicts alone: times and versions differ from run to run.
function verdicts(text) {
  return text
    .split('\n')
    .filter((line) => !line.startsWith('With '))
    .filter((line) => line !== '')
    .map((line) => line.replace(/, \d+ ms\b/g, ', N ms'));
}

// Where two renderings differ in more than times and versions, in words; empty if nowhere.
export function differences(written, seen) {
  const [there, here] = [verdicts(written), verdicts(seen)];
  const found = [];
  for (let i = 0; i < Math.max(there.length, here.length); i += 1) {
    if (there[i] !== here[i]) {
      found.push(`the file says ${there[i] ?? 'nothing'}, this run says ${here[i] ?? 'nothing'}`);
    }
  }
  return found;
}

async function parts() {
  const text = await readFile(FILE, 'utf8');
  const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (begin === -1 || end < begin) {
    throw new Error(`${FILE} lacks its marks: ${BEGIN} and ${END}`);
  }
  const from = begin + BEGIN.length;
  return { before: text.slice(0, from), results: text.slice(from, end).trim(), after: text.slice(end) };
}

export async function read() {
  return (await parts()).results;
}

// What docs/browsers.md says of the server itself. The same holds of three, and of a gateway.
export async function possibilities(kinds) {
  const text = await read();
  const notes = [...text.split('\n\n')[2].matchAll(/^(\d+)\. (.*)$/gm)].map(([, number, note]) => [number, note]);
  const prepared = notes.find(([, note]) => note.includes('only in a page that sets `document.domain`'))?.[0];
  const columns = kinds.flatMap((kind) => ORIGINS.map((origin) => `${title(kind)}, ${origin}`));
  const found = new Map();
  for (const transport of TRANSPORTS) {
    const row = text.split('\n').find((line) => line.startsWith(`| \`${transport}\` |`));
    row.split('|').slice(2, -1).forEach((cell, n) => {
      const query = cell.includes(`[${prepared}]`) ? '?document-domain' : '';
      found.set(`${columns[n]} ${transport}`, { isPossible: cell.includes('passed'), query });
    });
  }
  return found;
}

export async function write(results) {
  const { before, after } = await parts();
  await writeFile(FILE, `${before}\n${results}\n\n${after}`);
}
