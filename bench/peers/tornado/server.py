"""sockjs-tornado with its defaults; the services and options are those of ../README.md."""

import asyncio
import pathlib
import sys

from sockjs.tornado import SockJSConnection, SockJSRouter
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application

sys.path.append(str(pathlib.Path(__file__).parent.parent))
from common import Collected, close_command, heartbeat, watch_stdin


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


class Close(SockJSConnection):
    def on_open(self, request):
        self.session.close(3000, "Go away!")


class Closing(SockJSConnection):
    name = ""

    def on_message(self, message):
        command = close_command(message)
        if command:
            self.session.close(*command)
        else:
            self.name = message
            self.send(message)

    def on_close(self):
        print("ended", self.name, flush=True)


class Collect(SockJSConnection):
    def on_open(self, request):
        self.collected = Collected()

    def on_message(self, message):
        if message == "?":
            self.send(str(self.collected))
        else:
            self.collected.add(message)


class Count(SockJSConnection):
    def on_message(self, message):
        for i in range(int(message)):
            self.send(str(i))


async def main():
    watch_stdin()
    settings = {}
    if heartbeat() is not None:
        settings["heartbeat_delay"] = heartbeat()
    urls = []
    for service in (Echo, Broadcast, Close, Closing, Collect, Count):
        urls += SockJSRouter(service, f"/{service.__name__.lower()}", settings).urls
    server = HTTPServer(Application(urls, log_function=lambda handler: None))
    sockets = bind_sockets(0, "127.0.0.1", backlog=1024)
    server.add_sockets(sockets)
    print(f"listening on http://127.0.0.1:{sockets[0].getsockname()[1]}", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
