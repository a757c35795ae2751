"""A storefront in TypeScript: a client made from docs/openapi.yaml, compiled strictly, that pays over HTTP."""
