#!/usr/bin/env python3
"""A scripted model provider over TLS, for tests that run real agents. Standard library only.

    scripted-model.py --cert FILE --key FILE --credential-file FILE --log FILE [--port 0] [--slow-seconds 20]

It listens on 127.0.0.1, prints `port N` as its first line, and ends with SIGTERM. It answers

    POST /v1/messages               Anthropic Messages, streamed or not (Claude Code)
    POST /v1/messages/count_tokens
    POST /v1/responses              OpenAI Responses, streamed or not (Codex)
    POST /v1/chat/completions       Chat Completions, streamed or not, with and without include_usage (aider)

The key in --credential-file must come as `x-api-key` or as `Authorization: Bearer`. When it is missing, or when either
header carries another key, the answer is 401.

The script. The first call of a turn is answered with a call of the shell tool that the request offers. The command
appends the line "the work is done" to done.txt in the agent's working directory: each line is one run of it. The call
that brings the tool's result is answered with the text "the work is done". A request without a shell tool gets that
text at once; an aider that edits files gets an edit that makes done.txt. Markers in a user's text change the first
calls that offer a shell tool or want an edit, each once in a conversation, in this order. Of several texts with markers
the last one counts.

    MARK:throttle   the answer is 429 with `retry-after: 2`
    MARK:cut        the connection is cut after the first text of the stream
    MARK:slow       the stream sends one event, then nothing for --slow-seconds

A conversation is known by the session that the body names (Claude Code's metadata.user_id, Codex's prompt_cache_key).
Without one it is known by the text with the marker, and ends with its last answer.

Usage is the same in each answer:

    Anthropic          input 1000, output 50, cache read 200, cache creation 0; the stream starts with output 1
    Responses          input 1200 of which 200 are cached, output 50 of which 10 are reasoning
    Chat Completions   prompt 1200 of which 200 are cached, completion 50; streamed only with include_usage
    count_tokens       1000

The log gets one line of JSON for each request, before the answer: method, path (without the query), status, key_right,
key_headers (names of the headers with a key), headers (all names, as they came), body_sha256, body_bytes, model, and
answer (tool, text, edit, count, throttle, cut, slow, refused). It never has the value of a header, or anything of a
body but the model's name.
"""
import argparse, contextlib, hashlib, hmac, http.server, json, os, re, signal, ssl, sys, threading, time, uuid

sys.dont_write_bytecode = True  # a test leaves nothing in the checkout
from model_interfaces import TEXT, ChatCompletions, Messages, Responses

MARKERS = ("throttle", "cut", "slow")
MAX_BODY = 64 << 20
APIS = {"/v1/messages": Messages, "/v1/messages/count_tokens": Messages, "/v1/responses": Responses,
        "/v1/chat/completions": ChatCompletions}


