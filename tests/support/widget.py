"""Sends the requests of the product's public chat widget, as Chromium sent them, and reads their answers as it does.

Recorded with @dynamiq/assistant 1.11.13, its `dist/index.browser.js` on a page of another origin, in Chromium 156.
"""

from __future__ import annotations

import json
from typing import Any

import requests

from tests.support.runtime import DEADLINE

PAGE = "http://127.0.0.1:35359"
BOUNDARY = "----WebKitFormBoundaryqUf0jipxCDcb4f0B"
HEADERS = {
    "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
    "Origin": PAGE,
    "Referer": f"{PAGE}/",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Site": "same-site",
}
FIRST = (
    ("chat_history", '[{"role":"user","content":"apples"}]'),
    ("input", '{"input":"apples","user_id":"123","session_id":"234","chat_history":[{"role":"user","content":"apples"}],"language":"en"}'),
    ("stream", "true"),
    ("user_id", "123"),
    ("session_id", "234"),
    ('files"; filename="a.txt', "hello"),
)
TALK = r'[{"role":"user","content":"apples"},{"role":"assistant","content":"\n\napples"},{"role":"user","content":"pears"}]'
SECOND = (
    ("chat_history", TALK),
    ("input", f'{{"input":"pears","user_id":"123","session_id":"234","chat_history":{TALK},"language":"en"}}'),
    ("stream", "true"),
    ("user_id", "123"),
    ("session_id", "234"),
)
WITHOUT_STREAM = tuple((name, "false" if name == "stream" else text) for name, text in SECOND)


def body_of(parts: tuple[tuple[str, str], ...]) -> bytes:
    """Returns the form as Chromium writes it."""
    lines = [f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n{_type(name)}\r\n{text}\r\n' for name, text in parts]
    return ("".join(lines) + f"--{BOUNDARY}--\r\n").encode()


def _type(name: str) -> str:
    return "Content-Type: text/plain\r\n" if "filename=" in name else ""


def shown(url: str, parts: tuple[tuple[str, str], ...]) -> str:
    """Returns the text that the widget shows of the answer to one request."""
    answer = requests.post(url, data=body_of(parts), headers=HEADERS, timeout=DEADLINE)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Access-Control-Allow-Origin"] in ("*", PAGE)
    if not answer.headers["Content-Type"].startswith("text/event-stream"):
        return str(answer.json().get("output") or "I received your message but I don't have a response.")
    text, step = "", ""
    for block in answer.content.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        data: Any = json.loads(fields["data"]) if "data" in fields else {}
        delta = _delta(data)
        if isinstance(content := delta.get("content"), str):
            text += ("\n\n" if delta.get("step") and delta["step"] != step else "") + content
            step = delta.get("step", "")
        elif fields.get("event") == "streaming" and not text:
            text = "Sorry, there was an error processing your message. Please try again later."
    return text.strip()


def _delta(data: Any) -> dict[str, Any]:
    try:
        return dict(data["data"]["choices"][0]["delta"])
    except (KeyError, IndexError, TypeError):
        return {}
