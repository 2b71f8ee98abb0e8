// nginx and HAProxy, each a process of its own on loopback, with nothing of the system's configuration.
import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { globalAgent } from 'node:https';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { PATIENCE_MS, pause, within } from '../browser/support.js';
import { freePort } from '../cluster/ports.js';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const run = promisify(execFile);

const running = new Set();
let scratch;

// Last resort, for an exit by a signal or an error that nobody caught.
process.on('exit', () => {
  for (const child of running) {
    child.kill('SIGKILL');
  }
  if (scratch !== undefined) {
    rmSync(scratch, { recursive: true, force: true });
  }
});

// How each program is started with a configuration, and which version it is. nginx does without its master
// process here: then there is one process to end, which never wants another user.
export const PROGRAMS = {
  nginx: {
    path: process.env.NGINX ?? '/usr/sbin/nginx',
    language: 'nginx',
    wrapper: 'main.conf',
    args: (dir) => ['-p', dir, '-e', 'stderr', '-c', `${dir}/main.conf`, '-g', 'daemon off; master_process off;'],
    version: () => execOut(PROGRAMS.nginx.path, ['-v'], /nginx\/([\d.]+)/),
  },
  haproxy: {
    path: process.env.HAPROXY ?? '/usr/sbin/haproxy',
    language: 'haproxy',
    wrapper: 'main.cfg',
    args: (dir) => ['-db', '-f', `${dir}/main.cfg`, '-f', `${dir}/tested.cfg`],
    version: () => execOut(PROGRAMS.haproxy.path, ['-v'], /version ([\d.]+)/),
  },
};

// nginx tells its version on stderr.
function execOut(path, args, pattern) {
  const out = execFileSync('/bin/sh', ['-c', '"$0" "$@" 2>&1', path, ...args], { encoding: 'utf8' });
  const found = pattern.exec(out)?.[1];
  if (found === undefined) {
    throw new Error(`${path} ${args.join(' ')} tells no version: ${out.trim()}`);
  }
  return found;
}

export function fileOf(program, name) {
  return `${HERE}${program}/${name}.${program === 'nginx' ? 'conf' : 'cfg'}`;
}

// Puts values in the place of {{names}}.
export function fill(text, values) {
  return text.replace(/\{\{(\w+)\}\}/g, (_, name) => {
    if (values[name] === undefined) {
      throw new Error(`the configuration wants {{${name}}}`);
    }
    return values[name];
  });
}

async function directory() {
  scratch ??= await mkdtemp(`${tmpdir()}/axum-sockjs-proxies-`);
  return mkdtemp(`${scratch}/`);
}

// A certificate for 127.0.0.1 that nobody has signed but itself; HAProxy wants it in one file with its key.
let certificate;
export function makeCertificate() {
  certificate ??= (async () => {
    const dir = await directory();
    const files = { certificate: `${dir}/certificate`, key: `${dir}/key`, pem: `${dir}/pem` };
    await run('openssl', [
      'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=127.0.0.1',
      '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', files.key, '-out', files.certificate,
    ]);
    const parts = await Promise.all([files.certificate, files.key].map((file) => readFile(file, 'utf8')));
    await writeFile(files.pem, parts.join(''));
    return files;
  })();
  return certificate;
}

// Lets the client's transports under Node accept it. The WebSocket among them takes no certificate unless it
// gets options, which the client with default transports does not; so it takes all of them.
export async function trustUnderNode() {
  globalAgent.options.ca = await readFile((await makeCertificate()).certificate);
  process.removeAllListeners('warning');
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
}

function accepts(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('connect', () => resolve(true) || socket.destroy());
    socket.on('error', () => resolve(false));
  });
}

export class ReverseProxy {
  #child;
  // What it wrote, for errors.
  #output = '';

  // The file of that name, in front of the test servers; at a port that is free, unless one is given. A `text` has all
  // of that in it already.
  static async start({ program, file, text, tls = false, port: given }, servers) {
    const { path, wrapper, args } = PROGRAMS[program];
    const dir = await directory();
    await mkdir(`${dir}/logs`);
    const port = given ?? (await freePort());
    const values = { dir, listen: `127.0.0.1:${port}`, ...(tls ? await makeCertificate() : {}) };
    servers.forEach((server, n) => {
      values[n === 0 ? 'backend' : `backend${n + 1}`] = `127.0.0.1:${server.port}`;
    });
    const extension = wrapper.split('.')[1];
    const tested = text ?? fill(await readFile(fileOf(program, file), 'utf8'), values);
    await writeFile(`${dir}/tested.${extension}`, tested);
    const around = fill(await readFile(`${HERE}${program}/${wrapper}`, 'utf8'), values);
    await writeFile(`${dir}/${wrapper}`, around);

    const proxy = new ReverseProxy();
    proxy.dir = dir;
    const child = spawn(path, args(dir), { stdio: ['ignore', 'pipe', 'pipe'] });
    proxy.#child = child;
    running.add(child);
    let gone;
    child.on('error', (error) => {
      gone = error.message;
      running.delete(child);
    });
    child.on('exit', (code) => {
      gone ??= `status ${code}`;
      running.delete(child);
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        proxy.#output = (proxy.#output + text).slice(-2000);
      });
    }
    const until = Date.now() + PATIENCE_MS;
    while (!(await accepts(port))) {
      if (gone !== undefined || Date.now() > until) {
        await proxy.stop();
        throw new Error(`${path} does not listen (${gone ?? 'it still runs'}): ${proxy.output}`);
      }
      await pause(20);
    }
    proxy.port = port;
    proxy.url = `${tls ? 'https' : 'http'}://127.0.0.1:${port}`;
    return proxy;
  }

  get output() {
    return this.#output.trim() || 'it wrote nothing';
  }

  async stop() {
    const child = this.#child;
    if (!running.has(child)) {
      return;
    }
    const exit = once(child, 'exit');
    child.kill();
    await within(PATIENCE_MS, `the end of process ${child.pid}`, exit);
  }
}
