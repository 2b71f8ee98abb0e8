// Echoes messages through a server by the browser's client, and says how many per second of this process's
// processor time, and per second: node speed.js URL TRANSPORT BYTES IN_FLIGHT SECONDS. bench/client runs it.
import SockJS from 'sockjs-client';

const [url, transport, bytes, inFlight, seconds] = process.argv.slice(2);
const text = 'x'.repeat(Number(bytes));
const time = 1000 * Number(seconds);
const socket = new SockJS(url, null, { transports: [transport], timeout: 15_000 });
let echoed = 0;

socket.onopen = () => {
  for (let message = 0; message < Number(inFlight); message += 1) {
    socket.send(text);
  }
  setTimeout(measure, time / 2);
};
socket.onmessage = ({ data }) => {
  socket.send(data);
  echoed += 1;
};
socket.onclose = ({ code, reason }) => {
  console.error(`closed: ${code} ${reason}`);
  process.exit(1);
};

function measure() {
  echoed = 0;
  const began = performance.now();
  const before = process.cpuUsage();
  setTimeout(() => {
    const { user, system } = process.cpuUsage(before);
    const took = performance.now() - began;
    console.log(`${Math.round(echoed / ((user + system) / 1e6))} ${Math.round(echoed / (took / 1e3))}`);
    process.exit(0);
  }, time);
}
