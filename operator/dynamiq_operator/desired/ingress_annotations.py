"""Decides which annotations of an App's Ingress are passed on: those that only configure how a controller serves this hostname.

Not passed on are other hosts or backends, configuration in a controller's own language, and addresses that decide on a request. Otherwise
whoever may write an App could control the controller. The operator's setting replaces these lists by class.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from dynamiq_operator.model.app import Exposure
from dynamiq_operator.model.settings import ANY_CLASS, Settings


def _of(prefix: str, names: str) -> frozenset[str]:
    return frozenset(f"{prefix}{name}" for name in names.split())


_COMMON = (
    _of("cert-manager.io/", "issuer cluster-issuer issuer-kind issuer-group duration renew-before")
    | _of("cert-manager.io/private-key-", "algorithm size rotation-policy")
    | _of("kubernetes.io/", "ingress.allow-http tls-acme")
    | _of("external-dns.alpha.kubernetes.io/", "ttl")
)
_NGINX = (
    _of("nginx.ingress.kubernetes.io/proxy-", "connect-timeout read-timeout send-timeout body-size buffering buffer-size buffers-number")
    | _of("nginx.ingress.kubernetes.io/proxy-", "request-buffering max-temp-file-size http-version")
    | _of("nginx.ingress.kubernetes.io/proxy-next-upstream", " -timeout -tries")
    | _of("nginx.ingress.kubernetes.io/limit-", "rps rpm connections rate rate-after burst-multiplier whitelist")
    | _of("nginx.ingress.kubernetes.io/", "ssl-redirect force-ssl-redirect whitelist-source-range denylist-source-range load-balance")
    | _of("nginx.ingress.kubernetes.io/", "client-body-buffer-size enable-cors affinity affinity-mode proxy-next-upstream")
    | _of("nginx.ingress.kubernetes.io/cors-", "allow-origin allow-methods allow-headers allow-credentials expose-headers max-age")
    | _of("nginx.ingress.kubernetes.io/session-cookie-", "name path max-age expires samesite secure")
)
_CONTOUR = (
    _of("projectcontour.io/", "response-timeout num-retries per-try-timeout retry-on")
    | _of("projectcontour.io/tls-", "minimum-protocol-version maximum-protocol-version")
    | _of("ingress.kubernetes.io/", "force-ssl-redirect")
)
_TRAEFIK = _of("traefik.ingress.kubernetes.io/router.", "tls tls.certresolver priority")

SAFE: Mapping[str, frozenset[str]] = {
    "nginx": _COMMON | _NGINX,
    "contour": _COMMON | _CONTOUR,
    "traefik": _COMMON | _TRAEFIK,
    ANY_CLASS: _COMMON | _NGINX | _CONTOUR | _TRAEFIK,
}
"""Annotations that are passed on without a setting. A class with another name may be any controller's: each reads only its own."""

_PLAIN = re.compile(r"[A-Za-z0-9 ._:/,=+*-]*")
"""Values that are passed on. Controllers have copied values into their configuration unescaped, so nothing may end a directive."""


def refused(exposure: Exposure, settings: Settings) -> dict[str, str]:
    """Returns the annotations that are not passed on, with the reason for each."""
    ingress_class = exposure.class_name or settings.ingress_class
    lists = settings.ingress_annotations
    not_allowed = (
        f"not allowed for ingress class {ingress_class}" if ingress_class else "not allowed for the cluster's default ingress class"
    )
    allowed = lists.get(ingress_class or ANY_CLASS, lists.get(ANY_CLASS))
    problems: dict[str, str] = {}
    for name, value in (exposure.annotations or {}).items():
        if allowed is not None:
            if not any(_names(entry, name) for entry in allowed):
                problems[name] = not_allowed
        elif name not in SAFE.get(ingress_class or ANY_CLASS, SAFE[ANY_CLASS]):
            problems[name] = not_allowed
        elif not _PLAIN.fullmatch(value):
            problems[name] = "allowed only with a value of letters, digits, spaces and . _ : / , = + * -"
    return problems


def _names(allowed: str, name: str) -> bool:
    """Returns True if an entry of a list, which may end in `*`, matches an annotation."""
    return name.startswith(allowed[:-1]) if allowed.endswith("*") else name == allowed
