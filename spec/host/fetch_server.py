"""A server that misbehaves on request, for spec/host/fetch_spec.lua: the path says how. Prints its ports as one JSON line.

Arguments: certificate and key of the TLS port, and of a second one that nobody trusts."""
import gzip
import itertools
import json
import socket
import ssl
import struct
import sys
import threading
import time
import urllib.parse
import zlib

connections = itertools.count(1)
failures = {}
lock = threading.Lock()


def read_request(stream):
    line = stream.readline()
    if not line:
        return None
    method, target, _ = line.decode("latin-1").split(" ", 2)
    headers = {}
    while True:
        line = stream.readline().decode("latin-1").strip()
        if not line:
            break
        name, value = line.split(":", 1)
        headers[name.lower()] = value.strip()
    body = stream.read(int(headers.get("content-length", 0)))
    return method, target, headers, body


def answer(conn, body, status="200 OK", headers=()):
    body = body if isinstance(body, bytes) else body.encode()
    lines = ["HTTP/1.1 " + status, "Content-Length: %d" % len(body)] + list(headers)
    conn.sendall(("\r\n".join(lines) + "\r\n\r\n").encode() + body)


def endless(conn, prefix, chunk):
    conn.sendall(prefix)
    for _ in range(100000):
        conn.sendall(chunk)


def flaky(conn, query):
    key = query["key"]
    with lock:
        failures[key] = failures.get(key, 0) + 1
        n = failures[key]
    if n <= int(query["fail"]):
        if query.get("how") == "close":
            return False
        extra = ["Retry-After: " + query["after"]] if "after" in query else []
        answer(conn, "not yet", query.get("how", "503") + " No", extra)
    else:
        answer(conn, str(n))
    return True


def bomb():
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = bytes(1 << 20)
    return b"".join(packer.compress(block) for _ in range(200)) + packer.flush()


def handle(conn, number):
    stream = conn.makefile("rb")
    while True:
        request = read_request(stream)
        if request is None:
            return
        method, target, headers, body = request
        if method == "CONNECT" or target.startswith("http://"):
            answer(conn, json.dumps({"proxied": target}))
            continue
        path, _, query = target.partition("?")
        query = dict(urllib.parse.parse_qsl(query))
        if path == "/echo":
            answer(conn, "" if method == "HEAD" else json.dumps(
                {"method": method, "target": target, "headers": headers, "body": body.decode("latin-1"), "connection": number}))
        elif path == "/redirect":
            answer(conn, "moved", query.get("status", "302") + " Found", ["Location: " + query["to"]])
        elif path == "/repeated":
            answer(conn, "x", headers=["X-One: a", "x-one: b", "X-Empty:", "Set-Cookie: a=1", "Set-Cookie: b=2"])
        elif path == "/interim":
            conn.sendall(b"HTTP/1.1 103 Early Hints\r\nX-Early: 1\r\n\r\n")
            answer(conn, "late")
        elif path == "/old":
            conn.sendall(b"HTTP/1.0 200 OK\r\n\r\nto the end")
            return
        elif path == "/digest":
            if headers.get("authorization", "").startswith("Digest "):
                answer(conn, headers["authorization"])
            else:
                answer(conn, "who", "401 No", ['WWW-Authenticate: Digest realm="r", nonce="n", qop="auth", algorithm=MD5'])
        elif path == "/hang":
            time.sleep(60)
        elif path == "/drip":
            endless_at = time.time() + 60
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            while time.time() < endless_at:
                conn.sendall(b"x")
                time.sleep(0.05)
        elif path == "/stall":
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx")
            time.sleep(60)
        elif path == "/short":
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            return
        elif path == "/short-chunk":
            conn.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
            return
        elif path == "/short-gzip":
            packed = gzip.compress(b"the whole text" * 1000)
            answer(conn, packed[: len(packed) // 2], headers=["Content-Encoding: gzip"])
        elif path == "/short-head":
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Le")
            return
        elif path == "/reset":
            conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return
        elif path == "/nothing":
            return
        elif path == "/garbage":
            conn.sendall(b"220 mail.example.org ESMTP\r\n")
            return
        elif path == "/large":
            answer(conn, "x" * int(query["n"]))
        elif path == "/endless":
            endless(conn, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1000\r\n" + b"x" * 4096 + b"\r\n")
        elif path == "/endless-head":
            endless(conn, b"HTTP/1.1 200 OK\r\n", b"X-Header: " + b"x" * 1000 + b"\r\n")
        elif path == "/many-fields":
            conn.sendall(b"HTTP/1.1 200 OK\r\n" + b"a:b\r\n" * int(query["n"]) + b"Content-Length: 0\r\n\r\n")
        elif path == "/bomb":
            answer(conn, bomb(), headers=["Content-Encoding: gzip"])
        elif path == "/gzip":
            answer(conn, gzip.compress(b"the whole text" * 1000), headers=["Content-Encoding: gzip"])
        elif path == "/gzip-two":
            answer(conn, gzip.compress(b"one ") + gzip.compress(b"two"), headers=["Content-Encoding: x-gzip"])
        elif path == "/deflate":
            answer(conn, zlib.compress(b"the whole text"), headers=["Content-Encoding: deflate"])
        elif path == "/deflate-raw":
            answer(conn, zlib.compress(b"the whole text")[2:-4], headers=["Content-Encoding: deflate"])
        elif path == "/not-gzip":
            answer(conn, "plain", headers=["Content-Encoding: gzip"])
        elif path == "/unknown-encoding":
            answer(conn, "plain", headers=["Content-Encoding: br, gzip"])
        elif path == "/empty-gzip":
            answer(conn, "", headers=["Content-Encoding: gzip"])
        elif path == "/flaky":
            if not flaky(conn, query):
                return
        elif path == "/stale":
            # says that it keeps the connection, and closes it
            answer(conn, str(number))
            return
        else:
            answer(conn, "no", "404 Not Found")


def serve(listener, context):
    def run(conn):
        try:
            if context:
                conn = context.wrap_socket(conn, server_side=True)
            handle(conn, next(connections))
        except (OSError, ValueError):
            pass
        finally:
            conn.close()

    while True:
        conn, _ = listener.accept()
        threading.Thread(target=run, args=(conn,), daemon=True).start()


def listen(certificate=None, key=None):
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
    threading.Thread(target=serve, args=(listener, context), daemon=True).start()
    return listener.getsockname()[1]


ports = {"http": listen(), "other": listen(), "https": listen(sys.argv[1], sys.argv[2]), "untrusted": listen(sys.argv[3], sys.argv[4])}
print(json.dumps(ports), flush=True)
threading.Event().wait()
