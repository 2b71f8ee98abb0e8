// One cell of the matrix: a transport, in a browser, to a server of the page's own origin or of another.
import { call, closePage } from './pages.js';
import { Proxy } from './proxy.js';
import { TestServer } from './servers.js';
import { DELAY_MS, LAST_POLL_MS, Started, median, pause, same, step } from './support.js';
import { Visit } from './visit.js';
import { Watcher } from './watcher.js';

// In the client's order.
export const TRANSPORTS = [
  'websocket',
  'xhr-streaming',
  'eventsource',
  'iframe-eventsource',
  'htmlfile',
  'iframe-htmlfile',
  'xhr-polling',
  'iframe-xhr-polling',
  'jsonp-polling',
];

export const ORIGINS = ['same-origin', 'cross-origin'];

// The slowest to notice a server that restarts on their own take less than two seconds.
const NOTICE_MS = 5_000;

const MESSAGES = 200;
const OPENINGS = 5;

// How the server may see the end of a session whose client has closed it or gone away. A poll that was open
// is a connection lost; between two polls there is nothing to lose, and the time runs out.
export function endings(transport) {
  if (transport === 'websocket') {
    return ['client-closed'];
  }
  return transport.endsWith('-polling') ? ['connection-lost', 'timed-out'] : ['connection-lost'];
}

export class Cell extends Visit {
  // What the browser talks to. Tests of the tests put something between it and the server.
  async front(server) {
    return server;
  }

  async restartServer(server) {
    await server.restart();
  }

  // Resolves with what the table says of this cell: { ms, notes }, where `ms` is null if the client cannot
  // open this transport here. The promise `late` is what the server may take its time for.
  async judge() {
    const plain = await step('opening', () => this.measure());
    if (plain.obstacle === undefined) {
      const { notes, late } = await this.run();
      return { ms: plain.ms, notes, late };
    }
    const notes = [plain.obstacle];
    if (!plain.tried) {
      return { ms: null, notes, late: Promise.resolve() };
    }
    // Perhaps it does open in a page that has set its `document.domain`.
    this.query = '?document-domain';
    const prepared = await step('opening with document.domain', () => this.measure());
    if (prepared.obstacle !== undefined) {
      return { ms: null, notes, late: Promise.resolve() };
    }
    const { notes: more, late } = await this.run();
    notes[0] = `only in a page that sets \`document.domain\`; in any other it ${notes[0]}`;
    return { ms: prepared.ms, notes: [...notes, ...more], late };
  }

  // { ms }, the median of some openings, or { obstacle, tried }: why there is none, and whether the client
  // has tried at all.
  async measure() {
    const started = new Started();
    try {
      const server = started.add(await TestServer.start());
      const page = await this.openPage(server, started);
      const times = [];
      while (times.length < OPENINGS) {
        const opening = await this.tryOpen(page, 'echo', `${server.url}/echo`);
        if (opening.code !== undefined) {
          return await this.obstacle(server, started);
        }
        times.push(opening.ms);
        await this.reload(page);
      }
      return { ms: Math.round(median(times)) };
    } finally {
      await started.end();
    }
  }

  // Tries again, through a proxy that writes down what the client asks for.
  async obstacle(server, started) {
    const proxy = started.add(await Proxy.start(server.port));
    const page = await this.openPage(proxy, started);
    const { code, reason } = await this.tryOpen(page, 'echo', `${proxy.url}/echo`);
    if (code === undefined) {
      throw new Error('it opens at the second try, but not at the first');
    }
    const how = `${code} "${reason}"`;
    if (!proxy.paths.some((path) => /^\/echo\/(?!info|sockjs\.min\.js)/.test(path))) {
      return { obstacle: `not offered by the client: ${how} with no request but \`/info\``, tried: false };
    }
    const [error] = page.errors;
    const after = error === undefined ? '' : `, after the page's error "${error}"`;
    return { obstacle: `ends with ${how}${after}`, tried: true };
  }

