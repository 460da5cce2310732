"""What every call goes through, whichever resource it is about: HTTP, sessions, errors, pages, idempotency keys and the OpenAPI document."""
