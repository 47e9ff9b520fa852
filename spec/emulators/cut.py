"""A server that breaks off: cut.py MODE prints its port and answers every connection the same way.

half   a correct head that promises more body than follows, then the end of the connection
head   the connection ends in the middle of the head
hang   reads the request and never answers
endless  a chunked body that does not end
"""
import os
import socket
import sys
import threading
import time

mode = sys.argv[1]
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", 0))
listener.listen()
print(listener.getsockname()[1], flush=True)
held = []


def serve(connection):
    try:
        connection.recv(65536)
        head = b"HTTP/1.1 207 Multi-Status\r\nContent-Type: application/xml\r\n"
        if mode == "half":
            body = b'<?xml version="1.0"?><D:multistatus xmlns:D="DAV:"><D:response>'
            connection.sendall(head + b"Content-Length: 5000\r\n\r\n" + body)
            connection.close()
        elif mode == "head":
            connection.sendall(head[:20])
            connection.close()
        elif mode == "endless":
            connection.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
            while True:
                connection.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        else:
            held.append(connection)
    except OSError:
        pass


def watch(parent):
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)


threading.Thread(target=watch, args=(os.getppid(),), daemon=True).start()
while True:
    accepted, _ = listener.accept()
    threading.Thread(target=serve, args=(accepted,), daemon=True).start()
