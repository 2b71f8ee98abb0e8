// What the tests start, stop and kill: nodes and engines, each a process of its own on loopback.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { ask } from './http.js';
import { freePort } from './ports.js';

// How long anything may take that is only a matter of the machine's speed.
export const PATIENCE_MS = 20_000;

const running = new Set();
const directories = [];

// A folder for files of a process, which is there until this one ends.
export function scratch() {
  const directory = mkdtempSync(`${tmpdir()}/axum-sockjs-`);
  directories.push(directory);
  return directory;
}

// For an exit by a signal or an error that nobody caught, too. A process that was stopped is killed.
process.on('exit', () => {
  for (const child of running) {
    child.kill('SIGKILL');
  }
  for (const directory of directories) {
    rmSync(directory, { recursive: true, force: true });
  }
});
for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM']) {
  process.on(signal, () => process.exit(1));
}

export function pause(ms) {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

// The first value of `probe` that is not undefined or false. It is asked again and again, up to `ms`.
export async function until(awaited, probe, ms = PATIENCE_MS) {
  const end = Date.now() + ms;
  let last;
  for (;;) {
    try {
      const value = await probe();
      if (value !== undefined && value !== false) {
        return value;
      }
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) {
      throw new Error(`waited ${ms / 1000} s for ${awaited}${last ? `: ${last.message}` : ''}`);
    }
    await pause(20);
  }
}

export function accepts(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}

// A program that runs until its test is over. A subclass says what is started, and when it is ready.
export class Child {
  output = '';
  // How long its start may take.
  patience = PATIENCE_MS;

  async start() {
    this.output = '';
    const child = spawn(this.path, this.args, { stdio: ['ignore', 'pipe', 'pipe'], env: this.env ?? process.env });
    this.child = child;
    running.add(child);
    this.ended = once(child, 'exit').finally(() => running.delete(child));
    this.ended.catch(() => {});
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        this.output = (this.output + text).slice(-20_000);
      });
    }
    try {
      await until(`${this.path} to listen`, () => {
        assert.ok(running.has(child), 'it has ended');
        return this.isReady();
      }, this.patience);
    } catch (error) {
      await this.kill();
      throw new Error(`${error.message}: ${this.output}`);
    }
    return this;
  }

  get pid() {
    return this.child.pid;
  }

  #signal(signal) {
    if (running.has(this.child)) {
      this.child.kill(signal);
    }
  }

  async kill() {
    this.#signal('SIGKILL');
    await this.ended.catch(() => {});
  }

  // Stops it where it stands, and lets it go on.
  freeze() {
    this.#signal('SIGSTOP');
  }

  thaw() {
    this.#signal('SIGCONT');
  }

  // Lets it read its settings again.
  reload() {
    this.#signal('SIGHUP');
  }

  terminate() {
    this.#signal('SIGTERM');
    return this.ended;
  }

  // How many files it has open, connections included.
  files() {
    return readdirSync(`/proc/${this.pid}/fd`).length;
  }

  // Bytes that it has in memory.
  memory() {
    return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${this.pid}/status`, 'utf8'))[1]) * 1024;
  }
}

// A node. It has the same port again when it is started again.
export class Node extends Child {
  static async start(t, { port, args = [] }) {
    assert.ok(process.env.CLUSTER_NODE, 'CLUSTER_NODE is not set: it is the built binary `cluster-node`');
    const node = new Node();
    node.port = port ?? (await freePort());
    node.path = process.env.CLUSTER_NODE;
    node.args = ['--addr', `127.0.0.1:${node.port}`, ...(typeof args === 'function' ? args(node.port) : args)];
    t.after(() => node.kill());
    return node.start();
  }

  isReady() {
    return this.output.includes('listening');
  }

  async stats() {
    return JSON.parse((await ask(this, '/stats', { method: 'GET' })).text);
  }

  // The path of its sessions' URLs.
  async below(endpoint) {
    const { base_url: url } = JSON.parse((await ask(this, `/${endpoint}/info`, { method: 'GET' })).text);
    return new URL(url).pathname;
  }
}

const ENGINES = {
  nats: {
    path: 'nats-server',
    args: (port, dir) => ['-a', '127.0.0.1', '-p', `${port}`, '-js', '-sd', dir],
    url: (port) => `nats://127.0.0.1:${port}`,
  },
  redis: {
    path: 'redis-server',
    args: (port, dir) => ['--bind', '127.0.0.1', '--port', `${port}`, '--save', '', '--appendonly', 'yes', '--dir', dir],
    url: (port) => `redis://127.0.0.1:${port}`,
  },
};

// A server of NATS or of Redis. It has its port and what it has stored again when it is started again.
export class Engine extends Child {
  static kinds = Object.keys(ENGINES);

  static async start(t, kind) {
    const engine = new Engine();
    const dir = scratch();
    engine.port = await freePort();
    engine.path = ENGINES[kind].path;
    engine.args = ENGINES[kind].args(engine.port, dir);
    engine.url = ENGINES[kind].url(engine.port);
    t.after(() => engine.kill());
    return engine.start();
  }

  isReady() {
    return accepts(this.port);
  }
}

// How many files a process may have open.
export function maxFiles() {
  return Number(execFileSync('/bin/sh', ['-c', 'ulimit -n'], { encoding: 'utf8' }));
}
