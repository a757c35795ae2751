"""A shop on several machines, each of which is a process here: databases, a pooler, web hosts and workers."""
