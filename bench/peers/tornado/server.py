"""sockjs-tornado with its defaults: /echo and /broadcast. Usage: server.py [--heartbeat MS]"""

import asyncio
import sys

from sockjs.tornado import SockJSConnection, SockJSRouter
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application


class Echo(SockJSConnection):
    def on_message(self, message):
        self.send(message)


class Broadcast(SockJSConnection):
    room = set()

    def on_open(self, request):
        self.room.add(self)

    def on_message(self, message):
        self.broadcast(self.room, message)

    def on_close(self):
        self.room.remove(self)


async def main():
    settings = {}
    if "--heartbeat" in sys.argv:
        settings["heartbeat_delay"] = int(sys.argv[sys.argv.index("--heartbeat") + 1]) / 1000
    urls = SockJSRouter(Echo, "/echo", settings).urls + SockJSRouter(Broadcast, "/broadcast", settings).urls
    server = HTTPServer(Application(urls, log_function=lambda handler: None))
    sockets = bind_sockets(0, "127.0.0.1", backlog=1024)
    server.add_sockets(sockets)
    print(f"listening on http://127.0.0.1:{sockets[0].getsockname()[1]}", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
