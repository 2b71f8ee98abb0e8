// docs/proxies.md: its code blocks are the tested files, and its tables what the tests have seen.
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { differences, title } from '../browser/table.js';
import { SMOKE, TRANSPORTS } from './configurations.js';
import { PROGRAMS, fileOf, fill } from './proxies.js';

const FILE = fileURLToPath(new URL('../../docs/proxies.md', import.meta.url));
const BEGIN = '<!-- The results: written by tests/proxies, do not edit. -->';
const END = '<!-- The end of the results. -->';
const BLOCK = /<!-- (nginx|haproxy)\/([\w-]+), as tested. -->\n(.*?)<!-- end -->/gs;

// Those that an operator may want to copy.
const READY = ['recommended', 'prefix', 'tls', 'affinity-server', 'affinity-session', 'affinity-cookie'];
const READY_FOR_ONE = ['haproxy/health'];

// What stands in the blocks for the placeholders of the files.
function valuesFor(program, name) {
  const port = name === 'tls' ? '443' : '80';
  return {
    listen: program === 'nginx' ? port : `:${port}`,
    backend: '127.0.0.1:8081',
    backend2: '127.0.0.1:8082',
    certificate: '/etc/ssl/example.com.pem',
    key: '/etc/ssl/private/example.com.key',
    pem: '/etc/haproxy/example.com.pem',
  };
}

async function blocks(text) {
  let filled = text;
  const found = [];
  for (const [whole, program, name] of text.matchAll(BLOCK)) {
    const tested = fill(await readFile(fileOf(program, name), 'utf8'), valuesFor(program, name));
    const { language } = PROGRAMS[program];
    const block = `<!-- ${program}/${name}, as tested. -->\n\`\`\`${language}\n${tested}\`\`\`\n<!-- end -->`;
    found.push({ id: `${program}/${name}`, differs: whole !== block });
    filled = filled.replace(whole, () => block);
  }
  const ids = found.map(({ id }) => id);
  const ready = Object.keys(PROGRAMS).flatMap((program) => READY.map((name) => `${program}/${name}`));
  const missing = [...ready, ...READY_FOR_ONE].filter((id) => !ids.includes(id));
  if (missing.length > 0) {
    throw new Error(`docs/proxies.md has no block for ${missing.join(', ')}`);
  }
  return { filled, differing: found.filter(({ differs }) => differs).map(({ id }) => id) };
}

function row(cells) {
  return `| ${cells.join(' | ')} |`;
}

function table(heads, rows) {
  return [row(heads), row(heads.map(() => '---')), ...rows.map(row), ''];
}

// With default transports the one that the client took is worth a word, else that it opened.
function cell(result, asked) {
  if (result.transport === undefined) {
    return `closed with ${result.code}, ${Math.round(result.ms)} ms`;
  }
  return `${asked === 'default' ? result.transport : 'passed'}, ${Math.round(result.ms)} ms`;
}

function render({ results, versions, browsers, engines }) {
  const get = (label) => results.get(label);
  const smoke = ({ program, file }, engine, asked) => cell(get(`${program} ${file}, ${engine} ${asked}`), asked);
  const names = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  const lines = [`With ${names.join(', ')}:`, '', 'The client under Node:', ''];
  lines.push(
    ...table(
      ['proxy', 'configuration', 'default', ...TRANSPORTS],
      SMOKE.map((each) => [
        each.program,
        each.title,
        ...['default', ...TRANSPORTS].map((asked) => smoke(each, 'node', asked)),
      ]),
    ),
  );
  lines.push('The client in browsers:', '');
  lines.push(
    ...table(
      ['proxy', 'configuration', ...browsers.flatMap(({ kind }) => engines.map((asked) => `${title(kind)}, ${asked}`))],
      SMOKE.filter((each) => each.browsers).map((each) => [
        each.program,
        each.title,
        ...browsers.flatMap(({ kind }) => engines.map((asked) => smoke(each, kind, asked))),
      ]),
    ),
  );
  lines.push('A silent session, with time-outs of 2 seconds at the proxy:', '');
  lines.push(
    ...table(
      ['proxy', 'browser', ...TRANSPORTS],
      Object.keys(PROGRAMS).flatMap((program) =>
        browsers.map(({ kind }) => [
          program,
          title(kind),
          ...TRANSPORTS.map((transport) => get(`${program} short-timeouts, ${kind} ${transport}`).what),
        ]),
      ),
    ),
  );
  return lines.join('\n').trim();
}

// `whole` says that all tests have run and passed, so that the tables can be compared or written.
export async function checkDocument({ whole, write, ...seen }) {
  const text = await readFile(FILE, 'utf8');
  const { filled, differing } = await blocks(text);
  if (differing.length > 0 && !write) {
    throw new Error(`its blocks ${differing.join(', ')} are not the tested files; npm test -- --write fills them in`);
  }
  const [begin, end] = [filled.indexOf(BEGIN), filled.indexOf(END)];
  if (begin === -1 || end < begin) {
    throw new Error(`docs/proxies.md lacks its marks: ${BEGIN} and ${END}`);
  }
  const from = begin + BEGIN.length;
  if (!whole) {
    if (write) {
      await writeFile(FILE, filled);
    }
    return 'the blocks; the tables need all tests, and all of them passed';
  }
  const tables = render(seen);
  if (write) {
    await writeFile(FILE, `${filled.slice(0, from)}\n\n${tables}\n\n${filled.slice(end)}`);
    return 'blocks and tables';
  }
  const found = differences(filled.slice(from, end).trim(), tables);
  if (found.length > 0) {
    throw new Error(`its tables differ; npm test -- --write rewrites them:\n  ${found.join('\n  ')}`);
  }
  return 'blocks and tables';
}
