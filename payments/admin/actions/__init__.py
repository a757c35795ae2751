"""What an operator can do: every action, its confirmation page, and the guard that lets it happen once.

Still the face: permissions, forms and sentences. What may be done with money, and how, the services decide.
"""