class Script:
    """Remembers which markers of which conversation have had their effect."""

    def __init__(self):
        self.lock = threading.Lock()
        self.spent = {}

    def step(self, request):
        """What the answer is: a marker's name, tool, edit or text."""
        if not (request.tool or request.edit):
            return "text"
        marked = next((text for text in reversed(request.user_texts) if "MARK:" in text), None)
        if marked is not None:
            key = hashlib.sha256(f"{request.session}\0{marked}".encode()).digest()
            with self.lock:
                spent = self.spent.setdefault(key, set())
                for marker in MARKERS:
                    if f"MARK:{marker}" in marked and marker not in spent:
                        spent.add(marker)
                        return marker
                if request.session is None and (request.has_result or request.edit):
                    del self.spent[key]
        return self.plain_step(request)

    @staticmethod
    def plain_step(request):
        if request.tool:
            return "text" if request.has_result else "tool"
        return "edit"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 120

    def do_POST(self):
        self.respond()

    do_GET = do_HEAD = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_POST

    def respond(self):
        self.path_only = self.path.partition("?")[0]
        api = APIS.get(self.path_only, Messages if "anthropic-version" in self.headers else Responses)
        self.payload = self.read_body()
        if self.payload is None:
            self.close_connection = True
            return self.refuse(api, 400, "invalid", "the body has no length, or more than it may have")
        if not self.key_is_right():
            return self.refuse(api, 401, "authentication", "the key is missing or wrong")
        if self.path_only not in APIS or self.command != "POST":
            return self.refuse(api, 404, "unknown", f"{self.command} {self.path_only} is not served")
        try:
            request = api(json.loads(self.payload))
        except (ValueError, AttributeError, TypeError, KeyError):
            return self.refuse(api, 400, "invalid", "the body is not a request of this interface")
        if self.path_only.endswith("/count_tokens"):
            self.record(200, request.model, "count")
            return self.send_json(200, {"input_tokens": 1000})
        self.perform(request, self.server.script.step(request))

    def perform(self, request, step):
        if step == "throttle":
            self.record(429, request.model, step)
            return self.send_json(429, request.error("throttle", "too many requests"), {"retry-after": "2"})
        self.record(200, request.model, step)
        plain = Script.plain_step(request) if step in MARKERS else step
        call = request.tool if plain == "tool" else None
        text = request.edit if plain == "edit" else "I write the file." if call else TEXT
        if request.body.get("stream"):
            return self.send_events(request, text, call, step)
        if step == "slow":
            time.sleep(self.server.slow_seconds)
        if step == "cut":
            return self.cut()
        self.send_json(200, request.answer(text, call))

    def send_events(self, request, text, call, step):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("cache-control", "no-cache")
        self.send_header("request-id", f"req_{uuid.uuid4().hex}")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for number, event in enumerate(request.events(text, call)):
            if isinstance(event, str):
                frame = f"data: {event}\n\n"
            elif isinstance(request, ChatCompletions):
                frame = f"data: {json.dumps(event)}\n\n"
            else:
                frame = f"event: {event['type']}\ndata: {json.dumps(event | self.sequence(request, number))}\n\n"
            self.wfile.write(f"{len(frame.encode()):x}\r\n{frame}\r\n".encode())
            if step == "cut" and request.is_text(event):
                return self.cut()
            if step == "slow" and number == 0:
                time.sleep(self.server.slow_seconds)
        self.wfile.write(b"0\r\n\r\n")

    @staticmethod
    def sequence(request, number):
        return {"sequence_number": number} if isinstance(request, Responses) else {}

    def cut(self):
        """Closes the connection without an end of the answer and of the TLS stream. What was sent does arrive."""
        self.close_connection = True
        os.close(self.connection.detach())

    def refuse(self, api, status, kind, message):
        self.record(status, None, "refused")
        self.send_json(status, api.error(kind, message))

    def send_json(self, status, value, headers=()):
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.send_header("request-id", f"req_{uuid.uuid4().hex}")
        for name, text in dict(headers).items():
            self.send_header(name, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def read_body(self):
        if "chunked" in self.headers.get("transfer-encoding", "").lower():
            return self.read_chunks()
        length = self.headers.get("content-length", "0")
        if not length.isascii() or not length.isdigit() or int(length) > MAX_BODY:
            return None
        return self.rfile.read(int(length))

    def read_chunks(self):
        body = bytearray()
        while True:
            line = self.rfile.readline(1024).partition(b";")[0].strip()
            if not re.fullmatch(rb"[0-9a-fA-F]{1,7}", line) or len(body) + int(line, 16) > MAX_BODY:
                return None
            body += self.rfile.read(int(line, 16))
            if int(line, 16) == 0:
                while self.rfile.readline(8192).strip():
                    pass
                return bytes(body)
            self.rfile.readline(8)

    def keys(self):
        """The keys of the request by the names of their headers."""
        found = {"x-api-key": self.headers.get_all("x-api-key", []), "authorization": []}
        for value in self.headers.get_all("authorization", []):
            scheme, _, key = value.partition(" ")
            found["authorization"].append(key.strip() if scheme.lower() == "bearer" else "")
        return {name: values for name, values in found.items() if values}

    def key_is_right(self):
        keys = [key for values in self.keys().values() for key in values]
        wanted = self.server.credential
        return bool(keys) and all(hmac.compare_digest(key.encode("utf-8", "replace"), wanted) for key in keys)

    def record(self, status, model, answer):
        self.server.record({
            "method": self.command, "path": self.path_only, "status": status, "key_right": self.key_is_right(),
            "key_headers": list(self.keys()), "headers": list(self.headers.keys()),
            "body_sha256": hashlib.sha256(self.payload or b"").hexdigest(), "body_bytes": len(self.payload or b""),
            "model": model if isinstance(model, str) else None, "answer": answer})

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, options):
        super().__init__(("127.0.0.1", options.port), Handler)
        self.script = Script()
        self.slow_seconds = options.slow_seconds
        with open(options.credential_file, "rb") as file:
            self.credential = file.read().strip()
        if not self.credential:
            sys.exit(f"error: {options.credential_file} has no key")
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(options.cert, options.key)
        self.tls.set_alpn_protocols(["http/1.1"])
        self.log = os.open(options.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def record(self, entry):
        os.write(self.log, (json.dumps(entry) + "\n").encode())

    def finish_request(self, request, client_address):
        """Runs in the connection's thread: a peer that is slow to shake hands holds nobody up."""
        request.settimeout(Handler.timeout)
        with self.tls.wrap_socket(request, server_side=True) as connection:
            Handler(connection, client_address, self)
            if connection.fileno() >= 0:
                connection.settimeout(1)
                with contextlib.suppress(OSError):  # the peer may be gone
                    connection.unwrap()

    def handle_error(self, request, client_address):
        kind, error = sys.exc_info()[:2]
        if not issubclass(kind, OSError):
            return super().handle_error(request, client_address)
        print(f"connection ended: {error}", file=sys.stderr, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name in ("--cert", "--key", "--credential-file", "--log"):
        parser.add_argument(name, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--slow-seconds", type=float, default=20)
    options = parser.parse_args()
    server = Server(options)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    print(f"port {server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
