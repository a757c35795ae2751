"""Tests of the example project: the shop, the demo and the walkthrough, in processes of their own."""
