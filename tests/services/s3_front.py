"""A server in front of the S3 server of the tests, which makes it speak as other servers do.

    with S3Front(server) as front:
        front.before = lambda request: request.drop("x-amz-checksum-")
        front.after = lambda request, answer: answer.drop("x-amz-checksum-")

`before` may change the request, and may answer it itself by returning an Answer; `after` may change the server's answer.
A request that was changed is signed anew; that it was signed rightly is seen to first. `requests` is what came. It is an
HTTP proxy as well, for any host name.
"""

import hashlib
import hmac
import http.client
import http.server
import select
import socket
import sys
import threading
import time
import urllib.parse

HOP_BY_HOP = ("connection", "proxy-connection", "keep-alive", "transfer-encoding", "content-length", "accept-encoding")


class Headers(dict):
    """By their names in lower case."""

    def drop(self, beginning):
        for name in [name for name in self if name.startswith(beginning)]:
            del self[name]


class Request:
    def __init__(self, method, target, headers, body):
        self.method, self.body = method, body
        self.by_proxy = "://" in target
        parts = urllib.parse.urlsplit(target)
        self.path = parts.path or "/"
        self.query = dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True))
        self.headers = Headers(headers)
        self.answered = None  # the status
        self.secret = None  # that it is signed anew with, if not with the same
        self.at = time.monotonic()

    def __repr__(self):
        return f"{self.method} {self.path} {self.query} -> {self.answered}"

    def state(self):
        return (self.method, self.path, dict(self.query), dict(self.headers), self.body)

    def drop(self, beginning):
        self.headers.drop(beginning)

    def sign_as(self, key, secret):
        """Signed as somebody else when it goes on."""
        date, region, service = self.scope()[1:]
        names = self.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0]
        names = ";".join(name for name in names.split(";") if name in self.headers)
        self.headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={key}/{date}/{region}/{service}/aws4_request, SignedHeaders={names}, Signature="
        )
        self.secret = secret

    def target(self):
        return self.path + ("?" + encoded(self.query) if self.query else "")

    def scope(self):
        """Key id, date, region and service that the signature is for."""
        credential = self.headers.get("authorization", "").partition("Credential=")[2].partition(",")[0]
        return credential.split("/")[:4] if credential.count("/") == 4 else None

    def authorization(self, secret):
        """What the header Authorization has to be."""
        key, date, region, service = self.scope()
        names = self.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
        names = [name for name in names if name in self.headers]
        canonical = "\n".join(
            [self.method, self.path, encoded(self.query)]
            + [f"{name}:{' '.join(self.headers[name].split())}" for name in names]
            + ["", ";".join(names), self.headers["x-amz-content-sha256"]]
        )
        scope = f"{date}/{region}/{service}/aws4_request"
        text = "\n".join(["AWS4-HMAC-SHA256", self.headers["x-amz-date"], scope, hashed(canonical.encode())])
        signing = b"AWS4" + secret.encode()
        for word in (date, region, service, "aws4_request", text):
            signing = hmac.digest(signing, word.encode(), "sha256")
        return f"AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders={';'.join(names)}, Signature={signing.hex()}"


class Answer:
    def __init__(self, status, headers=(), body=b""):
        self.status, self.headers, self.body = status, Headers(headers), body

    def drop(self, beginning):
        self.headers.drop(beginning)


def error(status, code, message="", **fields):
    """As S3 says it."""
    more = "".join(f"<{name}>{value}</{name}>" for name, value in fields.items())
    body = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{message}</Message>{more}</Error>'
    return Answer(status, {"content-type": "application/xml"}, body.encode())


def hashed(data):
    return hashlib.sha256(data).hexdigest()


def encoded(query):
    pairs = sorted((urllib.parse.quote(name, safe="~"), urllib.parse.quote(value, safe="~")) for name, value in query.items())
    return "&".join(f"{name}={value}" for name, value in pairs)


class S3Front:
    def __init__(self, server):
        self.target = server.port
        self.secret = server.env["AWS_SECRET_ACCESS_KEY"]
        self.before = lambda request: None
        self.after = lambda request, answer: None
        self.requests = []
        self.tunnels = []  # that were asked for: HOST:PORT
        handler = type("Handler", (Handler,), {"front": self})
        self._server = Server(("127.0.0.1", 0), handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def of(self, method, **query):
        """The requests of that method, whose query has these."""
        return [
            request
            for request in self.requests
            if request.method == method and all(request.query.get(name) == value for name, value in query.items())
        ]

    def answer(self, request, connection):
        self.requests.append(request)
        before = request.state()
        rightly_signed = request.scope() and request.headers["authorization"] == request.authorization(self.secret)
        answer = self.before(request)
        if answer is None and request.state() != before:
            if not rightly_signed:
                return error(403, "SignatureDoesNotMatch", "changed on its way, and not signed rightly before")
            if request.body != before[-1] and request.headers["x-amz-content-sha256"] != "UNSIGNED-PAYLOAD":
                request.headers["x-amz-content-sha256"] = hashed(request.body)
            request.headers["authorization"] = request.authorization(request.secret or self.secret)
        if answer is None:
            answer = self._ask(request, connection)
            self.after(request, answer)
        request.answered = answer.status
        return answer

    def _ask(self, request, connection):
        headers = {name: value for name, value in request.headers.items() if name not in HOP_BY_HOP}
        connection.putrequest(request.method, request.target(), skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        if request.body or request.method in ("PUT", "POST"):
            connection.putheader("content-length", str(len(request.body)))
        connection.endheaders(request.body or None)
        response = connection.getresponse()
        body = response.read()
        answer = Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, body)
        if request.method != "HEAD":
            answer.headers.drop("content-length")
        answer.headers.drop("connection")
        answer.headers.drop("transfer-encoding")
        return answer


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, *peer):
        """A client that is gone, killed by its test."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(*peer)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    front = None

    def setup(self):
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        self.server_connection = http.client.HTTPConnection("127.0.0.1", self.front.target, timeout=60)

    def finish(self):
        super().finish()
        self.server_connection.close()

    def serve(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, body)
        try:
            answer = self.front.answer(request, self.server_connection)
        except (OSError, http.client.HTTPException):  # the server is gone: seen from here, a connection that is cut
            self.close_connection = True
            return
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if "content-length" not in answer.headers:
            self.send_header("content-length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    @staticmethod
    def _passed_on(ends):
        for source in select.select(list(ends), [], [])[0]:
            data = source.recv(65536)
            if not data:
                return False
            ends[source].sendall(data)
        return True

    def do_CONNECT(self):
        """As a proxy of encrypted connections, to the server's other port whatever the name."""
        self.front.tunnels.append(self.path)
        with socket.create_connection(("127.0.0.1", self.front.target + 1)) as server:
            self.send_response_only(200)
            self.end_headers()
            ends = {self.connection: server, server: self.connection}
            while self._passed_on(ends):
                pass
            self.close_connection = True

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = serve

    def log_message(self, *_):
        pass
