"""An app whose models are unlike the plain kind: keys of every type, inheritance, a manager with opinions."""
