"""Writes a notification as a CloudEvent in structured JSON, with a signature, or as a message for Slack and the like. It sends nothing.

Tenants' texts are plain text in both: no link, no mention, no markup, and no more characters than a receiver accepts.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from dataclasses import dataclass

from dynamiq_operator.model.objects import format_time
from dynamiq_operator.model.policy import SinkFormat
from dynamiq_operator.model.text import on_one_line
from dynamiq_operator.plan.background.notifications import Notification

SIGNATURE = "Dynamiq-Signature"
"""Header: `t=<seconds since 1970>,v1=<hex>`, the HMAC-SHA256 with the sink's key over the seconds, a dot, and the body."""
CLOUD_EVENT = "application/cloudevents+json; charset=utf-8"
MESSAGE_MAX = 2048
"""Characters of a message in a CloudEvent."""
SLACK_MAX = 2900
"""Characters of a message: a block of Slack's has room for 3000."""
_MENTION = re.compile(r"(?<![A-Za-z0-9._%+-])@")


@dataclass(frozen=True)
class Written:
    """A notification as it is sent: the body, and headers without a signature."""

    body: bytes
    headers: dict[str, str]

    def signed(self, key: bytes, seconds: int) -> Written:
        """Returns the same with a signature of that time."""
        return Written(self.body, {**self.headers, SIGNATURE: signature(key, seconds, self.body)})


def signature(key: bytes, seconds: int, body: bytes) -> str:
    digest = hmac.new(key, str(seconds).encode() + b"." + body, hashlib.sha256).hexdigest()
    return f"t={seconds},v1={digest}"


def written(notification: Notification, form: SinkFormat) -> Written:
    """Returns the notification in a sink's format."""
    return _slack(notification) if form is SinkFormat.SLACK else _cloud_event(notification)


def _cloud_event(notification: Notification) -> Written:
    event = {
        "specversion": "1.0",
        "id": notification.id,
        "source": notification.source,
        "type": notification.type,
        "subject": notification.row,
        "time": format_time(notification.at),
        "datacontenttype": "application/json",
        "data": {**notification.data, "message": notification.message[:MESSAGE_MAX]},
    }
    return Written(json.dumps(event, separators=(",", ":")).encode(), {"Content-Type": CLOUD_EVENT})


def _slack(notification: Notification) -> Written:
    author = f" (asked by {notification.author})" if notification.author else ""
    message = f"{notification.namespace}/{notification.app}: {notification.message}"
    text = escaped(message, SLACK_MAX - 100) + escaped(author, 100)
    # mrkdwn: false shows stars and the like as they are.
    return Written(json.dumps({"text": text, "mrkdwn": False}).encode(), {"Content-Type": "application/json; charset=utf-8"})


def escaped(text: str, most: int) -> str:
    """Returns text that Slack shows as it is: at most `most` characters, without an escape that is cut off."""
    plain = _MENTION.sub("@\u2060", on_one_line(text))
    parts: list[str] = []
    length = 0
    for letter in plain:
        safe = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}.get(letter, letter)
        if length + len(safe) > most - 1:
            return "".join(parts) + "…"
        parts.append(safe)
        length += len(safe)
    return "".join(parts)
