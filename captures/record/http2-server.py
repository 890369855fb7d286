"""A WebSocket server over HTTP/2 (Hypercorn, TLS) for the recordings: http2-server.py PORT FOLDER

Echoes text messages; the certificate is FOLDER/good.pem. Prints, as JSON lines, what its API reports.
"""
import asyncio
import json
import socket
import sys

from hypercorn.asyncio import serve
from hypercorn.config import Config


def log(**what):
    print(json.dumps(what), flush=True)


async def application(scope, receive, send):
    if scope["type"] != "websocket":
        return
    while True:
        event = await receive()
        if event["type"] == "websocket.connect":
            log(path=scope["path"], http_version=scope["http_version"], upgraded=True)
            await send({"type": "websocket.accept"})
        elif event["type"] == "websocket.receive":
            log(received=event["text"])
            await send({"type": "websocket.send", "text": f"echo {event['text']}"})
        elif event["type"] == "websocket.disconnect":
            log(path=scope["path"], closed=event["code"])
            return


port, folder = sys.argv[1:]
listener = socket.create_server(("", int(port)))
config = Config()
config.bind = [f"fd://{listener.detach()}"]
config.certfile, config.keyfile = f"{folder}/good.pem", f"{folder}/good.key"
config.alpn_protocols = ["h2", "http/1.1"]
config.loglevel = "warning"
log(listening=int(port))
asyncio.run(serve(application, config))