  // All that is to be seen of a transport that opens.
  async run() {
    const started = new Started();
    try {
      const server = started.add(await TestServer.start());
      const front = started.add(await this.front(server));
      const watcher = started.add(await Watcher.open(server.url));
      await this.clientClose(front, started);
      const page = await this.openPage(front, started);
      await this.exchange(page, front);
      await this.serverClose(page, front, watcher);
      await this.leave(page, front, watcher);
      const notes = await this.restart(started);
      const late = this.settle(watcher).finally(() => started.end());
      // The caller sees to it later; until then its failure is not one that nobody handles.
      late.catch(() => {});
      return { notes, late };
    } catch (error) {
      await started.end().catch(() => {});
      throw error;
    }
  }

  async openNamed(page, name, server) {
    await this.open(page, name, `${server.url}/commands`);
    await call(page, 'send', name, `name ${name}`);
    await call(page, 'expect', name, [`named ${name}`], 'the answer to its name');
  }

  async checkEnd(watcher, name, reasons, ms = DELAY_MS) {
    const end = await watcher.end(name, Math.min(ms, this.limit));
    // The server does not learn that a transport lives in an iframe.
    same(end.transport, this.transport.replace('iframe-', ''), `the transport of ${name}`);
    if (!reasons.includes(end.reason)) {
      throw new Error(`the server saw ${name} end as ${end.reason}, not as ${reasons.join(' or ')}`);
    }
  }

  clientClose(server, started) {
    return step('client close', async () => {
      // This page stays open, or the session would end with it.
      const page = await this.openPage(server, started);
      await this.openNamed(page, 'closer', server);
      await this.close(page, 'closer');
    });
  }

  async exchange(page, server) {
    await step('open', () => this.open(page, 'echo', `${server.url}/echo`));
    await this.messages(page, 'echo', MESSAGES);
    await step('texts', () => call(page, 'texts', 'echo'));
    await this.large(page, 'echo');
    await step('one turn', async () => {
      // There responses are as long as by default: the client waits 200 ms after each of eventsource's.
      await this.open(page, 'turns', `${server.url}/long_echo`);
      await call(page, 'turns', 'turns');
    });
  }

  serverClose(page, server, watcher) {
    return step('server close', async () => {
      await this.openNamed(page, 'closed', server);
      const { code, reason } = await this.closedByServer(page, 'closed');
      await this.checkEnd(watcher, 'closed', [`server-closed ${code} ${reason}`]);
    });
  }

  async leave(page, server, watcher) {
    const reasons = endings(this.transport);
    await step('reload', async () => {
      await this.openNamed(page, 'reloaded', server);
      await this.reload(page);
      await this.checkEnd(watcher, 'reloaded', reasons);
    });
    await step('tab close', async () => {
      await this.openNamed(page, 'tab', server);
      await closePage(this.browser, page);
      await this.checkEnd(watcher, 'tab', reasons);
    });
  }

  restart(started) {
    return step('restart', async () => {
      const server = started.add(await TestServer.start());
      const page = await this.openPage(server, started);
      await this.open(page, 'echo', `${server.url}/echo`);
      await call(page, 'fence', 'echo');
      await this.restartServer(server);
      const noticed = await call(page, 'closingWithin', 'echo', NOTICE_MS);
      if (noticed === null) {
        await call(page, 'send', 'echo', 'is anybody there?');
      }
      const { code, reason, wasClean } = noticed ?? (await call(page, 'closing', 'echo'));
      same([code, wasClean], [1006, false], 'the close event');
      await closePage(this.browser, page);
      const only = `notices that the server has restarted only when it sends: ${code} "${reason}"`;
      return noticed === null ? [only] : [];
    });
  }

  // The end of the session that the client closed, and then no end without a session.
  async settle(watcher) {
    const ms = this.transport.endsWith('-polling') ? LAST_POLL_MS : DELAY_MS;
    await step('client close', () => this.checkEnd(watcher, 'closer', endings(this.transport), ms));
    await pause(Math.max(...watcher.ends.map((end) => end.at)) + DELAY_MS - Date.now());
    await step('the end', () => {
      const names = watcher.ends.map((end) => end.name).sort();
      same(names, ['closed', 'closer', 'reloaded', 'tab'], 'the sessions that have ended');
    });
  }
}
