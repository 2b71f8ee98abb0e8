// What the tests start: gateways and backends, each a process of its own on loopback.
import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ask } from '../cluster/http.js';
import { freePort } from '../cluster/ports.js';
import { Child, accepts, scratch, until } from '../cluster/processes.js';
import { toml } from './toml.js';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

const GATEWAY = process.env.SOCKJS_GATEWAY ?? `${process.env.BUILT ?? here('../../target/release')}/sockjs-gateway`;

// Settings come from files here, and not from what happens to be set around the tests.
const ENVIRONMENT = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(SOCKJS_GATEWAY|RUST_LOG|NOTIFY_SOCKET)/.test(name)),
);

const PYTHON = here('venv/bin/python');

// A gateway with these settings, or with a `text` that holds the addresses already. It has the same ports again when it
// is started again.
export class Gateway extends Child {
  static async start(t, settings) {
    const gateway = new Gateway();
    gateway.port = await freePort();
    gateway.admin = { port: await freePort() };
    gateway.file = `${scratch()}/gateway.toml`;
    gateway.settings(settings);
    return gateway.#start(t);
  }

  static async startWith(t, file, port) {
    const gateway = new Gateway();
    Object.assign(gateway, { port, file });
    return gateway.#start(t);
  }

  #start(t) {
    assert.ok(existsSync(GATEWAY), `${GATEWAY} is missing: it is the built binary \`sockjs-gateway\``);
    this.path = GATEWAY;
    this.args = ['--config', this.file];
    this.env = ENVIRONMENT;
    t.after(() => this.kill());
    return this.start();
  }

  // Writes other settings. They count when it is started again, or told to reload.
  settings({ route, ...others }) {
    const admin = `127.0.0.1:${this.admin.port}`;
    this.write(toml({ listen: `127.0.0.1:${this.port}`, admin, ...others, route }));
  }

  write(text) {
    writeFileSync(this.file, text);
  }

  isReady() {
    return accepts(this.port);
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  // The value of a series of its metrics, or the sum of all whose labels hold these texts; undefined if there is none.
  async metric(name, ...labels) {
    const { text } = await ask(this.admin, '/metrics', { method: 'GET' });
    const lines = text.split('\n').filter((line) => line.startsWith(name) && /[ {]/.test(line[name.length]));
    const found = lines.filter((line) => labels.every((label) => line.includes(label)));
    return found.length === 0 ? undefined : found.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
  }
}

const PROGRAMS = {
  ws: { path: process.execPath, script: here('backends/ws.js') },
  websockets: { path: PYTHON, script: here('backends/websockets_backend.py') },
};

// A backend that does what it is told: see README.md. It has the same port again when it is started again.
export class Backend extends Child {
  static kinds = Object.keys(PROGRAMS);

  static async start(t, kind = 'ws') {
    const backend = new Backend();
    backend.port = await freePort();
    backend.path = PROGRAMS[kind].path;
    backend.args = [PROGRAMS[kind].script, `${backend.port}`];
    t.after(() => backend.kill());
    return backend.start();
  }

  isReady() {
    return this.output.includes('listening');
  }

  url(path) {
    return `ws://127.0.0.1:${this.port}${path}`;
  }

  async tell(path) {
    return (await ask(this, path, { method: 'GET' })).text;
  }

  async stats() {
    return JSON.parse(await this.tell('/stats'));
  }

  // Its record of how the next connection ends after `before` others.
  closure(before = 0) {
    return until(`the end of connection ${before + 1} at the backend`, async () => (await this.stats()).closes[before]);
  }
}

// Checks so often that nobody waits for them.
export const HEALTH = { check: 'tcp', interval: '250ms', timeout: '250ms', fall: 2, rise: 2 };

// Routes of the same names as the backend's services, to some backends.
export function routes(names, backends, settings = {}) {
  return names.map((name) => ({ path: `/${name}`, backends: backends.map((each) => each.url(`/${name}`)), ...settings }));
}

// A backend of a recipe, whose port is in its file.
export class Cooked extends Child {
  static async start(t, file, port) {
    const backend = new Cooked();
    backend.port = port;
    backend.path = file.endsWith('.py') ? PYTHON : process.execPath;
    backend.args = [file];
    t.after(() => backend.kill());
    return backend.start();
  }

  isReady() {
    return accepts(this.port);
  }
}
