"""Adds a Content-Security-Policy to each page: it allows the site's own files, and no script, style, image or request from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence

from local.docs.errors import DocsError
from local.docs.markup import Markup

CHARSET = '<meta charset="utf-8">'
"""The policy is put right after this: a browser searches for this among the first bytes, and the policy must precede all that it governs.
"""


def with_policy(text: str, markup: Markup) -> str:
    """Returns the page with its policy, which names scripts within the page by their hashes. Raises DocsError."""
    before, charset, after = text.partition(CHARSET)
    if not charset:
        raise DocsError("the page has no " + CHARSET)
    return f'{before}{charset}<meta http-equiv="Content-Security-Policy" content="{policy(markup)}">{after}'


def policy(markup: Markup) -> str:
    """Returns the policy: which resources a page may load and run."""
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
