"""Connections on which a request is sent and nothing is read: python3 nothing-read.py PORT PATH ADDRESS COUNT SECONDS

In Python, since Node.js cannot set the segment size of a connection. The segments of the loopback have 64 KiB, of which
the kernel buffers 1 to 4 MiB for each connection: a thousand use up the memory that the kernel has for all of TCP, and
it drops everybody's segments, whatever the server. Clients of a network have segments of 1,448 bytes.
"""

import selectors
import socket
import sys
import time

SEGMENT = 1448
# A listener's queue takes some hundreds at a time.
WAVE = 250
WAVE_SECONDS = 5

port, path, address, count, seconds = sys.argv[1:]
request = f"GET {path} HTTP/1.1\r\nhost: mirror\r\n\r\n".encode()
opened = []
answered = 0


def connection():
    client = socket.socket()
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT)
    client.setblocking(False)
    client.bind((address, 0))
    client.connect_ex(("127.0.0.1", int(port)))
    return client


def wave(clients):
    """Sends a request on each and waits until each has the beginning of an answer, or was refused."""
    begun = 0
    until = time.monotonic() + WAVE_SECONDS
    with selectors.DefaultSelector() as waiting:
        for client in clients:
            waiting.register(client, selectors.EVENT_WRITE)
        while waiting.get_map() and time.monotonic() < until:
            for key, event in waiting.select(timeout=0.1):
                try:
                    if event & selectors.EVENT_WRITE:
                        key.fileobj.send(request)
                        waiting.modify(key.fileobj, selectors.EVENT_READ)
                        continue
                    begun += 1
                except OSError:
                    pass
                waiting.unregister(key.fileobj)
    return begun


for first in range(0, int(count), WAVE):
    clients = [connection() for _ in range(min(WAVE, int(count) - first))]
    opened += clients
    answered += wave(clients)
time.sleep(float(seconds))
print(answered)
