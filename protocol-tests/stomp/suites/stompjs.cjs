// Runs the specs of a stompjs checkout over WebSocket, TCP or SockJS, and counts. Called by ../stompjs-suite:
//
//   node stompjs.cjs CHECKOUT PACKAGES MODE ADDRESS [--only TEXT] [--verbose]
const net = require('net');
const path = require('path');
const { createRequire } = require('module');

const [checkout, packages, mode, address, ...options] = process.argv.slice(2);
const from = createRequire(path.join(packages, 'package.json'));
const verbose = options.includes('--verbose');
const only = options.includes('--only') ? options[options.indexOf('--only') + 1] : '';

const UNREACHABLE = 'ws://127.0.0.1:9';

// As much of a WebSocket as the client uses, over a TCP connection.
class TcpSocket {
  constructor(url) {
    const [host, port] = url.replace(/^ws:\/\//, '').split(':');
    this.url = url;
    this.protocol = '';
    this.binaryType = 'arraybuffer';
    this.readyState = TcpSocket.CONNECTING;
    this.onopen = this.onmessage = this.onerror = this.onclose = () => {};
    this.socket = net.connect({ host, port: Number(port), noDelay: true });
    this.socket.on('connect', () => {
      this.readyState = TcpSocket.OPEN;
      this.onopen({ target: this });
    });
    this.socket.on('data', data => {
      this.onmessage({ target: this, data: data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength) });
    });
    this.socket.on('error', error => {
      this.failed = true;
      this.onerror({ target: this, error });
    });
    this.socket.on('close', () => {
      this.readyState = TcpSocket.CLOSED;
      const code = this.failed ? 1006 : 1000;
      this.onclose({ target: this, code, reason: '', wasClean: !this.failed });
    });
  }

  send(data) {
    this.socket.write(typeof data === 'string' ? data : Buffer.from(data));
  }

  close() {
    this.readyState = TcpSocket.CLOSING;
    this.socket.end();
  }

  terminate() {
    this.failed = true;
    this.socket.destroy();
  }
}
Object.assign(TcpSocket, { CONNECTING: 0, OPEN: 1, CLOSING: 2, CLOSED: 3 });

// A constructor that returns another object: the specs and the client call it as a WebSocket's.
function sockJsAsWebSocket() {
  const SockJS = from('sockjs-client');
  const WebSocket = from('ws');
  const constructor = function (url) {
    // The spec of this one is about WebSocket's error event, which sockjs-client does not have.
    return url === UNREACHABLE ? new WebSocket(url) : new SockJS(url);
  };
  return Object.assign(constructor, { CONNECTING: 0, OPEN: 1, CLOSING: 2, CLOSED: 3 });
}

global.WebSocket = { ws: () => from('ws'), tcp: () => TcpSocket, sockjs: sockJsAsWebSocket }[mode]();
global.StompJs = require(path.join(checkout, 'bundles/stomp.umd.js'));
global.Stomp = StompJs.Stomp;
global.TEST = {
  destination: '/topic/chat.general',
  login: 'guest',
  password: 'guest',
  url: mode === 'tcp' ? 'ws://' + address : address,
  badUrl: UNREACHABLE,
  timeout: 2000,
  largeMessageSize: 1023, // KiB, as in the suite's configuration for Node
  testHeartBeatUsingWebWorkers: false,
};

// The clients' debug output.
if (!verbose) console.log = console.warn = () => {};

// SockJS carries text.
const OF_BINARY = [
  'Send and receive binary message',
  'Send and receive text/binary messages',
  'Should always add content length header for binary messages',
  'Large binary message',
  'Should not split large binary messages',
];

function filter() {
  const left_out = mode === 'sockjs' ? `(?!.*(${OF_BINARY.join('|')}))` : '';
  return `^${left_out}.*(?:${only})`;
}

async function main() {
  const Jasmine = from('jasmine');
  const runner = new Jasmine({ projectBaseDir: checkout });
  runner.loadConfig({
    spec_dir: 'spec',
    spec_files: ['**/*[sS]pec.js'],
    helpers: ['helpers/**/*.js'],
    random: false,
  });
  runner.exitOnCompletion = false;
  runner.clearReporters();
  let passed = 0;
  let failed = 0;
  let skipped = 0;
  runner.addReporter({
    specDone(result) {
      if (result.status === 'passed') passed += 1;
      else if (result.status === 'failed') {
        failed += 1;
        process.stdout.write('FAILED ' + result.fullName + '\n');
        for (const { message } of result.failedExpectations) {
          process.stdout.write('       ' + message.slice(0, 400).replace(/\n/g, '\n       ') + '\n');
        }
      } else skipped += 1;
    },
  });
  process.stdout.write(`Testing ${address} over ${mode}\n`);
  await runner.execute(undefined, filter());
  if (skipped) process.stdout.write(`${skipped} left out\n`);
  process.stdout.write(`${passed} passed, ${failed} failed\n`);
  process.exit(failed === 0 && passed > 0 ? 0 : 1);
}

main();
