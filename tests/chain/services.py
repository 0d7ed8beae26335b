"""Local services that keep a key, as their makers document them: Web3Signer (eth1) and AWS KMS. They sign for real."""

import base64
import json
import os
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from coincurve import PrivateKey
from eth_utils.crypto import keccak

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
SPKI_SECP256K1 = bytes.fromhex("3056301006072a8648ce3d020106052b8104000a034200")

Answer = tuple[int, str, bytes]
"""Status, content type, content."""


class Service:
    """A loopback HTTP server that answers by `answer`. `before` runs first: it may wait, or give another answer."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[tuple[str, bytes]] = []
        self.before: Callable[[str], Answer | None] = lambda path: None
        self.scheme = "http" if tls is None else "https"
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 10

            def do_GET(self) -> None:
                self._respond()

            def do_POST(self) -> None:
                self._respond()

            def _respond(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                service.requests.append((self.path, body))
                given = service.before(self.path)
                status, kind, content = given or service.answer(self.path, dict(self.headers), body)
                try:
                    self.send_response(status)
                    self.send_header("content-type", kind)
                    self.send_header("content-length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)
                except OSError:  # who asked has gone
                    self.close_connection = True

            def log_message(self, format: str, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def get_request(self) -> tuple[Any, Any]:
                connection, address = super().get_request()
                connection.settimeout(10)
                return (connection if tls is None else tls.wrap_socket(connection, server_side=True)), address

            def handle_error(self, request: object, client_address: object) -> None:
                """A refused handshake is what some tests are about."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> Answer:
        """What the service makes of a request."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{self.scheme}://127.0.0.1:{self._server.server_address[1]}"

    def hangs(self, seconds: float = 3) -> None:
        """From now on answers come too late."""
        self.before = lambda path: time.sleep(seconds)

    def refuses(self, status: int, content: bytes = b"no") -> None:
        """From now on every answer is an error."""
        self.before = lambda path: (status, "text/plain", content)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class Web3SignerService(Service):
    """Web3Signer in eth1 mode: `GET /api/v1/eth1/publicKeys`, and `POST /api/v1/eth1/sign/{identifier}`.

    The latter hashes the data with keccak-256 and answers r, s and v (27 or 28) as hex in plain text.
    """

    def __init__(self, *keys: str, tls: ssl.SSLContext | None = None) -> None:
        self.keys = [PrivateKey.from_hex(key.removeprefix("0x")) for key in keys]
        self.signs_with: PrivateKey | None = None
        super().__init__(tls)

    def identifiers(self) -> dict[str, PrivateKey]:
        """Public keys as the service names them."""
        return {"0x" + key.public_key.format(compressed=False)[1:].hex(): key for key in self.keys}

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> Answer:
        """As the service's OpenAPI document says."""
        if path == "/api/v1/eth1/publicKeys":
            return 200, "application/json", json.dumps(list(self.identifiers())).encode()
        head = "/api/v1/eth1/sign/"
        if not path.startswith(head):
            return 404, "text/plain", b"Resource not found"
        key = self.identifiers().get(path.removeprefix(head).lower())
        if key is None:
            return 404, "text/plain", b"Resource not found"
        try:
            data = bytes.fromhex(json.loads(body)["data"].removeprefix("0x"))
        except (ValueError, KeyError, AttributeError):
            return 400, "text/plain", b"Bad Request"
        made = (self.signs_with or key).sign_recoverable(keccak(data), hasher=None)
        signature = made[:64] + bytes([27 + made[64]])
        return 200, "text/plain; charset=utf-8", b"0x" + signature.hex().encode()


