"""Verifies that an ID token is one of the provider's, for this client and this sign-in.

The API server judges what it may do in the cluster.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from typing import Any

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Algorithms with a private key that only the provider has: never `none`, and none with a shared secret."""
LEEWAY = 30.0
"""Seconds by which clocks may differ."""
REQUIRED = ["iss", "sub", "aud", "exp", "iat"]
_TYPES = {"R": "RSA", "P": "RSA", "E": "EC"}


class WrongToken(Exception):  # noqa: N818 - it is the token that is wrong
    """The token is not accepted. The message is for the log: no text of the token is in it."""


class WrongNonce(WrongToken):
    """The token was made for another sign-in."""


def key_id(token: str) -> str | None:
    """Returns the id of the key that signed a token; None if it names none. Raises WrongToken."""
    kid = _header(token).get("kid")
    return kid if isinstance(kid, str) else None


def verify(token: str, keys: Iterable[Mapping[str, Any]], issuer: str, client_id: str, nonce: str) -> None:
    """Verifies a token. Raises WrongToken. `keys`: the provider's (RFC 7517)."""
    claims = _claims(token, [key for key in keys if _fits(key, _header(token))], issuer, client_id)
    audience, party = claims["aud"], claims.get("azp")
    if party is not None and party != client_id:
        raise WrongToken("its azp names another client")
    if party is None and isinstance(audience, list) and len(audience) > 1:
        raise WrongToken("it is for several audiences, and has no azp")
    token_nonce = claims.get("nonce")
    if not isinstance(token_nonce, str) or not hmac.compare_digest(token_nonce.encode(), nonce.encode()):
        raise WrongNonce("its nonce belongs to another sign-in")


def _claims(token: str, keys: Iterable[Mapping[str, Any]], issuer: str, client_id: str) -> dict[str, Any]:
    # Imported here and below: with cryptography it takes 8 MiB, and few installations sign people in.
    import jwt

    algorithm, why = _header(token)["alg"], "no key of the provider verifies it"
    for key in keys:
        try:
            claims: dict[str, Any] = jwt.decode(
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
            return claims
    raise WrongToken(why)


def _header(token: str) -> dict[str, Any]:
    import jwt

    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, RecursionError) as error:
        raise WrongToken(type(error).__name__) from None
    if header.get("alg") not in ALGORITHMS:
        raise WrongToken("its algorithm is not accepted")
    return header


def _fits(key: Mapping[str, Any], header: Mapping[str, Any]) -> bool:
    """Returns True if a key may have signed a token: its id is the named one, its type the algorithm's, and it is for signatures."""
    algorithm = header["alg"]
    return (
        key.get("kty") == ("OKP" if algorithm == "EdDSA" else _TYPES[algorithm[0]])
        and key.get("use") in (None, "sig")
        and key.get("alg") in (None, algorithm)
        and ("kid" not in header or key.get("kid") == header["kid"])
    )
