"""A room: what one says, all hear."""

import asyncio

from websockets.asyncio.server import broadcast, serve

room = set()


async def chat(socket):
    room.add(socket)
    try:
        async for message in socket:
            broadcast(room, message)
    finally:
        room.discard(socket)


async def main():
    # A client that comes by SockJS has passed the gateway's limits already.
    async with serve(chat, "127.0.0.1", 9000) as server:
        await server.serve_forever()


asyncio.run(main())
