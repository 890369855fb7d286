"""A WebSocket client (Python websockets) for the recordings: client.py URL [blocking]

Sends two texts and a binary message, pings, and closes with 1000. Prints, as JSON lines, what its API reports.
With "blocking" it is the client of websockets.sync, which sends one text only: on a certificate that it refuses, a
blocking socket of Python sends the alert that asyncio drops.
"""
import asyncio
import json
import sys

import websockets
import websockets.sync.client


async def main(url):
    try:
        async with websockets.connect(url, compression=None, open_timeout=5) as socket:
            for message in ("hello", "how are you?", b"\x00\x01\x02\x03"):
                await socket.send(message)
                answer = await socket.recv()
                print(json.dumps({"received": answer if isinstance(answer, str) else len(answer)}))
            await (await socket.ping(b"round trip"))
            await socket.close(1000, "done")
        print(json.dumps({"closed": socket.close_code, "reason": socket.close_reason}))
    except (websockets.WebSocketException, OSError) as error:
        print(json.dumps({"error": str(error), "cause": str(error.__cause__)} if error.__cause__ else {"error": str(error)}))


def blocking(url):
    try:
        with websockets.sync.client.connect(url, compression=None, open_timeout=5) as socket:
            socket.send("hello")
            print(json.dumps({"received": socket.recv()}))
    except (websockets.WebSocketException, OSError) as error:
        print(json.dumps({"error": str(error)}))


blocking(sys.argv[1]) if sys.argv[2:] == ["blocking"] else asyncio.run(main(sys.argv[1]))
