"""Servers for the recordings that need a hand on the socket: server.py not-found|wrong-accept PORT

`not-found` is Python websockets with one route; anything else is answered 404. `wrong-accept` is a scripted TCP
peer that completes every handshake with the accept value of another key (the sample of RFC 6455 section 1.3).
Prints, as JSON lines, what it did.
"""
import asyncio
import http
import json
import sys

import websockets


def log(**what):
    print(json.dumps(what), flush=True)


async def not_found(port):
    async def echo(socket):
        async for message in socket:
            await socket.send(message)

    def route(connection, request):
        if request.path != "/feed":
            log(path=request.path, answered=404)
            return connection.respond(http.HTTPStatus.NOT_FOUND, "No such feed.\n")
        return None

    async with websockets.serve(echo, "", port, process_request=route):
        log(listening=port)
        await asyncio.Future()


async def wrong_accept(port):
    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     b"Sec-WebSocket-Accept: s3pPLBMiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
        await writer.drain()
        log(answered=101, accept="s3pPLBMiTxaQ9kYGzzhZRbK+xOo=")
        rest = await reader.read()
        log(received_afterwards=len(rest))
        writer.close()

    async with await asyncio.start_server(answer, "", port) as server:
        log(listening=port)
        await server.serve_forever()


asyncio.run({"not-found": not_found, "wrong-accept": wrong_accept}[sys.argv[1]](int(sys.argv[2])))
