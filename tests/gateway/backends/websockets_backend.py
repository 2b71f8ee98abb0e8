"""A backend by the package `websockets` that does what its clients say: ../README.md lists the words.

    websockets_backend.py PORT
"""

import asyncio
import http
import json
import sys
from urllib.parse import urlsplit

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

stats = {"opened": 0, "open": 0, "requests": 0, "received": 0, "sent": 0, "closes": []}
health = 200
# Set while those who hold may read.
released = asyncio.Event()


async def send(socket, data):
    stats["sent"] += 1
    await socket.send(data)


async def read(socket):
    async for message in socket:
        stats["received"] += 1
        yield message


async def echo(socket):
    async for message in read(socket):
        await send(socket, message)


async def slow(socket):
    async for message in read(socket):
        await asyncio.sleep(0.002)
        await send(socket, message)


async def collect(socket):
    count, is_ordered = 0, True
    async for message in read(socket):
        if message == "hold":
            released.clear()
            await released.wait()
        elif message == "count":
            await send(socket, "%d %s" % (count, "true" if is_ordered else "false"))
        else:
            is_ordered = is_ordered and int(message.split(" ")[0]) == count
            count += 1


async def commands(socket):
    async for message in read(socket):
        word, *rest = message.split(" ")
        if word == "close":
            await socket.close(int(rest[0]) if rest[0] else 1000, " ".join(rest[1:]))
        elif word == "drop":
            socket.transport.abort()
        elif word == "burst":
            count, length = map(int, rest)
            for number in range(count):
                await send(socket, ("%d " % number).ljust(length, "x"))
        elif word == "binary":
            await send(socket, bytes(number % 256 for number in range(int(rest[0]))))
        elif word == "hold":
            released.clear()
            await released.wait()
        else:
            await send(socket, message)


async def tell(socket):
    request = socket.request
    # As Node does it: names in small letters, and one value for each.
    headers = {name.lower(): ", ".join(request.headers.get_all(name)) for name in request.headers}
    await send(socket, json.dumps({"url": request.path, "headers": headers, "protocol": socket.subprotocol or ""}))
    await socket.wait_closed()


async def stream(socket):
    number = 0
    while True:
        await send(socket, ("%d " % number).ljust(100, "x"))
        number += 1
        await asyncio.sleep(0.001)


async def flood(socket):
    number = 0
    while True:
        await send(socket, ("%d " % number).ljust(1 << 16, "x"))
        number += 1


SERVICES = {"echo": echo, "collect": collect, "slow": slow, "commands": commands, "tell": tell, "flood": flood, "stream": stream}


def parts(request):
    return (urlsplit(request.path).path.split("/") + [""])[1:3]


async def answer(connection, request):
    """What is answered without a WebSocket."""
    global health
    name, argument = parts(request)
    if name == "stats":
        return connection.respond(http.HTTPStatus.OK, json.dumps(stats))
    if name == "release":
        released.set()
        return connection.respond(http.HTTPStatus.OK, "")
    if name == "health":
        if argument:
            health = int(argument)
        return connection.respond(http.HTTPStatus(200 if argument else health), "")
    stats["requests"] += 1
    if name == "silent":
        await connection.wait_closed()
    if name not in SERVICES:
        status = int(argument) if name == "refuse" else 404
        response = connection.respond(http.HTTPStatus(status), "the backend says %d" % status)
        if status == 401:
            response.headers["WWW-Authenticate"] = 'Bearer realm="backend"'
        if status == 302:
            response.headers["Location"] = "http://127.0.0.1:1/"
        return response
    return None


async def handle(socket):
    stats["opened"] += 1
    stats["open"] += 1
    try:
        await SERVICES[parts(socket.request)[0]](socket)
    except ConnectionClosed:
        pass
    finally:
        await socket.close()
        stats["open"] -= 1
        # Without a word of the other side it is 1006, and nothing.
        received = socket.protocol.close_rcvd
        stats["closes"].append({"path": urlsplit(socket.request.path).path,
                                "code": received.code if received else 1006,
                                "reason": received.reason if received else ""})


async def main():
    server = serve(
        handle,
        "127.0.0.1",
        int(sys.argv[1]),
        process_request=answer,
        select_subprotocol=lambda _, offered: offered[0] if offered else None,
        max_size=1 << 24,
        open_timeout=None,
    )
    async with server as running:
        print("listening", flush=True)
        await running.serve_forever()


asyncio.run(main())
