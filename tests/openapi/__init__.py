"""Tests of the OpenAPI document, and of programs that were made from it."""
