"""Whether an ID token is one of the provider's, for this client and this sign-in. What it may do in the cluster the API server judges."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from typing import Any

import jwt

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""By a private key that the provider alone has: never `none`, and no secret that both have."""
LEEWAY = 30.0
"""Seconds by which clocks may differ."""
REQUIRED = ["iss", "sub", "aud", "exp", "iat"]
_TYPES = {"R": "RSA", "P": "RSA", "E": "EC"}


class WrongToken(Exception):  # noqa: N818 - it is the token that is wrong
    """The token is not accepted. The message is for the log: no text of the token is in it."""


class WrongNonce(WrongToken):
    """The token was made for another sign-in."""


def key_id(token: str) -> str | None:
    """The id of the key that signed a token; None where it names none. Raises WrongToken."""
    found = _header(token).get("kid")
    return found if isinstance(found, str) else None


def verify(token: str, keys: Iterable[Mapping[str, Any]], issuer: str, client_id: str, nonce: str) -> None:
    """Raises WrongToken. `keys`: the provider's (RFC 7517)."""
    claims = _claims(token, [key for key in keys if _fits(key, _header(token))], issuer, client_id)
    audience, party = claims["aud"], claims.get("azp")
    if party is not None and party != client_id:
        raise WrongToken("its azp is another client")
    if party is None and isinstance(audience, list) and len(audience) > 1:
        raise WrongToken("it is for several audiences, and names no azp")
    given = claims.get("nonce")
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(), nonce.encode()):
        raise WrongNonce("its nonce is not that of this sign-in")


def _claims(token: str, keys: Iterable[Mapping[str, Any]], issuer: str, client_id: str) -> dict[str, Any]:
    algorithm, why = _header(token)["alg"], "no key of the provider fits it"
    for key in keys:
        try:
            found: dict[str, Any] = jwt.decode(
                token,
                jwt.PyJWK(dict(key), algorithm),
                algorithms=list(ALGORITHMS),
                audience=client_id,
                issuer=issuer,
                leeway=LEEWAY,
                options={"require": REQUIRED, "enforce_minimum_key_length": True},
            )
        except (jwt.PyJWTError, TypeError, ValueError, RecursionError) as error:
            why = type(error).__name__
        else:
            return found
    raise WrongToken(why)


def _header(token: str) -> dict[str, Any]:
    try:
        found = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, RecursionError) as error:
        raise WrongToken(type(error).__name__) from None
    if found.get("alg") not in ALGORITHMS:
        raise WrongToken("its algorithm is not one that is taken")
    return found


def _fits(key: Mapping[str, Any], header: Mapping[str, Any]) -> bool:
    """Whether a key may have signed a token: by its id where the token names one, for signatures, and of the algorithm's type."""
    algorithm = header["alg"]
    return (
        key.get("kty") == ("OKP" if algorithm == "EdDSA" else _TYPES[algorithm[0]])
        and key.get("use") in (None, "sig")
        and key.get("alg") in (None, algorithm)
        and ("kid" not in header or key.get("kid") == header["kid"])
    )
