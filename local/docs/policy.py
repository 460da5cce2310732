"""The Content-Security-Policy of each page: what the site itself has, and no script, style, image or request from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence

from local.docs.errors import DocsError
from local.docs.markup import Markup

CHARSET = '<meta charset="utf-8">'
"""A browser looks for this among the first bytes, so the policy comes right after it, and before all that it is about."""


def with_policy(text: str, markup: Markup) -> str:
    """The page with its policy. Scripts that stand in it are named by their hashes. Raises DocsError."""
    before, charset, after = text.partition(CHARSET)
    if not charset:
        raise DocsError("the page has no " + CHARSET)
    return f'{before}{charset}<meta http-equiv="Content-Security-Policy" content="{policy(markup)}">{after}'


def policy(markup: Markup) -> str:
    """What may be loaded and run in a page."""
    rules = {
        "default-src": ["'none'"],
        "script-src": ["'self'", *_hashes(markup.scripts)],
        "style-src": ["'self'", *_hashes(markup.styles)],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "worker-src": ["'self'"],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
    }
    return "; ".join(f"{name} {' '.join(allowed)}" for name, allowed in rules.items())


def _hashes(texts: Sequence[str]) -> list[str]:
    return [f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in dict.fromkeys(texts)]
