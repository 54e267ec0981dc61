"""An S3 server in a process of its own (moto), and the environment that leads every S3 client to it.

    with S3Server() as server:
        subprocess.run([...], env=os.environ | server.env)      # s3://runs/… is there

``python -m tests.remote.s3_server`` starts one and prints its environment, for a try by hand.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from types import TracebackType

#: The bucket that is there.
BUCKET = "runs"
#: How long the server may take to begin (seconds); it imports for about two.
_LIMIT = 60.0


class S3Server:
    """A server whose objects live as long as its process.

    Attributes:
        endpoint: its address.
        env: environment variables for clients.
    """

    def __init__(self, port: int = 0):
        port = port or free_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        self.env = {
            "AWS_ENDPOINT_URL": self.endpoint, "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
        }  # fmt: skip
        self.process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        end = time.monotonic() + _LIMIT
        while True:
            try:
                urllib.request.urlopen(f"{self.endpoint}/moto-api/", timeout=5).close()
                break
            except (urllib.error.URLError, OSError):
                if time.monotonic() > end or self.process.poll() is not None:
                    self.stop()
                    raise RuntimeError(f"no S3 server at {self.endpoint}") from None
                time.sleep(0.1)
        request = urllib.request.Request(f"{self.endpoint}/{BUCKET}", method="PUT")
        # Any signature will do; the header decides that it is S3 that is meant.
        request.add_header("Authorization", "AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/s3/aws4_request")
        urllib.request.urlopen(request, timeout=30).close()

    def pause(self) -> None:
        """Let it answer nobody until ``go_on``."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """End the pause."""
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it, with all its objects."""
        forget_stores()
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> S3Server:
        forget_stores()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def forget_stores() -> None:
    """Have fsspec look for keys and endpoint again: it keeps what it has once made for an address."""
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    with S3Server() as started:
        for key, value in started.env.items():
            sys.stdout.write(f"export {key}={value}\n")
        sys.stdout.flush()
        started.process.wait()
