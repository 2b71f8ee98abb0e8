"""aiohttp's sockjs with its defaults; the services and options are those of ../README.md."""

import asyncio
import pathlib
import socket
import sys

from aiohttp import web
from sockjs import MsgType, add_endpoint

sys.path.append(str(pathlib.Path(__file__).parent.parent))
from common import Collected, close_command, heartbeat, watch_stdin


async def echo(manager, session, message):
    if message.type == MsgType.MESSAGE:
        session.send(message.data)


async def broadcast(manager, session, message):
    if message.type == MsgType.MESSAGE:
        manager.broadcast(message.data)


async def close(manager, session, message):
    if message.type == MsgType.OPEN:
        session.close(3000, "Go away!")


async def closing(manager, session, message):
    if message.type == MsgType.MESSAGE:
        command = close_command(message.data)
        if command:
            session.close(*command)
        else:
            session.name = message.data
            session.send(message.data)
    elif message.type == MsgType.CLOSED:
        print("ended", getattr(session, "name", ""), flush=True)


async def collect(manager, session, message):
    if message.type == MsgType.OPEN:
        session.collected = Collected()
    elif message.type == MsgType.MESSAGE:
        if message.data == "?":
            session.send(str(session.collected))
        else:
            session.collected.add(message.data)


async def count(manager, session, message):
    if message.type == MsgType.MESSAGE:
        for i in range(int(message.data)):
            session.send(str(i))


async def main():
    watch_stdin()
    options = {}
    if heartbeat() is not None:
        options["heartbeat_delay"] = heartbeat()
    app = web.Application()
    for service in (echo, broadcast, close, closing, collect, count):
        add_endpoint(app, service, name=service.__name__, prefix=f"/{service.__name__}", **options)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    await web.SockSite(runner, listener, backlog=1024).start()
    print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
