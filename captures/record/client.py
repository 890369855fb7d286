"""A WebSocket client (Python websockets) for the recordings: client.py URL

Sends two texts and a binary message, pings, and closes with 1000. Prints, as JSON lines, what its API reports.
"""
import asyncio
import json
import sys

import websockets


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
    except websockets.WebSocketException as error:
        print(json.dumps({"error": str(error)}))


asyncio.run(main(sys.argv[1]))
