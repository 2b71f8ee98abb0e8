// Clients of a gateway: the unmodified sockjs-client over each of its transports, and a WebSocket without SockJS.
import { Client, TRANSPORTS, WebSocket } from '../cluster/sockjs.js';

export const RAW = 'a WebSocket';
export const CARRIAGES = [RAW, ...TRANSPORTS];

class RawClient extends Client {
  connect(url, _, { protocols = [], headers = {} } = {}) {
    const socket = new WebSocket(`${url.replace(/^http/, 'ws')}/websocket`, protocols, { headers });
    // Its close event follows, with 1006.
    socket.onerror = ({ message }) => {
      this.error = message;
    };
    return socket;
  }
}

const kindOf = (carriage) => (carriage === RAW ? RawClient : Client);

// A client that waits for its open event.
export function openClient(t, url, carriage, options) {
  return kindOf(carriage).open(t, url, carriage, options);
}

// One that may be refused.
export function makeClient(t, url, carriage, options) {
  return new (kindOf(carriage))(t, url, carriage, options);
}

export function openAll(t, url, carriages = CARRIAGES) {
  return Promise.all(carriages.map((carriage) => openClient(t, url, carriage)));
}

// Code and reason of a client's close event.
export async function closureOf(client, ms) {
  const { code, reason } = await client.closed(ms);
  return { code, reason };
}
