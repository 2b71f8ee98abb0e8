// Connects by the browser's client, and says what it ended at: node connect.js URL prints
// {"transport": NAME, "ms": TIME} or {"code": CODE, "ms": TIME}.
import SockJS from 'sockjs-client';

const began = performance.now();
const socket = new SockJS(process.argv[2]);

function end(outcome) {
  console.log(JSON.stringify({ ...outcome, ms: Math.round(performance.now() - began) }));
  process.exit(0);
}

socket.onopen = () => end({ transport: socket.transport });
socket.onclose = ({ code }) => end({ code });
