"""Forms with files, as bytes: parts to build one of, and forms that are refused. Their boundary is `b`.

The program sends all of them to the App at a URL. It prints as JSON the statuses of forms that are refused, and of good ones.
"""

from __future__ import annotations

import io
import json
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor

import requests

from dynamiq_runtime.uploads import FORM_MOST
from tests.support.runtime import DEADLINE

TYPE = "multipart/form-data; boundary=b"
HEAD = b'--b\r\nContent-Disposition: form-data; name="input"\r\n\r\n{}\r\n'
END = b"--b--\r\n"
ZIP = io.BytesIO()
with zipfile.ZipFile(ZIP, "w") as archive:
    archive.writestr("a.txt", "x" * 1000)


def part(file_name: str, content: bytes, name: str = "files", head: bytes = b"") -> bytes:
    disposition = f'Content-Disposition: form-data; name="{name}"; filename="{file_name}"\r\n'.encode()
    return b"--b\r\n" + disposition + head + b"\r\n" + content + b"\r\n"


BAD: dict[str, tuple[bytes, dict[str, str]]] = {
    "no boundary": (b"x", {"Content-Type": "multipart/form-data"}),
    "another boundary": (HEAD.replace(b"--b", b"--c") + b"--c--\r\n", {}),
    "empty": (b"", {}),
    "8 MiB of lines before it": (b"\n" * (FORM_MOST - 100) + HEAD + END, {}),
    "lines after a first line that is nearly its own": (b"--bb\r\n" + b"\n" * (FORM_MOST - 100), {}),
    "no end": (HEAD, {}),
    "no end of a file": (HEAD + part("a.txt", b"hello")[:-2], {}),
    "no end of a head": (HEAD + b"--b\r\nContent-Disposition: form-data", {}),
    "a part without a name": (HEAD + b"--b\r\n\r\nx\r\n" + END, {}),
    "a form in the form": (HEAD + part("a.txt", b"x", head=b"Content-Type: multipart/mixed; boundary=c\r\n") + END, {}),
    "an encoded part": (HEAD + part("a.txt", b"eA==", head=b"Content-Transfer-Encoding: base64\r\n") + END, {}),
    "a field twice": (HEAD + HEAD + END, {}),
    "10,000 parts": (HEAD + b"".join(part("a.txt", b"x") for _ in range(10_000)) + END, {}),
    "a head of 100 KiB": (HEAD + part("a.txt", b"x", head=b"X-A: " + b"a" * (100 << 10) + b"\r\n") + END, {}),
    "1,000 headers": (HEAD + part("a.txt", b"x", head=b"".join(b"X-%d: a\r\n" % number for number in range(1000))) + END, {}),
    "a zip": (HEAD + part("a.zip", ZIP.getvalue()) + END, {}),
    "a name with folders": (HEAD + part("../../etc/passwd", b"x") + END, {}),
    "a name with a backslash": (HEAD + part("..\\\\a.txt", b"x") + END, {}),
    "a name with a line break": (HEAD + part("a%0Ab.txt", b"x").replace(b'filename="', b"filename*=UTF-8''").replace(b'.txt"', b".txt") + END, {}),
    "no name": (HEAD + part("", b"x") + END, {}),
    "a file as a field": (HEAD + part("a.txt", b"{}", "chat_history") + END, {}),
}  # fmt: skip
"""Bodies, with headers that differ, by what is wrong with them. Each is refused with 400 `bad_request`."""


def attack(url: str) -> tuple[list[int], list[int]]:
    """Sends each bad form three times and 40 good ones of nearly the most bytes, eight at a time. Returns the distinct statuses of both.

    The status 0 is that of a connection which the App closed before the whole form was sent.
    """
    large = HEAD + part("a.txt", b"x" * (FORM_MOST - 4096)) + END

    def sent(form: tuple[bytes, dict[str, str]]) -> int:
        body, headers = form
        try:
            return requests.post(url, body, headers={"Content-Type": TYPE, **headers}, timeout=DEADLINE).status_code
        except requests.ConnectionError:
            return 0

    with ThreadPoolExecutor(8) as pool:
        bad, good = pool.map(sent, list(BAD.values()) * 3), pool.map(sent, [(large, {})] * 40)
        return sorted(set(bad)), sorted(set(good))


if __name__ == "__main__":
    print(json.dumps(attack(sys.argv[1])))
