// A room: what one says, all hear.
import { WebSocketServer } from 'ws';

const server = new WebSocketServer({ host: '127.0.0.1', port: 9001 });

server.on('connection', (socket, request) => {
  // The gateway has put it there; a client cannot.
  console.log(`${request.headers['x-forwarded-for']} has come`);
  socket.on('message', (data, isBinary) => {
    for (const client of server.clients) {
      client.send(data, { binary: isBinary });
    }
  });
  socket.on('error', console.error);
});
