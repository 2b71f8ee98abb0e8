"""aiohttp's sockjs with its defaults: /echo and /broadcast. Usage: server.py [--heartbeat MS]"""

import asyncio
import socket
import sys

from aiohttp import web
from sockjs import MsgType, add_endpoint


async def echo(manager, session, message):
    if message.type == MsgType.MESSAGE:
        session.send(message.data)


async def broadcast(manager, session, message):
    if message.type == MsgType.MESSAGE:
        await manager.broadcast(message.data)


async def main():
    options = {}
    if "--heartbeat" in sys.argv:
        options["heartbeat_delay"] = int(sys.argv[sys.argv.index("--heartbeat") + 1]) / 1000
    app = web.Application()
    add_endpoint(app, echo, name="echo", prefix="/echo", **options)
    add_endpoint(app, broadcast, name="broadcast", prefix="/broadcast", **options)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    await web.SockSite(runner, listener, backlog=1024).start()
    print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