class KmsStandIn(Service):
    """AWS KMS as its reference describes GetPublicKey and Sign, for one ECC_SECG_P256K1 key: a stand-in.

    It signs a DIGEST as it is, unlike moto's, and its `s` is in either half, like the service's own.
    """

    key_id = "1234abcd-12ab-34cd-56ef-1234567890ab"

    def __init__(self, key: str) -> None:
        self.key = PrivateKey.from_hex(key.removeprefix("0x"))
        self.signs_with = self.key
        self.high = False
        super().__init__()

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> Answer:
        """The JSON protocol of AWS, version 1.1."""
        target = {name.lower(): value for name, value in headers.items()}.get("x-amz-target", "")
        asked = json.loads(body)
        if asked.get("KeyId") != self.key_id:
            return self.error("NotFoundException", "Key does not exist")
        if target == "TrentService.GetPublicKey":
            point = self.key.public_key.format(compressed=False)
            return self.result(
                KeyId=self.key_id,
                KeySpec="ECC_SECG_P256K1",
                KeyUsage="SIGN_VERIFY",
                SigningAlgorithms=["ECDSA_SHA_256"],
                PublicKey=base64.b64encode(SPKI_SECP256K1 + point).decode(),
            )
        digest = base64.b64decode(asked["Message"])
        if (target, asked.get("SigningAlgorithm")) != ("TrentService.Sign", "ECDSA_SHA_256"):
            return self.error("UnsupportedOperationException", "not here")
        if asked.get("MessageType") != "DIGEST" or len(digest) != 32:
            return self.error("ValidationException", "Digest is invalid length for algorithm ECDSA_SHA_256.")
        self.high = not self.high
        return self.result(
            KeyId=self.key_id,
            SigningAlgorithm="ECDSA_SHA_256",
            Signature=base64.b64encode(self.signature(digest)).decode(),
        )

    def signature(self, digest: bytes) -> bytes:
        """In DER, every other one with its `s` in the upper half."""
        made = self.signs_with.sign_recoverable(digest, hasher=None)
        r, s = int.from_bytes(made[:32], "big"), int.from_bytes(made[32:64], "big")
        numbers = b"".join(_der_integer(number) for number in (r, ORDER - s if self.high else s))
        return b"\x30" + bytes([len(numbers)]) + numbers

    def result(self, **values: Any) -> Answer:
        """A good answer."""
        return 200, "application/x-amz-json-1.1", json.dumps(values).encode()

    def error(self, kind: str, message: str) -> Answer:
        """An error as AWS words it."""
        return 400, "application/x-amz-json-1.1", json.dumps({"__type": kind, "message": message}).encode()


def _der_integer(value: int) -> bytes:
    content = value.to_bytes(value.bit_length() // 8 + 1, "big")
    return b"\x02" + bytes([len(content)]) + content


class Authority:
    """A certificate authority of a test's own, made by the openssl binary, and what it certifies."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.file = folder / "ca.pem"
        self._openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"),
            *("-subj", "/CN=test authority", "-keyout", folder / "ca.key", "-out", self.file),
        )

    def certificate(self, name: str, usage: str) -> tuple[Path, Path]:
        """A certificate for 127.0.0.1 and its key, for `usage` "serverAuth" or "clientAuth"."""
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        certificate, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        self._openssl(
            *(
                "req",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-subj",
                f"/CN={name}",
            ),
            *("-keyout", key, "-out", request),
        )
        extensions.write_text(f"subjectAltName=IP:127.0.0.1\nextendedKeyUsage={usage}\n")
        self._openssl(
            *("x509", "-req", "-in", request, "-CA", self.file, "-CAkey", self.folder / "ca.key"),
            *("-CAcreateserial", "-days", "2", "-extfile", extensions, "-out", certificate),
        )
        key.chmod(0o600)
        return certificate, key

    def server(self, *, wants_client: bool = False) -> ssl.SSLContext:
        """The TLS side of a service. One that `wants_client` lets nobody in without a certificate of ours."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.certificate(f"server{os.urandom(4).hex()}", "serverAuth"))
        if wants_client:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.file)
        return context

    def _openssl(self, *arguments: str | Path) -> None:
        command = ["openssl", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
