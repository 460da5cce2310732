"""Which annotations of an App's Ingress are passed on: those that an ingress controller reads, and that say nothing but how this hostname is served.

What names other hosts or backends, configuration in a controller's own language, or an address that decides on a request, is not among
them: whoever may write an App may not so become whoever runs the controller. The operator's setting has other lists, class by class.
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
"""What is passed on where no setting says otherwise. A class of another name may be any controller's: each reads its own alone."""

_PLAIN = re.compile(r"[A-Za-z0-9 ._:/,=+*-]*")
"""Controllers have taken values of such annotations into their configuration as they were: what could end a directive is left out."""


def refused(exposure: Exposure, settings: Settings) -> dict[str, str]:
    """The annotations that are not passed on, each with what is wrong with it."""
    ingress_class = exposure.class_name or settings.ingress_class
    lists = settings.ingress_annotations
    said = f"not allowed for ingress class {ingress_class}" if ingress_class else "not allowed for the cluster's default ingress class"
    allowed = lists.get(ingress_class or ANY_CLASS, lists.get(ANY_CLASS))
    found: dict[str, str] = {}
    for name, value in (exposure.annotations or {}).items():
        if allowed is not None:
            if not any(_names(each, name) for each in allowed):
                found[name] = said
        elif name not in SAFE.get(ingress_class or ANY_CLASS, SAFE[ANY_CLASS]):
            found[name] = said
        elif not _PLAIN.fullmatch(value):
            found[name] = "allowed with a value of letters, digits, spaces and . _ : / , = + * - alone"
    return found


def _names(allowed: str, name: str) -> bool:
    """Whether an entry of a list, which may end in `*`, means an annotation."""
    return name.startswith(allowed[:-1]) if allowed.endswith("*") else name == allowed
