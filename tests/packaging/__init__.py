"""The wheel, the source distribution, the command lines that README promises, and what is tracked."""
