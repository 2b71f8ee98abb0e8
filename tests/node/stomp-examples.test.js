// The examples of axum-stomp, by the client that their pages use: stompjs over each transport of SockJS.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Client } from '@stomp/stompjs';
import SockJS from 'sockjs-client';
import { Example } from './example.js';
import { PATIENCE_MS, TRANSPORTS } from './support.js';

const JSON_TYPE = { 'content-type': 'application/json' };

// A page without its document.
class Page {
  #arrivals = new Map();
  #waiting = new Map();

  // Resolves with the headers of CONNECTED, or rejects with the message of ERROR.
  async connect(t, example, transport, connectHeaders = {}, headers = {}) {
    const options = { transports: [transport], timeout: 15_000, transportOptions: { [transport]: { headers } } };
    this.label = transport;
    this.client = new Client({
      webSocketFactory: () => new SockJS(example.url('/stomp'), null, options),
      connectHeaders,
      reconnectDelay: 0,
    });
    t.after(() => this.client.deactivate({ force: true }));
    return new Promise((resolve, reject) => {
      this.client.onConnect = (frame) => resolve(frame.headers);
      this.client.onStompError = (frame) => {
        this.#put('ERROR', frame.headers.message);
        reject(new Error(frame.headers.message));
      };
      this.client.onWebSocketClose = ({ code, reason }) => reject(new Error(`closed: ${code} ${reason}`));
      this.client.activate();
    });
  }

  #put(from, value) {
    const resolve = this.#waiting.get(from)?.shift();
    if (resolve) {
      resolve(value);
    } else {
      this.#arrivals.set(from, [...(this.#arrivals.get(from) ?? []), value]);
    }
  }

  subscribe(...destinations) {
    for (const destination of destinations) {
      this.client.subscribe(destination, ({ body, headers }) => {
        const isJson = headers['content-type'] === JSON_TYPE['content-type'];
        this.#put(destination, isJson ? JSON.parse(body) : body);
      });
    }
    return this;
  }

  send(destination, value) {
    this.client.publish({ destination, headers: JSON_TYPE, body: JSON.stringify(value) });
  }

  // The next message of a subscription, or of ERROR.
  next(from) {
    const arrivals = this.#arrivals.get(from) ?? [];
    if (arrivals.length > 0) {
      return Promise.resolve(arrivals.shift());
    }
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${this.label}: nothing of ${from}`)), PATIENCE_MS);
      const settle = (value) => {
        clearTimeout(timer);
        resolve(value);
      };
      this.#waiting.set(from, [...(this.#waiting.get(from) ?? []), settle]);
    });
  }

  // Goes on until a message of a subscription is as wanted.
  async until(from, wanted) {
    for (;;) {
      const value = await this.next(from);
      if (wanted(value)) {
        return value;
      }
    }
  }
}

test('the chat, over every transport', async (t) => {
  const example = await Example.start('examples/stomp_chat', t);
  const [lobby, people, errors] = ['/topic/rooms/lobby', '/topic/rooms/lobby/people', '/user/queue/errors'];
  const pages = [];
  for (const transport of TRANSPORTS) {
    const page = new Page();
    const { 'user-name': name } = await page.connect(t, example, transport, { login: ` ${transport} ` });
    assert.equal(name, transport);
    page.subscribe(errors, people, lobby);
    await page.until(people, (names) => names.includes(transport));
    pages.push(page);
  }
  for (const speaker of pages) {
    const text = `„${speaker.label}“: \0 \u{1f600}`;
    speaker.send('/app/rooms/lobby', { text });
    for (const page of pages) {
      const line = await page.next(lobby);
      assert.deepEqual([line.from, line.text], [speaker.label, text], page.label);
    }
    speaker.send('/app/rooms/lobby', { text: ' ' });
    assert.equal(await speaker.next(errors), 'a line has 1 to 500 characters');
  }
  const [first, ...others] = pages;
  first.subscribe('/app/rooms/lobby');
  const room = await first.next('/app/rooms/lobby');
  assert.deepEqual(room.lines.map(({ from }) => from), TRANSPORTS);
  await Promise.all(others.map(({ client }) => client.deactivate()));
  await first.until(people, (names) => String(names) === first.label);
});

test('a name that is none is not let in', async (t) => {
  const example = await Example.start('examples/stomp_chat', t);
  for (const transport of TRANSPORTS) {
    await assert.rejects(new Page().connect(t, example, transport), { message: 'access refused' });
  }
});

test('trading: prices, positions in all windows, errors, and the end of a login', async (t) => {
  const example = await Example.start('examples/stomp_trading', t);
  const login = async (name, password) => {
    const body = new URLSearchParams({ name, password });
    const answer = await fetch(example.url('/login'), { method: 'POST', body });
    return { status: answer.status, cookie: answer.headers.get('set-cookie')?.split(';')[0] };
  };
  assert.equal((await login('ada', 'hopper')).status, 401);
  const { cookie } = await login('ada', 'lovelace');
  await assert.rejects(new Page().connect(t, example, 'websocket'), { message: 'access refused' });

  const [updates, errors] = ['/user/queue/position-updates', '/user/queue/errors'];
  const windows = [];
  // Under Node the client has a cookie over WebSocket only.
  for (const window of ['one', 'two', 'three']) {
    const page = new Page();
    const { 'user-name': name } = await page.connect(t, example, 'websocket', {}, { cookie });
    assert.equal(name, 'ada', window);
    page.subscribe(updates, errors, '/topic/price.stock.*', '/app/positions', '/app/stocks');
    windows.push(page);
    assert.equal((await page.next('/app/positions')).positions.SAIL, 300, window);
    const tickers = (await page.next('/app/stocks')).map(({ ticker }) => ticker);
    const { ticker, price } = await page.next('/topic/price.stock.*');
    assert.ok(tickers.includes(ticker) && price > 0, `${ticker} ${price}`);
  }
  const [trader, ...others] = windows;
  trader.send('/app/trade', { side: 'sell', ticker: 'SAIL', shares: 1 });
  for (const page of windows) {
    const { positions, trade } = await page.next(updates);
    assert.deepEqual([positions.SAIL, trade.side], [299, 'sell'], page.label);
  }
  trader.send('/app/trade', { side: 'sell', ticker: 'SAIL', shares: 300 });
  assert.equal(await trader.next(errors), 'there are not enough shares');
  await fetch(example.url('/logout'), { method: 'POST', headers: { cookie } });
  for (const page of [trader, ...others]) {
    assert.equal(await page.next('ERROR'), 'logged out', page.label);
  }
});
