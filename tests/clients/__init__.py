"""Clients that generators make from the OpenAPI document, doing the main job."""
