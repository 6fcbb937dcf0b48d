#!/usr/bin/python3
# SPDX-License-Identifier: LiLiQ-Rplus-1.1
"""A daemon whose connections are all taken, every other time: turn_away.py SOCKET

Takes the place of the daemon's socket, turns away the first, third, fifth… who comes, as the
daemon does, and lets the others through.  Ends after an unmount.  With --alone it turns one
away and then hangs up on everybody, as a daemon that ends meanwhile, for ten seconds.
"""
import os
import socket
import sys

REFUSAL = b'{"code":-11,"error":"EAGAIN","heard":false}\n'


def listen(path):
    s = socket.socket(socket.AF_UNIX)
    s.bind(path)
    os.chmod(path, 0o600)
    s.listen(16)
    return s


def forward(client, real):
    request = client.recv(4096)
    with socket.socket(socket.AF_UNIX) as daemon:
        daemon.connect(real)
        daemon.sendall(request)
        while piece := daemon.recv(65536):
            client.sendall(piece)
    return request.startswith(b"unmount")


def main():
    path, alone = sys.argv[1], "--alone" in sys.argv
    real = path + ".real"
    if not alone:
        os.rename(path, real)
    s = listen(path)
    print("ready", flush=True)
    s.settimeout(10 if alone else 120)
    count = 0
    while True:
        try:
            client, _ = s.accept()
        except TimeoutError:
            return
        count += 1
        with client:
            if count == 1 or (count % 2 and not alone):
                client.recv(4096)
                client.sendall(REFUSAL)
            elif not alone and forward(client, real):
                return


main()
