"""A web server that does everything wrong, by the first segment of the path. Prints its port."""
import http.server
import socket
import socketserver
import sys
import time


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        length = int(self.headers.get("content-length") or 0)
        self.rfile.read(length)
        kind = self.path.strip("/").split("/")[0]
        if kind == "hang":
            time.sleep(60)
            return
        if kind == "html":
            self.give(200, "text/html", b"<html><body><h1>Welcome</h1></body></html>")
        elif kind == "half":
            self.send_response(207)
            self.send_header("content-type", "application/xml")
            self.send_header("content-length", "5000")
            self.end_headers()
            self.wfile.write(b'<?xml version="1.0"?><D:multistatus xmlns:D="DAV:"><D:resp')
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        elif kind == "xml":
            self.give(207, "application/xml", b'<?xml version="1.0"?><D:multistatus xmlns:D="DAV:"><open>')
        elif kind == "garbage":
            self.give(200, "text/calendar", b"\x00\xff\xfeBEGIN:NOTHING\r\nnonsense")
        elif kind == "broken":
            self.give(500, "text/plain", b"out of order")
        else:
            self.give(404, "text/plain", b"nothing here")

    def give(self, status, kind, body):
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_OPTIONS = do_PROPFIND = do_REPORT = answer

    def log_message(self, *args):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


server = Server(("127.0.0.1", 0), Handler)
print(server.server_port)
sys.stdout.flush()
server.serve_forever()
