// Ports for programs that are told where to listen.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';

// A port that no connection gets from the kernel, so that a process which was killed finds its own again.
export async function freePort() {
  const [first, last] = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').trim().split(/\s+/).map(Number);
  const [low, high] = first > 12_000 ? [10_000, first] : [last + 1, 65_536];
  for (;;) {
    const port = low + Math.floor(Math.random() * (high - low));
    const server = createServer();
    const isFree = await new Promise((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
    });
    if (isFree) {
      return port;
    }
  }
}
