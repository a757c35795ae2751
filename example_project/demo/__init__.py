"""The demo: a prepared database, a running simulator, a served shop. Only for a developer's machine."""
