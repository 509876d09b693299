"""A real store that speaks S3, on this machine: OpenStack Swift with its S3 API.

It needs Debian's packages swift-proxy, swift-account, swift-container and swift-object (apt-get install
--no-install-recommends).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SERVERS = ("account", "container", "object")
CONF = {
    "server": """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
devices = {folder}/devices
mount_check = false
swift_dir = {folder}
user = {user}
workers = 1
fallocate_reserve = 0
log_address = {folder}/no_syslog
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
""",
    "proxy": """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
swift_dir = {folder}
user = {user}
workers = 2
log_address = {folder}/no_syslog
[pipeline:main]
pipeline = catch_errors cache bulk s3api tempauth slo dlo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
allow_account_management = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:cache]
use = egg:swift#memcache
[filter:bulk]
use = egg:swift#bulk
[filter:s3api]
use = egg:swift#s3api
check_bucket_owner = false
location = us-east-1
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
user_test_reader = reading
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
""",
}
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test:tester", "AWS_SECRET_ACCESS_KEY": "testing"}
WRONG_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test:tester", "AWS_SECRET_ACCESS_KEY": "guessed"}
READER = {"AWS_ACCESS_KEY_ID": "test:reader", "AWS_SECRET_ACCESS_KEY": "reading"}


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Swift:
    """A store that runs.

    Attributes:
        folder: its files.
        port: that of its S3 API.
        proxy: the process that answers there.
    """

    folder: Path
    port: int
    proxy: subprocess.Popen[bytes]

    def uri(self, bucket: str, prefix: str) -> str:
        """The address of a prefix, as `storage:` has it."""
        return f"s3://{bucket}/{prefix}?endpoint_override=127.0.0.1:{self.port}&scheme=http"

    def make_bucket(self, bucket: str) -> None:
        """Make a bucket."""
        from pyarrow import fs

        fs.S3FileSystem(
            access_key=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            secret_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            region="us-east-1",
            endpoint_override=f"127.0.0.1:{self.port}",
            scheme="http",
            allow_bucket_creation=True,
        ).create_dir(bucket)

    def stop_answering(self) -> None:
        """End the process that answers."""
        self.proxy.terminate()
        self.proxy.wait()

    def answer_again(self) -> None:
        """Start it once more at the same port."""
        self.proxy = _start(self.folder, "proxy", self.port)


def _start(folder: Path, kind: str, port: int) -> subprocess.Popen[bytes]:
    with (folder / f"{kind}.log").open("ab") as log:
        process = subprocess.Popen([f"swift-{kind}-server", folder / f"{kind}.conf", "-v"], stdout=log, stderr=log)
    deadline = time.monotonic() + 60
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return process
        assert time.monotonic() < deadline and process.poll() is None, (folder / f"{kind}.log").read_text()
        time.sleep(0.1)


@contextlib.contextmanager
def swift(folder: Path) -> Iterator[Swift]:
    """Run a store with its files in a folder during the block."""
    assert shutil.which("swift-proxy-server"), "needs Debian's packages of Swift, see the head of this file"
    (folder / "devices" / "disk").mkdir(parents=True)
    (folder / "swift.conf").write_text("[swift-hash]\nswift_hash_path_suffix = tests\nswift_hash_path_prefix = tests\n")
    os.environ["SWIFT_CONF_FILE"] = str(folder / "swift.conf")
    user = os.environ.get("USER", "root")
    ports = {kind: free_port() for kind in (*SERVERS, "proxy")}
    for kind in SERVERS:
        builder = folder / f"{kind}.builder"
        for arguments in (
            ("create", "6", "1", "0"),
            ("add", f"r1z1-127.0.0.1:{ports[kind]}/disk", "1"),
            ("rebalance",),
        ):
            subprocess.run(["swift-ring-builder", builder, *arguments], check=True, capture_output=True)
    processes = []
    try:
        for kind, port in ports.items():
            text = CONF.get(kind, CONF["server"]).format(kind=kind, port=port, folder=folder, user=user)
            (folder / f"{kind}.conf").write_text(text)
            processes.append(_start(folder, kind, port))
        store = Swift(folder, ports["proxy"], processes[-1])
        yield store
        processes.append(store.proxy)
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()
