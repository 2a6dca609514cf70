# SPDX-License-Identifier: MIT
# server.lua with Python's Trio. Prints three ports, 0 for what it doesn't have.
import trio

CHUNK = b"x" * 65536


def until_broken(handler):
    async def serve(stream):
        try:
            await handler(stream)
        except trio.BrokenResourceError:
            pass

    return serve


async def echo(stream):
    async for data in stream:
        await stream.send_all(data)


async def send(stream):
    while True:
        await stream.send_all(CHUNK)


async def main():
    ports = []
    async with trio.open_nursery() as nursery:
        for handler in echo, send:
            listeners = await trio.open_tcp_listeners(
                0, host="127.0.0.1", backlog=1024
            )
            ports.append(listeners[0].socket.getsockname()[1])
            nursery.start_soon(trio.serve_listeners, until_broken(handler), listeners)
        print(*ports, 0, flush=True)


trio.run(main)
