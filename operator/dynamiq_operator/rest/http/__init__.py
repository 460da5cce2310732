"""The steps that all calls share: HTTP, sessions, errors, pages, idempotency keys and the OpenAPI document."""
