"""What an operator can do: actions, their confirmation pages, and the guard that lets each happen once.

The services decide what may be done with money, and how.
"""
