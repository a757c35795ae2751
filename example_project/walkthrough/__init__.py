"""The walkthrough: the main job, played by a client over HTTP and checked at every step.

Nothing here touches a model, a service or the database: it knows what a client knows.
"""
