// What a backend learns of the request that opens a session, and what it does not.
import assert from 'node:assert/strict';
import test, { after, describe } from 'node:test';
import { WebSocket } from '../cluster/sockjs.js';
import { Backend, Gateway } from './programs.js';
import { begin, opened, poll } from './sessions.js';

const SENT = {
  Origin: 'https://page.example',
  Cookie: 'session=secret; theme=dark',
  Authorization: 'Bearer token',
  'X-Tenant': 'client',
  'X-Forwarded-For': '203.0.113.7',
  'X-Forwarded-Proto': 'https',
  'X-Forwarded-Host': 'page.example',
  Forwarded: 'for=203.0.113.7;proto=https;host=page.example',
};

for (const kind of Backend.kinds) {
  describe(kind, { concurrency: 4 }, async () => {
    const backend = await Backend.start({ after }, kind);
    const url = backend.url('/tell');
    const route = [
      { path: '/plain', backends: [url], origins: 'any' },
      { path: '/alone', backends: [url], origins: 'any', pass_headers: [] },
      {
        path: '/passing',
        backends: [`${url}?fixed=1`],
        origins: 'any',
        pass_headers: ['Authorization', 'Origin'],
        pass_cookies: ['theme'],
        pass_query: true,
        host: 'backend.example',
        set_headers: { 'X-Tenant': 'gateway' },
      },
      { path: '/cookies', backends: [url], origins: 'any', pass_cookies: 'all', host: 'client' },
      { path: '/protocols', backends: [url], subprotocols: ['v2.chat', 'v1.chat'] },
    ];
    const gateway = await Gateway.start({ after }, { route });
    const trusting = await Gateway.start({ after }, { route, trusted_proxies: ['127.0.0.0/8'] });

    // What the backend says that it got, over a transport of HTTP and over a WebSocket.
    const told = async (server, path, options) => {
      const session = await opened(server, path, options);
      const [message] = await poll(server, session);
      return JSON.parse(message);
    };
    const toldRaw = async (t, server, path, { query = '', headers } = {}, protocols = []) => {
      const socket = new WebSocket(`ws://127.0.0.1:${server.port}${path}/websocket${query}`, protocols, { headers });
      t.after(() => socket.terminate());
      const data = await new Promise((resolve, reject) => {
        socket.once('message', (bytes) => resolve(`${bytes}`));
        socket.once('error', reject);
      });
      return { ...JSON.parse(data), chosen: socket.protocol };
    };
    const both = async (t, server, path, options) => [
      await told(server, path, options),
      await toldRaw(t, server, path, options),
    ];

    test('by default: the origin, and nothing else of the client', async (t) => {
      for (const { url, headers } of await both(t, gateway, '/plain', { headers: SENT, query: '?token=1' })) {
        assert.equal(url, '/tell');
        assert.equal(headers.origin, SENT.Origin);
        assert.equal(headers.host, `127.0.0.1:${backend.port}`);
        for (const name of ['cookie', 'authorization', 'x-tenant', 'forwarded']) {
          assert.equal(headers[name], undefined, name);
        }
        // Those of the gateway's own making.
        assert.equal(headers['x-forwarded-for'], '127.0.0.1');
        assert.equal(headers['x-forwarded-proto'], 'http');
        assert.equal(headers['x-forwarded-host'], `127.0.0.1:${gateway.port}`);
      }
    });

    test('nothing at all, where the settings say so', async (t) => {
      for (const { url, headers } of await both(t, gateway, '/alone', { headers: SENT, query: '?token=1' })) {
        assert.equal(url, '/tell');
        assert.equal(headers.origin, undefined);
      }
    });

    test('what the settings pass on: headers, cookies by name, the query, another host', async (t) => {
      for (const { url, headers } of await both(t, gateway, '/passing', { headers: SENT, query: '?fixed=2&token=1%2B' })) {
        // What the backend's URL says is not the client's to say.
        assert.equal(url, '/tell?fixed=1&token=1%2B');
        assert.equal(headers.authorization, 'Bearer token');
        assert.equal(headers.cookie, 'theme=dark');
        assert.equal(headers['x-tenant'], 'gateway');
        assert.equal(headers.host, 'backend.example');
      }
    });

    test('all cookies, and the client’s host', async (t) => {
      for (const { headers } of await both(t, gateway, '/cookies', { headers: SENT })) {
        assert.equal(headers.cookie, SENT.Cookie);
        assert.equal(headers.host, `127.0.0.1:${gateway.port}`);
      }
    });

    test('a proxy that is trusted is believed', async (t) => {
      const { Forwarded, ...forwarded } = SENT;
      for (const { headers } of await both(t, trusting, '/plain', { headers: forwarded })) {
        assert.equal(headers['x-forwarded-for'].split(',')[0].trim(), '203.0.113.7');
        assert.equal(headers['x-forwarded-proto'], 'https');
        assert.equal(headers['x-forwarded-host'], 'page.example');
      }
    });

    test('sub-protocols: the client’s are agreed on with the backend', async (t) => {
      const { protocol, chosen } = await toldRaw(t, gateway, '/protocols', {}, ['v1.chat', 'other']);
      assert.deepEqual([protocol, chosen], ['v1.chat', 'v1.chat']);
      // A transport over HTTP asks for all, in the order of the settings.
      const { headers } = await told(gateway, '/protocols');
      assert.equal(headers['sec-websocket-protocol'].replaceAll(' ', ''), 'v2.chat,v1.chat');
    });

    test('a page of another origin is not served by default', async () => {
      const closed = await Gateway.start({ after }, { route: [{ path: '/plain', backends: [url] }] });
      await opened(closed, '/plain', { headers: { Origin: closed.url } });
      const answer = await begin(closed, '/plain', { headers: { Origin: SENT.Origin } });
      assert.equal(answer.status, 403);
    });
  });
}
